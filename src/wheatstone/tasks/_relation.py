"""A relation: facts of one kind with several ways to ask for them; the bundled JSON and the LRE format."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from wheatstone._errors import PromptError, RequestError
from wheatstone._json import load_json
from wheatstone.tasks._counterfactuals import Fact
from wheatstone.tasks._problems import Problem
from wheatstone.tasks._split import plain

_LARGEST = 50_000_000
"""Bytes of a JSON file that are read; larger sets of facts belong in JSON Lines, which is read line by line."""


class RelationFact(BaseModel):
    """A subject and what it is related to; aliases after the usual answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    subject: str
    answers: tuple[str, ...]


class Origin(BaseModel):
    """A source of facts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    version: str = ""
    licence: str = ""
    url: str = ""


class Relation(BaseModel):
    """Facts of one kind.

    Args:
        name: such as `country_capital`.
        kind: `factual`, `linguistic`, `commonsense` or `bias`.
        description: one sentence.
        templates: prompts with `{subject}`, which the answer follows.
        reverse_templates: prompts with `{object}`, which the subject follows; may be empty.
        facts: the facts.
        sources: where they come from.
        licence: of the collection.
        checked: how the facts were checked.
        file: it was read from.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    kind: str
    description: str = ""
    templates: tuple[str, ...]
    reverse_templates: tuple[str, ...] = ()
    facts: tuple[RelationFact, ...]
    sources: tuple[Origin, ...] = ()
    licence: str = ""
    checked: str = ""
    file: str = ""

    @property
    def provenance(self) -> tuple[str, ...]:
        """The sources, one a line, and how the facts were checked."""
        lines = [" ".join(filter(None, (one.name, one.version, one.licence, one.url))) for one in self.sources]
        return (*lines, *((self.checked,) if self.checked else ()))

    def asked(self, template: str, problems: list[Problem]) -> list[Fact]:
        """The facts under one template; what cannot be used is added to `problems`."""
        seen: dict[str, RelationFact] = {}
        facts: list[Fact] = []
        for number, fact in enumerate(self.facts, 1):
            where = f"{self.file} fact {number} ({fact.subject!r})"
            if not fact.subject.strip() or not fact.answers or not all(answer.strip() for answer in fact.answers):
                problems.append(Problem(where, "an empty subject or answer"))
            elif (name := plain(fact.subject)) in seen:
                same = seen[name].answers == fact.answers
                problems.append(Problem(where, "a duplicate" if same else "the same subject with other answers"))
            else:
                seen[name] = fact
                facts.append(Fact(fact.subject, template, fact.answers, where))
        return facts


def bundled_relations() -> dict[str, Path]:
    """The bundled relations' files by name."""
    folder = Path(str(files("wheatstone.tasks") / "data" / "relations"))
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def bundled_relation(name: str) -> Relation:
    """A bundled relation.

    Raises:
        RequestError: there is none of that name.
    """
    there = bundled_relations()
    if name not in there:
        raise RequestError(
            expected=f"a bundled relation out of {', '.join(there)}", got=repr(name), do="list them: `wheatstone tasks`"
        )
    return read_relation(there[name])


def read_relation(path: Path) -> Relation:
    """A relation's JSON file: ours, or LRE's with `prompt_templates` and `samples`.

    Raises:
        PromptError: it cannot be read, is too large, or has another form.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise PromptError(
                expected=f"a JSON file of at most {_LARGEST / 1e6:.0f} MB",
                got=f"{path}, {path.stat().st_size / 1e6:,.0f} MB",
                do="write it as JSON Lines or CSV, which are read line by line",
            )
        data: Any = load_json(path)
        record = _from_lre(data) if isinstance(data, dict) and "samples" in data else data
        relation = Relation.model_validate(record | {"file": str(path)} if isinstance(record, dict) else record)
    except ValidationError as error:
        first = error.errors()[0]
        raise PromptError(
            expected="a relation {name, kind, templates, facts} or LRE's {name, prompt_templates, samples}",
            got=f"{path}: {first['msg']} at {'.'.join(map(str, first['loc']))}",
            do="mend the file",
        ) from error
    except UnicodeDecodeError as error:  # its own words would show the whole file
        line = error.object[: error.start].count(b"\n") + 1
        raise PromptError(
            expected="a JSON file of a relation in UTF-8",
            got=f"{path} line {line}: byte 0x{error.object[error.start]:02x}",
            do="save it as UTF-8",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:  # LRE's parts missing or of another type
        raise PromptError(
            expected="a JSON file of a relation in UTF-8", got=f"{path}: {error!r}", do="mend the file"
        ) from error
    lacking = [text for text in relation.templates if text.count("{subject}") != 1]
    lacking += [text for text in relation.reverse_templates if text.count("{object}") != 1]
    if lacking or not relation.templates:
        raise PromptError(
            expected="templates with {subject} once ({object} once in reverse_templates)",
            got=f"{path}: {lacking[0]!r}" if lacking else f"{path}: no template",
            do="mend the templates",
        )
    return relation


def _from_lre(data: dict[str, Any]) -> dict[str, Any]:
    """Zero-shot templates first: they are written to be answered without examples before them."""
    templates = [*data.get("prompt_templates_zs", ()), *data["prompt_templates"]]
    return {
        "name": data["name"],
        "kind": data.get("properties", {}).get("relation_type", "relation"),
        "description": data["name"],
        "templates": [text.replace("{}", "{subject}") for text in dict.fromkeys(templates)],
        "facts": [{"subject": row["subject"], "answers": [row["object"]]} for row in data["samples"]],
    }
