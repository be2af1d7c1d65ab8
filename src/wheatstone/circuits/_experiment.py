"""One experiment: a model, prompts, an ablation and a metric. Every number about a circuit comes from here.

Discovery, verification and pictures share this object, so a circuit is always scored under the ablation it was
found with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import cached_property
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wheatstone._errors import PromptError, RequestError, check_choice
from wheatstone.circuits._circuit import Circuit
from wheatstone.circuits._means import PositionMeans
from wheatstone.circuits._positions import check_cover, spans_in, spans_of
from wheatstone.models import CircuitState, Graph, NodeOutputs, ResidualModel, Span, SpannedGraph, memory_budget
from wheatstone.tasks import (
    Encoded,
    ModelAnswers,
    PromptPair,
    Targets,
    answers_in,
    encode,
    metric_named,
    several_counterfactuals,
    weak_change,
)

Ablation = Literal["counterfactual", "mean", "zero"]
ABLATIONS: tuple[str, ...] = get_args(Ablation)
_SPREAD = 4
"""What ablated nodes write, or a circuit's run, may be spread out in this part of the memory: a quarter."""


class Experiment:
    """Evaluates circuits of one model on one set of prompts.

    Args:
        model: the model.
        pairs: the prompts.
        ablation: what an edge outside a circuit carries: `counterfactual`, what its node writes on the
            counterfactual prompt; `mean`, what it writes on average over the counterfactual prompts of `reference`:
            position by position where all of these are as long as the prompt, otherwise over first tokens at the
            first position and over all other tokens elsewhere (`PositionMeans`); `zero`, nothing (which leaves the
            distribution the model was trained on).
        metric: `logit_diff` (logits), `prob_diff` (probability) or `kl` (nats).
        reference: pairs that `mean` averages over, such as a task's training split; the pairs themselves by default.
        positions: tell edges apart by where in the prompt they carry something: at the prompts' named `spans`, at
            `each` token, or at given spans, which must divide these prompts. All prompts must be aligned. By default
            an edge is kept or ablated at all positions together.
        memory: bytes that a batch of circuits, prompts or integration steps may take; default `memory_budget`.
        allow_weak: what to do about prompts that leave little to explain. None refuses a counterfactual that keeps more
            than half of the metric, and records in `model_answers` which answers the model itself does not give; False
            also refuses prompts most of whose answers the model does not give; True refuses neither, as long as
            ablation changes the metric at all.

    Raises:
        PromptError: the prompts cannot be compared, see `encode`; or they leave nothing to explain, see `allow_weak`.
        RequestError: no such metric or ablation.
    """

    def __init__(
        self,
        model: ResidualModel,
        pairs: Sequence[PromptPair],
        *,
        ablation: str = "counterfactual",
        metric: str = "logit_diff",
        reference: Sequence[PromptPair] | None = None,
        positions: str | tuple[Span, ...] | None = None,
        memory: int | None = None,
        allow_weak: bool | None = None,
    ) -> None:
        check_choice("an ablation", ablation, ABLATIONS)
        self.encoded: Encoded = encode(model, pairs)
        self.spans = spans_of(self.encoded, positions) if isinstance(positions, str) else tuple(positions or ())
        if self.spans:
            check_cover(self.spans, self.encoded)
        self.model, self.graph = model, SpannedGraph.of(model.graph, self.spans) if self.spans else model.graph
        self.metric = metric_named(metric, self.encoded)
        self.ablation = ablation
        self.reference = tuple(pairs if reference is None else reference)
        self.memory = memory_budget(model.device) if memory is None else memory
        self.allow_weak = allow_weak
        self._spread: Tensor | None = None
        self.evaluations = 0
        """How many circuits have been run, each on all prompts."""

        self.clean_logits, clean = model.outputs(self.encoded.clean)
        self.clean_input: Float[Tensor, "batch pos d_model"] = clean.values[0]
        """What the `input` node writes on the clean prompts."""
        self.targets = Targets(self.encoded, self.clean_logits.log_softmax(-1))
        self.ablated_outputs: NodeOutputs = self._ablated(clean)
        """What every node writes on an ablated edge."""
        self.start = first_change(clean.values, self.ablated_outputs.values)
        """Positions before it are the same in the clean and the ablated run, and need not be run again."""
        self.clean: Float[Tensor, " batch"] = self.metric(self.clean_logits, self.targets)
        self.corrupt_logits = self.logits(torch.zeros(1, *self.graph.valid.shape, dtype=torch.bool))[0]
        self.corrupt: Float[Tensor, " batch"] = self.metric(self.corrupt_logits, self.targets)
        self.check_weak(allow_weak)

    def __repr__(self) -> str:
        n = self.encoded.clean.batch
        return f"Experiment({self.model.id!r}: {n} prompts, {self.graph.edges:,} edges, ablation {self.ablation!r})"

    @classmethod
    def of(
        cls, circuit: Circuit, model: ResidualModel, pairs: Sequence[PromptPair], *, allow_weak: bool | None = None
    ) -> Experiment:
        """The experiment that a circuit was found in, on other prompts.

        Ablation and metric are the circuit's, a mean is that of its examples, and where its edges are distinguished by
        position its spans are looked up in the prompts: those with names where the prompts have the parts of these
        names, token positions where the prompts are laid out as its examples.

        Args:
            circuit: the circuit.
            model: its model, whose MLPs are then split as the circuit's were.
            pairs: the prompts.
            allow_weak: what to do about prompts that leave little to explain, see `Experiment`.

        Raises:
            PromptError: see `Experiment`; or one of the circuit's spans has no certain place in the prompts.
        """
        model = model.like(circuit.model.graph)
        return cls(
            model,
            pairs,
            ablation=circuit.ablation,
            metric=circuit.metric,
            reference=circuit.examples or None,
            positions=_spans_of(circuit, model, pairs) if circuit.spans else None,
            allow_weak=allow_weak,
        )

    def _ablated(self, clean: NodeOutputs) -> NodeOutputs:
        """What every node writes along an ablated edge."""
        prompts = self.encoded.clean
        if self.ablation == "zero":
            return clean.map(lambda value: value.new_zeros(()).expand_as(value))
        if self.ablation == "counterfactual":
            return self.model.outputs(self.encoded.counterfactual)[1]
        tokens = encode(self.model, self.reference).counterfactual
        written = self.model.outputs(tokens)[1]
        alike = (prompts.lengths == tokens.width) & (tokens.lengths == tokens.width).all()

        def mean(value: Tensor) -> Tensor:
            each = value.mean(0, keepdim=True)  # position by position
            if alike.all():
                return each.expand(prompts.batch, -1, -1)
            means = PositionMeans.of(value[None], tokens).at(prompts.width).expand(prompts.batch, -1, -1)
            if not alike.any():
                return means
            padded = torch.nn.functional.pad(each, (0, 0, 0, prompts.width - tokens.width))
            return padded.where(alike[:, None, None].to(value.device), means)

        return written.map(mean)

    @property
    def ablated(self) -> Float[Tensor, "node batch pos d_model"]:
        """What every node writes on an ablated edge, spread out; kept where it is small, or made at every use."""
        if self._spread is not None:
            return self._spread
        nodes = self.ablated_outputs.nodes()
        if nodes.nbytes <= self.memory // _SPREAD:
            self._spread = nodes
        return nodes

    @property
    def _along(self) -> Tensor | NodeOutputs:
        """`ablated` where that is small, `ablated_outputs` where it is not: what circuits run with."""
        small = self.ablated_outputs.spread_bytes <= self.memory // _SPREAD
        return self.ablated if small else self.ablated_outputs

    @cached_property
    def model_answers(self) -> ModelAnswers:
        """What the model itself says at the prompts: the tokens that are scored, their ranks, the first choices."""
        return answers_in(
            self.model,
            self.encoded,
            self.clean_logits,
            metric=self.metric,
            clean=self.clean,
            ablated=self.corrupt,
        )

    def check_weak(self, allow_weak: bool | None) -> None:
        """Refuses prompts that leave nothing to explain, as the argument of that name says.

        Raises:
            PromptError: they do.
        """
        if allow_weak is False:
            self.model_answers.check()
        clean, corrupt = float(self.clean.mean()), float(self.corrupt.mean())
        if abs(clean - corrupt) <= self._rounding(clean, corrupt):
            raise PromptError(
                expected=f"a counterfactual that changes {self.metric.name}",
                got=f"{clean:.3g} on the prompt and {corrupt:.3g} {self.metric.unit} ablated: rounding apart, the same",
                do="choose a counterfactual with another answer",
            )
        if not allow_weak and weak_change(self.metric.name, clean, corrupt):
            raise PromptError(
                expected=f"a counterfactual that changes the answer (at least halves {self.metric.name})",
                got=f"{self.metric.name} {clean:.3f} on the prompt and {corrupt:.3f} {self.metric.unit} ablated, "
                "so there is nothing to explain",
                do="choose a counterfactual with another answer, check the answer and the distractor, or allow a small "
                "change (--allow-weak)",
            )

    def _rounding(self, clean: float, corrupt: float) -> float:
        """How far two equal metrics may differ: 16 roundings of a number of their size (of one nat for `kl`)."""
        size = 1.0 if self.metric.name == "kl" else max(abs(clean), abs(corrupt))
        return 16 * torch.finfo(self.clean_logits.dtype).eps * size

    def on(self, pairs: Sequence[PromptPair], *, allow_weak: bool = False) -> Experiment:
        """The same experiment on other prompts; a mean stays that of the present reference.

        Spans are looked up in the other prompts, in the same order: a mask of this experiment fits the other. Weak
        answers of the other prompts are recorded, not refused.

        Args:
            pairs: the other prompts.
            allow_weak: also take a counterfactual that keeps more than half of the metric.

        Raises:
            PromptError: see `Experiment`; or a span has no certain place in the other prompts.
        """
        spans = spans_in(self.spans, self.encoded, encode(self.model, pairs)) if self.spans else None
        weak = True if self.allow_weak or allow_weak else None
        return self._like(pairs, self.ablation, self.metric.name, spans, weak)

    def _like(
        self,
        pairs: Sequence[PromptPair],
        ablation: str,
        metric: str,
        positions: tuple[Span, ...] | None,
        allow_weak: bool | None,
    ) -> Experiment:
        return Experiment(
            self.model,
            pairs,
            ablation=ablation,
            metric=metric,
            reference=self.reference,
            positions=positions,
            memory=self.memory,
            allow_weak=allow_weak,
        )

    def under(self, ablation: str, metric: str) -> Experiment:
        """The same prompts under another ablation or metric; runs are shared where the ablation is the same.

        Args:
            ablation: as in `Experiment`.
            metric: as in `Experiment`.

        Raises:
            PromptError: ablation changes this metric by no more than rounding; or a prompt lacks what it needs.
        """
        if ablation != self.ablation:
            return self._like(self.encoded.pairs, ablation, metric, self.spans or None, True)
        if metric == self.metric.name:
            return self
        other = copy(self)
        other.__dict__.pop("model_answers", None)
        other.metric = metric_named(metric, self.encoded)
        other.clean, other.corrupt = (other.values_of(logits) for logits in (self.clean_logits, self.corrupt_logits))
        other.check_weak(True)
        return other

    def both_ways(self) -> Experiment:
        """The same experiment on its prompts and, after them, on each prompt and counterfactual swapped.

        Raises:
            PromptError: a pair has no distractor, which is the answer to the swapped prompt.
        """
        swapped = [pair.swapped() for pair in self.encoded.pairs]
        lacking = [pair.prompt for pair, other in zip(self.encoded.pairs, swapped, strict=True) if other is None]
        if lacking:
            raise PromptError(
                expected="a distractor for every prompt: the answer to its counterfactual",
                got=f"none for {lacking[0]!r}" + (f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""),
                do="give --distractor, or leave --both-ways out",
            )
        return self.on((*self.encoded.pairs, *(other for other in swapped if other is not None)))

    def faithfulness_each_way(self, values: Float[Tensor, "*many batch"]) -> Float[Tensor, "*many 2"]:
        """Faithfulness over the first and over the second half of the prompts, which `both_ways` puts there."""
        circuit, clean, corrupt = (rows.unflatten(-1, (2, -1)).mean(-1) for rows in (values, self.clean, self.corrupt))
        return (circuit - corrupt) / (clean - corrupt)

    def several(self, pairs: Sequence[PromptPair], *, most: int, seed: int = 0) -> list[PromptPair]:
        """Prompts with further counterfactuals, for `over`; as they are where this experiment has no use for them.

        Only ablation by counterfactual has, and only where edges are kept at all positions together.

        Args:
            pairs: prompts with one counterfactual each.
            most: counterfactuals of a prompt, see `several_counterfactuals`.
            seed: of the draw.
        """
        if most == 1 or self.ablation != "counterfactual" or self.spans:
            return list(pairs)
        return several_counterfactuals(self.model, pairs, most=most, seed=seed)

    def over(self, pairs: Sequence[PromptPair], *, most: int = 32) -> Iterator[Experiment]:
        """The same experiment on many prompts, `most` at a time, so that memory does not grow with their number.

        Args:
            pairs: the prompts. Some of them alone may leave little to explain: only all of them together tell.
            most: prompts of one experiment.

        Raises:
            PromptError: see `on`.
        """
        for first in range(0, len(pairs), most):
            yield self.on(pairs[first : first + most], allow_weak=True)

    @property
    def whole_graph(self) -> Graph:
        """The model's graph, for measures that read nodes at all positions together.

        Raises:
            RequestError: edges are distinguished by position.
        """
        if self.spans:
            raise RequestError(
                expected="an experiment whose edges are kept at all positions together",
                got=f"one with the spans {', '.join(span.name for span in self.spans)}",
                do="leave positions out",
            )
        return self.graph

    def values_of(self, logits: Float[Tensor, "*many batch vocab"]) -> Float[Tensor, "*many batch"]:
        """The metric of each prompt."""
        return self.metric(logits, self.targets)

    def step_values(self, logits: Float[Tensor, "step_batch vocab"]) -> Float[Tensor, " step_batch"]:
        """The metric where the prompts come several times over, as in integrated gradients."""
        batch = self.encoded.clean.batch
        return self.values_of(logits.unflatten(0, (-1, batch))).flatten()

    def logits(
        self,
        keep: Bool[Tensor, "circuit channel node"],
        *,
        resume: CircuitState | None = None,
        vocabulary: Int[Tensor, " vocab"] | None = None,
    ) -> Float[Tensor, "circuit batch vocab"]:
        """Runs circuits, as many at once as fit in memory.

        Args:
            keep: the circuits' edges.
            resume: state of a circuit that contains all of these.
            vocabulary: token ids to give logits of; all by default.
        """
        self.evaluations += len(keep)
        return self.model.circuit_logits(
            self.encoded.clean,
            self._along,
            keep,
            resume=resume,
            spans=self.spans,
            start=self.start,
            vocabulary=vocabulary,
            budget=self.memory,
        )

    def start_from(self, keep: Bool[Tensor, "channel node"]) -> tuple[CircuitState | None, float]:
        """`state`, or None and the faithfulness where the run would take too much memory."""
        used = int(keep.any(0).unflatten(0, (-1, max(1, len(self.spans)))).any(-1).sum())
        if used * self.clean_input.nbytes > self.memory // _SPREAD:
            return None, self.faithfulness(keep[None])[0]
        return self.state(keep)

    def state(self, keep: Bool[Tensor, "channel node"]) -> tuple[CircuitState, float]:
        """One circuit's run, for runs of its sub-circuits to start from, and its faithfulness."""
        self.evaluations += 1
        run = self.model.forward_circuit(
            self.encoded.clean, self._along, keep[None], spans=self.spans, start=self.start
        )
        return run.state, float(self.faithfulness_of(self.values_of(run.logits[0])))

    def values(
        self, keep: Bool[Tensor, "circuit channel node"], *, resume: CircuitState | None = None
    ) -> Float[Tensor, "circuit batch"]:
        """The metric of each circuit on each prompt."""
        if not self.metric.reads_answers_alone:
            return self.values_of(self.logits(keep, resume=resume))
        vocabulary, targets = self.targets.answers_alone()
        return self.metric(self.logits(keep, resume=resume, vocabulary=vocabulary), targets)

    def faithfulness_of(self, values: Float[Tensor, "*many batch"]) -> Float[Tensor, "*many"]:
        """(circuit − corrupt) / (clean − corrupt), each averaged over prompts before dividing.

        1 is the model's own behaviour, 0 the fully ablated model's; below 0 and above 1 occur.
        """
        corrupt = self.corrupt.mean()
        return (values.mean(-1) - corrupt) / (self.clean.mean() - corrupt)

    def faithfulness(
        self, keep: Bool[Tensor, "circuit channel node"], *, resume: CircuitState | None = None
    ) -> list[float]:
        """Faithfulness of each circuit."""
        return self.faithfulness_of(self.values(keep, resume=resume)).tolist()

    def edge_gradients(self, keep: Bool[Tensor, "channel node"]) -> Float[Tensor, "channel node"]:
        """Derivative of a circuit's faithfulness by every entry of its mask. Counts as three evaluations."""
        self.evaluations += 3
        values: Callable[[Tensor], Tensor] = self.values_of
        gradients = self.model.circuit_gradients(
            self.encoded.clean, self._along, keep, values, spans=self.spans, start=self.start, budget=self.memory
        )
        scale = (self.clean.mean() - self.corrupt.mean()) * self.encoded.clean.batch
        return gradients / scale


def first_change(clean: Sequence[Float[Tensor, "batch pos _"]], ablated: Sequence[Float[Tensor, "batch pos _"]]) -> int:
    """The first position at which a prompt's ablated run is another than its clean run.

    That of the first token that differs; 0 where attention also looks ahead, so that earlier positions differ too.

    Args:
        clean: what the input and then the sublayers write in the clean run.
        ablated: in the ablated run.
    """
    parts = (clean[0] != ablated[0]).any(-1).any(0)
    start = int(parts.nonzero()[0]) if parts.any() else 0
    for ours, theirs in zip(clean, ablated, strict=True) if start else ():
        if (ours[:, :start] - theirs[:, :start]).abs().amax() > 1e-3 * ours.abs().amax():
            return 0
    return start


def _spans_of(circuit: Circuit, model: ResidualModel, pairs: Sequence[PromptPair]) -> tuple[Span, ...]:
    """A circuit's spans at their places in some prompts."""
    found_on = encode(model, circuit.examples) if circuit.examples else None
    return spans_in(circuit.spans, found_on, encode(model, pairs))
