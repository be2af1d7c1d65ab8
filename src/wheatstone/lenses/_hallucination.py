"""Hallucination: where a wrong answer overtakes the right one, which heads write it, and what mends it.

On a fact that the model gets wrong, let D be logit(wrong) − logit(right), wrong being the model's own top token. Read
by the logit lens at the last token, D says after which layer the wrong answer is ahead for good; direct logit
attribution says how much of the final D each head writes. Movers are the heads that write most of the right answers
on facts that the model knows. Three things are tried on the facts it gets wrong:

    movers look      movers attend from the last token to the subject alone, renormalised
    movers doubled   movers write twice as much at the last token
    writers silent   the heads that write most of D write their mean over the known facts instead

each also with as many random heads. The fact is mended if the right answer's token is then the top one.

An answer may be written with a capital or without one ("ringgit", "Ringgit"); the right token is the one of its
spellings that the model places best. A fact counts as right by the answer's first token. As many answers may begin
alike, those that the model then goes on to write otherwise are told apart.

Source: Yao et al. 2024 (arXiv 2405.17969), section 4, figure on hallucination; Ortu et al. 2024 (arXiv 2402.11655).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone._errors import PromptError
from wheatstone._intervals import mean_intervals
from wheatstone._progress import Reporter, silent
from wheatstone.lenses._mending import Mending, Trial
from wheatstone.lenses._readout import Readout
from wheatstone.lenses._spelling import BegunFact, begun_otherwise, continued, in_any_case
from wheatstone.models import ResidualModel
from wheatstone.tasks import Encoded, PromptPair, answered, encode, gather

_WRITTEN = 4
"""Tokens of an answer that are shown of what the model writes."""


class WrongFact(NamedTuple):
    """A fact the model gets wrong: a row of wrong_facts.parquet.

    Args:
        prompt: the prompt.
        subject: that it asks about.
        answer: the right one, as it is usually written.
        right: first token of the answer.
        wrong: the model's top token.
        written: what the model goes on to write, the wrong token and those that follow it.
        difference: D at the end, logits.
        right_rank: of the right token at the end.
        right_led: layers after which the right token is ahead of the wrong one.
        overtakes: layers done when the wrong answer is ahead for good; 0 where it always is.
        writer: the head that writes most of D.
    """

    prompt: str
    subject: str
    answer: str
    right: str
    wrong: str
    written: str
    difference: float
    right_rank: int
    right_led: int
    overtakes: int
    writer: str


class WrongWriter(NamedTuple):
    """What a head writes of D, mean over the wrong facts: a row of wrong_writers.parquet.

    Args:
        head: such as `a23.h4`.
        direct: logits towards the wrong answer.
        to_right: logits that it writes towards the right answers of known facts, against their distractors.
    """

    head: str
    n: int
    direct: float
    direct_low: float | None
    direct_high: float | None
    to_right: float


@dataclass(frozen=True)
class Hallucination:
    """What happens on the facts a model gets wrong.

    Args:
        known: facts whose top token is an answer's, out of those that were used.
        begun: those of them that go on otherwise.
        movers: heads that write most of the right answers there, strongest first.
        facts: those it gets wrong.
        writers: heads by what they write of D, most first.
        mendings: what was tried.
    """

    known: int
    begun: tuple[BegunFact, ...]
    movers: tuple[str, ...]
    facts: tuple[WrongFact, ...]
    writers: tuple[WrongWriter, ...]
    mendings: tuple[Mending, ...]


def hallucination(
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    *,
    heads: int = 3,
    most: int | None = None,
    draws: int = 5,
    seed: int = 0,
    report: Reporter = silent,
) -> Hallucination:
    """Looks at the facts of a relation that a model gets wrong, beside those it knows.

    Args:
        model: the model.
        pairs: facts of one relation with a span `subject`, not filtered by what is known.
        heads: movers and writers that are changed.
        most: facts of either kind that are used, the first so many; None for all.
        draws: sets of random heads.
        seed: of the draws.
        report: told how far it is.

    Raises:
        PromptError: no fact that it gets wrong, or none that it knows.

    When this misleads: the top token may be no answer at all but a way around one (" the"): read the facts. The wrong
    token is chosen because it won, so D is large by selection; so is each fact's strongest writer. An alias that the
    records lack counts as wrong.
    """
    pairs = [in_any_case(model, pair) for pair in pairs]
    rows = answered(model, pairs, report=report)
    right = [pair for pair, row in zip(pairs, rows, strict=True) if row.rank == 1]
    wrong = [pair for pair, row in zip(pairs, rows, strict=True) if row.rank > 1]
    if not right or not wrong:
        raise PromptError(
            expected="facts that the model gets wrong, and others that it knows",
            got=f"{len(wrong)} wrong and {len(right)} right out of {len(pairs)}",
            do="give more facts of the relation, loaded with known=None",
        )
    report("hallucination", 0, 4)
    begun = tuple(begun_otherwise(model, right[:most]))
    known, asked = encode(model, right[:most]), encode(model, wrong[:most])
    to_right = _head_writes(model, known, _best(model, known)[1], known.distractors[:, 0]).mean(1)
    best = to_right.argsort(descending=True, stable=True)[:heads].tolist()
    tops, rights = _best(model, asked)
    report("hallucination", 1, 4)
    direct = _head_writes(model, asked, tops, rights)
    names = [name for name in model.graph.nodes if name.startswith("a")]
    order = direct.mean(1).argsort(descending=True, stable=True).tolist()
    intervals = mean_intervals(direct.numpy())
    writers = tuple(
        WrongWriter(names[head], len(tops), float(direct[head].mean()), *intervals[int(head)], float(to_right[head]))
        for head in order
    )
    facts = _facts(model, asked, tops, rights, [names[head] for head in direct.argmax(0).tolist()])
    report("hallucination", 2, 4)
    movers = tuple(names[head] for head in best)
    trial = Trial(model, known, asked, tops, rights)
    draw = Random(seed)
    random = [tuple(draw.sample(names, heads)) for _ in range(draws)]
    silent_ones = tuple(names[head] for head in order[:heads])
    mendings = [
        trial.of(change, edits, chosen, what)
        for change, edits, those in (
            ("movers look", trial.look, movers),
            ("movers doubled", trial.double, movers),
            ("writers silent", trial.silence, silent_ones),
        )
        for chosen, what in (([those], ", ".join(those)), (random, "random"))
    ]
    report("hallucination", 4, 4)
    return Hallucination(len(known.pairs), begun, movers, facts, writers, tuple(mendings))


def _best(model: ResidualModel, encoded: Encoded) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
    """Each prompt's top token, and the answer's token that the model places best."""
    logits = model.forward(encoded.clean).logits
    best = gather(logits, encoded.answers, -torch.inf).argmax(-1)
    return logits.argmax(-1), encoded.answers[torch.arange(len(best)), best]


def _head_writes(
    model: ResidualModel, encoded: Encoded, towards: Int[Tensor, " batch"], against: Int[Tensor, " batch"]
) -> Float[Tensor, "head batch"]:
    """What each head writes directly of logit(towards) − logit(against) at the last token."""
    nodes = model.forward(encoded.clean, cache=True).nodes
    assert nodes is not None
    last = nodes[:, torch.arange(len(encoded.pairs)), encoded.last]
    readout = Readout.at(model, model.after_layers(last)[-1])
    heads = [place for place, name in enumerate(model.graph.nodes) if name.startswith("a")]
    directions = readout.directions(towards) - readout.directions(against)
    return (last[heads] * directions).sum(-1).double().cpu()


def _facts(
    model: ResidualModel,
    asked: Encoded,
    tops: Int[Tensor, " batch"],
    right: Int[Tensor, " batch"],
    writers: Sequence[str],
) -> tuple[WrongFact, ...]:
    nodes = model.forward(asked.clean, cache=True).nodes
    assert nodes is not None
    every = torch.arange(len(tops))
    streams = model.after_layers(nodes[:, every, asked.last])
    logits = torch.stack([model.unembed(stream)[every[:, None], torch.stack((tops, right), 1)] for stream in streams])
    ahead = logits[..., 0] > logits[..., 1]
    end = model.unembed(streams[-1])
    ranks = (end >= end[every, right][:, None]).sum(-1).tolist()
    written = continued(model, [pair.prompt for pair in asked.pairs], _WRITTEN)
    said = ["".join(model.decode(tokens)) for tokens in written]
    texts = zip(model.decode(right.tolist()), model.decode(tops.tolist()), said, strict=True)
    return tuple(
        WrongFact(
            pair.prompt,
            pair.prompt[slice(*pair.spans["subject"])],
            pair.answers[0].strip(),
            *text,
            float(logits[-1, row, 0] - logits[-1, row, 1]),
            ranks[row],
            int((~ahead[:, row]).sum()),
            overtakes_at(ahead[:, row].tolist()),
            writers[row],
        )
        for row, (pair, text) in enumerate(zip(asked.pairs, texts, strict=True))
    )


def overtakes_at(ahead: Sequence[bool]) -> int:
    """The first place from which on all are true; their number where the last is not."""
    return next((place + 1 for place in reversed(range(len(ahead))) if not ahead[place]), 0)
