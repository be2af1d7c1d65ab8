"""Commonsense: what things are, what they look like, and what is used where."""

from __future__ import annotations

import json
from pathlib import Path

from countries import WORDNET
from published import LRE, samples
from relation import Relation, Source, without_leaks
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
from wordfreq import zipf_frequency
from wordnet import WordNet
from words import FREQUENCY

CORPORA = Source("dariusk/corpora", "cf30ca27", "CC0-1.0", "github: dariusk/corpora")
VADER = Source("VADER lexicon (Hutto and Gilbert 2014)", "3.3.2", "MIT", "pypi: vaderSentiment")
HAND = Source("read one by one by hand", "2026", "Apache-2.0", "scripts/relations/commonsense.py")
READ = (
    "The published list, read one by one by hand: doubtful pairs are left out. A judgement, with no second published"
    " source."
)
# What we would not say ourselves: several tools or colours are as usual, or the pair does not fit the prompts.
NOT_TOOLS = {
    "hunting", "boating", "knitting", "sewing", "baking", "ironing clothes", "polishing shoes", "painting furniture",
    "sanding wood", "hiking", "swimming", "writing", "drawing", "gardening", "playing sports", "exercising", "dancing",
    "reading", "measuring", "doing makeup", "playing basketball", "playing soccer", "skateboarding", "riding a scooter",
    "flying a kite", "drying clothes", "washing clothes", "cooking",
    "birdwatching", "listening to music",
}  # fmt: skip
NOT_COLOURS = {
    "mangoes", "pineapples", "dragon fruits", "radishes", "peaches", "nectarines", "grapefruits", "figs", "kiwis",
    "passion fruits", "potatos",
}  # fmt: skip
NOT_PLACES = {
    "flight attendant", "pilot", "truck driver", "student", "historian", "florist", "firefighter", "baker", "barber",
    "pharmacist", "librarian",
}  # fmt: skip
NOT_PHASES = {"ice cream", "steam", "ice", "plastic", "butter", "glass", "soap", "wax", "radium", "ethanol"}
# The commonest sense is another one, or the word is a plural.
NOT_THINGS = {
    "date", "top", "waterproof", "nut", "tie", "ram", "suit", "cap", "seal", "bass", "jumper", "coat", "pants",
    "shorts", "underwear", "dress", "raisin", "weed", "fish", "flower",
}  # fmt: skip
# A category, the hand-made list of its members, and the file it is in.
LISTS = {
    "fruit": ("fruits", "foods/fruits"),
    "vegetable": ("vegetables", "foods/vegetables"),
    "instrument": ("instruments", "music/instruments"),
    "clothing": ("clothes", "objects/clothing"),
    "flower": ("flowers", "plants/flowers"),
    "animal": ("animals", "animals/common"),
}


def relations(sources: Path) -> list[Relation]:
    """All commonsense relations."""
    wordnet = WordNet(sources)
    return [
        Relation(
            name="object_category",
            kind="commonsense",
            description="The kind of thing that something is.",
            templates=(
                "If you sort things into groups, the {subject} is a type of",
                "The {subject} is a kind of",
                "The word {subject} is the name of a type of",
            ),
            facts=without_leaks(_categories(sources, wordnet)),
            sources=(CORPORA, LRE, WORDNET, FREQUENCY),
            checked="In a list of the first or a pair of the second, and the category is among the words above it in"
            " WordNet.",
        ),
        Relation(
            name="task_tool",
            kind="commonsense",
            description="The tool that a task is usually done with.",
            templates=(
                "For {subject}, people usually use a",
                "The best tool for {subject} is a",
                "If your task is {subject}, you will need a",
            ),
            facts=without_leaks(_kept(sources, "task_done_by_tool", NOT_TOOLS)),
            sources=(LRE, HAND),
            checked=READ,
        ),
        Relation(
            name="fruit_colour",
            kind="commonsense",
            description="The usual colour of the outside of a ripe fruit or vegetable.",
            templates=(
                "The usual color of the skin of {subject} is",
                "The color of ripe {subject} is",
                "The ripe {subject} in the bowl were all bright",
            ),
            facts=_kept(sources, "fruit_outside_color", NOT_COLOURS),
            sources=(LRE, HAND),
            checked=READ,
        ),
        Relation(
            name="work_location",
            kind="commonsense",
            description="The place where someone of an occupation usually works.",
            templates=(
                "Every morning the {subject} goes to work at the",
                "You will usually find the {subject} in the",
                "The place where the {subject} works is the",
            ),
            facts=without_leaks(_kept(sources, "work_location", NOT_PLACES)),
            sources=(LRE, HAND),
            checked=READ,
        ),
        Relation(
            name="substance_phase",
            kind="commonsense",
            description="Whether a substance is solid, liquid or gaseous at room temperature.",
            templates=(
                "At room temperature, {subject} is a",
                "In a normal room, the state of matter of {subject} is",
                "Chemists say that under ordinary conditions {subject} is a",
            ),
            facts=_kept(sources, "substance_phase", NOT_PHASES),
            sources=(LRE, HAND),
            checked=READ,
        ),
        Relation(
            name="word_sentiment",
            kind="commonsense",
            description="Whether a word's feeling is positive or negative.",
            templates=(
                "When someone says {subject}, the emotion is usually",
                "The sentiment that the word {subject} expresses is",
                "A review with the word {subject} in it is probably",
            ),
            facts=_sentiments(sources),
            sources=(LRE, VADER),
            checked="Positive or negative in the first, and of the same sign in the second.",
        ),
    ]


def _kept(sources: Path, name: str, left_out: set[str]) -> dict[str, list[str]]:
    return {s: [o] for s, o in samples(sources, f"commonsense/{name}") if s not in left_out}


def _categories(sources: Path, wordnet: WordNet) -> dict[str, list[str]]:
    facts: dict[str, list[str]] = {}
    above = {"instrument": "musical instrument"}
    pairs = samples(sources, "commonsense/object_superclass")
    for category, (key, file) in LISTS.items():
        data = json.loads((sources / f"github/dariusk/corpora/data/{file}.json").read_text("utf-8"))
        words = [word.casefold() for word in data[key] if word.isalpha() and zipf_frequency(word, "en") > 3.0]
        pairs += [(word, category) for word in sorted(words, key=lambda word: -zipf_frequency(word, "en"))[:30]]
    for subject, category in pairs:
        if above.get(category, category) in wordnet.above(subject) and subject not in NOT_THINGS:
            facts.setdefault(subject, []).append(category)
    # The narrower category first: a dog is a mammal and an animal.
    wide = ("plant", "animal")
    return {subject: sorted(dict.fromkeys(kinds), key=lambda kind: kind in wide) for subject, kinds in facts.items()}


def _sentiments(sources: Path) -> dict[str, list[str]]:
    lexicon = SentimentIntensityAnalyzer().lexicon
    return {
        word: [feeling]
        for word, feeling in samples(sources, "commonsense/word_sentiment")
        if feeling in {"positive", "negative"}
        and (lexicon.get(word, 0) > 0) == (feeling == "positive")
        and word in lexicon
    }
