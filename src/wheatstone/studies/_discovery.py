"""A discovery as a run: everything a picture or a reader needs later, without the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from wheatstone._parquet import write_parquet
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._side import ANSWER, ATTENTION, CURVE, CURVE_HELD_OUT, NOT_YET, SWAPPED, TEST, attempt
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, Experiment, manifest_of
from wheatstone.discovery import Discovery, DiscoverySettings, EdgeScores, Stability, discover_in, with_curve
from wheatstone.lenses import AttentionRow, LensRow, answer_by_layer, head_attention
from wheatstone.models import ResidualModel
from wheatstone.runs import write_json
from wheatstone.studies._circuit_tables import write_curves
from wheatstone.studies._held_out import SharePoint, curve_by_share
from wheatstone.tasks import PromptPair
from wheatstone.verification import Verification, verify_in, verify_on

_HEADS_SHOWN = 6


@dataclass(frozen=True, eq=False)
class DiscoveryRun(Brief):
    """A discovery with its proof and its lenses, ready to be saved.

    Args:
        discovery: the circuit and how it was found.
        verification: on the prompts it was found on.
        held_out: on other prompts: the swapped pairs, where there are distractors, and the test split of a task.
        lens: rank and probability of the answer by layer.
        attention: weights of the circuit's strongest heads.
        seconds: time of each stage.
        missing: by name, why a side result is missing, in one line. The circuit and its verification never are.
        by_share: of a task, what nested circuits keep on training and test prompts; empty where it was not measured.
    """

    experiment: Experiment
    settings: DiscoverySettings
    discovery: Discovery
    verification: Verification
    held_out: tuple[Verification, ...] = ()
    lens: tuple[LensRow, ...] = ()
    attention: tuple[AttentionRow, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    missing: dict[str, str] = field(default_factory=dict[str, str])
    by_share: tuple[SharePoint, ...] = ()

    def save(self, folder: StrPath) -> None:
        """Writes all files of the run into a folder."""
        folder = Path(folder)
        write_json(folder / "manifest.json", _manifest(self))
        self.discovery.circuit.save(folder / "circuit.json")
        write_json(folder / "verification.json", self.verification.to_dict())
        write_json(folder / "held_out.json", [verification.to_dict() for verification in self.held_out])
        if self.by_share:
            write_json(folder / "by_share.json", [asdict(point) for point in self.by_share])
        write_parquet(_edge_table(self.discovery.scores), folder / "edges.parquet")
        write_curves(folder, self.discovery.curve, self.discovery.trace, self.lens, self.attention, self.discovery.goal)


def run_discovery(
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    settings: DiscoverySettings,
    *,
    validation: Sequence[PromptPair] = (),
    wordings: Sequence[PromptPair] = (),
    test: Sequence[PromptPair] = (),
    kept: Callable[[DiscoveryRun], object] = lambda _: None,
    report: Reporter = silent,
) -> DiscoveryRun:
    """Discovers a circuit, verifies it and reads it.

    Args:
        model: the model.
        pairs: the prompts.
        settings: what to look for.
        validation: prompts that the method `learned` chooses the size by.
        wordings: the prompts in other words, for `learned` to learn from too.
        test: prompts of the task's test split, on which the circuit is verified too.
        kept: called with the run as soon as its circuit is verified, and again after each side result, to save it. The
            run's `missing` names what is not made yet.
        report: progress callback.
    """
    experiment = settings.experiment(model, pairs)
    found = discover_in(experiment, settings, curve=False, validation=validation, wordings=wordings, report=report)
    started = time.perf_counter()
    verification = verify_in(
        experiment, found.circuit.mask(), seed=settings.seed, split="the prompts it was found on", report=report
    )
    seconds = found.seconds | {"verify": time.perf_counter() - started}
    run = DiscoveryRun(experiment, settings, found, verification, seconds=seconds)
    sides, missing = _sides(run, test, report), dict[str, str]()
    pending = dict.fromkeys((side.name for side in sides), NOT_YET)
    kept(replace(run, missing=dict(pending)))
    for side in sides:
        started = time.perf_counter()
        run = attempt(missing, side.name, partial(side.make, run), run)
        taken = run.seconds.get(side.stage, 0.0) + time.perf_counter() - started
        del pending[side.name]
        run = replace(run, seconds=run.seconds | {side.stage: taken}, missing=missing | pending)
        kept(run)
    return run


@dataclass(frozen=True)
class _Side:
    """A side result of a discovery.

    Args:
        name: of it, in a run's `missing`.
        stage: of the run's timings that its time is added to.
        make: adds it to a run.
    """

    name: str
    stage: str
    make: Callable[[DiscoveryRun], DiscoveryRun]


def _sides(run: DiscoveryRun, test: Sequence[PromptPair], report: Reporter) -> list[_Side]:
    """The side results of a run whose circuit is verified, in the order in which they are made."""
    experiment, circuit, seed = run.experiment, run.discovery.circuit, run.settings.seed
    keep = circuit.mask()

    def on_swapped(run: DiscoveryRun) -> DiscoveryRun:
        proof = verify_in(experiment.on(swapped), keep, seed=seed, split=SWAPPED, report=report)
        return replace(run, held_out=(*run.held_out, proof))

    def on_test(run: DiscoveryRun) -> DiscoveryRun:
        several = run.settings.counterfactuals
        proof = verify_on(experiment, keep, test, counterfactuals=several, seed=seed, split="test", report=report)
        return replace(run, held_out=(*run.held_out, proof))

    def by_share(run: DiscoveryRun) -> DiscoveryRun:
        assert order is not None
        return replace(run, by_share=curve_by_share(experiment, order, run.settings, test))

    def curve(run: DiscoveryRun) -> DiscoveryRun:
        return replace(run, discovery=with_curve(experiment, run.discovery, seed=seed, report=report))

    def lens(run: DiscoveryRun) -> DiscoveryRun:
        return replace(run, lens=tuple(answer_by_layer(experiment, keep)))

    def attention(run: DiscoveryRun) -> DiscoveryRun:
        return replace(run, attention=tuple(head_attention(experiment, strongest_heads(circuit))))

    swapped = [pair for pair in (pair.swapped() for pair in experiment.encoded.pairs) if pair is not None]
    order, plain = run.discovery.order, run.settings.aim == "sufficient" and not run.settings.positions
    return [
        *([_Side(TEST, "verify", on_test)] if test else ()),
        *([_Side(SWAPPED, "verify", on_swapped)] if swapped else ()),
        *([_Side(CURVE_HELD_OUT, "curve", by_share)] if test and order is not None and plain else ()),
        _Side(CURVE, "curve", curve),
        _Side(ANSWER, "read", lens),
        _Side(ATTENTION, "read", attention),
    ]


def strongest_heads(circuit: Circuit) -> list[str]:
    """Heads of a circuit by the summed |effect| (|score| where effects were not measured) of their edges.

    Edges that were removed together share one effect, which counts once.
    """
    weight: dict[str, float] = {}
    counted: set[tuple[str, str]] = set()
    units = circuit.units or tuple(map(str, circuit.edges))
    strengths = circuit.effects or circuit.scores or (0.0,) * len(circuit)
    for edge, unit, effect in zip(circuit.edges, units, strengths, strict=True):
        head = edge.sender.partition("@")[0]  # wherever in the prompt it is read
        if ".h" in head and (head, unit) not in counted:
            counted.add((head, unit))
            weight[head] = weight.get(head, 0.0) + abs(effect)
    return sorted(weight, key=lambda head: -weight[head])[:_HEADS_SHOWN]


def _manifest(run: DiscoveryRun) -> dict[str, Any]:
    settings = asdict(run.settings)
    common = manifest_of(run.experiment, "discover", settings, seed=run.settings.seed, seconds=run.seconds)
    return common | {
        "ranked_edges": run.discovery.ranked,
        "evaluations": run.discovery.evaluations,
        "stability": _stability(run.discovery.stability),
        "missing": run.missing,
    }


def _stability(found: Stability | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {name: value for name, value in vars(found).items() if name != "frequency"}


def _edge_table(scores: EdgeScores) -> pa.Table:
    """Every edge of the graph with its score, in order of computation."""
    graph = scores.graph
    channels, nodes = graph.valid.nonzero()
    return pa.table(
        {
            "sender": pa.array(graph.nodes).take(pa.array(nodes)).dictionary_encode(),
            "receiver": pa.array(graph.channels).take(pa.array(channels)).dictionary_encode(),
            "score": scores.values.numpy()[channels, nodes],
        }
    )
