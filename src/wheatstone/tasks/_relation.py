"""A relation: facts of one kind with several ways to ask for them; the bundled JSON and the LRE format."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from wheatstone._errors import PromptError, check_choice
from wheatstone._path import StrPath
from wheatstone.records import Problem, content_of
from wheatstone.tasks._counterfactuals import Fact
from wheatstone.tasks._split import plain


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
        phrase: with `{subject}`, how the relation is said inside another's prompt as the first of two hops; may be
            empty.
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
    phrase: str = ""
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
    check_choice(
        "a relation's .json file, or a bundled relation", name, there, do="list the bundled ones: `wheatstone tasks`"
    )
    return read_relation(there[name])


def relation_named(name: StrPath) -> Relation:
    """A bundled relation, or one in a JSON file.

    Args:
        name: of a bundled relation, or a path that ends in `.json`.

    Raises:
        RequestError: there is none.
        PromptError: the file cannot be read as a relation.
    """
    path = Path(name)
    if path.suffix == ".json" and path.is_file():
        return read_relation(path)
    return bundled_relation(os.fspath(name))


def read_relation(path: Path) -> Relation:
    """A relation's JSON file: ours, or LRE's with `prompt_templates` and `samples`.

    Raises:
        PromptError: it cannot be read, is too large, or has another form.
    """
    return relation_of(content_of(path).document, path)


def is_relation(document: Any) -> bool:
    """Whether a JSON document is meant as a relation, whole or not."""
    return isinstance(document, dict) and bool(document.keys() & {"templates", "facts", "prompt_templates", "samples"})


def relation_of(document: Any, path: Path) -> Relation:
    """A relation out of a JSON document.

    Args:
        document: the document.
        path: the file it was read from.

    Raises:
        PromptError: it has another form.
    """
    keys = f"the keys {', '.join(map(repr, list(document)[:20]))}" if isinstance(document, dict) else "no JSON object"
    try:
        record = _from_lre(document) if "samples" in document else document
        relation = Relation.model_validate(record | {"file": str(path)})
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        said = f"{first['msg']} at {'.'.join(map(str, first['loc']))}" if first else f"{type(error).__name__}: {error}"
        raise PromptError(
            expected="a relation {name, kind, templates, facts} or LRE's {name, prompt_templates, samples}",
            got=f"{path} with {keys}: {said}",
            do="write the file as docs/tasks.md shows",
        ) from error
    lacking = [text for text in relation.templates if text.count("{subject}") != 1]
    lacking += [text for text in relation.reverse_templates if text.count("{object}") != 1]
    if lacking or not relation.templates:
        raise PromptError(
            expected="templates with {subject} once ({object} once in reverse_templates)",
            got=f"{path}: {lacking[0]!r}" if lacking else f"{path}: no template",
            do="correct the templates",
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
