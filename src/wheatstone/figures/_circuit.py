"""The circuit drawn by layer: who writes to whom, how much it matters, and with which sign."""

from __future__ import annotations

import altair as alt

from wheatstone._effects import effect_words
from wheatstone.figures import _marks as marks
from wheatstone.figures._layout import Layout
from wheatstone.figures._load import RunData
from wheatstone.figures._theme import finished
from wheatstone.figures._words import ablation_sentence, comparison, count, decimal, percent, quoted, sample, size

MOST_DRAWN = 1000
"""Edges of the picture. More cannot be distinguished, and tens of thousands end the renderer for want of memory."""


def chart(run: RunData, *, by_decision: bool = False) -> alt.LayerChart:
    """Draws a run's circuit.

    Args:
        run: the run.
        by_decision: colour edges by whether the run's card finds them in, out or undecided, instead of by sign.

    When this misleads: an edge's effect is measured with all other edges of the circuit in place. Two edges that
    do the same work both look weak; two that need each other both look strong, so effects do not add up.
    """
    model = run.manifest["model"]
    drawn = run.strongest(MOST_DRAWN)
    layout = Layout(drawn.edges, int(model["heads"]), int(model["kv_groups"]))
    picture = alt.layer(
        marks.bands(layout),
        marks.curves(drawn, layout, by_decision=by_decision),
        marks.shared_inputs(layout),
        *marks.inputs(layout),
        *marks.components(drawn, layout),
    ).properties(width=layout.width, height=layout.height)
    measure = f"the {effect_words(run.goal, run.granularity)}" if run.exact else "an estimate (edge score)"
    subtitle = [
        _worth(run),
        f"Read upwards. A line carries what one component writes into a later one; its width is {measure}."
        + (f" The {MOST_DRAWN:,} strongest edges are drawn." if len(run.edges) > MOST_DRAWN else ""),
        ablation_sentence(run),
        _key(run),
    ]
    return finished(picture, _title(run), subtitle, describe(run))


def describe(run: RunData) -> str:
    """The picture in words."""
    strongest = sorted(run.edges, key=lambda edge: -edge.magnitude)[:5]
    shown = percent if run.exact else decimal
    names = ", ".join(f"{edge.sender.name} to {edge.receiver.name} ({shown(edge.weight)})" for edge in strongest)
    return f"Circuit of {size(run)}, drawn by layer from the input to the logits. Strongest edges: {names}."


def _worth(run: RunData) -> str:
    """What the drawn edges keep, or take away where that was the goal."""
    if not run.verification:
        return f"{size(run)}; how much of the behaviour they keep was not measured."
    if run.goal == "complete":
        gone = percent(float(run.verification["completeness"]))
        return f"Without {size(run)}, {gone} of the behaviour is gone (completeness; {comparison(run)}; {sample(run)})."
    return (
        f"{size(run)} keep {percent(run.faithfulness)} of the behaviour "
        f"(faithfulness; {comparison(run)}; {sample(run)})."
    )


def _key(run: RunData) -> str:
    """How to read the names, by examples out of this circuit."""
    kinds = {
        "part" if edge.sender.part else edge.sender.kind: edge.sender
        for edge in sorted(run.edges, key=lambda edge: edge.magnitude)
    }
    words: list[str] = []
    if "head" in kinds:
        head = kinds["head"]
        words.append(f"{head.name}: attention head {head.index} of layer {head.layer}.")
    if "mlp" in kinds:
        words.append(f"{kinds['mlp'].name}: the MLP of layer {kinds['mlp'].layer}.")
    if "part" in kinds:
        part = kinds["part"]
        words.append(f"{part.name}: {part.part} {part.index} of layer {part.layer}.")
    if any(edge.receiver.reads for edge in run.edges):
        shared = int(run.manifest["model"]["kv_groups"]) < int(run.manifest["model"]["heads"])
        words.append(f"q, k, v: query, key and value inputs of heads{' (heads share k and v)' if shared else ''}.")
    return " ".join(words)


def _title(run: RunData) -> str:
    prompts = run.manifest["prompts"]
    if len(prompts) != 1:
        name = run.circuit.get("task", {}).get("name") or count(len(prompts), "prompt")
        return f"How the model gets to its answers: {name}"
    return f"How the model gets from {quoted(prompts[0]['prompt'], 44)} to {quoted(prompts[0]['answers'][0], 16)}"
