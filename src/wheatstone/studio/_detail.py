"""A run as one document: everything but its edges and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from wheatstone import figures
from wheatstone._bounds import NODES
from wheatstone._effects import direction_of, effect_words
from wheatstone._errors import RunError
from wheatstone.checkpoints import title_of_model
from wheatstone.runs import CIRCUITS, Run
from wheatstone.studio import _schema as schema

_WANTED = {
    "lens": "the answer at every layer and position (logit lens)",
    "attribution": "what each node writes into the answer itself",
    "attention": "where heads look from the last token, and what they take",
    "vocabulary": "the words that the strongest nodes promote and suppress",
}
"""Sections of `explain` that the app shows, in words."""
_RANKINGS = {(verb, "edges") for verb in CIRCUITS}
_VERIFICATIONS = TypeAdapter(list[schema.VerificationResult])


def run_document(run: Run, id: str) -> schema.Run:
    """A run's document.

    Raises:
        RunError: a file is missing or damaged.
    """
    if run.verb not in CIRCUITS:
        raise RunError(
            expected="a run with a circuit",
            got=f"{run.path}, a run of `wheatstone {run.contents.command}`",
            do="open its report, tables and figures instead",
        )
    manifest, circuit = run.manifest, run.result
    _check_size(run)
    tables = _tables(run)
    return schema.Run.model_validate(
        {
            "id": id,
            "title": run.title,
            "example": id.startswith("example-"),
            "path": str(run.path),
            "created": manifest["created"],
            "model": {**manifest["model"], "title": title_of_model(manifest["model"])},
            "settings": manifest["settings"],
            "metric": circuit["metric"],
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
            "tables": [vars(table) for table in tables],
            "missing": [*_missing(run), *_not_made(run)],
            "test_pairs": len(run.document("task")["pairs"]["test"]) if run.has("task") else 0,
            "figures": list(run.contents.figures),
        }
    )


def _check_size(run: Run) -> None:
    """Refuses a model with more nodes than a browser can lay out.

    Raises:
        RunError: it has more.
    """
    model = run.manifest["model"]
    nodes = model.get("layers", 0) * (model.get("heads", 0) + 1)
    if nodes > NODES.most:
        raise RunError(
            expected=f"a model of at most {NODES.most:,} heads and MLPs",
            got=f"{run.path}, whose manifest claims {nodes:,}",
            do="check it with `wheatstone runs check`, or make it again",
        )


def contents_document(run: Run, id: str) -> schema.Contents:
    """What a run of any verb contains.

    Raises:
        RunError: a file is missing or damaged.
    """
    tables = _tables(run)
    return schema.Contents(
        id=id,
        title=run.title,
        command=run.contents.command,
        created=run.manifest["created"],
        model=run.manifest["model"]["id"],
        path=str(run.path),
        tables=tables,
        figures=list(run.contents.figures),
        missing=list(_not_made(run)),
    )


def measured_words(circuit: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """What the exact effects of a circuit are; an older circuit leaves that to its run's settings."""
    goal, granularity = (circuit.get(name) or settings.get(name) for name in ("goal", "granularity"))
    return effect_words(goal or "sufficient", granularity or "channels")


def verifications(run: Run) -> list[schema.VerificationResult]:
    """The circuit on the prompts it was found on, then on others.

    Raises:
        RunError: a file is missing or damaged.
    """
    found = run.verifications
    return _VERIFICATIONS.validate_python(found)


def story(run: Run) -> list[schema.Sentence]:
    """What the run's explanation says, those sentences first that say how the model gets to the answer, and of these
    the one on where the strongest head looks; empty where it was not explained.

    Raises:
        RunError: a section is damaged.
    """
    if not run.sections():
        return []
    claims = figures.claims_of(run.path)
    found = [schema.Sentence(section=name, text=claim.text, lead=claim.lead) for name, claim in claims]
    return sorted(found, key=lambda sentence: (not sentence.lead, sentence.section != "attention"))


def _tables(run: Run) -> list[schema.TableInfo]:
    """The tables of a run; the ranking of a circuit's edges is read by `edge_columns`."""
    found: list[schema.TableInfo] = []
    for name in run.tables:
        section = run.explained.get(name)
        about = {field: section.about[field] for field in ("section", "method", "n")} if section else {}
        if (run.verb, name) not in _RANKINGS:
            found.append(schema.TableInfo(name=name, rows=run.count(name), **about))
    return found


def _not_made(run: Run) -> Iterator[schema.Missing]:
    """Side results that could not be made."""
    for name, why in run.missing.items():
        yield schema.Missing(what=f"{name}: {why}", command="")


def _missing(run: Run) -> Iterator[schema.Missing]:
    for section, what in _WANTED.items():
        if not run.has(f"explain/{section}"):
            yield schema.Missing(what=what, command=f"wheatstone explain {run.path} --only {section}", section=section)
        elif lacking := run.document(f"explain/{section}").get("missing"):
            yield schema.Missing(what=f"{what}: it needs {lacking}", command="")
