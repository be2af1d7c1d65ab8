"""Circuit competition: how strongly each known task's circuit acts on a prompt, and which of them has its way.

The conjecture: a prompt triggers several circuits, and the strongest path sets the next token. On a prompt with two
answers, one of each of two tasks, let D be the log-odds of the first against the second. Of each circuit c

    push(c) = D(c alone) − D(everything ablated)         what it does by itself
    drop(c) = D(model) − D(model with c ablated)         what is lost without it
    own drop(c) = the same for the edges that no other of the circuits has

all in logits, positive towards the first answer. The share of a circuit is push / (D(model) − D(all ablated)).
Each circuit is compared with copies of it in which the heads of each layer are exchanged: the same wiring between other
heads, with the same MLPs. A circuit is active on a prompt as far as it does more than they do.

Sources: the conjecture is that of circuit studies which find several mechanisms at once (Yao et al. 2024, arXiv
2405.17969, section 4); the conflict of recall and copying is that of Ortu et al. 2024 (arXiv 2402.11655).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._errors import CircuitError, RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, Experiment, exchanged_heads
from wheatstone.models import ResidualModel
from wheatstone.tasks import METRICS, PromptPair


class CompetitionRow(NamedTuple):
    """One circuit, or one copy of it, on one prompt: a row of competition.parquet.

    Args:
        prompt: which, from 0.
        circuit: its name.
        draw: 0 for the circuit itself, from 1 for copies with exchanged heads.
        push: logits by which it alone moves the answer from the ablated run's.
        drop: logits by which the model's answer moves when it is ablated; None for copies.
        own_drop: the same for the edges that no other circuit has; of a copy, for these edges exchanged.
    """

    prompt: int
    circuit: str
    draw: int
    push: float
    drop: float | None
    own_drop: float


@dataclass(frozen=True)
class Competition(Brief):
    """Several circuits on the same prompts.

    Args:
        model: D of the model on each prompt, logits.
        ablated: D with everything ablated.
        edges: of each circuit, and how many of them no other has.
        rows: what each does on each prompt.
    """

    model: tuple[float, ...]
    ablated: tuple[float, ...]
    edges: Mapping[str, tuple[int, int]]
    rows: tuple[CompetitionRow, ...]

    def by_prompt(self, circuit: str, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """A measure of a circuit on each prompt, and the mean over its copies.

        Args:
            circuit: its name.
            measure: `push` or `own_drop`.
        """
        values: dict[int, list[float]] = {}
        for row in self.rows:
            if row.circuit == circuit:
                values.setdefault(row.draw, []).append(getattr(row, measure))
        copies = [np.array(of) for draw, of in values.items() if draw]
        return np.array(values[0]), np.mean(copies, 0) if copies else np.full(len(self.model), np.nan)


def competition(
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    circuits: Mapping[str, Circuit],
    *,
    draws: int = 3,
    seed: int = 0,
    report: Reporter = silent,
) -> Competition:
    """Runs each circuit alone, and the model without it, on the same prompts.

    Args:
        model: the model that the circuits belong to.
        pairs: the prompts. Answers and distractors are what is weighed against each other, so a prompt of two tasks
            has the first's answer among the answers, the second's among the distractors, and a counterfactual that
            has neither's cue.
        circuits: by name, such as `task_circuits` finds.
        draws: copies of each with exchanged heads, at least 1.
        seed: of the copies.
        report: progress callback.

    Raises:
        RequestError: no circuit, or no copy to compare with.
        CircuitError: circuits of another model, of several ablations, or distinguished by position.
        PromptError: the prompts cannot be compared.

    When this misleads: circuits share edges, and an early one that all of them share makes every drop large: look at
    the own drop. A push without the others is not what the circuit does beside them; pushes add up only as far as
    circuits do not interact. A circuit from a ranking has edges that its task does not need.
    """
    if not circuits or draws < 1:
        raise RequestError(
            expected="at least one circuit and one copy of each",
            got=f"{len(circuits)} circuits and {draws} copies",
            do="find circuits with task_circuits, and compare each with a copy",
        )
    ablations = {circuit.ablation for circuit in circuits.values()}
    if len(ablations) > 1:
        raise CircuitError(
            expected="circuits found under one ablation", got=" and ".join(sorted(ablations)), do="find them again"
        )
    # Two mechanisms may hold each other in balance, so that the answers' difference is near nothing: KL asks only
    # that prompt and counterfactual differ.
    experiment = Experiment(model, pairs, ablation=ablations.pop(), metric="kl")
    graph = experiment.graph
    masks = {name: circuit.mask(graph) for name, circuit in circuits.items()}
    own = own_edges(masks)
    before, whole = _measured(experiment, experiment.corrupt_logits), _measured(experiment, experiment.clean_logits)
    rows: list[CompetitionRow] = []
    for step, (name, keep) in enumerate(masks.items()):
        report("competing circuits", step, len(masks))
        alone, cut = (
            torch.cat((edges[None], exchanged_heads(graph, edges, draws, seed))) for edges in (keep, own[name])
        )
        without = torch.from_numpy(graph.valid) & ~torch.cat((keep[None], cut))
        pushes = (_measured(experiment, experiment.logits(alone)) - before).tolist()
        drop, *own_drops = (whole - _measured(experiment, experiment.logits(without))).tolist()
        rows += [
            CompetitionRow(prompt, name, draw, push[prompt], None if draw else drop[prompt], own_drop[prompt])
            for draw, (push, own_drop) in enumerate(zip(pushes, own_drops, strict=True))
            for prompt in range(len(pairs))
        ]
    report("competing circuits", len(masks), len(masks))
    sizes = {name: (int(keep.sum()), int(own[name].sum())) for name, keep in masks.items()}
    return Competition(tuple(whole.tolist()), tuple(before.tolist()), sizes, tuple(rows))


def own_edges(masks: Mapping[str, Bool[Tensor, "channel node"]]) -> dict[str, Bool[Tensor, "channel node"]]:
    """Of each circuit, the edges that none of the others has."""
    count = torch.stack(list(masks.values())).sum(0)
    return {name: keep & (count == 1) for name, keep in masks.items()}


def _measured(experiment: Experiment, logits: Tensor) -> Tensor:
    return METRICS["logit_diff"](logits, experiment.targets).double().cpu()
