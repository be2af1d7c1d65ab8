"""Hallucination: where a wrong answer overtakes the right one, which heads write it, and what changes it.

A fact is right if what the model writes says one of its answers, wrong if it does not, by the rule of `_written`. If
its top token begins an answer that is then not written, it is neither: the two cannot be compared there. Where the
first tokens are no words, such as a quotation mark, the fact is asked behind them.

On a wrong fact let D be logit(wrong) − logit(right), wrong being the model's top token and right the token, of all that
begin an answer, which the model places best. Read by the logit lens at the last token, D says after which layer the
wrong answer is ahead for good; direct logit attribution says how much of the final D each head writes. Three things are
tried on wrong facts:

    right writers look      the heads that write most of the right answers attend from the last token to the subject
                            alone, renormalised
    right writers doubled   these heads write twice as much at the last token
    wrong writers silent    the heads that write most of D write their mean over right facts instead

each also with as many random heads. Heads are chosen on one half of the facts and tried on the other. The right writers
need not be movers: that role asks for more, see `_roles`.

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
from wheatstone._intervals import halves_of, mean_intervals
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.lenses import Readout
from wheatstone.mechanisms._mending import Trial
from wheatstone.mechanisms._spelling import BegunFact, after_marks, in_any_case, texts_written
from wheatstone.mechanisms._written import says
from wheatstone.mechanisms._wrong_summary import AskedFact, Mending, WrongWriter
from wheatstone.models import ResidualModel
from wheatstone.tasks import Encoded, PromptPair, encode, gather


class WrongFact(NamedTuple):
    """A fact the model gets wrong: a row of wrong_facts.parquet.

    Args:
        prompt: the prompt.
        subject: that it asks about.
        answer: the right one, as it is usually written.
        right: first token of the answer.
        wrong: the model's top token.
        written: what the model writes, the wrong token and those that follow it.
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


@dataclass(frozen=True)
class Hallucination(Brief):
    """What happens on the facts a model gets wrong.

    Args:
        asked: every fact and how it came out.
        known: right facts that were used.
        begun: facts that the model begins right and ends otherwise.
        right_writers: heads that write most of the right answers, strongest first.
        facts: wrong facts that were used.
        writers: heads by what they write of D, most first on the facts that chose them.
        mendings: what was tried.
        held_out: whether heads were chosen on other wrong facts than they were tried on.
    """

    asked: tuple[AskedFact, ...]
    known: int
    begun: tuple[BegunFact, ...]
    right_writers: tuple[str, ...]
    facts: tuple[WrongFact, ...]
    writers: tuple[WrongWriter, ...]
    mendings: tuple[Mending, ...]
    held_out: bool


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
    """Looks at the facts of a relation that a model gets wrong, and at some it gets right to compare.

    Args:
        model: the model.
        pairs: facts of one relation with a span `subject`, not filtered by what is known.
        heads: writers of right and of wrong answers that are changed.
        most: facts of either kind that are used, the first ones; None for all.
        draws: sets of random heads.
        seed: of the draws.
        report: progress callback.

    Raises:
        PromptError: no fact that it gets wrong, or none that it gets right.

    When this misleads: see `_written` for what counts as right. The top token may be no answer at all but a way around
    one (" the"): read the facts. The wrong token is chosen because it won, so D is large by selection; so is each
    fact's strongest writer.
    """
    report("facts as the model writes them", 0, 4)
    pairs = [in_any_case(model, pair) for pair in after_marks(model, pairs)]
    written = texts_written(model, pairs)
    asked = tuple(_verdict(model, pair, *row) for pair, row in zip(pairs, written, strict=True))
    rows = list(zip(pairs, written, asked, strict=True))
    right = [pair for pair, (tokens, _), fact in rows if fact.verdict == "right" and _begins(model, pair, tokens)]
    wrong = [(pair, text) for pair, (_, text), fact in rows if fact.verdict == "wrong"]
    begun = tuple(_begun(model, pair, *row) for pair, row, fact in rows if fact.verdict == "begun")
    if not right or not wrong:
        raise PromptError(
            expected="facts that the model gets wrong, and others that it gets right",
            got=f"{len(wrong)} wrong and {len(right)} right out of {len(pairs)}",
            do="give more facts of the relation, loaded with known=None",
        )
    report("hallucination", 1, 4)
    right, wrong = right[:most], wrong[:most]
    known_halves, wrong_halves = (halves_of(len(facts)) for facts in (right, wrong))
    chosen_known, known = _halved(right, known_halves)
    chosen_wrong, tried = _halved([pair for pair, _ in wrong], wrong_halves)
    of_known, of_wrong, of_tried = encode(model, chosen_known), encode(model, chosen_wrong), encode(model, tried)
    to_right = _head_writes(model, of_known, _best(model, of_known)[1], of_known.distractors[:, 0]).mean(1)
    best = to_right.argsort(descending=True, stable=True)[:heads].tolist()
    report("hallucination", 2, 4)
    names = [name for name in model.graph.nodes if name.startswith("a")]
    order = _head_writes(model, of_wrong, *_best(model, of_wrong)).mean(1).argsort(descending=True, stable=True)
    tops, rights = _best(model, of_tried)
    direct = _head_writes(model, of_tried, tops, rights)
    intervals = mean_intervals(direct.numpy())
    writers = tuple(
        WrongWriter(names[head], len(tops), float(direct[head].mean()), *intervals[int(head)], float(to_right[head]))
        for head in order.tolist()
    )
    facts = _facts(model, encode(model, [pair for pair, _ in wrong]), names, [text for _, text in wrong])
    report("hallucination", 3, 4)
    right_writers = tuple(names[head] for head in best)
    trial = Trial(model, of_known, encode(model, known), of_tried, tops, rights)
    draw = Random(seed)
    random = [tuple(draw.sample(names, heads)) for _ in range(draws)]
    wrong_writers = tuple(names[head] for head in order.tolist()[:heads])
    mendings = [
        trial.of(change, edits, chosen, what)
        for change, edits, those in (
            ("right writers look", trial.look, right_writers),
            ("right writers doubled", trial.double, right_writers),
            ("wrong writers silent", trial.silence, wrong_writers),
        )
        for chosen, what in (([those], ", ".join(those)), (random, "random"))
    ]
    report("hallucination", 4, 4)
    held_out = known_halves is not None and wrong_halves is not None
    return Hallucination(asked, len(right), begun, right_writers, facts, writers, tuple(mendings), held_out)


def _halved(
    facts: Sequence[PromptPair], halves: tuple[range, range] | None
) -> tuple[list[PromptPair], list[PromptPair]]:
    """Facts to choose heads on, and facts to try them on; the same ones where there are few."""
    if halves is None:
        return list(facts), list(facts)
    first, second = ([facts[at] for at in half] for half in halves)
    return first, second


def _begins(model: ResidualModel, pair: PromptPair, tokens: Sequence[int]) -> bool:
    """Whether the model's first token begins an answer."""
    return any(model.continuation(answer)[0] == tokens[0] for answer in pair.answers)


def _verdict(model: ResidualModel, pair: PromptPair, tokens: Sequence[int], text: str) -> AskedFact:
    begins = "begun" if _begins(model, pair, tokens) else "wrong"
    subject = pair.prompt[slice(*pair.spans["subject"])] if "subject" in pair.spans else ""
    return AskedFact(subject, pair.answers[0].strip(), text, "right" if says(text, pair.answers) else begins)


def _begun(model: ResidualModel, pair: PromptPair, tokens: Sequence[int], text: str) -> BegunFact:
    answer = next(answer for answer in pair.answers if model.continuation(answer)[0] == tokens[0])
    return BegunFact(pair.prompt, answer, text)


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


def _facts(model: ResidualModel, asked: Encoded, heads: Sequence[str], written: Sequence[str]) -> tuple[WrongFact, ...]:
    tops, right = _best(model, asked)
    writers = _head_writes(model, asked, tops, right).argmax(0).tolist()
    nodes = model.forward(asked.clean, cache=True).nodes
    assert nodes is not None
    every = torch.arange(len(tops))
    streams = model.after_layers(nodes[:, every, asked.last])
    logits = torch.stack([model.unembed(stream)[every[:, None], torch.stack((tops, right), 1)] for stream in streams])
    ahead = logits[..., 0] > logits[..., 1]
    end = model.unembed(streams[-1])
    ranks = (end >= end[every, right][:, None]).sum(-1).tolist()
    texts = zip(model.decode(right.tolist()), model.decode(tops.tolist()), written, strict=True)
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
            heads[int(writers[row])],
        )
        for row, (pair, text) in enumerate(zip(asked.pairs, texts, strict=True))
    )


def overtakes_at(ahead: Sequence[bool]) -> int:
    """The first place from which on all are true; their number where the last is not."""
    return next((place + 1 for place in reversed(range(len(ahead))) if not ahead[place]), 0)
