"""The three phases of recall on the page: three pictures on one axis of layers."""

from __future__ import annotations

from typing import Any

import altair as alt

from wheatstone._intervals import interval_note
from wheatstone.figures._explained import Claim, Exhibit, Part, StoredSection
from wheatstone.figures._layer_axis import banded, layers_x
from wheatstone.figures._theme import BLUE, GREY, ORANGE, finished, heading
from wheatstone.figures._words import count, percent
from wheatstone.runs import Row

_WIDTH, _HEIGHT = 620, 150
LEAST_SUBJECTS = 5
"""Of a run of an earlier version, which did not say whether its subjects were enough."""
_PLACES = {
    "subject": "the subject",
    "relation": "the words of the relation",
    "last": "itself",
    "first": "the first token",
}


def claims(stored: StoredSection) -> list[Claim]:
    """Where attributes gather, which look costs the answer, and who says it."""
    said: list[Claim] = []
    if found := stored.summary["enrichment"]:
        said += [Claim(text, "recall_enrichment") for text in _enriched(found)]
    rows = sorted(stored.summary["propagation"].values(), key=lambda row: row["change"])
    most = next(row for row in rows if row["place"] in ("subject", "relation"))
    others = "; ".join(f"not at {_PLACES[row['place']]}: {_change(row)}" for row in rows if row is not most)
    when = f"in layers {most['first']} to {most['final']}"
    text = f"If the last token may not look at {_PLACES[most['place']]} {when}, the answer's probability changes by"
    brief = f"{text} {percent(most['change'])} ({count(most['n'], 'prompt')})."
    on = f"{count(most['n'], 'prompt')}{_others(stored.summary)}"
    said.append(
        Claim(f"{text} {percent(most['change'])}{_range(most, 'change')}, on {on}.", "recall_propagation", True, brief)
    )
    said.append(Claim(f"The worst windows for the other places: {others}.", "recall_propagation"))
    heads = stored.summary["extraction"]
    best = max((row for rows in heads.values() for row in rows), key=lambda row: row["rate"])
    if best["rate"] == 0:
        said.append(Claim("No sublayer's write, read alone, has the answer on top.", "recall_extraction"))
    elif stored.n == 1:
        names = ", ".join(row["sublayer"] for rows in heads.values() for row in rows if row["rate"])
        said.append(Claim(f"The answer is the top token of what these write alone: {names}.", "recall_extraction"))
    else:
        what = "attention" if best["kind"] == "attention" else "the MLP"
        text = f"It is said most often by {what} of layer {best['layer']}, whose write alone has the answer on top on"
        brief = f"{text} {percent(best['rate'])} of {count(best['n'], 'prompt')}."
        text = f"{text} {percent(best['rate'])}{_range(best, 'rate')} of {count(best['n'], 'prompt')}"
        said.append(Claim(f"{text}{_others(stored.summary)}.", "recall_extraction", True, brief))
    return said


def _enriched(found: Any) -> list[str]:
    """Whether words known of the subject rise at its last token: only of enough words, and only where they do."""
    above, peak, start = found["above"], found["peak"], found["start"]
    n = f"{count(above['n'], 'subject')}{_others(found)}"
    if not found.get("enough", above["n"] >= LEAST_SUBJECTS):
        words = f" and {count(found['words'], 'word')} known of them" if "words" in found else ""
        return [
            f"Whether the subject is enriched cannot be said: {count(found.get('subjects', above['n']), 'subject')} of "
            f"the known facts{words} are too few."
        ]
    low = above["above_low"]
    if not above["layer"] or low is None or low <= max(0.5, start["above"]):
        return [
            "Enrichment is not seen at the subject's last token: after no layer are words known of the subject above "
            f"words known of other things more surely than before the first layer, {percent(start['above'])} of "
            f"comparisons (chance: 50%; {n})."
        ]
    said = [
        "At the subject's last token, words known of the subject are above words known of other things most clearly "
        f"after {count(above['layer'], 'layer')}: in {percent(above['above'])}{_range(above, 'above')} of comparisons "
        f"(chance: 50%; {percent(start['above'])} before the first layer; {n})."
    ]
    if peak["rate"] > peak["other"]:
        said.append(
            f"Of the 50 tokens promoted most there, at most {percent(peak['rate'])}{_range(peak, 'rate')} are such "
            f"words ({percent(peak['other'])} are words of another subject; {n})."
        )
    return said


def _others(found: Any) -> str:
    return " that did not choose it" if found.get("held_out") else ""


def _change(row: Any) -> str:
    return f"{percent(row['change'])}{_range(row, 'change')} (layers {row['first']} to {row['final']})"


def _range(row: Any, field: str) -> str:
    low, high = row[f"{field}_low"], row[f"{field}_high"]
    return "" if low is None else f" (95% {percent(low)} to {percent(high)})"


def exhibits(stored: StoredSection) -> list[Exhibit]:
    """The three phases."""
    return [
        Exhibit(
            "recall",
            _chart(stored),
            "Three questions on one axis. Top: do words about the subject gather at its last token (50% is chance)? "
            "Middle: what does it cost the answer if the last token may not look at a place in the layers around "
            "this one? The lower, the more it needs that look. Bottom: whose own write already says the answer?",
        )
    ]


def _chart(stored: StoredSection) -> Any:
    layers = int(stored.run.manifest["model"]["layers"])
    tables = stored.tables
    enriched: list[Row] = [
        {
            **row,
            "kind": "words known of the subject",
            "after": f"layer {row['layer'] - 1}" if row["layer"] else "the input",
        }
        for row in tables["recall_enrichment"]
    ]
    cut: list[Row] = [
        {**row, "kind": f"not at {_PLACES[row['place']]}", "after": f"layers {row['first']} to {row['final']}"}
        for row in tables["recall_propagation"]
    ]
    taken: list[Row] = [
        {**row, "kind": "MLP" if row["kind"] == "mlp" else row["kind"], "after": row["sublayer"]}
        for row in tables["recall_extraction"]
    ]
    share = {"format": ".0%", "tickCount": 4}
    cost, taking = share | {"title": "change"}, share | {"title": "prompts"}
    often = max(0.1, *(row["rate_high"] or row["rate"] for row in taken))
    panels = [
        _panel(cut, layers, "2 · Propagation: the answer's probability without a look", "change", cost, alt.Scale()),
        _panel(
            taken,
            layers,
            "3 · Extraction: a sublayer's write alone has the answer on top",
            "rate",
            taking,
            alt.Scale(domain=[0, min(1, often)]),
        ),
    ]
    if enriched:
        title = f"1 · Enrichment: the subject's words above others', at its last token (n = {enriched[0]['n']})"
        chance = share | {"title": "AUROC"}
        panels.insert(0, _panel(enriched, layers, title, "above", chance, alt.Scale(zero=False)))
    picture = alt.vconcat(*panels, spacing=26).resolve_scale(color="independent", x="shared")
    subtitle = [f"{count(stored.n, 'prompt')}; {interval_note(stored.n, 'bands')}."]
    if not enriched:
        subtitle.append("Enrichment is not shown: no bundled fact is about these subjects.")
    return finished(picture, "How the fact is recalled", subtitle, " ".join(claim.text for claim in claims(stored)))


def _panel(
    rows: list[Row], layers: int, title: str, y: str, axis: dict[str, Any], scale: alt.Scale
) -> alt.LayerChart | alt.FacetChart:
    names = list(dict.fromkeys(row["kind"] for row in rows))
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=names, range=[BLUE, ORANGE, GREY, "#6b4fa0"][: len(names)]),
        legend=alt.Legend(
            title=None, orient="right", symbolType="stroke", symbolStrokeWidth=3, symbolSize=400, symbolOpacity=1
        ),
    )
    marks = banded(rows, layers_x(layers), y, axis, scale, colour, str(axis["title"]))
    return alt.layer(*marks).properties(width=_WIDTH, height=_HEIGHT, title=heading(title))


PART = Part("How the fact is recalled", claims, exhibits)
