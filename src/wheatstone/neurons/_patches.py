"""The two runs between which something is patched, and runs of the metric with what one place writes changed.

Denoising takes what a place does on the clean prompt into the counterfactual's run, noising the other way round. Both
are given as a share of the whole difference, so that 1 is all of it and a positive share carries the answer:

    denoising  (patched − corrupt) / (clean − corrupt)
    noising    (clean − patched)   / (clean − corrupt)

each averaged over prompts before dividing. The first is the patch score.

Source: J. Miller and C. Neo 2023, "We Found An Neuron in GPT-2", for the patch score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment
from wheatstone.models import NeuronRecording, Streams, Tokens

Direction = Literal["denoising", "noising"]


def check_direction(direction: str) -> None:
    """Refuses the name of a direction that is not there.

    Raises:
        RequestError: another direction.
    """
    if direction not in get_args(Direction):
        choices = " or ".join(get_args(Direction))
        raise RequestError(expected=choices, got=repr(direction), do="choose one of these")


_TOKENS = 96
"""Tokens that patched runs compute together. Runs of one batch begin at the layer of its first."""


@dataclass(frozen=True, eq=False)
class Patching:
    """Model, prompts and metric, and which run is patched with what the other does.

    Args:
        experiment: under the counterfactual ablation.
        direction: `denoising` or `noising`.

    Raises:
        RequestError: another direction or ablation.
    """

    experiment: Experiment
    direction: str = "denoising"

    def __post_init__(self) -> None:
        check_direction(self.direction)
        if self.experiment.ablation != "counterfactual":
            raise RequestError(
                expected="the counterfactual ablation: neurons are patched from the counterfactual prompt",
                got=f"the ablation {self.experiment.ablation}",
                do="leave the ablation out",
            )

    @property
    def sign(self) -> int:
        """1 where the patched run gains what the place carries, -1 where it loses it."""
        return 1 if self.direction == "denoising" else -1

    @property
    def tokens(self) -> Tokens:
        """The prompts whose run is patched."""
        encoded = self.experiment.encoded
        return encoded.counterfactual if self.sign == 1 else encoded.clean

    @property
    def others(self) -> Tokens:
        """The prompts that what is patched in comes from."""
        encoded = self.experiment.encoded
        return encoded.clean if self.sign == 1 else encoded.counterfactual

    @property
    def gap(self) -> float:
        """clean − corrupt of the metric, averaged over prompts."""
        return float(self.experiment.clean.mean() - self.experiment.corrupt.mean())

    @cached_property
    def plain(self) -> Streams:
        """The run that is patched, as it is."""
        return self.experiment.model.streams(self.tokens)

    @cached_property
    def other(self) -> Streams:
        """The run that what is patched in comes from."""
        return self.experiment.model.streams(self.others)

    @cached_property
    def neurons(self) -> NeuronRecording:
        """The neurons of the run that is patched."""
        return self.experiment.model.neurons(self.tokens)

    @cached_property
    def other_neurons(self) -> NeuronRecording:
        """The neurons of the other run."""
        return self.experiment.model.neurons(self.others)

    def from_end(self, values: Float[Tensor, "n batch pos"], rows: slice) -> Float[Tensor, "n batch pos"]:
        """Values of some prompts with their last positions together at the end; 0 before a prompt's start."""
        width = self.tokens.width
        at = torch.arange(width) - (width - self.tokens.lengths[rows, None].cpu())
        return values.gather(-1, at.clamp_min(0).expand(values.shape)).masked_fill(at < 0, 0)

    def at(self, position: int | None) -> Bool[Tensor, "batch pos"]:
        """Where a position counted from the end (-1 for the last; None for all) lies in each prompt, if it is there."""
        steps, lengths = torch.arange(self.tokens.width, device=self.tokens.ids.device), self.tokens.lengths[:, None]
        return steps < lengths if position is None else steps == lengths + position

    def effects(
        self,
        nodes: Sequence[int],
        change: Callable[[int], Float[Tensor, "batch pos d_model"]],
        *,
        stage: str,
        report: Reporter = silent,
    ) -> Float[Tensor, "patch batch"]:
        """What the metric gains (denoising) or loses (noising) in each patched run, in its own units.

        Args:
            nodes: where the change of each run is written. Neighbours in a row make the fewest layers to compute.
            change: what is added there, by number of the run.
            stage: what to call this.
            report: progress callback.
        """
        experiment = self.experiment
        before = experiment.corrupt if self.sign == 1 else experiment.clean
        effects = before.new_zeros(len(nodes), len(before))
        batch: list[int] = []
        changes: list[Tensor] = []
        start = self.tokens.width

        def run() -> None:
            values = experiment.values_of(
                experiment.model.patched_logits(
                    self.plain, [nodes[i] for i in batch], torch.stack(changes), budget=experiment.memory
                )
            )
            effects[batch] = self.sign * (values - before)
            experiment.evaluations += len(batch)

        for index in range(len(nodes)):
            one = change(index)
            changed = one.any(-1).any(0).nonzero()
            if not len(changed):
                continue
            first = min(start, int(changed[0]))
            if batch and (len(batch) + 1) * self.tokens.batch * (self.tokens.width - first) > _TOKENS:
                report(stage, index, len(nodes))
                run()
                batch, changes, first = [], [], int(changed[0])
            batch.append(index)
            changes.append(one)
            start = first
        if batch:
            run()
        report(stage, len(nodes), len(nodes))
        return effects.cpu()

    def share(self, effects: Float[Tensor, "*n batch"]) -> Float[Tensor, "*n"]:
        """Mean effects as shares of the whole difference."""
        return effects.mean(-1) / self.gap

    def last(self, values: Float[Tensor, "batch pos"]) -> Float[Tensor, " batch"]:
        """Values at each prompt's last position."""
        return values[torch.arange(self.tokens.batch), self.tokens.lengths.cpu() - 1]
