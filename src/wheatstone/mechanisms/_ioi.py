"""Indirect object identification as its paper describes it: which heads act on which, by path patching, and where.

    1  head → logits                            name movers (+) and negative name movers (−): last token → IO
    2  head → the name movers' queries          S-inhibition: last token → S2
    3  head → the S-inhibition heads' values    duplicate-token: S2 → S1; induction: S2 → the token after S1
    4  head → the induction heads' keys         previous-token: the token after S1 → S1

Directly or through MLPs; heads between are frozen. The counterfactual has three other names (p_ABC), so that every
name's cue is gone. Keys and values belong to KV groups: what reaches a head's values reaches its group's.

The classes are the roles of `_roles.IOI`. In each step the heads with the largest EAP scores of their edges to the
receivers are patched. A head has a class if its effect stands out, with the class's sign, and it looks where the class
looks. An effect stands out if it exceeds what the strongest head would show by chance: the sign of each prompt is drawn
2000 times, the same for all heads, and the 95th percentile of the largest |mean| over heads is the bar. From the
strongest head down, each that exceeds its bar is taken out of the next one's. Where a head looks is `looks_at`, the
attention that every role is tested by: its interval lies beyond the 99th percentile of all heads on random tokens, and
no other named token gets more.

Sources: Wang et al. 2022 (arXiv 2211.00593), sections 3.1 to 3.3; Westfall and Young 1993, Resampling-Based Multiple
Testing, section 2.3, for the step-down bars, which err with one head in twenty sets of heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._intervals import MINIMUM, mean_intervals
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Experiment
from wheatstone.discovery import EdgeScores, attribute, path_patching
from wheatstone.mechanisms._ioi_names import three_other_names
from wheatstone.mechanisms._ioi_summary import IoiHead
from wheatstone.mechanisms._role_numbers import RoleNumber, looks_at
from wheatstone.mechanisms._roles import IOI
from wheatstone.models import Graph, ResidualModel
from wheatstone.tasks import PromptPair

_FLIPS = 2000
_SCREENED = 40
"""Heads that are patched in a step."""
_MOST = 4
"""Heads of a class, the strongest, whose inputs are patched in the next step."""
IOI_CLASSES = tuple(role.name for role in IOI)


class _Step(NamedTuple):
    """One row of the table above."""

    name: str
    query: str
    receiver: str
    """The channel that is patched of the heads of class `of`."""
    of: str


_STEPS = (
    _Step("logits", "last", "logits", ""),
    _Step("name movers' queries", "last", "q", "name mover"),
    _Step("S-inhibition values", "S2", "v", "S-inhibition"),
    _Step("induction keys", "S1+1", "k", "induction"),
)
_SITES = ("IO", "S1", "S1+1", "S2")


@dataclass(frozen=True)
class IoiHeads(Brief):
    """The head classes of a model.

    Args:
        n: prompts that they were chosen on.
        held_n: other prompts, on which their effects are measured again.
        clean: the model's logit difference, mean over the prompts that they were chosen on.
        rows: heads in each step that was reached, strongest first.
        receivers: of each step, the channels that were patched; empty where no head came before.
    """

    n: int
    held_n: int
    clean: float
    rows: tuple[IoiHead, ...]
    receivers: Mapping[str, tuple[str, ...]]

    def heads(self, role: str) -> tuple[str, ...]:
        """Heads of a class, strongest first."""
        return tuple(row.head for row in self.rows if row.role == role)

    def held(self, role: str, head: str) -> float | None:
        """The end of the interval of a head's held-out effect that is nearer to 0; None where it reaches 0."""
        for row in self.rows:
            low, high = row.held_effect_low, row.held_effect_high
            if (row.role, row.head) == (role, head) and low is not None and high is not None and low * high > 0:
                return min(low, high, key=abs)
        return None


def ioi_heads(
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    *,
    held_out: Sequence[PromptPair] = (),
    seed: int = 0,
    report: Reporter = silent,
) -> IoiHeads:
    """Finds the classes of heads that identify the indirect object.

    Args:
        model: the model.
        pairs: of the task `ioi` or `ioi-swapped`, with their spans; new counterfactuals are made for them.
        held_out: other prompts of the task, on which the effects of the heads that stand out are measured again.
        seed: of the counterfactuals' names, the sign draws, and the null of attention.
        report: progress callback.

    Raises:
        RequestError: prompts without the spans IO, S1, S1+1 and S2, or too few prompts for an interval.
        PromptError: too few names to draw others from, or nothing to explain.

    When this misleads: a step reads the inputs of the classes before it, the four strongest heads of each: a class
    that was missed is not followed. What acts by way of other heads is shown by no step. A head of two classes gets
    one in each step. Backup heads, which act only where others are ablated, are not seen; nor are heads whose direct
    edges a gradient shows as weak, though they may act through MLPs. The effects on `pairs` are those that chose the
    heads, and too large for it: quote the held-out ones.
    """
    if len(pairs) < MINIMUM:
        raise RequestError(
            expected=f"{MINIMUM} prompts or more, for intervals", got=str(len(pairs)), do="give more prompts"
        )
    experiment = Experiment(model, three_other_names(model, pairs, seed))
    others = Experiment(model, three_other_names(model, held_out, seed)) if held_out else None
    for name in _SITES:
        experiment.encoded.span(name)
    patterns = model.attention(experiment.encoded.clean)
    looks = {query: _looks(experiment, patterns, query, seed) for query in {step.query for step in _STEPS}}
    scores = attribute(experiment, method="eap")
    rows: list[IoiHead] = []
    receivers: dict[str, tuple[str, ...]] = {}
    for done, step in enumerate(_STEPS):
        report("head classes", done, len(_STEPS))
        before = [row.head for row in rows if row.role == step.of][:_MOST] if step.of else []
        ends = tuple(dict.fromkeys(channel_of(model.graph, head, step.receiver) for head in before)) or (
            () if step.of else ("logits",)
        )
        senders = strongest_senders(scores, ends)
        receivers[step.name] = ends if senders else ()
        if not senders:
            continue
        effects = path_patching(experiment, senders, ends).values.double().numpy()
        found = _rows(experiment, looks[step.query], step, senders, effects, seed)
        rows += found if others is None else _again(others, ends, found, seed)
    report("head classes", len(_STEPS), len(_STEPS))
    n, held_n = len(experiment.encoded.pairs), 0 if others is None else len(others.encoded.pairs)
    return IoiHeads(n, held_n, float(experiment.clean.mean()), tuple(rows), receivers)


def channel_of(graph: Graph, head: str, kind: str) -> str:
    """`a3.h5<q>` for a head's query, `a3.g1<k>` for its group's key."""
    if kind == "logits":
        return kind
    layer, _, number = head.partition(".h")
    return f"{head}<q>" if kind == "q" else f"{layer}.g{graph.group_of(int(number))}<{kind}>"


def strongest_senders(scores: EdgeScores, channels: Sequence[str]) -> list[str]:
    """The heads whose edges to some channels have the largest sums of |score|, in order of computation."""
    graph = scores.graph
    total = scores.values[[graph.channel_index[channel] for channel in channels]].abs().sum(0)
    heads = [place for place, name in enumerate(graph.nodes) if name.startswith("a") and total[place] > 0]
    best = sorted(heads, key=lambda place: -float(total[place]))[:_SCREENED]
    return [graph.nodes[place] for place in sorted(best)]


def chance_bars(effects: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Step-down test of which mean effects stand out from chance among all of them.

    Args:
        effects: [row, prompt].
        seed: of the sign draws.

    Returns:
        Of each row, the bar that its |mean| faced, and whether it and every larger one exceeded theirs.
    """
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (_FLIPS, effects.shape[1]))
    by_chance, means = np.abs(signs @ effects.T) / effects.shape[1], np.abs(effects.mean(1))
    weakest_first = means.argsort(kind="stable")
    bars = np.quantile(np.maximum.accumulate(by_chance[:, weakest_first], axis=1), 0.95, axis=0)
    over = np.logical_and.accumulate((means[weakest_first] > bars)[::-1])[::-1]
    back = weakest_first.argsort()
    return bars[back], over[back]


def _looks(
    experiment: Experiment, patterns: Float[Tensor, "layer batch head query key"], query: str, seed: int
) -> dict[str, RoleNumber]:
    """Attention of every head from one named token to each of the others."""
    spans = experiment.encoded.spans
    at = spans[query][:, 1] - 1
    return {site: looks_at(patterns, at, spans[site], seed) for site in _SITES if site != query}


def _rows(
    experiment: Experiment,
    looks: Mapping[str, RoleNumber],
    step: _Step,
    senders: Sequence[str],
    effects: np.ndarray,
    seed: int,
) -> list[IoiHead]:
    bars, over = chance_bars(effects, seed)
    heads, clean = experiment.graph.heads, float(experiment.clean.mean())
    rows: list[IoiHead] = []
    for sender, values, at, bar, stands_out in zip(senders, effects, mean_intervals(effects), bars, over, strict=True):
        layer, _, number = sender[1:].partition(".h")
        head, effect = int(layer) * heads + int(number), float(values.mean())
        site = max(looks, key=lambda site: float(looks[site].values[head].mean()))
        role = next(
            (role.name for role in IOI if (role.into, role.key) == (step.name, site) and role.ablation * effect > 0), ""
        )
        given = role if stands_out and looks[site].counts(head) else ""
        about = (float(bar), bool(stands_out), effect / clean, step.query, site)
        rows.append(
            IoiHead(
                sender, step.name, len(values), effect, *at, *about, *looks[site].row(head), looks[site].null, given
            )
        )
    return sorted(rows, key=lambda row: -abs(row.effect))


def _again(experiment: Experiment, ends: Sequence[str], rows: Sequence[IoiHead], seed: int) -> list[IoiHead]:
    """The rows, those that stand out with their effects on other prompts."""
    senders = [row.head for row in rows if row.stands_out]
    n = len(experiment.encoded.pairs)
    if not senders:
        return [row._replace(held_n=n) for row in rows]
    effects = path_patching(experiment, senders, ends).values.double().numpy()
    held = {
        head: (float(values.mean()), *at)
        for head, values, at in zip(senders, effects, mean_intervals(effects), strict=True)
    }
    return [IoiHead(*row[:16], n, *held.get(row.head, (None, None, None))) for row in rows]
