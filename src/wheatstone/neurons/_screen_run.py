"""A screen of all neurons as a run: tables of every neuron, of the confirmed ones, of places, and of doses."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from wheatstone._intervals import halves_of, mean_intervals
from wheatstone._parquet import write_parquet
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._side import DOSES, HELD_OUT, RECOVERY, attempt
from wheatstone._view import Brief
from wheatstone.circuits import Experiment, manifest_of
from wheatstone.models import Neuron, ResidualModel
from wheatstone.neurons._observed import doses
from wheatstone.neurons._patches import Patching
from wheatstone.neurons._recovery import RecoveryRow, recovery_by_place
from wheatstone.neurons._screen import NeuronScreen, screen_neurons
from wheatstone.runs import Table, write_json, write_table
from wheatstone.tasks import PromptPair

_MAPPED = 4
"""Prompts that places are patched on; there are many more places than neurons to confirm."""
_DOSED = 5
"""Neurons whose doses are run."""
_DOSES = 9
"""Values of each, from the least to the largest of its activations and beyond by half their distance."""


@dataclass(frozen=True)
class NeuronSettings:
    """What to screen for.

    Args:
        direction: `denoising`, clean activations into the counterfactual's run, or `noising`.
        top: neurons to confirm by exact runs.
        metric: `logit_diff`, `prob_diff` or `kl`.
        task: name of the task that the prompts are of; empty for given prompts.
        seed: of the task's pairs.
        allow_weak: what to do about prompts that leave little to explain, as in `Experiment`.
    """

    direction: str = "denoising"
    top: int = 100
    metric: str = "logit_diff"
    task: str = ""
    seed: int = 0
    allow_weak: bool | None = None


class ConfirmedRow(NamedTuple):
    """One row of confirmed.parquet; all but the activations as shares of the difference, see `Patching`.

    Args:
        neuron: by name.
        layer: from 0.
        estimate: of the screen.
        exact: all positions patched, a real run.
        low: lower end of its 95% interval over prompts; None for fewer than four.
        high: upper end.
        exact_last: the last position alone.
        mlp: its whole MLP.
        share_of_mlp: exact / mlp; None where the MLP recovers less than 10%, or the share is not from 0 to 1.
        clean: activation at the last position of the clean prompts, mean.
        corrupt: of the counterfactuals.
    """

    neuron: str
    layer: int
    estimate: float
    exact: float
    low: float | None
    high: float | None
    exact_last: float
    mlp: float
    share_of_mlp: float | None
    clean: float
    corrupt: float


class DoseRow(NamedTuple):
    """One row of doses.parquet.

    Args:
        neuron: by name.
        prompts: `clean` or `counterfactual`.
        value: that it is set to at the last position.
        answer: probability of the answer (the first token of the first), mean over prompts.
        distractor: of the distractor; None where there is none.
        own: mean activation there when it is not set.
    """

    neuron: str
    prompts: str
    value: float
    answer: float
    distractor: float | None
    own: float


@dataclass(frozen=True, eq=False)
class NeuronRun(Brief):
    """A screen of all neurons, ready to be saved.

    Args:
        experiment: model, prompts and metric.
        settings: what was screened for.
        screen: of all neurons on all prompts. With enough prompts its candidates are chosen on one half of them.
        held_out: the neuron of the largest effect on that half, measured on the other half; None where the prompts
            are too few, or the other half leaves nothing to explain.
        recovery: by place.
        doses: of the strongest neurons, on the prompts of `held_out` where there are some.
        seconds: by stage.
        missing: by name, why a side result is missing.
    """

    experiment: Experiment
    settings: NeuronSettings
    screen: NeuronScreen
    held_out: NeuronScreen | None
    recovery: tuple[RecoveryRow, ...]
    doses: tuple[DoseRow, ...]
    seconds: dict[str, float]
    missing: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def confirmed(self) -> tuple[ConfirmedRow, ...]:
        """The neurons that were really patched, largest |exact| first."""
        return _rows(self.screen)

    @property
    def best(self) -> dict[str, Any] | None:
        """The strongest neuron with its numbers on prompts that did not choose it, where there are enough of these."""
        rows, n = self.confirmed, len(self.experiment.clean)
        if self.held_out is not None:
            rows, measured = _rows(self.held_out), len(self.held_out.patching.experiment.clean)
            return rows[0]._asdict() | {"n": measured, "chosen_on": n - measured, "held_out": True}
        return rows[0]._asdict() | {"n": n, "chosen_on": n, "held_out": False} if rows else None

    def summary(self) -> dict[str, Any]:
        """The numbers of `screen.json`."""
        screen, experiment = self.screen, self.experiment
        correlation = screen.rank_correlation
        return {
            "neurons": len(screen.neurons),
            "confirmed": len(screen.confirmed),
            "clean": float(experiment.clean.mean()),
            "corrupt": float(experiment.corrupt.mean()),
            "n": len(experiment.clean),
            "best": self.best,
            "rank_correlation": None if np.isnan(correlation) else correlation,
            "mlp_recovery": list(screen.mlps),
            "mapped_prompts": min(_MAPPED, len(experiment.clean)),
        }

    def save(self, folder: StrPath) -> None:
        """Writes all files of the run into a folder."""
        folder = Path(folder)
        settings = asdict(self.settings) | {"ablation": "counterfactual"}
        seed = self.settings.seed
        manifest = manifest_of(self.experiment, "neuron", settings, seed=seed, seconds=self.seconds)
        write_json(folder / "manifest.json", manifest | {"missing": self.missing})
        write_json(folder / "screen.json", self.summary())
        write_table(Table(ConfirmedRow, self.confirmed), folder / "confirmed.parquet")
        write_table(Table(RecoveryRow, self.recovery), folder / "recovery.parquet")
        write_table(Table(DoseRow, self.doses), folder / "doses.parquet")
        write_parquet(self._every_neuron(), folder / "neurons.parquet")

    def _every_neuron(self) -> pa.Table:
        """Every neuron's estimate, over all positions and at each position counted from the end, as shares."""
        screen = self.screen
        by_position = (screen.by_position / screen.patching.gap).float().numpy()
        return pa.table(
            {
                "layer": np.array([neuron.layer for neuron in screen.neurons], dtype=np.int32),
                "index": np.array([neuron.index for neuron in screen.neurons], dtype=np.int32),
                "estimate": screen.shares.double().numpy(),
                "by_position": pa.FixedSizeListArray.from_arrays(by_position.reshape(-1), by_position.shape[1]),
            }
        )


def run_neurons(
    model: ResidualModel, pairs: Sequence[PromptPair], settings: NeuronSettings, *, report: Reporter = silent
) -> NeuronRun:
    """Screens all neurons, confirms the strongest, maps recovery by place, and sets the best neurons to doses.

    Args:
        model: the model.
        pairs: the prompts.
        settings: what to screen for.
        report: progress callback.
    """
    started = time.perf_counter()
    experiment = Experiment(model, pairs, metric=settings.metric, allow_weak=settings.allow_weak)
    patching = Patching(experiment, settings.direction)
    halves = halves_of(len(pairs))
    chosen_on = range(len(pairs)) if halves is None else halves[0]
    screen = screen_neurons(patching, top=settings.top, chosen_on=chosen_on, report=report)
    strongest = sorted(screen.confirmed, key=lambda row: -abs(sum(row.effects[at] for at in chosen_on)))
    missing: dict[str, str] = {}

    def measured() -> NeuronScreen | None:
        if halves is None or not strongest:
            return None
        others = Patching(experiment.on([pairs[at] for at in halves[1]]), settings.direction)
        return screen_neurons(others, only=[strongest[0].neuron], report=report)

    held_out = attempt(missing, HELD_OUT, measured, None)
    screened = time.perf_counter()

    def mapped() -> list[RecoveryRow]:
        few = patching if len(pairs) <= _MAPPED else Patching(experiment.on(pairs[:_MAPPED]), settings.direction)
        return recovery_by_place(few, report=report)

    def dosed() -> list[DoseRow]:
        where = patching if held_out is None else held_out.patching
        return [row for found in strongest[:_DOSED] for row in dose_rows(where, found.neuron)]

    recovery = attempt(missing, RECOVERY, mapped, [])
    patched = time.perf_counter()
    rows = attempt(missing, DOSES, dosed, [])
    seconds = {
        "screen and confirm": screened - started,
        "recovery by place": patched - screened,
        "doses": time.perf_counter() - patched,
    }
    return NeuronRun(experiment, settings, screen, held_out, tuple(recovery), tuple(rows), seconds, missing)


def _rows(screen: NeuronScreen) -> tuple[ConfirmedRow, ...]:
    """The neurons of a screen that were really patched, with intervals over its prompts."""
    if not screen.confirmed:
        return ()
    intervals = mean_intervals(np.array([row.effects for row in screen.confirmed]) / screen.patching.gap)
    return tuple(
        ConfirmedRow(
            neuron=str(row.neuron),
            layer=row.neuron.layer,
            estimate=row.estimate,
            exact=row.exact,
            low=low,
            high=high,
            exact_last=row.exact_last,
            mlp=row.mlp,
            share_of_mlp=row.share_of_mlp,
            clean=row.clean,
            corrupt=row.corrupt,
        )
        for row, (low, high) in zip(screen.confirmed, intervals, strict=True)
    )


def dose_rows(patching: Patching, neuron: Neuron) -> list[DoseRow]:
    """What the prompts' answers and distractors become as a neuron is set at the last position."""
    model, encoded = patching.experiment.model, patching.experiment.encoded
    runs = ((patching.plain, patching.neurons), (patching.other, patching.other_neurons))
    streams = dict(zip(("counterfactual", "clean"), runs[:: patching.sign], strict=True))
    own = {
        kind: patching.last(found.activations[neuron.layer][..., neuron.index]) for kind, (_, found) in streams.items()
    }
    least, most = (pick(float(pick(values)) for values in own.values()) for pick in (min, max))
    beyond = (most - least) / 2 or 1.0
    values = sorted({0.0, *np.linspace(least - beyond, most + beyond, _DOSES).tolist()})
    rows: list[DoseRow] = []
    for kind, (plain, _) in streams.items():
        found = doses(model, neuron, plain.tokens, values, plain=plain)
        answer = found.gather(-1, encoded.answers[:, :1].cpu().expand(len(values), -1, -1)).mean((1, 2))
        wrong: torch.Tensor | None = None
        if encoded.distractors.shape[1] and bool((encoded.distractors[:, 0] >= 0).all()):
            wrong = found.gather(-1, encoded.distractors[:, :1].cpu().expand(len(values), -1, -1)).mean((1, 2))
        rows += [
            DoseRow(
                neuron=str(neuron),
                prompts=kind,
                value=value,
                answer=float(answer[at]),
                distractor=None if wrong is None else float(wrong[at]),
                own=float(own[kind].mean()),
            )
            for at, value in enumerate(values)
        ]
    return rows
