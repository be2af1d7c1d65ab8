"""Concepts that are there without a file: rules over the bundled texts, each stated in words.

The rules are spelling, not grammar: “-ing” holds for *thing*, a capitalised word may be a name or a title. A rule says
what the label means; read the probe as being about that, not about the category it resembles.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import zip_longest

from wheatstone._errors import RequestError, check_choice
from wheatstone.neurons._concepts import LabelledSpan, LabelledText
from wheatstone.tasks import bundled_relation
from wheatstone.texts import Document, bundled_texts

_EXCERPT = re.compile(r".{1,240}\n|.{1,240}\s|\S{1,240}|.", re.DOTALL)
"""An excerpt: up to 240 characters, to the end of a line or else of a word."""
_PIECES = 60
"""Excerpts that are looked at of one document, drawn at random."""
_EACH = 4
"""Spans of each label that an excerpt gives to a concept: neighbours are alike."""
_MESSAGES = 12
"""Lines of a file of messages that are taken for one document; the lines are sentences without order."""
NEGATIVES = 2
"""Spans without the concept for each with it."""
_ENGLISH = frozenset({"prose", "drama", "proceedings", "verse", "docs"})
_ROMANCE_GERMANIC = frozenset({"fr", "es", "pt", "it", "ca", "ro", "de", "nl", "da", "nb", "sv"})
_PRONOUNS = frozenset("he him his she her hers they them their it its we us our you your i me my".split())  # noqa: SIM905

_LONG = re.compile(r"(?<![\w'-])[a-z]{5,}(?![\w'-])")
_SMALL = re.compile(r"(?<![\w'-])[a-z]+(?![\w'-])")
_ANY = re.compile(r"(?<![\w'-])[^\W\d_]{2,}(?![\w'-])")
_NUMBER_OR_WORD = re.compile(r"(?<![\w.])(?:\d+|[a-z]{2,})(?![\w])")
_CAPITAL_OR_SMALL = re.compile(r"(?<=[a-z,;] )[A-Za-z][a-z]+(?![\w'-])")
_BEFORE_A = re.compile(r"\S+(?= an? [a-z])")
_CHUNK = re.compile(r"\S+")

Labels = Iterable[tuple[int, int, bool]]
_Excerpt = tuple[str, str, list[tuple[int, int, str, bool]]]
"""Document, text, and spans as `LabelledSpan` has them."""


@dataclass(frozen=True)
class BundledConcept:
    """A rule that labels spans of the bundled texts.

    Args:
        name: of the concept.
        rule: in words: what has it, and what it is distinguished from.
        reads: whether a document is one that the rule is for.
        labels: (document, excerpt) -> start, end and label of spans.
    """

    name: str
    rule: str
    reads: Callable[[Document], bool]
    labels: Callable[[Document, str], Labels]


def _english(document: Document) -> bool:
    return document.kind in _ENGLISH


def _django(document: Document) -> bool:
    return document.kind in ("docs", "code")


def _code(document: Document) -> bool:
    return document.kind == "code"


def _neighbours(document: Document) -> bool:
    return document.kind == "messages" and document.language in _ROMANCE_GERMANIC


def _matches(pattern: re.Pattern[str], has: Callable[[str], bool], _document: Document, text: str) -> Labels:
    return ((*found.span(), has(found[0])) for found in pattern.finditer(text))


def _suffix(suffix: str, word: str) -> bool:
    return word.endswith(suffix)


def _plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith(("ss", "us", "is"))


def _kind(_document: Document, text: str) -> Labels:
    return ((*found.span(), _document.kind == "code") for found in _CHUNK.finditer(text))


def _comment(_document: Document, text: str) -> Labels:
    for line in re.finditer(r"[^\n]+\n", text):
        marked = line[0].lstrip().startswith("#")
        for found in _CHUNK.finditer(line[0].lstrip("# ") if marked else line[0]):
            offset = line.start() + (len(line[0]) - len(line[0].lstrip("# ")) if marked else 0)
            yield offset + found.start(), offset + found.end(), marked


def _language(language: str, document: Document, text: str) -> Labels:
    return ((*found.span(), document.language == language) for found in _ANY.finditer(text))


def _before_an(_document: Document, text: str) -> Labels:
    return ((*found.span(), text[found.end() :].startswith(" an ")) for found in _BEFORE_A.finditer(text))


def _word(name: str, rule: str, pattern: re.Pattern[str], has: Callable[[str], bool]) -> BundledConcept:
    return BundledConcept(name, rule, _english, partial(_matches, pattern, has))


_LIST = (
    *(
        _word(
            f"suffix-{suffix}",
            f"lower-case words of five letters or more that end in -{suffix}, against the others",
            _LONG,
            partial(_suffix, suffix),
        )
        for suffix in ("ing", "ed", "ly", "ion")
    ),
    _word(
        "suffix-s",
        "lower-case words of five letters or more that end in -s but not -ss, -us or -is, against the others",
        _LONG,
        _plural,
    ),
    _word(
        "pronoun",
        "he, him, his, she, her, hers, they, them, their, it, its, we, us, our, you, your, me, my, against other "
        "lower-case words",
        _SMALL,
        _PRONOUNS.__contains__,
    ),
    _word("number", "runs of digits, against lower-case words", _NUMBER_OR_WORD, str.isdigit),
    _word(
        "capitalised",
        "capitalised words after a lower-case word or a comma, against lower-case words there",
        _CAPITAL_OR_SMALL,
        lambda word: word[0].isupper(),
    ),
    BundledConcept("next-an", "what comes before “ an ”, against what comes before “ a ”", _english, _before_an),
    BundledConcept("code", "the words of Django's Python code, against its documentation", _django, _kind),
    BundledConcept("comment", "in Python code, lines that begin with #, against other lines", _code, _comment),
    BundledConcept(
        "country",
        "names of countries, against names of cities, companies, landmarks and people (subjects of bundled relations), "
        "in the same three sentences; a name is a document",
        lambda document: document.kind == "names",
        lambda document, text: [(text.index(document.name), len(text), document.language == "country")],
    ),
    *(
        BundledConcept(
            f"language-{language}",
            f"words of Django's messages in {name}, against those in the ten others of French, Spanish, Portuguese, "
            "Italian, Catalan, Romanian, German, Dutch, Danish, Norwegian and Swedish",
            _neighbours,
            partial(_language, language),
        )
        for language, name in (("fr", "French"), ("de", "German"), ("es", "Spanish"))
    ),
)
CONCEPTS = {concept.name: concept for concept in _LIST}
"""The bundled concepts by name."""


@cache
def _names() -> tuple[Document, ...]:
    """Names of countries and of other things at the end of sentences, one document a name."""
    relations = ("country_capital", "city_country", "company_headquarters", "landmark_country", "person_country")
    kinds = {fact.subject: name.split("_")[0] for name in relations for fact in bundled_relation(name).facts}
    sentences = "\n".join(
        f"{start} {{0}}" for start in ("I once read a book about", "They told us of", "We talked about")
    )
    return tuple(Document(name, sentences.format(name), "names", kind) for name, kind in kinds.items())


def bundled_concepts(names: Sequence[str], *, most: int = 300, seed: int = 0) -> tuple[LabelledText, ...]:
    """Excerpts of the bundled texts, up to 240 characters each, labelled by the rules of some concepts.

    Excerpts are drawn document by document in turn, for the rarest concept first, until each has enough spans, four of
    a label from an excerpt at most. The excerpts of one book or file are one document; of a file of messages, every
    twelve lines.

    Args:
        names: of `CONCEPTS`.
        most: spans that have each concept; twice as many that do not.
        seed: of the draw.

    Raises:
        RequestError: no such concept, or fewer than one span wanted.
    """
    for name in names:
        check_choice("a concept", name, CONCEPTS, do="choose one of these, or a file")
    if most < 1:
        raise RequestError(expected="at least one span of each concept", got=str(most), do="give a larger number")
    draw, excerpts = random.Random(seed), list[_Excerpt]()
    for document in (*bundled_texts(), *_names()):
        concepts = [CONCEPTS[name] for name in names if CONCEPTS[name].reads(document)]
        if concepts:
            pieces = list(_excerpts(document))
            for name, text in draw.sample(pieces, min(len(pieces), _PIECES)):
                spans = [
                    (start, end, concept.name, positive)
                    for concept in concepts
                    for start, end, positive in _few(concept.labels(document, text), draw)
                ]
                if spans:
                    excerpts.append((name, text, spans))
    return _trimmed(_chosen(excerpts, names, most, draw), most, draw)


def _few(labels: Labels, draw: random.Random) -> Iterator[tuple[int, int, bool]]:
    """At most `most` spans of each label."""
    found = list(labels)
    for value in (True, False):
        chosen = [one for one in found if one[2] == value]
        yield from draw.sample(chosen, min(len(chosen), _EACH))


def _excerpts(document: Document) -> Iterator[tuple[str, str]]:
    """Pieces of a document with the name that they are held out by."""
    if document.kind == "names":
        yield from ((document.name, line) for line in document.text.splitlines())
        return
    if document.kind != "messages":
        for found in _EXCERPT.finditer(document.text):
            yield document.name, found[0]
        return
    lines = document.text.splitlines()
    for start in range(0, len(lines), _MESSAGES):
        for found in _EXCERPT.finditer("\n".join(lines[start : start + _MESSAGES])):
            yield f"{document.name}:{start + 1}", found[0]


def _chosen(excerpts: list[_Excerpt], names: Sequence[str], most: int, draw: random.Random) -> list[_Excerpt]:
    """Excerpts with enough spans, document by document in turn, the rarest label first."""
    counts = [Counter((concept, positive) for *_, concept, positive in spans) for *_, spans in excerpts]
    total, have = Counter[tuple[str, bool]](), Counter[tuple[str, bool]]()
    for count in counts:
        total.update(count)
    taken = set[int]()
    for key in sorted(((name, positive) for name in names for positive in (True, False)), key=total.__getitem__):
        wanted = most if key[1] else NEGATIVES * most
        by_document: defaultdict[str, list[int]] = defaultdict(list)
        for at in draw.sample(range(len(excerpts)), len(excerpts)):
            if counts[at][key] and at not in taken:
                by_document[excerpts[at][0]].append(at)
        turns = (at for turn in zip_longest(*by_document.values()) for at in turn if at is not None)
        for at in turns:
            if have[key] >= wanted:
                break
            taken.add(at)
            have.update(counts[at])
    return [excerpts[at] for at in sorted(taken)]


def _trimmed(excerpts: list[_Excerpt], most: int, draw: random.Random) -> tuple[LabelledText, ...]:
    """The same excerpts with no more spans of each label than wanted, drawn at random."""
    by_key: defaultdict[tuple[str, bool], list[tuple[int, LabelledSpan]]] = defaultdict(list)
    for at, (*_, spans) in enumerate(excerpts):
        for span in spans:
            by_key[span[2:]].append((at, LabelledSpan(*span)))
    kept: defaultdict[int, list[LabelledSpan]] = defaultdict(list)
    for (_, positive), found in by_key.items():
        for at, span in draw.sample(found, min(len(found), most if positive else NEGATIVES * most)):
            kept[at].append(span)
    return tuple(LabelledText(*excerpts[at][:2], tuple(sorted(kept[at]))) for at in sorted(kept))
