"""What is known of a subject, from facts: the attribute set that subject enrichment is measured by.

The published measure takes the words of paragraphs about the subject. Without any download there are the bundled
relations: what a subject has in any of them (France: French, Paris, euro, Europe …), and of what it is the answer (its
cities, landmarks and people), and the user's own relation where a run is about one. The set is small, tens of words
and not hundreds, so that rates are lower than published ones, and it misses what is in none of these facts.

Source of the measure: Geva et al. 2023 (arXiv 2304.14767), section 6.1.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache

from wheatstone.models import ResidualModel
from wheatstone.tasks import Relation, bundled_relation, bundled_relations

_SHORTEST = 3
"""Letters of a word, and of a token that begins one: shorter ones fit everything."""
_SAID_OF_EVERYTHING = {"the", "and", "for", "she"}


@cache
def known_of(own: tuple[Relation, ...] = ()) -> Mapping[str, frozenset[str]]:
    """Every subject and every answer of the facts, in small letters, with the words said of it.

    Args:
        own: relations besides the bundled ones.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for relation in (*map(bundled_relation, bundled_relations()), *own):
        for fact in relation.facts:
            for answer in fact.answers:
                found[fact.subject.lower()].update(_words(answer))
                found[answer.strip().lower()].update(_words(fact.subject))
    return {thing: frozenset(words) for thing, words in found.items()}


def attribute_tokens(model: ResidualModel, subject: str, own: tuple[Relation, ...] = ()) -> frozenset[int]:
    """Tokens that begin a word known of a subject, after a space or not, in capitals or not.

    Args:
        model: whose tokens they are.
        subject: as it is written in the prompt.
        own: relations besides the bundled ones.

    Returns:
        None of the subject's own words; empty where no fact is about it.
    """
    asked = {word.lower() for word in _words(subject)}
    tokens: set[int] = set()
    for word in known_of(own).get(subject.strip().lower(), ()):
        if word.lower() not in asked:
            for text in (word, word.lower(), word.capitalize()):
                for start in (" ", ""):
                    first = model.continuation(start + text)[0]
                    if len(model.decode([first])[0].strip()) >= _SHORTEST:
                        tokens.add(first)
    return frozenset(tokens)


def known_tokens(model: ResidualModel, own: tuple[Relation, ...] = ()) -> frozenset[int]:
    """Tokens that begin, after a space, a word known of anything at all: what a subject's are compared with."""
    words = frozenset[str]().union(*known_of(own).values())
    return frozenset(model.continuation(f" {word}")[0] for word in words)


def _words(text: str) -> list[str]:
    words = re.findall(r"[^\W\d_]+", text)
    return [word for word in words if len(word) >= _SHORTEST and word not in _SAID_OF_EVERYTHING]
