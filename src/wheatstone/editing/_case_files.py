"""Cases from files of records: CounterFact, zsRE and KnowEdit, as JSON or JSON Lines.

CounterFact (arXiv 2202.05262): `requested_rewrite` with prompt, subject, `target_new` and `target_true`;
`paraphrase_prompts`; `neighborhood_prompts`. zsRE (arXiv 1706.04115, as MEND has it): `src`, `subject`, `alt`,
`answers`; `rephrase`; `loc` and `loc_ans`. KnowEdit (arXiv 2401.01286): `prompt`, `subject`, `target_new`,
`ground_truth`; `rephrase`; `portability` and `locality`, groups of prompts with answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wheatstone._errors import PromptError
from wheatstone._json import parse_json
from wheatstone._path import StrPath
from wheatstone._text import lines_of
from wheatstone.editing._case import Case, Kind, Probe
from wheatstone.editing._request import EditRequest

_LARGEST = 200_000_000
"""Bytes of a file that are read."""
_SHOWN = 5


def read_cases(path: StrPath, *, most: int | None = None, strict: bool = True) -> list[Case]:
    """Cases of a file.

    Args:
        path: of a JSON array, or of JSON Lines.
        most: read no more than so many.
        strict: refuse a file with records that cannot be used, instead of leaving them out.

    Raises:
        PromptError: the file cannot be read, or records cannot be used.
    """
    path = Path(path)
    cases: list[Case] = []
    problems: list[str] = []
    for number, record in enumerate(_records(path)[:most], 1):
        try:
            cases.append(_case(record, f"{path.stem}/{record.get('case_id', number)}", path.stem))
        except (ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
            said = str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else repr(error)
            problems.append(f"record {number}: {said}")
    if not cases or (strict and problems):
        raise PromptError(
            expected="records of CounterFact, zsRE or KnowEdit",
            got=f"{path}: {'; '.join(problems[:_SHOWN]) or 'none'}"
            + (f"; and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""),
            do="mend them, or leave them out with strict=False",
        )
    return cases


def _records(path: Path) -> list[Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path.stat().st_size / 1e6:,.0f} MB, more than {_LARGEST / 1e6:.0f}")
        text = path.read_text(encoding="utf-8")
        found: Any = (
            parse_json(text)
            if text.lstrip().startswith("[")
            else [parse_json(line) for line in lines_of(text) if line.strip()]
        )
    except (OSError, ValueError) as error:
        raise PromptError(
            expected="a JSON or JSON Lines file in UTF-8", got=f"{path}: {error}", do="check the path and the file"
        ) from error
    return list(found)


def _case(record: Mapping[str, Any], name: str, group: str) -> Case:
    if "requested_rewrite" in record:
        return _counterfact(record, name, group)
    if "src" in record:
        return _zsre(record, name, group)
    if "prompt" in record and "target_new" in record:
        return _knowedit(record, name, group)
    raise ValueError(f"neither requested_rewrite, nor src and alt, nor prompt and target_new in {sorted(record)}")


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


def _probes(kind: Kind, prompts: Sequence[str], answers: tuple[str, ...], others: tuple[str, ...] = ()) -> list[Probe]:
    return [Probe(kind=kind, prompt=prompt, answers=answers, others=others) for prompt in prompts]


def _texts(value: Any) -> tuple[str, ...]:
    """A text, or texts in lists however deep."""
    if value is None:
        return ()
    if isinstance(value, list):
        return tuple(text for part in value for text in _texts(part))
    return (str(value),)
