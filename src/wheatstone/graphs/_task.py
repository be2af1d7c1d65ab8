"""Heads and neurons that a task's answers need: learned on some prompts, judged on others.

One gate for each head and neuron at all positions together, or at all positions of a part of the prompt (`subject`,
`last`), which aligns prompts of different lengths. Sets are learned as for one prompt (`learn_nodes`), with another
prompt and counterfactual in each row of a step, and proven by exact runs on prompts that were not used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._text import count
from wheatstone.graphs._learn import Turns, check_learning, distance, learned_ranking
from wheatstone.graphs._nodes import NodeAxis
from wheatstone.graphs._rank import STEPS
from wheatstone.graphs._task_ablations import TaskAblation, counterfactual_ablation, node_values, parts_of
from wheatstone.models import LINEAR, BackwardRules, NodeRun, NodeValues, ResidualModel, Tokens, memory_room, run_nodes
from wheatstone.tasks import PromptPair, Targets, encode, metric_named

ELSEWHERE = "elsewhere"
"""Positions that no named part of a prompt holds."""


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
        spans: parts of the prompts, each with gates of its own; where two overlap, the later one has the position. The
            axis has one more for all other positions. None for one gate at all positions together.
        ablation: what closed gates give.

    Raises:
        ModelError: the model has a mixture of experts.
        PromptError: the prompts cannot be compared.
        RequestError: a prompt lacks a span, or the prompts need more memory than there is.
    """

    def __init__(
        self,
        model: ResidualModel,
        pairs: Sequence[PromptPair],
        *,
        spans: Sequence[str] = (),
        ablation: TaskAblation = counterfactual_ablation,
    ) -> None:
        self.model, self.encoded = model, encode(model, pairs)
        self.spans = (*spans, ELSEWHERE) if spans else ()
        self.axis = NodeAxis.of(model, max(1, len(self.spans)))
        self._check_memory()
        self._metric = metric_named("logit_diff", self.encoded)
        every = torch.arange(len(pairs))
        self.places: Int[Tensor, "prompt pos"] = self._places()
        self._ablated = ablation(model, self.encoded)
        self._clean = torch.cat([run_nodes(model, self._tokens(part)).logits for part in parts_of(self.encoded)])
        self.clean: Float[Tensor, " prompt"] = self._values(self._clean, every)
        nothing = torch.zeros(1, self.axis.size, dtype=torch.bool)
        self.ablated: Float[Tensor, " prompt"] = self._values(self.logits(nothing)[0], every)

    def logits(self, sets: Bool[Tensor, "set unit"]) -> Float[Tensor, "set prompt vocab"]:
        """Logits of sets alone, on every prompt."""
        parts = parts_of(self.encoded)
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

    def slopes(self, *, steps: int = STEPS, rules: BackwardRules | None = LINEAR) -> Float[Tensor, "prompt unit"]:
        """What the metric gains on each prompt when a unit's gate opens, in logits.

        Args:
            steps: gates at which slopes are taken, see `node_slopes`.
            rules: of the backward pass, likewise.
        """
        total = torch.zeros(len(self.clean), self.axis.size, dtype=self.model.dtype)
        for along in [1.0] if steps == 1 else [(step + 0.5) / steps for step in range(steps)]:
            gates = torch.full((1, self.axis.size), along, dtype=self.model.dtype)
            for part in parts_of(self.encoded):
                total[part] += self._slopes(part, gates, lambda logits, part=part: self._values(logits, part), rules)
        return total / steps

    def learn(
        self,
        *,
        target: int,
        slopes: Float[Tensor, " unit"] | None = None,
        steps: int = 120,
        batch: int = 10,
        seed: int = 0,
        report: Reporter = silent,
    ) -> Float[Tensor, " unit"]:
        """Ranks all heads and neurons: any set is its highest entries.

        Args:
            target: size around which sizes are drawn.
            slopes: to start from; by default the mean of `slopes` over the prompts.
            steps: of Adam.
            batch: prompts of a step, each with a set of its own.
            seed: of prompts, sizes and noise.
            report: progress callback.

        Raises:
            RequestError: an option out of range.
        """
        prompts = len(self.clean)
        check_learning(self.axis.size, target, steps, batch)
        batch = min(batch, prompts)
        gap = (self.clean - self.ablated).mean().abs()
        expected, tops = self._clean.log_softmax(-1), self._clean.argmax(-1)
        turns = Turns(prompts)

        def slope_of(gates: Float[Tensor, "set unit"], draw: Random) -> Float[Tensor, "set unit"]:
            now = turns.next(batch, draw)

            def loss(logits: Tensor) -> Tensor:
                return distance(
                    logits, self._values(logits, now), self.clean[now], gap.expand(batch), expected[now], tops[now]
                )

            return self._slopes(now, gates, loss, None)

        return learned_ranking(
            self.slopes().mean(0) if slopes is None else slopes,
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

    def values(self) -> tuple[NodeValues, NodeValues]:
        """What nodes do on these prompts, and ablated: means over prompts and the positions of each gate."""
        tokens = self.encoded.clean
        at = nn.functional.one_hot(self.places, self.axis.positions)
        at = at * (torch.arange(tokens.width, device=at.device) < tokens.lengths[:, None])[..., None]
        times = at.sum((0, 1)).clamp_min(1)

        def mean(part: Tensor) -> Tensor:
            sums = torch.einsum("bps,bpn->sn", at.to(part), part.flatten(2))
            return (sums / times[:, None]).unflatten(1, part.shape[2:])[None]

        own, ablated = (
            NodeValues(tuple(map(mean, found.heads)), tuple(map(mean, found.neurons)))
            for found in (node_values(self.model, tokens), self._ablated)
        )
        return own, ablated

    def _run(
        self,
        which: Int[Tensor, " row"],
        gates: Tensor,
        loss: Callable[[Tensor], Tensor] | None = None,
        rules: BackwardRules | None = None,
    ) -> NodeRun:
        opened = self.axis.values(gates.to(self.model.dtype).to(self.model.device))
        if self.spans:
            rows, place = torch.arange(len(which))[:, None], self.places[which]
            heads, neurons = (
                tuple(part.expand(len(which), -1, -1)[rows, place] for part in kind)
                for kind in (opened.heads, opened.neurons)
            )
            opened = NodeValues(heads, neurons)
        return run_nodes(
            self.model, self._tokens(which), gates=opened, ablated=self._ablated.rows(which), loss=loss, rules=rules
        )

    def _slopes(
        self, which: Int[Tensor, " row"], gates: Tensor, loss: Callable[[Tensor], Tensor], rules: BackwardRules | None
    ) -> Float[Tensor, "row unit"]:
        """Of each prompt, summed over the positions of each gate."""
        run = self._run(which, gates, loss, rules)
        assert run.gradients is not None
        found = run.gradients.slopes(run.values, self._ablated.rows(which))
        at = nn.functional.one_hot(self.places[which], self.axis.positions).to(found.heads[0])

        def summed(part: Tensor) -> Tensor:
            return torch.einsum("bps,bpn->bsn", at, part)

        return self.axis.row(NodeValues(tuple(map(summed, found.heads)), tuple(map(summed, found.neurons)))).cpu()

    def _places(self) -> Int[Tensor, "prompt pos"]:
        """Which of the axis' positions each position of each prompt belongs to."""
        tokens = self.encoded.clean
        places = torch.full_like(tokens.ids, self.axis.positions - 1)
        at = torch.arange(tokens.width, device=places.device)
        for number, name in enumerate(self.spans[:-1]):
            start, end = self.encoded.span(name).T[..., None]
            places[(start <= at) & (at < end)] = number
        return places

    def _check_memory(self) -> None:
        """Refuses more prompts than fit.

        Raises:
            RequestError: they do not.
        """
        tokens, model = self.encoded.clean, self.model
        # What ablated nodes do is kept; while it is made, the parts that it is joined from as well.
        numbers = model.graph.layers * model.graph.heads * model.blocks[0].d_head + sum(self.axis.neurons)
        need = 2 * tokens.ids.numel() * numbers * model.dtype.itemsize
        if need > (budget := memory_room(model.device)):
            raise RequestError(
                expected=f"prompts whose nodes take at most {budget / 1e9:.1f} GB",
                got=f"{count(tokens.batch, 'prompt')} of up to {count(tokens.width, 'token')}, {need / 1e9:.1f} GB",
                do="take fewer or shorter prompts (--size)",
            )

    def _tokens(self, which: Int[Tensor, " row"]) -> Tokens:
        return Tokens(self.encoded.clean.ids[which], self.encoded.clean.lengths[which])

    def _values(self, logits: Float[Tensor, "row vocab"], which: Int[Tensor, " row"]) -> Float[Tensor, " row"]:
        """The metric of some prompts."""
        encoded = replace(
            self.encoded, answers=self.encoded.answers[which], distractors=self.encoded.distractors[which]
        )
        return self._metric(logits, Targets(encoded, logits))
