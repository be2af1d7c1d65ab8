"""Words: inflections, opposites, letters. Inflections from the NIH SPECIALIST lexicon, checked by a second source."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import inflect
from cities import QUESTIONS, questions
from countries import WORDNET
from lemminflect import getInflection
from published import LRE, samples
from relation import Relation, Source, agreed
from wordfreq import top_n_list, zipf_frequency
from wordnet import WordNet

SPECIALIST = Source("NIH SPECIALIST lexicon, in LemmInflect", "0.2.3", "MIT", "pypi: lemminflect")
INFLECT = Source("inflect", "7.6.0", "MIT", "pypi: inflect")
FREQUENCY = Source("wordfreq (only to choose common words)", "3.1.1", "Apache-2.0, data CC-BY-SA-4.0", "pypi: wordfreq")
ENOUGH = 130
# Auxiliaries, and forms that are another word too.
AUXILIARY = frozenset(
    "be have do can may will must would could should might shall except base saw found".split()  # noqa: SIM905
)
# Nouns of stuff rather than things, names, and plurals in disguise.
UNCOUNTABLE = frozenset(
    """water money police music food news data air media software hardware traffic clothing evidence jewelry equipment
    furniture gas land gold oil wine beer tea coffee paper cloth meat rice milk bread corn cotton glass wood steel
    plastic leather cash people staff crew cattle sheep fish deer god lord christ jesus king means series species
    property transport english infrastructure machinery housing lighting male female human adult youth radio press
    nobody mike sir liberal republican fellow skin art fiction heroin cocaine medicine drug ice fire sport lead iron
    mine ass sex dear dad mom mum""".split()  # noqa: SIM905 (a list of ninety words, one a line, hides the code)
)


def relations(sources: Path) -> list[Relation]:
    """All relations between words."""
    wordnet = WordNet(sources)
    comparative, superlative = (_graded(wordnet, tag) for tag in ("JJR", "JJS"))
    return [
        Relation(
            name="adjective_comparative",
            kind="linguistic",
            description="An adjective's comparative.",
            templates=(
                "This one is {subject}, but that one is even",
                "Yesterday it was {subject}, and today it is even",
                "She is {subject}, and her sister is much",
            ),
            reverse_templates=("If something is {object} than another thing, then we can call it very",),
            facts=comparative,
            sources=(SPECIALIST, WORDNET, FREQUENCY),
            checked="The form of the first leads back to the adjective in WordNet's morphology.",
        ),
        Relation(
            name="adjective_superlative",
            kind="linguistic",
            description="An adjective's superlative.",
            templates=(
                "He is not only {subject}, he is the",
                "They are all {subject}, but this one is the",
                "Many things in the world are {subject}, but which one is the",
            ),
            reverse_templates=("It is the {object} of all. All the others are also",),
            facts=superlative,
            sources=(SPECIALIST, WORDNET, FREQUENCY),
            checked="The form of the first leads back to the adjective in WordNet's morphology.",
        ),
        Relation(
            name="antonym",
            kind="linguistic",
            description="A word's opposite.",
            templates=(
                "Two words with opposite meanings are {subject} and",
                "The opposite of {subject} is",
                "The antonym of {subject} is",
            ),
            reverse_templates=("The opposite of {object} is", "The antonym of {object} is"),
            facts=_antonyms(sources, wordnet),
            sources=(LRE, WORDNET),
            checked="A pair of the first that WordNet marks as antonyms.",
        ),
        Relation(
            name="adjective_adverb",
            kind="linguistic",
            description="The adverb made from an adjective.",
            templates=(
                "To do something in a way that is {subject} is to do it",
                "The adverb that is made from the adjective {subject} is",
                "The adjective {subject} has the adverb",
            ),
            reverse_templates=("If it is done {object}, then the way it is done is",),
            facts=_adverbs(sources, wordnet),
            sources=(QUESTIONS, WORDNET, FREQUENCY),
            checked="The adverb is the adjective with -ly, and WordNet derives it from that adjective; the pairs that"
            " questions-words.txt has are the same there.",
        ),
        *(
            Relation(
                name=name,
                kind="linguistic",
                description=description,
                templates=templates,
                reverse_templates=reverse,
                facts=_verb_forms(wordnet, tag),
                sources=(SPECIALIST, WORDNET, FREQUENCY),
                checked="The form of the first leads back to the verb in WordNet's morphology.",
            )
            for name, tag, description, templates, reverse in (
                (
                    "verb_past_tense",
                    "VBD",
                    "A verb's past tense.",
                    (
                        "I often {subject} now, and last year I also",
                        "Today I {subject}. Yesterday I",
                        "They {subject} every day. A week ago they",
                    ),
                    ("Yesterday they {object}. Every day they",),
                ),
                (
                    "verb_third_person",
                    "VBZ",
                    "A verb's third person singular.",
                    (
                        "When I {subject}, my brother also",
                        "I {subject}, and he also",
                        "Sometimes I {subject}, and sometimes she",
                    ),
                    ("He {object}, and I also",),
                ),
                (
                    "verb_present_participle",
                    "VBG",
                    "A verb's present participle.",
                    (
                        "I {subject} every day. Right now I am",
                        "They like to {subject}, and at this moment they are",
                        "I will {subject} soon. In fact, I am already",
                    ),
                    ("He is {object} now. Every day he wants to",),
                ),
            )
        ),
        Relation(
            name="noun_plural",
            kind="linguistic",
            description="A noun's plural.",
            templates=(
                "There is only one {subject} here, but there are many",
                "I saw one {subject}, and then I saw two",
                "One {subject}, two",
            ),
            reverse_templates=("There are many {object} there, but here is only one",),
            facts=_plurals(sources, wordnet),
            sources=(SPECIALIST, INFLECT, FREQUENCY),
            checked="The same form in both.",
        ),
        Relation(
            name="noun_gender_counterpart",
            kind="linguistic",
            description="The word for the other sex.",
            templates=(
                "Two people came in, the {subject} and the",
                "The female counterpart of the {subject} is the",
                "If he is the {subject}, then she is the",
            ),
            reverse_templates=("If she is the {object}, then he is the",),
            facts=_counterparts(sources, wordnet),
            sources=(QUESTIONS, WORDNET),
            checked="A pair of the first whose second word WordNet gives as the antonym, or glosses as a woman.",
        ),
        Relation(
            name="number_ordinal",
            kind="linguistic",
            description="A number word's ordinal.",
            templates=(
                "Number {subject} in the list is the",
                "The runner who takes place number {subject} in the race is the",
                "The cardinal number is {subject}; the ordinal number is",
            ),
            reverse_templates=("The ordinal number is {object}; the cardinal number is",),
            facts=_ordinals(wordnet),
            sources=(INFLECT, WORDNET),
            checked="The word of the first is in WordNet as an ordinal adjective.",
        ),
        *(
            Relation(
                name=f"word_{which}_letter",
                kind="linguistic",
                description=f"The {which} letter of a word.",
                templates=templates,
                facts=_letters(sources, wordnet, position),
                sources=(FREQUENCY, LRE),
                checked="Read off the spelling; the words that the second source has too have the same letter there.",
            )
            for which, position, templates in (
                (
                    "first",
                    0,
                    (
                        "The word {subject} begins with the letter",
                        "In the dictionary, {subject} is among the words that start with the letter",
                        'The first letter of the word "{subject}" is',
                    ),
                ),
                (
                    "last",
                    -1,
                    (
                        "The word {subject} ends with the letter",
                        'The last letter of the word "{subject}" is',
                        "If you spell {subject}, the last letter that you write is",
                    ),
                ),
            )
        ),
    ]


def _common(part: str, wordnet: WordNet, least: float = 3.8) -> Iterable[str]:
    """Common words, the most frequent first, that WordNet knows as this part of speech most of the time."""
    return (
        word
        for word in top_n_list("en", 12_000)
        if word.isalpha()
        and len(word) > 1
        and zipf_frequency(word, "en") > least
        and wordnet.mostly(word, part)
        and any(word in meaning.words for meaning in wordnet.meanings(word, part))  # no names: those have a capital
    )


def _graded(wordnet: WordNet, tag: str) -> dict[str, list[str]]:
    facts: dict[str, list[str]] = {}
    for word in _common("adj", wordnet):
        forms = [form for form in getInflection(word, tag, inflect_oov=False) if zipf_frequency(form, "en") > 3.0]
        if forms and all(word in wordnet.bases(form, "adj") for form in forms):
            facts[word] = forms
    return dict(list(facts.items())[:ENOUGH])


def _antonyms(sources: Path, wordnet: WordNet) -> dict[str, list[str]]:
    pairs = samples(sources, "linguistic/adj_antonym")
    facts: dict[str, list[str]] = {}
    for first, second in [*pairs, *((second, first) for first, second in pairs)]:
        if any(second in wordnet.antonyms(first, part) for part in ("adj", "noun", "verb", "adv")):
            facts.setdefault(first, []).append(second)
    return {word: list(dict.fromkeys(opposites)) for word, opposites in facts.items()}


def _adverbs(sources: Path, wordnet: WordNet) -> dict[str, list[str]]:
    known = dict(questions(sources, "gram1-adjective-to-adverb"))
    facts: dict[str, list[str]] = {}
    for adverb in _common("adv", wordnet):
        for key in wordnet.of_word.get(adverb, ()):
            synset = wordnet.synsets[key]
            for symbol, target, ours, theirs in synset.pointers:
                if symbol != "\\" or synset.words[ours - 1] != adverb:
                    continue
                adjective = wordnet.synsets[target].words[theirs - 1]
                if not wordnet.mostly(adjective, "adj") or adjective in {adverb, "dead", "historic", "most"}:
                    continue
                spelled = adverb in {f"{adjective}ly", f"{adjective[:-1]}ily", f"{adjective[:-1]}y", f"{adjective}ally"}
                if spelled and zipf_frequency(adjective, "en") > 3.8 and known.get(adjective, adverb) == adverb:
                    facts[adjective] = [adverb]
    return dict(list(facts.items())[:ENOUGH])


def _verb_forms(wordnet: WordNet, tag: str) -> dict[str, list[str]]:
    facts: dict[str, list[str]] = {}
    for word in _common("verb", wordnet, 4.2):
        forms = getInflection(word, tag, inflect_oov=False)[:1]
        agree = all(word in wordnet.bases(form, "verb") for form in forms)
        if forms and agree and word not in forms and word not in AUXILIARY:
            facts[word] = list(forms)
    return dict(list(facts.items())[:ENOUGH])


def _plurals(sources: Path, wordnet: WordNet) -> dict[str, list[str]]:
    engine = inflect.engine()
    things = {
        "animal",
        "instrumentality",
        "person",
        "structure",
        "fruit",
        "clothing",
        "body part",
        "geological formation",
    }
    common = [
        word
        for word in _common("noun", wordnet, 4.3)
        if word not in UNCOUNTABLE
        and things & wordnet.above(word, first=True)
        and not any(base != word for base in wordnet.bases(word, "noun"))
    ]
    facts = agreed(
        {word: getInflection(word, "NNS", inflect_oov=False)[:1] for word in common},
        {word: [engine.plural_noun(word)] for word in common},
    )
    return dict([(word, forms) for word, forms in facts.items() if word not in forms][:ENOUGH])


def _counterparts(sources: Path, wordnet: WordNet) -> dict[str, list[str]]:
    female = ("female", "woman", "women", "mother", "wife", "daughter", "sister", "girl", "queen")
    facts: dict[str, list[str]] = {}
    for man, woman in questions(sources, "family"):
        gloss = wordnet.meanings(woman, "noun")[:1]
        confirmed = man in wordnet.antonyms(woman, "noun") or (gloss and any(w in gloss[0].gloss for w in female))
        if confirmed and not wordnet.bases(man, "noun") - {man} and man not in {"his", "he"}:
            facts[man] = [woman]
    return facts


def _ordinals(wordnet: WordNet) -> dict[str, list[str]]:
    engine = inflect.engine()
    numbers = [*range(1, 21), *range(30, 100, 10), 100, 1000]
    words = {str(engine.number_to_words(number)).removeprefix("one ") or "one": number for number in numbers}
    facts = {word: [str(engine.ordinal(word))] for word in words}
    return {word: forms for word, forms in facts.items() if wordnet.meanings(forms[0], "adj")}


def _letters(sources: Path, wordnet: WordNet, position: int) -> dict[str, list[str]]:
    which = "first" if position == 0 else "last"
    known = {word.casefold(): letter for word, letter in samples(sources, f"linguistic/word_{which}_letter")}
    words = [word for part in ("noun", "verb", "adj") for word in _common(part, wordnet, 4.4) if len(word) > 3]
    # At most seven words a letter, so that no letter is the safe guess.
    taken: dict[str, int] = {}
    facts: dict[str, list[str]] = {}
    for word in [*sorted(known), *words]:
        letter = word[position].upper()
        if len(word) < 3 or not word.isascii() or taken.get(letter, 0) >= 7 or word in facts:
            continue
        if known.get(word, letter).upper() != letter:
            raise ValueError(f"{word}: {letter} by its spelling, {known[word]} in the published list")
        taken[letter] = taken.get(letter, 0) + 1
        facts[word] = [letter, letter.lower()]
    return facts
