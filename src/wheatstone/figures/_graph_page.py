"""The page of a graph: its picture, what the nodes hold, and the nodes with what they write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from wheatstone.checkpoints import shown_name
from wheatstone.figures._graph import graph_chart
from wheatstone.figures._graph_words import graph_title, graph_words
from wheatstone.figures._load import Row
from wheatstone.figures._page import PagePart, PageTable, captioned, page_of
from wheatstone.figures._report import Picture
from wheatstone.figures._view import Charts, View
from wheatstone.figures._words import clipped, count, decimal, percent, quoted, warnings_of
from wheatstone.graphs import graph_nodes
from wheatstone.runs import Run

_ROWS = 60
"""Nodes of the page's table."""
_CAPTION = (
    "Each column is a {column} of the prompt, each row a layer. A mark is a token, a head, a neuron, or a group of "
    "neurons that send alike; its size is how much it sends. A line carries what one writes into a later one, "
    "as wide as it is strong. Only the strongest are drawn. Point at a mark to see its edges and what it writes."
)


_Data = tuple[Row, Mapping[str, Any], list[Row], list[Row], list[Row]]
"""Summary, manifest, nodes, edges and evidence of a run."""


def _read(run: Run) -> _Data:
    nodes, supernodes = graph_nodes(run)
    evidence = run.rows("evidence") if "evidence" in run.tables else []
    return {**run.result, "supernodes": supernodes}, run.manifest, nodes, run.rows("edges"), evidence


def _charts(data: _Data) -> Charts:
    return {"graph": partial(graph_chart, *data[:4])}


def _page(data: _Data, drawn: Mapping[str, Picture], missing: Mapping[str, str]) -> str:
    summary, manifest, nodes, _, evidence = data
    task = "task" in summary  # whose nodes recur over prompts; single ones are not ablated
    numbers = ("sent", True), ("slope", True), ("recurs" if task else "effect", True), ("influence", True)
    strongest = sorted(nodes, key=lambda row: -abs(row["effect"] or row["slope"] or row["sent"]))[:_ROWS]
    table = PageTable(
        f"The strongest of {count(len(nodes), 'node')}. Sent: to all others and the answer together, in logits, by the "
        "linear rules. Slope: what the answer would lose without it, by the gradient. "
        + (
            "Recurs: the share of the training prompts on which it is among as many strongest nodes. "
            if task
            else "Effect: what it loses when the node alone is ablated, run exactly. "
        )
        + "Influence: the share of what reaches the answer that passes through it.",
        (("node", False), ("token", False), *numbers, ("makes likelier", False), ("makes less likely", False)),
        tuple(
            (
                row["node"],
                row["token"],
                *(_number(row[name]) for name in ("sent", "slope")),
                _recurs(row) if task else _number(row["effect"]),
                "–" if row["influence"] is None else percent(row["influence"]),
                ", ".join(map(quoted, row["promotes"][:4])),
                ", ".join(map(quoted, row["suppresses"][:4])),
            )
            for row in strongest
        ),
    )
    groups = PageTable(
        "Neurons at one position whose outgoing edges are alike. Their names say where most of what they send goes, "
        "and which tokens they make likelier together, unless a person named them.",
        (("", False), ("name", False), ("nodes", True), ("to the answer", True), ("makes less likely", False)),
        tuple(
            (
                f"group {number}",
                one["name"],
                str(len(one["nodes"])),
                _number(one["weight"]),
                ", ".join(map(quoted, one["suppresses"][:4])),
            )
            for number, one in sorted(enumerate(summary["supernodes"]), key=lambda pair: not pair[1].get("given"))
            if one["nodes"]
        ),
    )
    proofs, caption = _proofs(summary["proofs"]), _CAPTION.format(column="part" if task else "token")
    parts = [
        PagePart("How it gets there", pictures=tuple(captioned(drawn, {"graph": caption}).values())),
        *([PagePart("What the nodes hold", tables=(proofs, *_others(summary)))] if proofs.rows else []),
        *([PagePart("Groups of neurons", tables=(groups,))] if groups.rows else []),
        PagePart("The nodes", tables=(table,)),
        *([PagePart("What its neurons respond to", tables=(_evidence(evidence),))] if evidence else []),
    ]
    facts = {
        "model": shown_name(manifest["model"]),
        **(_made(summary, manifest) if summary["proofs"] else {"imported": "nothing was run"}),
        "version": manifest["versions"]["wheatstone"],
    }
    return page_of("graph", graph_title(summary, 60, 40), graph_words(summary), parts, facts, warnings_of(summary))


def _proofs(proofs: Sequence[Row]) -> PageTable:
    """Exact runs under what the nodes were chosen with; of a task's graph on prompts that it was not learned on."""
    task = any("agreement" in proof for proof in proofs)
    choice = ("model's first choice" if task else "first choice", False)
    kl = () if task else (("KL", True),)
    return PageTable(
        "Exact runs. Alone: every other head and neuron is ablated. Enough is a faithfulness of .9 to 1.1"
        + ("." if task else " with the model's own first choice."),
        (
            ("ablated to", False),
            ("nodes", True),
            ("faithfulness", True),
            ("lost without them", True),
            *kl,
            choice,
            ("enough", False),
        ),
        tuple(
            (
                proof["baseline"],
                str(proof["nodes"]),
                decimal(proof["faithfulness"]),
                decimal(proof["completeness"]),
                *(() if task else (decimal(proof["kl"]),)),
                f"on {percent(proof['agreement'])} of {proof['n']}" if task else quoted(proof["answer"]),
                "yes" if proof["enough"] else "no",
            )
            for proof in proofs
        ),
    )


def _others(summary: Row) -> list[PageTable]:
    """Counterfactuals that the nodes were not chosen with; of a task's graph the sizes."""
    tables: list[PageTable] = []
    if unseen := summary.get("held_out"):
        tables.append(
            PageTable(
                "The same under counterfactuals that the nodes were not chosen with.",
                (("counterfactual", False), ("faithfulness", True), ("model's first choice", False)),
                tuple(
                    (
                        quoted(row["counterfactual"], 80),
                        decimal(row["faithfulness"]),
                        "yes" if row["keeps_top"] else "no",
                    )
                    for row in unseen
                ),
            )
        )
    if curve := summary.get("curve"):
        kinds = list(dict.fromkeys((row["ablation"], row["split"]) for row in curve))
        kept = {(row["ablation"], row["split"], row["units"]): row["faithfulness"] for row in curve}
        tables.append(
            PageTable(
                "Faithfulness of the first heads and neurons of the ranking, each at one part of the prompt.",
                (("nodes", True), *((f"{ablation}, {split}", True) for ablation, split in kinds)),
                tuple(
                    (f"{units:,}", *(decimal(kept[ablation, split, units]) for ablation, split in kinds))
                    for units in dict.fromkeys(row["units"] for row in curve)
                ),
            )
        )
    return tables


def _evidence(rows: Sequence[Row]) -> PageTable:
    """What a scan of texts says about the strongest neurons."""
    return PageTable(
        "In the texts of a scan. Lower: the share of positions at which the activation is below that here. Passages: "
        "where it is strongest at the same end, the token in brackets.",
        (("node", False), ("here", True), ("lower", True), ("mean", True), ("passages", False)),
        tuple(
            (
                row["node"],
                _number(row["value"]),
                percent(row["below"]),
                f"{row['mean']:+.2f} ± {row['deviation']:.2f}",
                " · ".join(
                    f"{clipped(passage, 90)} ({strength:+.1f})"
                    for passage, strength in zip(row["passages"], row["strengths"], strict=True)
                ),
            )
            for row in rows
        ),
    )


def _made(summary: Row, manifest: Mapping[str, Any]) -> dict[str, str]:
    """How a graph was made that this package drew."""
    settings, target = manifest["settings"], summary["target"]
    return {
        "weights": manifest["model"]["sha256"][:12],
        "target": f"{target['name']}: {decimal(target['clean'])} logits, {decimal(target['ablated'])} ablated",
        "compared with": "the task's counterfactuals"
        if "task" in summary
        else "; ".join(summary["counterfactuals"]) or settings["ablation"] or "running text",
        "nodes": f"learned, at most {settings['nodes']:,}"
        if settings["verify"] or "task" in summary
        else f"of {settings['nodes']:,} looked at",
        "edges add up": f"within {summary['linear_residual']:.1g} of what a node does under the linear rules",
        "time": ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in manifest["timings"].items()),
    }


def _recurs(row: Row) -> str:
    return "–" if row["recurs"] is None else percent(row["recurs"])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


VIEW = View(_read, _charts, _page)
