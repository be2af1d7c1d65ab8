"""A run as one document: everything but its edges and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import TypeAdapter

from wheatstone._effects import direction_of, effect_words
from wheatstone._errors import RunError
from wheatstone.figures import FIGURES
from wheatstone.models import title_of_model
from wheatstone.runs import read_json, read_manifest, sound, title_of
from wheatstone.studio import _schema as schema
from wheatstone.studio._library import file_of
from wheatstone.studio._tables import BASIC, explained

_WANTED = {
    "lens": "the answer at every layer and position (logit lens)",
    "attribution": "what each node writes into the answer itself",
    "attention": "where heads look from the last token, and what they take",
    "vocabulary": "the words that the strongest nodes promote and suppress",
}
"""Sections of `explain` that the app shows, in words."""
_VERIFICATIONS = TypeAdapter(list[schema.VerificationResult])


def run_document(run: Path, id: str) -> schema.Run:
    """A run's document.

    Raises:
        RunError: a file is missing or damaged.
    """
    manifest, circuit = read_manifest(run), read_json(run, "circuit.json")
    tables = explained(run)
    with sound(run):
        return schema.Run.model_validate(
            {
                "id": id,
                "title": title_of(manifest),
                "example": id.startswith("example-"),
                "path": str(run),
                "created": manifest["created"],
                "model": {**manifest["model"], "title": title_of_model(manifest["model"])},
                "settings": manifest["settings"],
                "unit": manifest["settings"].get("unit", ""),
                "score_sign": direction_of(circuit["metric"]),
                "effect_words": measured_words(circuit, manifest["settings"]),
                "seed": manifest["seed"],
                "versions": manifest["versions"],
                "prompts": manifest["prompts"],
                "notes": manifest["notes"],
                "model_answers": manifest.get("model_answers"),
                "evaluations": manifest["evaluations"],
                "timings": manifest["timings"],
                "evaluation": circuit.get("evaluation"),
                "spans": [{"name": name, "positions": at} for name, at in (circuit.get("spans") or {}).items()],
                "tables": [vars(table) for table in _tables(run, tables)],
                "missing": [*_missing(run), *_not_made(manifest)],
                "test_pairs": len(read_json(run, "task.json")["pairs"]["test"]) if (run / "task.json").is_file() else 0,
                "figures": list(FIGURES),
            }
        )


def measured_words(circuit: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """What the exact effects of a circuit are; an older circuit leaves that to its run's settings."""
    goal, granularity = (circuit.get(name) or settings.get(name) for name in ("goal", "granularity"))
    return effect_words(goal or "sufficient", granularity or "channels")


def verifications(run: Path) -> list[schema.VerificationResult]:
    """The circuit on the prompts it was found on, then on others.

    Raises:
        RunError: a file is missing or damaged.
    """
    held_out = read_json(run, "held_out.json") if (run / "held_out.json").is_file() else []
    # A circuit that was imported without prompts has none of its own.
    own = [read_json(run, "verification.json")] if (run / "verification.json").is_file() else []
    with sound(run):
        return _VERIFICATIONS.validate_python([*own, *held_out])


def _tables(run: Path, explained: dict[str, dict[str, Any]]) -> Iterator[schema.TableInfo]:
    for name in BASIC:
        yield schema.TableInfo(
            name=name, rows=_rows(file_of(run, f"{name}.parquet")), section=None, method=None, n=None
        )
    for name, section in explained.items():
        yield schema.TableInfo(
            name=name,
            rows=section["tables"][name],
            section=section["section"],
            method=section["method"],
            n=section["n"],
        )


def _rows(path: Path) -> int:
    try:
        return pq.read_metadata(path).num_rows
    except (OSError, ValueError) as error:
        raise RunError(expected=f"a readable {path.name}", got=f"{path}: {error}", do="make the run again") from error


def _not_made(manifest: Mapping[str, Any]) -> Iterator[schema.Missing]:
    """Side results of the discovery that could not be made."""
    for name, why in manifest.get("missing", {}).items():
        yield schema.Missing(what=f"{name}: {why}", command="")


def _missing(run: Path) -> Iterator[schema.Missing]:
    for section, what in _WANTED.items():
        path = run / "explain" / f"{section}.json"
        if not path.is_file():
            yield schema.Missing(what=what, command=f"wheatstone explain {run} --only {section}", section=section)
        elif lacking := read_json(run, f"explain/{section}.json").get("missing"):
            yield schema.Missing(what=f"{what}: it needs {lacking}", command="")
