"""`verify`: a circuit beside the model, its complement, random circuits and the empty circuit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._intervals import SHARE, mean_interval, ratio_interval
from wheatstone._progress import Reporter, silent
from wheatstone._view import Tabular
from wheatstone.circuits import Circuit, Experiment, random_circuits
from wheatstone.models import ResidualModel, SpannedGraph
from wheatstone.tasks import METRICS, ModelAnswers, PromptPair, answer_ranks, gather, mean_by_prompt

if TYPE_CHECKING:
    import pyarrow as pa

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
    """One prompt under each condition.

    Args:
        prompt: the prompt.
        answer: the first of its answers.
        model: the model's reading.
        circuit: the circuit's.
        complement: of the model without the circuit.
        random: of the first random circuit.
        empty: of the fully ablated model.
    """

    prompt: str
    answer: str
    model: Reading
    circuit: Reading
    complement: Reading
    random: Reading
    empty: Reading


@dataclass(frozen=True, repr=False)
class Verification(Tabular):
    """How a circuit holds on a set of prompts. Dictionaries are by condition, see `CONDITIONS`.

    Args:
        n: prompts. One that was run against several counterfactuals counts once, with its mean over them.
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
        random_draws: size-matched random circuits behind `random`, each run against every counterfactual.
        prompts: each prompt on its own, against the first of its counterfactuals.
        weak: prompts whose answer the model itself does not give, see `ModelAnswers`.
        warnings: what a headline must say of the model's own answers, in sentences.
        pairs: prompts with their counterfactuals; None in runs of before, where it is `n`.
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
    pairs: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def to_arrow(self) -> pa.Table:
        """Each condition's numbers as an Arrow table."""
        import pyarrow as pa

        columns: dict[str, Any] = {"condition": CONDITIONS}
        measured = {"metric": self.metric_value, "kl": self.kl, "hit_at_1": self.hit_at_1, "hit_at_10": self.hit_at_10}
        return pa.table(
            columns | {name: [values.get(each) for each in CONDITIONS] for name, values in measured.items()}
        )

    def _title(self) -> str:
        return (
            f"Verification on {self.split} (n = {self.n}): faithfulness {self.faithfulness:.3f}, "
            f"completeness {self.completeness:.3f}, {self.metric}"
        )


def verify(
    model: ResidualModel,
    circuit: Circuit,
    pairs: Sequence[PromptPair],
    *,
    counterfactuals: int = 1,
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
        counterfactuals: most counterfactuals of each prompt: its own, and others of the prompts that fit, see
            `Experiment.several`.
        draws: random circuits of the same number of edges, shared out among a prompt's counterfactuals.
        seed: of what is drawn.
        split: which prompts these are, for the result.
        allow_weak: what to do about prompts that leave little to explain, as in `Experiment`.
        report: progress callback.

    Raises:
        CircuitError: the circuit names nodes the model lacks.
        PromptError: the prompts cannot be compared, or leave nothing to explain; or the circuit's edges are
            distinguished by position and one of its spans has no certain place in the prompts.

    When this misleads: evenly drawn random circuits rarely join input and logits at all, so they are close to the
    empty circuit; beating them is necessary, not impressive. A completeness of 1 does not rule out a second path: one
    that shares an edge with the circuit, such as the last one into `logits`, is cut together with it. An interval over
    few prompts says nothing about prompts of another form.
    """
    graph = model.like(circuit.model.graph).graph
    circuit.mask(SpannedGraph.of(graph, circuit.spans) if circuit.spans else graph)  # nodes that the model lacks
    experiment = Experiment.of(circuit, model, pairs, allow_weak=allow_weak)
    keep = circuit.mask(experiment.graph)
    if counterfactuals == 1:
        return verify_in(experiment, keep, draws=draws, seed=seed, split=split, report=report)
    return verify_on(
        experiment, keep, pairs, counterfactuals=counterfactuals, draws=draws, seed=seed, split=split, report=report
    )


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
    return _verified((experiment,), keep, draws, seed, split, report)


def verify_on(
    experiment: Experiment,
    keep: Bool[Tensor, "channel node"],
    pairs: Sequence[PromptPair],
    *,
    counterfactuals: int,
    draws: int = 20,
    seed: int = 0,
    split: str = "given prompts",
    report: Reporter = silent,
) -> Verification:
    """`verify` on other prompts than those of an experiment; only some of them are in memory at once.

    Args:
        experiment: that the circuit was found in.
        keep: the circuit.
        pairs: the prompts, with one counterfactual each.
        counterfactuals: most counterfactuals of each prompt, see `Experiment.several`.
        draws: random circuits of the same number of edges, shared out among a prompt's counterfactuals.
        seed: of what is drawn.
        split: which prompts these are, for the result.
        report: progress callback.
    """
    several = experiment.several(pairs, most=counterfactuals, seed=seed)
    each = max(1, draws * len(pairs) // len(several))
    return _verified(experiment.over(several), keep, each, seed, split, report)


def _verified(
    experiments: Iterable[Experiment],
    keep: Bool[Tensor, "channel node"],
    draws: int,
    seed: int,
    split: str,
    report: Reporter,
) -> Verification:
    """A circuit over experiments of the same model, ablation and metric."""
    report("verifying", 0, None)
    parts: list[_Part] = []
    for experiment in experiments:
        parts.append(_part(experiment, keep, random_circuits(experiment.graph, int(keep.sum()), draws, seed)))
        report("verifying", len(parts), None)
    pairs = [pair for part in parts for pair in part.pairs]
    by_prompt = {
        name: {c: mean_by_prompt(pairs, np.concatenate([part.values[name][c] for part in parts], 1)) for c in of}
        for name, of in parts[0].values.items()
    }
    values = by_prompt["metric_value"]
    clean, corrupt = values["model"][0], values["empty"][0]
    faithfulness = {c: recovered(values[c][0], clean, corrupt) for c in ("circuit", "complement")}
    ci95: dict[str, Any] = {
        # Draws of one prompt are averaged: prompts are the independent units.
        name: {c: _listed(mean_interval(rows.mean(0), bounds=_BOUNDS.get(name))) for c, rows in of.items()}
        for name, of in by_prompt.items()
    }
    ci95["faithfulness"] = _listed(ratio_interval(values["circuit"][0] - corrupt, clean - corrupt))
    ci95["completeness"] = _listed(ratio_interval(clean - values["complement"][0], clean - corrupt))
    means = {name: {c: float(rows.mean()) for c, rows in of.items()} for name, of in by_prompt.items()}
    results = {result.prompt: result for part in reversed(parts) for result in reversed(part.results)}
    rows = {row.prompt: row for part in reversed(parts) for row in reversed(part.answers.prompts)}
    prompts = list(dict.fromkeys(pair.prompt for pair in pairs))
    answers = replace(parts[0].answers, prompts=tuple(rows[prompt] for prompt in prompts))
    report("verifying", len(parts), len(parts))
    return Verification(
        n=len(prompts),
        split=split,
        ablation=parts[0].ablation,
        metric=parts[0].metric,
        faithfulness=faithfulness["circuit"],
        completeness=1 - faithfulness["complement"],
        metric_value=means["metric_value"],
        kl=means["kl"],
        hit_at_1=means["hit_at_1"],
        hit_at_10=means["hit_at_10"],
        ci95=ci95,
        random_draws=draws,
        prompts=tuple(results[prompt] for prompt in prompts),
        weak=len(answers.weak),
        warnings=answers.warnings,
        pairs=len(pairs),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """Some of the prompts: values [draw, pair] by measure and condition, and each pair's readings."""

    pairs: tuple[PromptPair, ...]
    values: dict[str, dict[str, np.ndarray]]
    results: tuple[PromptResult, ...]
    answers: ModelAnswers
    ablation: str
    metric: str


def _part(
    experiment: Experiment, keep: Bool[Tensor, "channel node"], random: Bool[Tensor, "circuit channel node"]
) -> _Part:
    complement = torch.from_numpy(experiment.graph.valid) & ~keep
    logits = {
        "model": experiment.clean_logits[None],
        "circuit": experiment.logits(keep[None]),
        "complement": experiment.logits(complement[None]),
        "random": experiment.logits(random),
        "empty": experiment.corrupt_logits[None],
    }
    measures = {
        "metric_value": experiment.values_of,
        "kl": lambda rows: METRICS["kl"](rows, experiment.targets),
        "hit_at_1": lambda rows: (answer_ranks(rows, experiment.encoded) <= 1).double(),
        "hit_at_10": lambda rows: (answer_ranks(rows, experiment.encoded) <= 10).double(),
    }
    pairs = experiment.encoded.pairs
    by_condition = {condition: readings(experiment, rows[0]) for condition, rows in logits.items()}
    return _Part(
        pairs=pairs,
        values={
            name: {condition: measure(rows).double().cpu().numpy() for condition, rows in logits.items()}
            for name, measure in measures.items()
        },
        results=tuple(
            PromptResult(
                pair.prompt, pair.answers[0], **{condition: by_condition[condition][i] for condition in CONDITIONS}
            )
            for i, pair in enumerate(pairs)
        ),
        answers=experiment.model_answers,
        ablation=experiment.ablation,
        metric=experiment.metric.name,
    )


def recovered(circuit: np.ndarray, clean: np.ndarray, corrupt: np.ndarray) -> float:
    return float((circuit.mean() - corrupt.mean()) / (clean.mean() - corrupt.mean()))


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    """As JSON has it."""
    return None if interval is None else list(interval)


def readings(experiment: Experiment, logits: Float[Tensor, "batch vocab"]) -> list[Reading]:
    ranks = answer_ranks(logits, experiment.encoded).tolist()
    probabilities = gather(logits.softmax(-1), experiment.encoded.answers, 0.0).sum(-1).tolist()
    tops = experiment.model.decode(logits.argmax(-1).tolist())
    return [Reading(*row) for row in zip(ranks, probabilities, tops, strict=True)]
