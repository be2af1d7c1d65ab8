"""Heads and neurons that a task's answers need, the same at all positions: learned on some prompts, judged on others.

One gate for each head and neuron at all positions together. Sets are learned as for one prompt (`learn_nodes`), with
another prompt and counterfactual in each row of a step, and proven by exact runs on prompts that were not used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone.graphs._learn import check_learning, distance, learned_ranking
from wheatstone.graphs._nodes import NodeAxis
from wheatstone.graphs._rank import STEPS
from wheatstone.models import LINEAR, BackwardRules, NodeRun, NodeValues, ResidualModel, Tokens, run_nodes
from wheatstone.tasks import Encoded, PromptPair, Targets, encode, metric_named

_TOKENS = 1024
"""Tokens run at once."""


@dataclass(frozen=True)
class TaskSetProof:
    """What a set of heads and neurons holds on some prompts.

    Args:
        units: how many they are.
        faithfulness: (set − all ablated) / (model − all ablated) of the metric, each averaged over prompts first.
        completeness: the share of the same difference that is lost without the set.
        agreement: share of prompts on which the set's first choice is the model's.
        n: prompts.
    """

    units: int
    faithfulness: float
    completeness: float
    agreement: float
    n: int


class TaskNodes:
    """A model on the prompt pairs of a task, with a gate for every head and neuron.

    Args:
        model: every MLP of which has neurons.
        pairs: with distractors.
        ablated: what closed gates give, the same for every prompt and position; by default what the node does on the
            prompt's counterfactual.

    Raises:
        ModelError: the model has a mixture of experts.
        PromptError: the prompts cannot be compared.
    """

    def __init__(self, model: ResidualModel, pairs: Sequence[PromptPair], *, ablated: NodeValues | None = None) -> None:
        self.model, self.axis = model, NodeAxis.of(model, 1)
        self.encoded: Encoded = encode(model, pairs)
        self._metric = metric_named("logit_diff", self.encoded)
        every = torch.arange(len(pairs))
        self._ablated = ablated
        if ablated is None:
            runs = [
                run_nodes(model, self._tokens(part, self.encoded.counterfactual)).values for part in self._parts(every)
            ]
            self._ablated = NodeValues(
                *(_joined(kind) for kind in ([run.heads for run in runs], [run.neurons for run in runs]))
            )
        self._clean = torch.cat([run_nodes(model, self._tokens(part)).logits for part in self._parts(every)])
        self.clean: Float[Tensor, " prompt"] = self._values(self._clean, every)
        nothing = torch.zeros(1, self.axis.size, dtype=torch.bool)
        self.ablated: Float[Tensor, " prompt"] = self._values(self.logits(nothing)[0], every)

    def logits(self, sets: Bool[Tensor, "set unit"]) -> Float[Tensor, "set prompt vocab"]:
        """Logits of sets alone, on every prompt."""
        parts = self._parts(torch.arange(len(self.encoded.pairs)))
        return torch.stack([torch.cat([self._run(part, one[None]).logits for part in parts]) for one in sets])

    def prove(self, sets: Bool[Tensor, "set unit"]) -> list[TaskSetProof]:
        """Runs sets alone and without them.

        Args:
            sets: which heads and neurons each holds.
        """
        every = torch.arange(len(self.clean))
        gap = (self.clean - self.ablated).mean()
        found: list[TaskSetProof] = []
        for one in sets:
            kept, rest = self.logits(torch.stack((one, ~one)))
            shares = [float((self._values(part, every) - self.ablated).mean() / gap) for part in (kept, rest)]
            same = (kept.argmax(-1) == self._clean.argmax(-1)).float().mean()
            found.append(TaskSetProof(int(one.sum()), shares[0], 1 - shares[1], float(same), len(every)))
        return found

    def slopes(self, *, steps: int = STEPS) -> Float[Tensor, " unit"]:
        """What the metric gains when a unit's gate opens, along one shared gate: the mean over prompts, in logits.

        Args:
            steps: gates at which slopes are taken, see `node_slopes`.
        """
        total = torch.zeros(self.axis.size, dtype=self.model.dtype)
        for step in range(steps):
            gates = torch.full((1, self.axis.size), (step + 0.5) / steps, dtype=self.model.dtype)
            for part in self._parts(torch.arange(len(self.clean))):
                total += self._slopes(part, gates, lambda logits, part=part: self._values(logits, part), LINEAR).sum(0)
        return total / (steps * len(self.clean))

    def learn(
        self, *, target: int, steps: int = 120, batch: int = 10, seed: int = 0, report: Reporter = silent
    ) -> Float[Tensor, " unit"]:
        """Ranks all heads and neurons: any set is its highest entries.

        Args:
            target: size around which sizes are drawn.
            steps: of Adam.
            batch: prompts of a step, each with a set of its own.
            seed: of prompts, sizes and noise.
            report: progress callback.

        Raises:
            RequestError: an option out of range.
        """
        count = len(self.clean)
        check_learning(self.axis.size, target, steps, batch)
        batch = min(batch, count)
        gap = (self.clean - self.ablated).mean().abs()
        expected, tops = self._clean.log_softmax(-1), self._clean.argmax(-1)
        left: list[int] = []

        def slope_of(gates: Float[Tensor, "set unit"], draw: Random) -> Float[Tensor, "set unit"]:
            while len(left) < batch:
                left.extend(draw.sample(range(count), count))
            now = torch.tensor(left[:batch])
            del left[:batch]

            def loss(logits: Tensor) -> Tensor:
                return distance(
                    logits, self._values(logits, now), self.clean[now], gap.expand(batch), expected[now], tops[now]
                )

            return self._slopes(now, gates, loss, None)

        return learned_ranking(
            self.slopes(),
            slope_of,
            target=target,
            steps=steps,
            sets=batch,
            learning_rate=0.5,
            seed=seed,
            dtype=self.model.dtype,
            device=self.model.device,
            report=report,
        )

    def _run(
        self,
        which: Int[Tensor, " row"],
        gates: Tensor,
        loss: Callable[[Tensor], Tensor] | None = None,
        rules: BackwardRules | None = None,
    ) -> NodeRun:
        opened = self.axis.values(gates.to(self.model.dtype).to(self.model.device))
        return run_nodes(
            self.model, self._tokens(which), gates=opened, ablated=self._elsewhere(which), loss=loss, rules=rules
        )

    def _slopes(
        self, which: Int[Tensor, " row"], gates: Tensor, loss: Callable[[Tensor], Tensor], rules: BackwardRules | None
    ) -> Float[Tensor, "row unit"]:
        """Of each prompt, summed over its positions."""
        run = self._run(which, gates, loss, rules)
        assert run.gradients is not None
        found = run.gradients.slopes(run.values, self._elsewhere(which))
        heads, neurons = (tuple(part.sum(1, keepdim=True) for part in kind) for kind in (found.heads, found.neurons))
        return self.axis.row(NodeValues(heads, neurons)).cpu()

    def _tokens(self, which: Int[Tensor, " row"], of: Tokens | None = None) -> Tokens:
        tokens = self.encoded.clean if of is None else of
        return Tokens(tokens.ids[which], tokens.lengths[which])

    def _elsewhere(self, which: Int[Tensor, " row"]) -> NodeValues | None:
        """What closed gates give on some prompts."""
        found = self._ablated
        if found is None or len(found.heads[0]) == 1 < len(self.encoded.pairs):
            return found
        return found.rows(which)

    def _values(self, logits: Float[Tensor, "row vocab"], which: Int[Tensor, " row"]) -> Float[Tensor, " row"]:
        """The metric of some prompts."""
        encoded = replace(
            self.encoded, answers=self.encoded.answers[which], distractors=self.encoded.distractors[which]
        )
        return self._metric(logits, Targets(encoded, logits))

    def _parts(self, which: Int[Tensor, " row"]) -> list[Int[Tensor, " part"]]:
        """Prompts that run together."""
        return list(which.split(max(1, _TOKENS // self.encoded.clean.width)))


def _joined(runs: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(parts) for parts in zip(*runs, strict=True))
