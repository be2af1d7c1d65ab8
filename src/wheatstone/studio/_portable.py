"""A circuit as one document with all that is drawn of it: for notebooks, and pages that are read without a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wheatstone._effects import direction_of
from wheatstone.runs import Run, sound
from wheatstone.studio import _schema as schema
from wheatstone.studio._detail import measured_words, run_document, verifications
from wheatstone.studio._labels import read_labels
from wheatstone.studio._tables import edge_columns, kept_edges, units_together

MOST = 2_500
"""Edges of the ranking at most: what the map draws."""


def portable_run(run: Run, limit: int = MOST) -> schema.Portable:
    """A run, without its tables.

    Args:
        run: the run.
        limit: edges of the ranking at most; the circuit's are all there.

    Raises:
        RunError: a file is missing or damaged.
    """
    with sound(run.path):
        return _portable(run, limit)


def _portable(run: Run, limit: int) -> schema.Portable:
    document, edges = run_document(run, ""), edge_columns(run, limit)
    columns = {name: edges[name].to_pylist() for name in edges.column_names}
    measured = next(iter(verifications(run)), None)  # a circuit that was imported without prompts has none
    curve = [schema.CurvePoint.model_validate(row) for row in run.rows("curve")]
    settings = document.settings
    return schema.Portable(
        **columns,
        title=document.title,
        about=f"{document.model.id}, weights {document.model.sha256[:12]}; {settings.get('method')}, "
        f"{settings.get('ablation')} ablation, seed {document.seed}; made {document.created[:10]} by Wheatstone "
        f"{document.versions.get('wheatstone', '')}.",
        model=document.model,
        prompts=document.prompts,
        spans=document.spans,
        metric=document.metric,
        unit=document.unit,
        score_sign=document.score_sign,
        effect_words=document.effect_words,
        total=int(edges.schema.metadata[b"edges"]),
        weight=float(edges.schema.metadata[b"weight"]),
        curve=sorted(curve, key=lambda point: point.size),
        faithfulness=measured and measured.faithfulness,
        n=measured.n if measured else 0,
        interval=measured and measured.ci95.faithfulness,
        labels=read_labels(run),
    )


def portable_circuit(circuit: Mapping[str, Any], total: int) -> schema.Portable:
    """A circuit by itself: no ranking but its own, no curve.

    Args:
        circuit: `circuit.json`.
        total: edges of the model.
    """
    effects, scores, together = kept_edges(circuit), kept_edges(circuit, "score"), units_together(circuit)
    order = sorted(effects, key=lambda edge: -abs(scores[edge] or 0.0))
    examples, evaluation = circuit["task"]["examples"], circuit.get("evaluation")
    model = schema.Model.model_validate(circuit["model"])
    return schema.Portable(
        title=circuit["task"]["name"] or (examples[0]["prompt"] if examples else f"a circuit of {model.id}"),
        about=f"{model.id}, weights {model.sha256[:12]}; {circuit['ablation']} ablation, {circuit['metric']}.",
        model=model,
        prompts=[
            schema.Prompt(**_texts(pair), tokens=[], counterfactual_tokens=[], last=0, subject_last=0)
            for pair in examples
        ],
        spans=[schema.Span(name=name, positions=at) for name, at in (circuit.get("spans") or {}).items()],
        metric=circuit["metric"],
        unit="",
        score_sign=direction_of(circuit["metric"]),
        effect_words=measured_words(circuit, {}),
        sender=[sender for sender, _ in order],
        receiver=[receiver for _, receiver in order],
        score=[scores[edge] or 0.0 for edge in order],
        effect=[effects[edge] for edge in order],
        removed_with=[together[edge] for edge in order],
        circuit=[True] * len(order),
        rank=list(range(1, len(order) + 1)),
        total=total,
        weight=sum(abs(score or 0.0) for score in scores.values()),
        curve=[],
        faithfulness=evaluation and evaluation["faithfulness"],
        n=len(examples),
        interval=None,
    )


def _texts(pair: Mapping[str, Any]) -> dict[str, Any]:
    return {name: pair[name] for name in ("prompt", "counterfactual", "answers", "distractors")}
