"""Cases from files of records: CounterFact, zsRE and KnowEdit, in any format that tasks are read from.

CounterFact (arXiv 2202.05262): `requested_rewrite` with prompt, subject, `target_new` and `target_true`;
`paraphrase_prompts`; `neighborhood_prompts`. zsRE (arXiv 1706.04115, as MEND has it): `src`, `subject`, `alt`,
`answers`; `rephrase`; `loc` and `loc_ans`. KnowEdit (arXiv 2401.01286): `prompt`, `subject`, `target_new`,
`ground_truth`; `rephrase`; `portability` and `locality`, groups of prompts with answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wheatstone._errors import PromptError
from wheatstone._path import StrPath
from wheatstone.editing._case import Case, Kind, Probe
from wheatstone.editing._request import EditRequest
from wheatstone.records import Problem, content_of, rows_of

_LARGEST = 200_000_000
"""Bytes of a file that are read."""
_SHOWN = 5


def read_cases(path: StrPath, *, most: int | None = None, strict: bool = True) -> list[Case]:
    """Cases of a file.

    Args:
        path: of the file; its content says whether it is JSON, JSON Lines, a table or Parquet.
        most: read at most this many.
        strict: refuse a file with records that cannot be used, instead of leaving them out.

    Raises:
        PromptError: the file cannot be read, or records cannot be used.
    """
    path = Path(path)
    cases: list[Case] = []
    unread: list[Problem] = []
    problems: list[str] = []
    for number, row in enumerate(islice(rows_of(content_of(path, largest=_LARGEST), unread), most), 1):
        record = row.fields
        try:
            cases.append(_case(record, f"{path.stem}/{record.get('case_id', number)}", path.stem))
        except (ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
            said = str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else repr(error)
            keys = f" among the keys {', '.join(map(repr, list(record)[:20]))}" if isinstance(error, KeyError) else ""
            problems.append(f"record {number}: {said}{keys}")
    problems = [*map(str, unread), *problems]
    if not cases or (strict and problems):
        raise PromptError(
            expected="records of CounterFact (requested_rewrite), zsRE (src, subject, alt) or KnowEdit (prompt, "
            "subject, target_new)",
            got=f"{path}: {'; '.join(problems[:_SHOWN]) or 'no record'}"
            + (f"; and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""),
            do="correct them, or leave them out with strict=False",
        )
    return cases


def _case(record: Mapping[str, Any], name: str, group: str) -> Case:
    if "requested_rewrite" in record:
        return _counterfact(record, name, group)
    if "src" in record:
        return _zsre(record, name, group)
    if "prompt" in record and "target_new" in record:
        return _knowedit(record, name, group)
    found = ", ".join(map(repr, list(record)[:20]))
    raise ValueError(f"neither requested_rewrite, nor src and alt, nor prompt and target_new among the keys {found}")


def _counterfact(record: Mapping[str, Any], name: str, group: str) -> Case:
    rewrite = record["requested_rewrite"]
    new, old, subject = rewrite["target_new"]["str"], rewrite["target_true"]["str"], rewrite["subject"]
    prompt = rewrite["prompt"].replace("{}", subject, 1)
    request = EditRequest(prompt=prompt, subject=subject, target=new, truth=old)
    probes = _probes("paraphrase", record.get("paraphrase_prompts", ()), (new,), (old,))
    return Case.of(
        name, group, request, probes + _probes("neighbourhood", record.get("neighborhood_prompts", ()), (old,))
    )


def _zsre(record: Mapping[str, Any], name: str, group: str) -> Case:
    answers = tuple(map(str, record.get("answers") or ()))
    request = EditRequest(
        prompt=record["src"], subject=record["subject"], target=record["alt"], truth=answers[0] if answers else ""
    )
    probes = _probes("paraphrase", [record["rephrase"]] if record.get("rephrase") else (), (record["alt"],), answers)
    if record.get("loc"):
        unrelated = str(record["loc"]).removeprefix("nq question: ")
        probes += _probes("locality", [unrelated], (str(record.get("loc_ans", "")),))
    return Case.of(name, group, request, probes)


def _knowedit(record: Mapping[str, Any], name: str, group: str) -> Case:
    new, old = str(record["target_new"]), _texts(record.get("ground_truth"))
    request = EditRequest(prompt=record["prompt"], subject=record["subject"], target=new, truth=old[0] if old else "")
    other = record.get("rephrase") or record.get("rephrase_prompt")
    probes = _probes("paraphrase", _texts(other), (new,), old)
    for kind in ("portability", "locality"):
        for rows in (record.get(kind) or {}).values():
            for row in rows or ():
                probes += _probes(kind, [row["prompt"]], _texts(row["ground_truth"]))
    return Case.of(name, group, request, probes)


def _probes(
    kind: Kind, prompts: str | Iterable[Any], answers: tuple[str, ...], others: tuple[str, ...] = ()
) -> list[Probe]:
    """A probe for each prompt, which must be a text; a single text is one prompt."""
    each = [prompts] if isinstance(prompts, str) else prompts
    return [Probe(kind=kind, prompt=prompt, answers=answers, others=others) for prompt in each]


def _texts(value: Any) -> tuple[str, ...]:
    """A text, or texts in lists however deep."""
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(text for part in value for text in _texts(part))
    return (str(value),)
