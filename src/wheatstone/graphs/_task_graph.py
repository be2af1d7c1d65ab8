"""The graph of a task: heads and neurons that its prompts need in common, aligned by parts of the prompt.

Learned on the training prompts, its size chosen on the validation prompts, and judged on the test prompts, whose
subjects it has not seen: ablated to the counterfactual, to the mean over the training prompts at the same place, and to
the mean over running text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.graphs._clock import Clock
from wheatstone.graphs._influence import prune
from wheatstone.graphs._nodes import Node
from wheatstone.graphs._proof import BAND
from wheatstone.graphs._rows import EdgeRow, NodeRow, edge_rows, grouped, task_rows
from wheatstone.graphs._settings import GraphSettings
from wheatstone.graphs._supernodes import Supernode
from wheatstone.graphs._task import ELSEWHERE, TaskNodes, TaskSetProof
from wheatstone.graphs._task_ablations import MeanAblation, TaskAblation, counterfactual_ablation
from wheatstone.graphs._task_edges import mean_edges
from wheatstone.models import ResidualModel, manifest_without_prompts
from wheatstone.runs import Table, write_json, write_table
from wheatstone.tasks import Task, encode, several_counterfactuals

TARGET = "the right answer rather than the wrong one"
_SIZES = (25, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2000, 5000, 10000, 20000)
"""Of sets that are run, as far as the largest that is asked for."""
_COUNTERFACTUALS = 4
"""Of each training prompt."""
_DRAWN = 6
"""Training prompts whose edges are averaged."""
_TARGET = 0.3
"""Share of the largest set that the ranking is learned around."""


class SizeRow(NamedTuple):
    """What the first heads and neurons of the ranking hold: a row of sizes.parquet.

    Args:
        ablation: what all others do: `counterfactual`, `template mean` or `corpus mean`.
        split: of the prompts.
        units: heads and neurons, each at one part of the prompt.
        faithfulness: see `TaskSetProof`.
        completeness: likewise.
        agreement: likewise.
        n: prompts.
    """

    ablation: str
    split: str
    units: int
    faithfulness: float
    completeness: float
    agreement: float
    n: int


@dataclass(frozen=True, eq=False, repr=False)
class TaskGraph(Brief):
    """What a task's prompts need in common.

    Args:
        model: the model.
        task: whose prompts they are.
        settings: how it was made.
        spans: parts of the prompt, in the order of the axis.
        rows: the kept nodes.
        edges: the kept edges, means over some training prompts.
        supernodes: groups of neurons that send alike.
        curve: faithfulness by size.
        chosen: by ablation, the smallest size within .9 to 1.1 on the validation prompts; None where there is none.
        clean: the metric on the test prompts, in logits.
        ablated: the same with everything ablated to the counterfactual.
        linear_residual: see `NeuronGraph`.
    """

    model: ResidualModel
    task: Task
    settings: GraphSettings
    spans: tuple[str, ...]
    rows: tuple[NodeRow, ...]
    edges: tuple[EdgeRow, ...]
    supernodes: tuple[Supernode, ...]
    curve: tuple[SizeRow, ...]
    chosen: Mapping[str, int | None]
    clean: float
    ablated: float
    linear_residual: float
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def proofs(self) -> list[SizeRow]:
        """Test prompts, at the size that was chosen under the counterfactual, under every ablation."""
        units = sum(row.kind != "token" for row in self.rows)
        return [row for row in self.curve if row.split == "test" and row.units == units]

    def summary(self) -> dict[str, Any]:
        """What `graph.json` holds and the command prints."""
        proofs = [
            {
                "baseline": row.ablation,
                "nodes": row.units,
                "faithfulness": row.faithfulness,
                "completeness": row.completeness,
                "agreement": row.agreement,
                "n": row.n,
                "enough": _fits(row),
            }
            for row in self.proofs
        ]
        return {
            "prompt": self.task.name,
            "tokens": list(self.spans),
            "counterfactuals": [],
            "task": self.task.to_dict(),
            "target": {"name": TARGET, "clean": self.clean, "ablated": self.ablated},
            "nodes": len(self.rows),
            "edges": len(self.edges),
            "enough": proofs[0]["enough"],
            "proofs": proofs,
            "chosen": dict(self.chosen),
            "curve": [row._asdict() for row in self.curve],
            "supernodes": [asdict(one) for one in self.supernodes],
            "linear_residual": self.linear_residual,
        }

    def save(self, folder: StrPath) -> None:
        """Writes all files of the run into a folder."""
        folder = Path(folder)
        settings = {**asdict(self.settings), "task": self.task.name}
        manifest = manifest_without_prompts(
            self.model, "graph", settings, seed=self.settings.seed, seconds=self.seconds
        )
        prompts = [{"prompt": pair.prompt, "answers": list(pair.answers)} for pair in self.task.train]
        write_json(folder / "manifest.json", {**manifest, "prompts": prompts})
        write_json(folder / "graph.json", self.summary())
        write_table(Table(NodeRow, self.rows), folder / "nodes.parquet")
        write_table(Table(EdgeRow, self.edges), folder / "edges.parquet")


def task_graph(
    model: ResidualModel, task: Task, *, settings: GraphSettings | None = None, report: Reporter = silent
) -> TaskGraph:
    """Learns which heads and neurons a task's prompts need in common, and judges them on prompts they have not seen.

    Args:
        model: every MLP of which has neurons.
        task: with pairs in all three splits, and distractors.
        settings: how; `nodes` is the largest set that is tried. Those of one prompt alone stay at their defaults.
        report: progress callback.

    Raises:
        ModelError: the model has a mixture of experts.
        PromptError: prompts that cannot be compared.
        RequestError: a split is empty, or settings are out of range or not of a task.

    When this misleads: one ranking for all prompts leaves out what only some need. The size is chosen on the validation
    prompts under the counterfactual; the same nodes may hold more or less under a mean. Edges are means over a few
    training prompts.
    """
    settings = settings or GraphSettings()
    settings.check(1)
    settings.check_of_task()
    clock = Clock()
    for split in ("train", "validation", "test"):
        if not task.split(split):
            raise RequestError(
                expected=f"{split} prompts", got=f"{task.name} without any", do="raise --size, or --known 0"
            )
    several = several_counterfactuals(model, task.train, most=_COUNTERFACTUALS, seed=settings.seed)
    spans = _spans(model, task)
    report("slopes", 0, 1)
    training = TaskNodes(model, task.train, spans=spans)
    slopes = training.slopes()
    report("slopes", 1, 1)
    most = min(settings.nodes, training.axis.size - 1)
    ranking = TaskNodes(model, several, spans=spans).learn(
        target=max(1, round(most * _TARGET)),
        slopes=slopes.mean(0),
        steps=settings.steps,
        seed=settings.seed,
        report=report,
    )
    order = ranking.argsort(descending=True, stable=True)
    sizes = sorted({*(size for size in _SIZES if size < most), most})
    sets = torch.zeros(len(sizes), len(order), dtype=torch.bool)
    for row, size in enumerate(sizes):
        sets[row, order[:size]] = True
    clock.mark("learning")
    curve, judged = _curve(model, task, spans, sets, training, report)
    clock.mark("judging")
    chosen = {ablation: _smallest(curve, ablation) for ablation in dict.fromkeys(row.ablation for row in curve)}
    size = chosen["counterfactual"] or most
    places = order[:size].sort().values
    nodes = [
        *(Node(-1, "token", 0, part) for part in range(len(training.spans))),
        *map(training.axis.node, places.tolist()),
    ]
    edges = mean_edges(model, task.train[:_DRAWN], training.places[:_DRAWN], nodes, report=report)
    always = torch.tensor([node.kind == "token" for node in nodes])
    pruned = prune(edges, always, nodes=1.0, threshold=settings.edge_threshold)
    clock.mark("edges")
    names = [f"{node.place}@{training.spans[node.position]}" for node in nodes]
    strongest = slopes.abs() >= slopes.abs().topk(size).values[:, -1:]
    recurs = (strongest & (slopes != 0)).double().mean(0)[places]
    found = task_rows(model, training, nodes, names, edges, pruned, slopes.mean(0)[places], recurs)
    rows, supernodes = grouped(model, nodes, names, edges, torch.ones_like(pruned.nodes), found, TARGET)
    clock.mark("words")
    return TaskGraph(
        model,
        task,
        settings,
        training.spans,
        rows,
        edge_rows(names, edges, pruned.edges),
        supernodes,
        curve,
        chosen,
        float(judged.clean.mean()),
        float(judged.ablated.mean()),
        edges.rounding,
        clock.seconds,
    )


def _spans(model: ResidualModel, task: Task) -> tuple[str, ...]:
    """Named parts that every prompt has, the last token last, so that it is a part of its own."""
    every = encode(model, task.every).spans
    named = [name for name, where in every.items() if bool((where >= 0).all()) and name not in ("last", ELSEWHERE)]
    return (*named, "last")


def _curve(
    model: ResidualModel,
    task: Task,
    spans: Sequence[str],
    sets: Bool[Tensor, "set unit"],
    training: TaskNodes,
    report: Reporter,
) -> tuple[tuple[SizeRow, ...], TaskNodes]:
    """Faithfulness of sets by ablation and split; and the test prompts under the counterfactual."""
    ablations: dict[str, TaskAblation] = {
        "counterfactual": counterfactual_ablation,
        "template mean": MeanAblation.of_task(model, training.encoded),
        "corpus mean": MeanAblation.of_texts(model),
    }
    rows: list[SizeRow] = []
    judged: TaskNodes | None = None
    for done, (name, ablation) in enumerate(ablations.items()):
        report("judging on other prompts", done, len(ablations))
        for split in ("validation", "test"):
            nodes = TaskNodes(model, task.split(split), spans=spans, ablation=ablation)
            judged = judged or (nodes if split == "test" else None)
            rows += [_row(name, split, proof) for proof in nodes.prove(sets)]
    report("judging on other prompts", len(ablations), len(ablations))
    assert judged is not None
    return tuple(rows), judged


def _row(ablation: str, split: str, proof: TaskSetProof) -> SizeRow:
    return SizeRow(ablation, split, proof.units, proof.faithfulness, proof.completeness, proof.agreement, proof.n)


def _smallest(curve: Sequence[SizeRow], ablation: str) -> int | None:
    """The smallest set that is within the band on validation prompts."""
    fit = [row.units for row in curve if (row.ablation, row.split) == (ablation, "validation") and _fits(row)]
    return min(fit, default=None)


def _fits(row: SizeRow) -> bool:
    return BAND[0] <= row.faithfulness <= BAND[1]
