"""Two of the three stories of docs/results/attention.md: why name movers look at the indirect object, and why a23.h4
looks at the subject of a fact. `benchmarks/attention.py` prints and writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

import wheatstone as ws
from wheatstone._intervals import interval_text, mean_interval
from wheatstone.lenses import AttentionScore, Pairs
from wheatstone.models import Replace, Tokens
from wheatstone.tasks import PromptPair, encode

NAME_MOVERS = ("a23.h2", "a23.h1", "a23.h0", "a23.h7")
INHIBITION = ("a20.h0", "a19.h2")
"""Heads of docs/results/mechanisms.md, chosen there on 24 prompts of the same generator."""
FACTS = ("facts/country_capital", "facts/country_language", "facts/country_currency")
MOVER = "a23.h4"
PROMPTS, SHOWN = 48, 6


@dataclass
class Shares:
    """What each sender adds to a difference of scores, by prompt.

    Args:
        rows: by sender, one number for each prompt, in logits of the softmax.
        totals: the difference of scores of each prompt.
    """

    rows: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    totals: list[float] = field(default_factory=list[float])

    def add(self, senders: Sequence[str], values: torch.Tensor) -> None:
        """One prompt's shares; every prompt has the same senders."""
        for sender, value in zip(senders, values.tolist(), strict=True):
            self.rows.setdefault(sender, []).append(value)
        self.totals.append(float(values.sum()))

    def ranked(self) -> list[str]:
        """Senders by their mean share, the largest first."""
        return sorted(self.rows, key=lambda sender: -float(np.mean(self.rows[sender])))

    def lines(self, count: int) -> list[str]:
        """The senders of the largest mean shares as rows of a table."""
        return [f"| {sender} | {_mean(self.rows[sender])} |" for sender in self.ranked()[:count]]


def _mean(values: Sequence[float]) -> str:
    array = np.array(values)
    return f"{array.mean():+.2f} [{interval_text(mean_interval(array))}]"


def _through_query(pairs: Pairs) -> torch.Tensor:
    return pairs.q @ pairs.k.sum(0)


def name_movers(model: ws.ResidualModel) -> str:
    """What in the query makes name movers prefer the indirect object to the subject."""
    task = ws.load_task("ioi", model, size=5 * PROMPTS)
    finding = ws.load_task("ioi", model, size=120)
    used = {pair.prompt for pair in (finding.test + finding.train)[:48]}  # by benchmarks/mechanism/tasks.py
    pairs = [pair for pair in task.test + task.train if pair.prompt not in used][-PROMPTS:]
    encoded = encode(model, pairs)
    places = {name: encoded.spans[name][:, 1] - 1 for name in ("IO", "S1", "S2")}
    lines = [
        "| head | score of IO less the mean of S1 and S2 | on three other names | " + " | ".join(INHIBITION) + " |"
    ]
    lines.append("|---" * (3 + len(INHIBITION)) + "|")
    shares = Shares()
    for head in NAME_MOVERS:
        own, control = Shares(), Shares()
        for row, pair in enumerate(pairs):
            io, first, second = (int(places[name][row]) for name in ("IO", "S1", "S2"))
            for text, kept in ((pair.prompt, own), (pair.counterfactual, control)):
                pairs_of = ws.attention_scores(model, text, head=head, key=io).against([first, second])
                kept.add(pairs_of.senders, _through_query(pairs_of))
        order = [sender for sender in own.ranked() if sender.startswith("a")]
        each = " | ".join(f"{_mean(own.rows[s])} (head {order.index(s) + 1} of {len(order)})" for s in INHIBITION)
        lines.append(f"| {head} | {_mean(own.totals)} | {_mean(control.totals)} | {each} |")
        if head == NAME_MOVERS[0]:
            shares = own
    text = [
        "## Name movers and the indirect object",
        "",
        f"`ioi`, n = {len(pairs)} prompts that were not used to find the heads "
        "([mechanisms](mechanisms.md)); the last token looks. A positive share makes the head prefer the indirect "
        "object (IO) to the two mentions of the subject (S1, S2). Shares are of senders of the query, each met by the "
        "whole difference of keys; means in logits of the softmax, 95% intervals over prompts. In brackets the place "
        "of the S-inhibition heads among all heads that the query reads, by mean share. The control column has three "
        "other names: there nothing was said twice, and nothing is to be inhibited.",
        "",
        *lines,
        "",
        f"The senders of {NAME_MOVERS[0]}'s query with the largest shares:",
        "",
        "| sender of the query | share |",
        "|---|---|",
        *shares.lines(SHOWN),
        "",
        *_patched(model, pairs, places),
    ]
    return "\n".join(text)


def _patched(model: ws.ResidualModel, pairs: Sequence[PromptPair], places: dict[str, torch.Tensor]) -> list[str]:
    """Exact runs: the S-inhibition heads write at the last token what they write on the other prompt."""
    layers = sorted({model.head(head)[0] for head in NAME_MOVERS})
    draw = np.random.default_rng(0)
    weights: dict[str, list[list[float]]] = {"as it is": [], "S-inhibition heads": [], "two other heads": []}
    for row, pair in enumerate(pairs):
        tokens, other = (Tokens.of([model.encode(text)], model.device) for text in (pair.prompt, pair.counterfactual))
        written = model.forward(other, cache=True).nodes
        assert written is not None
        random = [f"a{model.head(head)[0]}.h{draw.choice(_others(model, head))}" for head in INHIBITION]
        for name, heads in (("as it is", ()), ("S-inhibition heads", INHIBITION), ("two other heads", random)):
            last = tokens.width - 1
            edits = [
                Replace(at=head, value=written[model.graph.node_index[head], 0, last], positions=(last,))
                for head in heads
            ]
            seen = model.attention(tokens, layers, interventions=edits)[:, 0, :, last]
            found: list[float] = []
            for head in NAME_MOVERS:
                layer, number = model.head(head)
                looks = seen[layers.index(layer), number]
                io, first, second = (float(looks[int(places[at][row])]) for at in ("IO", "S1", "S2"))
                found.append(io - first - second)
            weights[name].append(found)
    lines = [
        "Exact runs: at the last token, the S-inhibition heads write what they write with three other names (all paths "
        "to the query, through later layers too). Attention to IO less that to S1 and S2; the control replaces a "
        "random head of the same layer for each.",
        "",
        "| head | as it is | S-inhibition heads replaced | two other heads replaced |",
        "|---|---|---|---|",
    ]
    for at, head in enumerate(NAME_MOVERS):
        cells = " | ".join(_mean([row[at] for row in rows]) for rows in weights.values())
        lines.append(f"| {head} | {cells} |")
    return lines


def _others(model: ws.ResidualModel, head: str) -> list[int]:
    layer, _ = model.head(head)
    return [number for number in range(model.graph.heads) if f"a{layer}.h{number}" not in INHIBITION]


def subjects(model: ws.ResidualModel) -> str:
    """What makes a23.h4 look at the subject of a fact."""
    lines = ["| relation | prompts | attention to the subject | score less the mean of the other keys' |"]
    lines.append("|---|---|---|---|")
    through_query, through_key = Shares(), Shares()
    firsts: dict[tuple[str, str], int] = {}
    looked = 0
    for name in FACTS:
        pairs = {pair.prompt: pair for pair in ws.load_task(name, model).train}
        encoded = encode(model, list(pairs.values()))
        subject = encoded.spans["subject"][:, 1] - 1
        weights, totals = list[float](), list[float]()
        for row, prompt in enumerate(pairs):
            score: AttentionScore = ws.attention_scores(model, prompt, head=MOVER, key=int(subject[row]))
            # The first token takes what a head does not spend; it competes with the subject as every other key does.
            pairs_of = score.against()
            through_query.add(pairs_of.senders, _through_query(pairs_of))
            through_key.add(pairs_of.senders, pairs_of.k @ pairs_of.q.sum(0))
            best = pairs_of.top(1)[0]
            firsts[best.query_sender, best.key_sender] = firsts.get((best.query_sender, best.key_sender), 0) + 1
            weights.append(score.weight)
            totals.append(pairs_of.total)
        looked += len(pairs)
        lines.append(f"| {name} | {len(pairs)} | {_mean(weights)} | {_mean(totals)} |")
    often = sorted(firsts.items(), key=lambda item: -item[1])[:3]
    text = [
        "## A fact: why a23.h4 looks at the subject",
        "",
        "Training facts of three relations, their first template; the last token looks, the key is the subject's last "
        "token. Shares of the score less the mean of all other keys'; means in logits of the softmax, 95% intervals "
        "over prompts.",
        "",
        *lines,
        "",
        f"All {looked} prompts together:",
        "",
        "| sender of the query | share | sender of the key | share |",
        "|---|---|---|---|",
        *(
            f"{left} {right.removeprefix('| ')}"
            for left, right in zip(through_query.lines(SHOWN), through_key.lines(SHOWN), strict=True)
        ),
        "",
        "The strongest pair is most often "
        + ", ".join(f"`{query}` × `{key}` ({count} of {looked})" for (query, key), count in often)
        + ".",
    ]
    return "\n".join(text)


if __name__ == "__main__":
    loaded = ws.load_model("smollm2-135m")
    print(name_movers(loaded), subjects(loaded), sep="\n\n")
