"""`load_task`: from a name or a file to split, checked prompt pairs."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from wheatstone._errors import RequestError
from wheatstone._path import StrPath, expanded
from wheatstone._progress import Reporter, silent
from wheatstone.models import ResidualModel
from wheatstone.records import FORMATS, Content, Problem, Row, content_of, hub_rows, read_rows, sampled
from wheatstone.tasks._bundled import bundled_task, facts_of
from wheatstone.tasks._facts import Facts
from wheatstone.tasks._files import files_of
from wheatstone.tasks._known import KNOWN_RANK
from wheatstone.tasks._records import no_record, records
from wheatstone.tasks._relation import is_relation, relation_of
from wheatstone.tasks._source import Source
from wheatstone.tasks._task import Task, make_task
from wheatstone.tasks._templates import with_subject


def load_task(
    source: StrPath,
    model: ResidualModel,
    *,
    seed: int = 0,
    known: int | None = KNOWN_RANK,
    template: int | str = 0,
    size: int | None = 100,
    strict: bool = True,
    report: Reporter = silent,
) -> Task:
    """Loads a task for a model.

    Subjects are divided 40 : 20 : 40 into train, validation and test. A fact's counterfactual is another fact of the
    same split, of the same token length, with another answer.

    Args:
        source: a bundled name (`facts/country_capital`, `ioi`; see `bundled_tasks`), in which a relation may also be
            the path of its JSON file (`reversed/mine.json`, `icl-3/mine.json`); a file, whose content says what it is:
            a relation, ours or LRE's, in JSON, or pairs or facts as JSON, JSON Lines, a table with commas, semicolons
            or tabs, or Parquet, under the names of columns in `tasks/_fields.py`; or the id of a Hugging Face dataset,
            where the package `datasets` is installed. `~` is expanded.
        model: whose tokenizer aligns the pairs, and whose knowledge is asked.
        seed: of splits, counterfactuals and all that is generated.
        known: keep pairs with an answer among this many top tokens and above every distractor; None keeps all.
        template: of a relation: which of its templates, from 0, or one of your own with `{subject}`; `{}` and
            `[X] … [Y]` are understood too.
        size: most pairs, all splits together; None for all there are (100 of what is generated).
        strict: refuse, with a list, where a record cannot be used; otherwise leave it out and list it in `skipped`.
        report: progress callback.

    Raises:
        RequestError: no such task or template.
        PromptError: records that cannot be used, or nothing left to ask.

    When this misleads: filtering by what the model knows makes its own Hit@k 1 by construction; what the filter left
    out is in `known`. Pairs depend on the tokenizer: two models get different counterfactuals.
    """
    problems: list[Problem] = []
    found, notes = _source(source, model, template, problems, seed)
    made = make_task(
        found, model, problems, seed=seed, known=known, size=size, strict=strict, notes=notes, report=report
    )
    return replace(made, files=files_of(str(source)))


def load_facts(source: StrPath, model: ResidualModel, *, template: int | str = 0, seed: int = 0) -> Facts:
    """The facts of a relation, before any of them is paired, filtered or split.

    Args:
        source: `facts/RELATION`, or a relation's JSON file.
        model: whose tokens ids in a file are.
        template: which of the relation's templates, from 0, or one of your own with `{subject}`.
        seed: of a sample, where there are too many.

    Raises:
        RequestError: no such task or template, or it is made of something else than facts.
        PromptError: the file cannot be read.
    """
    found, _ = _source(source, model, template, [], seed)
    if not isinstance(found, Facts):
        raise RequestError(
            expected="facts of a relation", got=f"{source}, made of something else", do="name a relation"
        )
    return found


def check_task(source: StrPath, template: int | str = 0) -> None:
    """Refuses without a model what is neither a bundled task, nor a file that can be read, nor a dataset's id.

    Args:
        source: as `load_task` takes it.
        template: likewise.

    Raises:
        RequestError: no such task or template.
        PromptError: the file has no records.
    """
    path = expanded(os.fspath(source))
    if not _is_bundled(source, template) and path.exists():
        content = content_of(path)
        if not is_relation(content.document):
            _rows(content, path, [], 0)


def _is_bundled(source: StrPath, template: int | str) -> bool:
    """Whether it is a bundled task.

    Raises:
        RequestError: it is neither that, nor a file, nor a dataset's id; or has no such template.
    """
    name = os.fspath(source)
    if isinstance(source, str) and bundled_task(name, template, []) is not None:
        return True
    if not expanded(name).exists() and not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise RequestError(
            expected=f"a bundled task (facts/country_capital, ioi, …) or a file of {FORMATS}",
            got=f"{name!r}, which is neither",
            do="list the bundled ones with `wheatstone tasks`, or check the path",
        )
    return False


def _rows(content: Content, path: Path, problems: list[Problem], seed: int) -> tuple[list[Row], int]:
    """Records of a file, and how many it has."""
    rows, total = read_rows(content, problems, seed=seed)
    if not rows:
        raise no_record(path, problems)
    return rows, total


def _source(
    source: StrPath, model: ResidualModel, template: int | str, problems: list[Problem], seed: int
) -> tuple[Source, list[str]]:
    name, notes = os.fspath(source), list[str]()
    path = expanded(name)
    found = bundled_task(name, template, problems) if _is_bundled(source, template) else None
    if found is not None:
        return found, notes
    if path.exists():
        content = content_of(path)
        if is_relation(content.document):
            return facts_of(relation_of(content.document, path), name, template, problems), notes
        rows, total = _rows(content, path, problems, seed)
    else:
        rows, total = sampled(hub_rows(name), seed)
    if len(rows) < total:
        notes.append(f"an even sample of {len(rows):,} of {total:,} records")
    if isinstance(template, str):
        template = _with_subject(template)
    return records(model, name, rows, template, problems, notes), notes


def _with_subject(template: str) -> str:
    try:
        return with_subject(template)
    except ValueError as error:
        raise RequestError(
            expected="a template with {subject} once", got=repr(template), do=str(error).rpartition("; ")[2]
        ) from error
