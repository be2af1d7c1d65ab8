"""A relation as it is bundled, and the two rules that decide what enters it: sources agree, and nothing leaks."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Table = Mapping[str, Iterable[str]]


@dataclass(frozen=True)
class Source:
    """Where values come from: the name, the version that was read, its licence, and how to get it."""

    name: str
    version: str
    licence: str
    url: str


@dataclass(frozen=True)
class Relation:
    """One file of the bundle.

    Args:
        kind: factual, linguistic, commonsense or bias.
        templates: prompts with `{subject}`, each ending right before the answer.
        facts: subject -> answers, the primary one first.
        checked: how the two sources were compared, in one sentence.
        reverse_templates: prompts with `{object}` whose continuation is the subject.
        licence: of the file; the values are facts or our own judgements, the templates our own.
    """

    name: str
    kind: str
    description: str
    templates: tuple[str, ...]
    facts: Mapping[str, list[str]]
    sources: tuple[Source, ...]
    checked: str
    reverse_templates: tuple[str, ...] = ()
    licence: str = field(default="Apache-2.0")

    def write(self, folder: Path) -> None:
        """Writes the file with one fact a line, so that a change shows as one line."""
        head = {
            "name": self.name,
            "kind": self.kind,
            "description": self.description,
            "templates": self.templates,
            **({"reverse_templates": self.reverse_templates} if self.reverse_templates else {}),
            "sources": [vars(source) for source in self.sources],
            "licence": self.licence,
            "checked": self.checked,
        }
        facts = ",\n".join(
            "    " + json.dumps({"subject": subject, "answers": answers}, ensure_ascii=False)
            for subject, answers in sorted(self.facts.items(), key=lambda fact: plain(fact[0]))
        )
        body = json.dumps(head, ensure_ascii=False, indent=2)[: -len("\n}")]
        (folder / f"{self.name}.json").write_text(f'{body},\n  "facts": [\n{facts}\n  ]\n}}\n', encoding="utf-8")


def plain(text: str) -> str:
    """Letters without accents, case, punctuation or article: what two spellings of one name share."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", " ", letters).strip().removeprefix("the ")


def agreed(*tables: Table, same: Callable[[str], str] = plain) -> dict[str, list[str]]:
    """Values that every source gives: the first source's spelling and order, where all others have the value."""
    others = [{same(subject): {same(value) for value in values} for subject, values in t.items()} for t in tables[1:]]
    facts = {
        subject: [value for value in values if all(same(value) in table.get(same(subject), ()) for table in others)]
        for subject, values in tables[0].items()
    }
    return {subject: list(dict.fromkeys(values)) for subject, values in facts.items() if values}


def without_leaks(facts: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Leaves out facts whose answer can be copied from the subject (Mexico City), or begins with an article."""

    def leaks(subject: str, answer: str) -> bool:
        first = plain(answer).split()[:1]
        return not first or first[0] in plain(subject).split() or answer.split()[0].casefold() in {"the", "a", "an"}

    return {s: values for s, values in facts.items() if not any(leaks(s, value) for value in values)}


def spellings(value: str) -> list[str]:
    """A name as its source writes it, and without accents."""
    value = re.sub("[’‘ʻ]", "'", value)
    decomposed = unicodedata.normalize("NFKD", value)
    return [value, "".join(letter for letter in decomposed if not unicodedata.combining(letter))]


def with_plain_spelling(facts: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Adds the spelling without accents, which is the commoner one in English text: Brasilia for Brasília."""
    return {s: list(dict.fromkeys(spelled for v in values for spelled in spellings(v))) for s, values in facts.items()}
