"""Indirect object identification as its paper tells it: which heads act on which, by path patching, where they look.

    1  head → logits                            name movers (+) and negative name movers (−): last token → IO
    2  head → the name movers' queries          S-inhibition: last token → S2
    3  head → the S-inhibition heads' values    duplicate-token: S2 → S1; induction: S2 → the token after S1
    4  head → the induction heads' keys         previous-token: the token after S1 → S1

Directly or through MLPs; heads between are frozen. The counterfactual has three other names (p_ABC), so that every
name's cue is gone. Keys and values belong to KV groups: what reaches a head's values reaches its group's.

In each step the heads with the largest EAP scores of their edges to the receivers are really patched. A head has a
class if its effect stands out and it looks where the class looks. An effect stands out if it exceeds what
the strongest head would show by chance: the sign of each prompt is drawn 2000 times, the same for all heads, and the
95th percentile of the largest |mean| over heads is the bar. From the strongest head down, each that exceeds its bar is
taken out of the next one's. A head looks at the named token that it attends to most, if the interval over prompts of
what that is beyond an even share lies above 0.

Sources: Wang et al. 2022 (arXiv 2211.00593), sections 3.1 to 3.3; Westfall and Young 1993, Resampling-Based Multiple
Testing, section 2.3, for the step-down bars, which err with one head in twenty sets of heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._intervals import DIFFERENCE, MINIMUM, SHARE, mean_intervals
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment
from wheatstone.discovery import EdgeScores, attribute, path_patching
from wheatstone.lenses._ioi_names import three_other_names
from wheatstone.models import Graph, ResidualModel
from wheatstone.tasks import PromptPair

_FLIPS = 2000
_SCREENED = 40
"""Heads that are patched in a step."""
_MOST = 4
"""Heads of a class, the strongest, whose inputs are patched in the next step."""
IOI_CLASSES = ("name mover", "negative name mover", "S-inhibition", "duplicate-token", "induction", "previous-token")


class _Step(NamedTuple):
    """One row of the table above."""

    name: str
    query: str
    looks: Mapping[str, str]
    """Class by the token that is looked at."""
    receiver: str
    """The channel that is patched of the heads of class `of`."""
    of: str


_STEPS = (
    _Step("logits", "last", {"IO": "name mover"}, "logits", ""),
    _Step("name movers' queries", "last", {"S2": "S-inhibition"}, "q", "name mover"),
    _Step("S-inhibition values", "S2", {"S1": "duplicate-token", "S1+1": "induction"}, "v", "S-inhibition"),
    _Step("induction keys", "S1+1", {"S1": "previous-token"}, "k", "induction"),
)
_SITES = ("IO", "S1", "S1+1", "S2")


class IoiHead(NamedTuple):
    """One head in one step: a row of ioi_heads.parquet.

    Args:
        head: such as `a14.h7`.
        step: what it is patched into.
        effect: logits by which the answer falls along these paths, mean over prompts; negative hinders it.
        bar: |effect| that had to be exceeded to stand out.
        stands_out: whether it was, and every stronger head's too.
        share: effect by the model's logit difference.
        query: token that looks.
        site: the named token it attends to most.
        attention: to that token.
        even: attention an even spread would give it.
        role: its class, or empty.
    """

    head: str
    step: str
    n: int
    effect: float
    effect_low: float | None
    effect_high: float | None
    bar: float
    stands_out: bool
    share: float
    query: str
    site: str
    attention: float
    attention_low: float | None
    attention_high: float | None
    even: float
    role: str


@dataclass(frozen=True)
class IoiHeads:
    """The head classes of a model.

    Args:
        n: prompts.
        clean: the model's logit difference, mean over prompts.
        rows: heads in each step that was reached, strongest first.
        receivers: of each step, the channels that were patched; empty where no head came before.
    """

    n: int
    clean: float
    rows: tuple[IoiHead, ...]
    receivers: Mapping[str, tuple[str, ...]]

    def heads(self, role: str) -> tuple[str, ...]:
        """Heads of a class, strongest first."""
        return tuple(row.head for row in self.rows if row.role == role)


def ioi_heads(
    model: ResidualModel, pairs: Sequence[PromptPair], *, seed: int = 0, report: Reporter = silent
) -> IoiHeads:
    """Finds the classes of heads that identify the indirect object.

    Args:
        model: the model.
        pairs: of the task `ioi` or `ioi-swapped`, with their spans; the counterfactuals are made anew.
        seed: of the counterfactuals' names and the sign draws.
        report: told how far it is.

    Raises:
        RequestError: prompts without the spans IO, S1, S1+1 and S2, or too few prompts for an interval.
        PromptError: too few names to draw others from, or nothing to explain.

    When this misleads: a step reads the inputs of the classes before it, the four strongest heads of each: a class
    that was missed is not followed. What acts by way of other heads is shown by no step. A head of two classes gets
    one in each step. Backup heads, which act only where others are ablated, are not seen; nor are heads whose direct
    edges a gradient shows as weak, though they may act through MLPs.
    """
    if len(pairs) < MINIMUM:
        raise RequestError(
            expected=f"{MINIMUM} prompts or more, for intervals", got=str(len(pairs)), do="give more prompts"
        )
    experiment = Experiment(model, three_other_names(model, pairs, seed))
    for name in _SITES:
        experiment.encoded.span(name)
    attention, scores = model.attention(experiment.encoded.clean), attribute(experiment, method="eap")
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
        rows += _rows(experiment, attention, step, senders, effects, seed)
    report("head classes", len(_STEPS), len(_STEPS))
    return IoiHeads(len(experiment.encoded.pairs), float(experiment.clean.mean()), tuple(rows), receivers)


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


def _rows(
    experiment: Experiment,
    attention: Float[Tensor, "layer batch head query key"],
    step: _Step,
    senders: Sequence[str],
    effects: np.ndarray,
    seed: int,
) -> list[IoiHead]:
    spans, n = experiment.encoded.spans, effects.shape[1]
    every, query = torch.arange(n), spans[step.query][:, 1].cpu() - 1
    sites = [site for site in _SITES if site != step.query]
    keys = torch.stack([spans[site][:, 1].cpu() - 1 for site in sites])
    even = 1 / (query + 1).double()
    bars, over = chance_bars(effects, seed)
    at = mean_intervals(effects)
    rows: list[IoiHead] = []
    for sender, values, (low, high), bar, stands_out in zip(senders, effects, at, bars, over, strict=True):
        layer, _, head = sender[1:].partition(".h")
        seen = attention[int(layer), every, int(head)].cpu().double()[every[None], query, keys]
        most = int(seen.mean(1).argmax())
        looked = torch.stack([seen[most] - even, seen[most]]).numpy()
        ((more, _), (seen_low, seen_high)) = mean_intervals(looked, bounds=(DIFFERENCE, SHARE))
        effect = float(values.mean())
        role = step.looks.get(sites[most], "") if stands_out and more is not None and more > 0 else ""
        if role and effect < 0:
            role = f"negative {role}" if step.name == "logits" else ""
        rows.append(
            IoiHead(
                sender,
                step.name,
                n,
                effect,
                low,
                high,
                float(bar),
                bool(stands_out),
                effect / float(experiment.clean.mean()),
                step.query,
                sites[most],
                float(seen[most].mean()),
                seen_low,
                seen_high,
                float(even.mean()),
                role,
            )
        )
    return sorted(rows, key=lambda row: -abs(row.effect))
