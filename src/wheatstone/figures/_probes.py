"""Sparse probes in pictures: F1 by number of neurons, F1 by layer, and interference between concepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from wheatstone._path import StrPath
from wheatstone._view import Brief
from wheatstone.figures._theme import BLUE, INK, LINE, ORANGE, PAPER, SOFT, finished, of_rows
from wheatstone.figures._words import count, decimal
from wheatstone.runs import Row, Run

_METHODS = {"ranking": ("means differ most", BLUE), "l1": ("lasso", ORANGE), "pursuit": ("one at a time", INK)}
_SHADES = {1: "#9cc3e4", 8: "#4c93cf", 128: "#0b3c66"}
_ACROSS, _WIDTH, _HEIGHT = 4, 175, 130


@dataclass(frozen=True, eq=False)
class ProbeData(Brief):
    """A run of `neuron probe`, read for drawing.

    Args:
        manifest: `manifest.json`.
        summary: `probes.json`.
        probes: rows of `probes.parquet`.
        interference: rows of `interference.parquet`.
    """

    manifest: Mapping[str, Any]
    summary: Mapping[str, Any]
    probes: Sequence[Row]
    interference: Sequence[Row]

    @classmethod
    def load(cls, run: StrPath) -> ProbeData:
        """Reads a run folder.

        Raises:
            RunError: there is no run of `neuron probe`, or a file of it is missing or damaged.
        """
        return cls.of_run(Run.open(run, "neuron probe"))

    @classmethod
    def of_run(cls, run: Run) -> ProbeData:
        """Likewise, of an open run."""
        return cls(run.manifest, run.result, *map(run.rows, ("probes", "interference")))

    @property
    def concepts(self) -> Sequence[Mapping[str, Any]]:
        """What `probes.json` says of each concept."""
        return self.summary["concepts"]

    def rows(self, concept: str, **wanted: Any) -> list[Row]:
        """Probes of a concept."""
        return [
            row
            for row in self.probes
            if row["concept"] == concept and all(row[name] == value for name, value in wanted.items())
        ]

    @property
    def crowded(self) -> int:
        """The layer whose probes of sixteen neurons tell the concepts best on validation, on average."""
        found: dict[int, list[float]] = {}
        for row in self.probes:
            if row["method"] == "ranking" and row["k"] <= 16:
                found.setdefault(row["layer"], []).append(row["validation_f1"])
        return max(found, key=lambda layer: sum(found[layer]) / len(found[layer]))


def sizes(run: ProbeData) -> Any:
    """F1 on held-out documents by number of neurons, at each concept's best layer.

    When this misleads: the layer was chosen on the validation documents for probes by ranking; another layer may be
    better for the other methods.
    """
    names, colours = zip(*_METHODS.values(), strict=True)
    colour = alt.Color(
        "way:N",
        scale=alt.Scale(domain=list(names), range=list(colours)),
        legend=alt.Legend(title="neurons chosen:", orient="bottom", symbolType="stroke", symbolStrokeWidth=3),
    )
    panels: list[Any] = []
    for concept in run.concepts:
        name, layer = concept["concept"], concept["best"]["ranking"]["layer"]
        rows = [
            {**row, "way": _METHODS[row["method"]][0]}
            for row in run.rows(name, layer=layer)
            if row["method"] in _METHODS and row["k"] <= 128
        ]
        x = alt.X(
            "k:Q",
            scale=alt.Scale(type="log", base=2, domain=[1, 128]),
            axis=alt.Axis(title=None, values=[1, 4, 16, 64], grid=False, format="d"),
        )
        base = of_rows(rows)
        ranked = of_rows([row for row in rows if row["method"] == "ranking" and row["f1_low"] is not None])
        lines = base.mark_line(strokeWidth=1.8).encode(x, _f1(), colour, tooltip=_TOOLTIP)
        band = ranked.mark_area(opacity=0.13, color=BLUE).encode(x, alt.Y("f1_low:Q"), y2="f1_high:Q")
        panels.append(_panel(concept, [band, lines], f"{name}, layer {layer}"))
    subtitle = [
        "F1 on test documents by number of neurons (1 to 128), at the layer that is best on validation documents.",
        "Band: 95% over documents, of the probes by ranking. Dashed: saying yes to everything.",
    ]
    return finished(_grid(panels), "How many neurons does a concept take?", subtitle, describe_sizes(run))


def layers(run: ProbeData) -> Any:
    """F1 on held-out documents by layer."""
    kinds = {size: f"{count(size, 'neuron')}" for size in _SHADES}
    colour = alt.Color(
        "size:N",
        scale=alt.Scale(domain=list(kinds.values()), range=list(_SHADES.values())),
        legend=alt.Legend(title=None, orient="bottom", symbolType="stroke", symbolStrokeWidth=3),
    )
    panels: list[Any] = []
    for concept in run.concepts:
        rows = [
            {**row, "size": kinds[row["k"]]}
            for row in run.rows(concept["concept"], method="ranking")
            if row["k"] in kinds
        ]
        x = alt.X("layer:Q", axis=alt.Axis(title=None, grid=False, tickMinStep=1, format="d"))
        lines = (
            of_rows(rows).mark_line(strokeWidth=1.8, point=len(rows) < 12).encode(x, _f1(), colour, tooltip=_TOOLTIP)
        )
        panels.append(_panel(concept, [lines], concept["concept"]))
    subtitle = [
        "F1 on test documents by layer, of probes on the neurons whose means differ most.",
        "Dashed: saying yes to everything.",
    ]
    return finished(_grid(panels), "At which layers can a concept be read?", subtitle, describe_layers(run))


def interference(run: ProbeData) -> Any:
    """Cosines of the concepts' directions, in the space of neurons and as written to the residual stream.

    When this misleads: labels that exclude each other, or words that go together, have cosines away from 0 in any
    model. The null is shuffled labels, not shuffled meanings.
    """
    layer = run.crowded
    maps: list[Any] = []
    titles = {"neurons": "between neurons", "residual": "written to the residual stream"}
    names = [concept["concept"] for concept in run.concepts]
    for space, title in titles.items():
        rows = [row for row in run.interference if (row["layer"], row["space"]) == (layer, space)]
        both = [*rows, *({**row, "first": row["second"], "second": row["first"]} for row in rows)]
        null = rows[0]["null"]
        x = alt.X("first:N", sort=names, axis=alt.Axis(title=None, labelAngle=-50, labelColor=INK))
        y = alt.Y("second:N", sort=names, axis=alt.Axis(title=None, labelColor=INK))
        colour = alt.Color(
            "cosine:Q",
            scale=alt.Scale(domain=[-1, 0, 1], range=[ORANGE, PAPER, BLUE], interpolate="rgb"),
            legend=alt.Legend(title="cosine", gradientLength=120),
        )
        base = of_rows(both)
        cells = base.mark_rect(stroke=LINE, strokeWidth=0.4).encode(
            x, y, colour, tooltip=["first:N", "second:N", "cosine:Q"]
        )
        above = of_rows([row for row in both if abs(row["cosine"]) > null])
        marks = above.mark_text(fontSize=9.5, color=INK).encode(x, y, text=alt.Text("cosine:Q", format=".1f"))
        maps.append(
            alt.layer(cells, marks).properties(
                width=alt.Step(24),
                height=alt.Step(24),
                title=alt.TitleParams(
                    f"{title}: 5% by chance above {decimal(null)}", fontSize=13, fontWeight="normal", color=SOFT
                ),
            )
        )
    subtitle = [
        f"Cosines of the directions in which layer {layer}'s neurons differ with each concept.",
        "Numbers: pairs further from 0 than 95% of pairs found with shuffled labels.",
    ]
    return finished(
        alt.hconcat(*maps, spacing=40), "Which concepts share directions?", subtitle, describe_interference(run)
    )


PROBE_FIGURES: dict[str, Callable[[ProbeData], Any]] = {"sizes": sizes, "layers": layers, "interference": interference}
"""Name -> what draws it, in the order of the page; the last needs two concepts."""


def describe_sizes(run: ProbeData) -> str:
    """The curves in words."""
    said: list[str] = []
    for concept in run.concepts:
        rows = sorted(
            run.rows(concept["concept"], layer=concept["best"]["ranking"]["layer"], method="ranking"),
            key=lambda row: row["k"],
        )
        few, many = rows[0], rows[-1]
        said.append(
            f"{concept['concept']}: {decimal(few['f1'])} with one neuron, {decimal(many['f1'])} with {many['k']} "
            f"(all yes: {decimal(concept['always_yes_f1'])})"
        )
    return f"F1 on test documents. {'; '.join(said)}."


def describe_layers(run: ProbeData) -> str:
    """The best layers in words."""
    best = (f"{one['concept']} at layer {one['best']['ranking']['layer']}" for one in run.concepts)
    return f"Probes by ranking are best on validation documents: {', '.join(best)}."


def describe_interference(run: ProbeData) -> str:
    """How many pairs exceed chance."""
    rows = [row for row in run.interference if row["layer"] == run.crowded]
    said = [
        f"{sum(abs(row['cosine']) > row['null'] for row in rows if row['space'] == space)} of "
        f"{count(sum(row['space'] == space for row in rows), 'pair')} {where}"
        for space, where in (("neurons", "between neurons"), ("residual", "in the residual stream"))
    ]
    return f"At layer {run.crowded} further from orthogonal than 95% of pairs by chance: {', '.join(said)}."


_TOOLTIP = [
    alt.Tooltip("concept:N"),
    alt.Tooltip("layer:Q"),
    alt.Tooltip("k:Q", title="neurons"),
    alt.Tooltip("f1:Q", title="F1", format=".3f"),
    alt.Tooltip("auroc:Q", title="AUROC", format=".3f"),
]


def _f1() -> Any:
    return alt.Y("f1:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title=None, tickCount=4))


def _panel(concept: Mapping[str, Any], parts: Sequence[Any], title: str) -> Any:
    all_yes = of_rows([{"f1": concept["always_yes_f1"]}]).mark_rule(color=SOFT, strokeDash=[4, 4]).encode(_f1())
    heading = alt.TitleParams(title, fontSize=12.5, fontWeight="normal", color=INK, offset=6)
    return alt.layer(all_yes, *parts).properties(width=_WIDTH, height=_HEIGHT, title=heading)


def _grid(panels: Sequence[Any]) -> Any:
    rows = (panels[at : at + _ACROSS] for at in range(0, len(panels), _ACROSS))
    return alt.vconcat(*(alt.hconcat(*row, spacing=24) for row in rows), spacing=24)
