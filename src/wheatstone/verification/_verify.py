"""`verify`: a circuit beside the model, its complement, random circuits and the empty circuit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._intervals import SHARE, mean_interval, ratio_interval
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Circuit, Experiment, random_circuits
from wheatstone.models import ResidualModel, SpannedGraph
from wheatstone.tasks import METRICS, PromptPair, answer_ranks, gather

CONDITIONS = ("model", "circuit", "complement", "random", "empty")
_BOUNDS = {"hit_at_1": SHARE, "hit_at_10": SHARE}


@dataclass(frozen=True)
class Reading:
    """What one prompt's next-token distribution looks like under one condition.

    Args:
        rank: of the best-placed answer, 1 for the top token.
        probability: of all answers together.
        top: the most likely token.
    """

    rank: int
    probability: float
    top: str


@dataclass(frozen=True)
class PromptResult:
    """One prompt under each condition; `random` shows the first draw."""

    prompt: str
    answer: str
    model: Reading
    circuit: Reading
    complement: Reading
    random: Reading
    empty: Reading


@dataclass(frozen=True)
class Verification:
    """How a circuit holds on a set of prompts. Dictionaries are by condition, see `CONDITIONS`.

    Args:
        n: prompts.
        split: which prompts these are, in words.
        ablation: what edges outside a circuit carry.
        metric: its name.
        faithfulness: (circuit − corrupt) / (clean − corrupt), each averaged over prompts first.
        completeness: 1 − faithfulness of the complement: the share of the metric that is lost without the circuit.
            1 does not rule out a second path: one that shares an edge with the circuit is cut together with it.
        metric_value: mean metric.
        kl: mean KL(model ‖ condition) of the next token, nats.
        hit_at_1: share of prompts whose top token is an answer.
        hit_at_10: share of prompts with an answer among the ten top tokens.
        ci95: 95% intervals over prompts: of faithfulness and completeness, and by condition of the rest; None where
            there is none: fewer than four prompts, values that do not vary, or a denominator that may be 0.
        random_draws: size-matched random circuits behind `random`.
        prompts: each prompt on its own.
        weak: prompts whose answer the model itself does not give, see `ModelAnswers`.
        warnings: what a headline must say of the model's own answers, in sentences.
    """

    n: int
    split: str
    ablation: str
    metric: str
    faithfulness: float
    completeness: float
    metric_value: dict[str, float]
    kl: dict[str, float]
    hit_at_1: dict[str, float]
    hit_at_10: dict[str, float]
    ci95: dict[str, Any]
    random_draws: int
    prompts: tuple[PromptResult, ...]
    weak: int = 0
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def verify(
    model: ResidualModel,
    circuit: Circuit,
    pairs: Sequence[PromptPair],
    *,
    draws: int = 20,
    seed: int = 0,
    split: str = "given prompts",
    allow_weak: bool | None = None,
    report: Reporter = silent,
) -> Verification:
    """Runs a circuit alone on prompts, beside what it must be compared with.

    Args:
        model: the model the circuit belongs to; its MLPs are split as the circuit's were.
        circuit: kept edges; ablation and metric are those it was found with, and a mean is that of its examples.
        pairs: the prompts; to prove anything, others than it was found on.
        draws: random circuits of the same number of edges.
        seed: of the draws.
        split: which prompts these are, for the result.
        allow_weak: what to do about prompts that leave little to explain, as in `Experiment`.
        report: told how far it is.

    Raises:
        CircuitError: the circuit names nodes the model lacks.
        PromptError: the prompts cannot be compared, or leave nothing to explain; or the circuit's edges are told apart
            by position and one of its spans has no certain place in the prompts.

    When this misleads: evenly drawn random circuits rarely join input and logits at all, so they are close to the
    empty circuit; beating them is necessary, not impressive. A completeness of 1 does not rule out a second path: one
    that shares an edge with the circuit, such as the last one into `logits`, is cut together with it. An interval over
    few prompts says nothing about prompts of another form.
    """
    graph = model.like(circuit.model.graph).graph
    circuit.mask(SpannedGraph.of(graph, circuit.spans) if circuit.spans else graph)  # nodes that the model lacks
    experiment = Experiment.of(circuit, model, pairs, allow_weak=allow_weak)
    keep = circuit.mask(experiment.graph)
    return verify_in(experiment, keep, draws=draws, seed=seed, split=split, report=report)


def verify_in(
    experiment: Experiment,
    keep: Bool[Tensor, "channel node"],
    *,
    draws: int = 20,
    seed: int = 0,
    split: str = "given prompts",
    report: Reporter = silent,
) -> Verification:
    """`verify` in an experiment that is already set up."""
    report("verifying", 0, 3)
    complement = torch.from_numpy(experiment.graph.valid) & ~keep
    random = random_circuits(experiment.graph, int(keep.sum()), draws, seed)
    logits = {
        "model": experiment.clean_logits[None],
        "circuit": experiment.logits(keep[None]),
        "complement": experiment.logits(complement[None]),
    }
    report("verifying", 1, 3)
    logits |= {"random": experiment.logits(random), "empty": experiment.corrupt_logits[None]}
    report("verifying", 2, 3)
    measures = {
        "metric_value": experiment.values_of,
        "kl": lambda rows: METRICS["kl"](rows, experiment.targets),
        "hit_at_1": lambda rows: (answer_ranks(rows, experiment.encoded) <= 1).double(),
        "hit_at_10": lambda rows: (answer_ranks(rows, experiment.encoded) <= 10).double(),
    }
    by_prompt: dict[str, dict[str, np.ndarray]] = {
        name: {condition: measure(rows).double().cpu().numpy() for condition, rows in logits.items()}
        for name, measure in measures.items()
    }
    values = by_prompt["metric_value"]
    clean, corrupt = values["model"][0], values["empty"][0]
    faithfulness = {c: _recovered(values[c][0], clean, corrupt) for c in ("circuit", "complement")}
    ci95: dict[str, Any] = {
        # Draws of one prompt are averaged: prompts are the independent units.
        name: {c: _listed(mean_interval(rows.mean(0), bounds=_BOUNDS.get(name))) for c, rows in of.items()}
        for name, of in by_prompt.items()
    }
    ci95["faithfulness"] = _listed(ratio_interval(values["circuit"][0] - corrupt, clean - corrupt))
    ci95["completeness"] = _listed(ratio_interval(clean - values["complement"][0], clean - corrupt))
    means = {name: {c: float(rows.mean()) for c, rows in of.items()} for name, of in by_prompt.items()}
    readings = {condition: _readings(experiment, rows[0]) for condition, rows in logits.items()}
    report("verifying", 3, 3)
    return Verification(
        n=len(experiment.encoded.pairs),
        split=split,
        ablation=experiment.ablation,
        metric=experiment.metric.name,
        faithfulness=faithfulness["circuit"],
        completeness=1 - faithfulness["complement"],
        metric_value=means["metric_value"],
        kl=means["kl"],
        hit_at_1=means["hit_at_1"],
        hit_at_10=means["hit_at_10"],
        ci95=ci95,
        random_draws=draws,
        prompts=tuple(
            PromptResult(
                pair.prompt, pair.answers[0], **{condition: readings[condition][i] for condition in CONDITIONS}
            )
            for i, pair in enumerate(experiment.encoded.pairs)
        ),
        weak=len(experiment.model_answers.weak),
        warnings=experiment.model_answers.warnings,
    )


def _recovered(circuit: np.ndarray, clean: np.ndarray, corrupt: np.ndarray) -> float:
    return float((circuit.mean() - corrupt.mean()) / (clean.mean() - corrupt.mean()))


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    """As JSON has it."""
    return None if interval is None else list(interval)


def _readings(experiment: Experiment, logits: Float[Tensor, "batch vocab"]) -> list[Reading]:
    ranks = answer_ranks(logits, experiment.encoded).tolist()
    probabilities = gather(logits.softmax(-1), experiment.encoded.answers, 0.0).sum(-1).tolist()
    tops = experiment.model.decode(logits.argmax(-1).tolist())
    return [Reading(*row) for row in zip(ranks, probabilities, tops, strict=True)]
