"""The lines of a card, in the order in which they are measured; circuits that are compared run on the same facts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._errors import WheatstoneError
from wheatstone._intervals import MINIMUM
from wheatstone._progress import Reporter
from wheatstone._side import why
from wheatstone.cards import _second as second_part
from wheatstone.cards._asked import asked_otherwise
from wheatstone.cards._core import CLAIM as CORE_CLAIM
from wheatstone.cards._core import EDGES, core_line, edge_table, with_effects
from wheatstone.cards._scores import SCORES, identity_of, read_scores, write_scores
from wheatstone.circuits import Circuit, Experiment, exchanged_heads, random_circuits
from wheatstone.discovery import PromptScores, Recurrence, recurrence, scores_by_prompt
from wheatstone.tasks import PromptPair
from wheatstone.verification import (
    EVEN,
    EXCHANGED,
    NOT_TESTED,
    SHUFFLED,
    Card,
    Carried,
    CoreLine,
    Estimate,
    Null,
    NullLine,
    SecondLine,
    backup_heads,
    carried,
    exact_effects,
    held_out_line,
    no_circuits,
    null_line,
    selectivity_line,
    shuffled_answers,
    specification_line,
)

if TYPE_CHECKING:
    from wheatstone.cards._settings import CardSettings

_FACTS = 32
"""Facts on which circuits are compared, at most; each is run under every circuit."""
_READ_CLOSELY = 16
"""Facts on which backups are looked for, and other specifications tried."""
_SEARCHED = 16
"""Prompts that the search for a second circuit reads, at most."""


@dataclass(frozen=True, eq=False)
class CardMaterial:
    """What a card is made of.

    Args:
        experiment: model, ablation and metric of the circuit, on some of its own prompts.
        circuit: the circuit.
        own: prompts that it was found on or its size chosen by.
        test: held-out facts; empty where there are none.
        counterfactuals: most counterfactuals of a held-out fact.
        size: edges that rankings are cut at: the circuit's, or as many as the run's ranking needed for the same goal.
        method: that scores edges prompt by prompt.
        steps: of the method; its own by default.
        templates: of the task's prompts; none where there is no task.
        others: facts of other tasks, by name.
    """

    experiment: Experiment
    circuit: Circuit
    own: tuple[PromptPair, ...]
    test: tuple[PromptPair, ...]
    counterfactuals: int
    size: int
    method: str
    steps: int | None
    templates: tuple[str, ...]
    others: Mapping[str, tuple[PromptPair, ...]]

    @property
    def complete(self) -> bool:
        """Whether the circuit is judged by what is lost without it."""
        return self.circuit.goal == "complete"

    @property
    def compared_among(self) -> tuple[PromptPair, ...]:
        """The prompts that circuits are compared on: held-out ones, unless they are too few."""
        return self.test if len({pair.prompt for pair in self.test}) >= MINIMUM else self.own

    @property
    def compared_on(self) -> tuple[tuple[PromptPair, ...], str]:
        """The facts that circuits are compared on, and what they are."""
        pairs = self.compared_among[:_FACTS]
        n = len({pair.prompt for pair in pairs})
        if self.compared_among == self.test:
            return pairs, f"{n} held-out facts, one counterfactual each"
        return pairs, "the prompt it was found on" if n == 1 else f"{n} of the prompts it was found on"


def lines_of(
    material: CardMaterial,
    settings: CardSettings,
    earlier: Path,
    folder: Path,
    *,
    started: float,
    report: Reporter,
) -> tuple[Card, dict[str, pa.Table]]:
    """Measures every line.

    Args:
        material: what of.
        settings: how.
        earlier: the folder of an earlier card, whose scores may be read.
        folder: where the scores go.
        started: when the card was begun.
        report: progress callback.

    Returns:
        The card, and the tables that go with it by the names of their files.
    """
    seconds: dict[str, float] = {}
    clock = started

    def lap(stage: str) -> None:
        nonlocal clock
        seconds[stage], clock = round(time.perf_counter() - clock, 2), time.perf_counter()

    experiment, circuit = material.experiment, material.circuit
    valid = torch.from_numpy(experiment.graph.valid)
    keep = circuit.mask(experiment.graph)
    lap("load")
    scores = _scores(material, earlier, folder, report)
    lap("score")
    nulls = _nulls(material, settings, keep, scores, report)
    lap("score shuffled answers")
    found = _recurrence(scores, material.size, settings, report)
    lap("bootstrap")
    second, names = None, ()
    if not material.complete:
        second = second_part.second_circuit(experiment, material.own[:_SEARCHED], scores.mean(), keep, report=report)
        names = tuple(str(edge) for edge in Circuit.of_mask(circuit.model, second.spared))
    lap("search a second circuit")

    pairs, words = material.compared_on
    # Run once for all lines. Other specifications and backups are looked for on the first of them.
    experiments = list(experiment.over(pairs, most=_READ_CLOSELY))
    close = experiments[:1]
    groups: dict[str, Tensor] = {"circuit": keep[None]}
    if found is not None and bool((core := keep & scores.spread(found.decided_in.float()).bool()).any()):
        groups["core"] = core[None]
    if second is not None:
        removed = _removed(keep, second)
        groups["without first"] = (valid & ~removed)[None]
        if second.keep is not None:
            other = second.keep & ~second.spared
            groups |= {
                "second": second.keep[None],
                "without second": (valid & ~other)[None],
                "without both": (valid & ~removed & ~other)[None],
            }
    for name, null in nulls.items():
        if not null.missing:
            groups[name] = torch.cat([null.against[None], null.masks])
    report("comparing circuits", 0, None)
    shares = _compared(material, groups, experiments)
    lap("compare circuits")
    held_out = held_out_line(
        experiment,
        keep,
        material.test,
        least=settings.keep,
        counterfactuals=material.counterfactuals,
        complete=material.complete,
        seed=settings.seed,
        report=report,
    )
    lap("held-out facts")

    core_part: CoreLine = CoreLine(CORE_CLAIM, NOT_TESTED, "One prompt gives no samples that differ.", scores.method, 1)
    tables: dict[str, pa.Table] = {}
    if found is not None:
        core_share = shares["core"].share() if "core" in shares else None
        core_part = core_line(
            keep[valid], scores, found, circuit=shares["circuit"].share(), core=core_share, measured_on=words
        )
        tables[EDGES] = edge_table(keep[valid], scores, found)
    null_part: NullLine = null_line(nulls, shares, keep, least=settings.times, size=material.size, measured_on=words)
    if found is not None and settings.effects:
        core_part = with_effects(core_part, _effects(material, keep, core_part, settings.effects, experiments, report))
    lap("exact effects")
    second_line = _second_line(second, keep, names, shares, words)
    if second is not None and not experiment.spans:
        backups = backup_heads(close, _removed(keep, second), report=report)
        second_line = replace(second_line, backups=backups)
    lap("backup heads")
    # The same copies as in the line of nulls: a page with two means of different draws would contradict itself.
    copies = keep[None][:0] if nulls[EXCHANGED].missing else nulls[EXCHANGED].masks
    specification = specification_line(
        close,
        keep,
        copies,
        least=settings.keep,
        complete=material.complete,
        asked=asked_otherwise(
            experiment, pairs[:_READ_CLOSELY], material.compared_among, material.templates, settings.seed + 1
        ),
        measured_on=words if len(pairs) <= _READ_CLOSELY else f"{_READ_CLOSELY} of {words}",
        report=report,
    )
    lap("specifications")
    removed = keep if second is None else _removed(keep, second)
    selectivity = selectivity_line(experiment, removed, pairs[:_READ_CLOSELY], material.others, report=report)
    lap("other tasks")
    card = Card(
        len(circuit),
        experiment.graph.edges,
        circuit.goal,
        held_out,
        core_part,
        null_part,
        second_line,
        specification,
        selectivity,
        settings.seed,
        seconds,
    )
    return card, tables


def _scores(material: CardMaterial, earlier: Path, folder: Path, report: Reporter) -> PromptScores:
    """The scores that an earlier card keeps, or new ones; either way they are in the folder afterwards."""
    experiment, pairs = material.experiment, material.own
    identity = identity_of(experiment, pairs, material.method, material.steps)
    scores = read_scores(earlier / SCORES, experiment.graph, identity)
    if scores is None or len(scores.values) != len(pairs):
        scores = scores_by_prompt(experiment, pairs, method=material.method, steps=material.steps, report=report)
        scores = replace(scores, values=scores.values.float())
    write_scores(folder / SCORES, scores, identity)
    return scores


def _recurrence(scores: PromptScores, size: int, settings: CardSettings, report: Reporter) -> Recurrence | None:
    """What recurs over prompts; None for a single one."""
    if len(scores.values) < 2:
        return None
    report("bootstrap samples", 0, 1)
    senders = torch.from_numpy(scores.graph.valid.nonzero()[1])
    found = recurrence(scores.values, size, senders=senders, samples=settings.samples, seed=settings.seed)
    report("bootstrap samples", 1, 1)
    return found


def _nulls(
    material: CardMaterial,
    settings: CardSettings,
    keep: Bool[Tensor, "channel node"],
    scores: PromptScores,
    report: Reporter,
) -> dict[str, Null]:
    """Circuits that chance gives, by what they are."""
    graph = material.experiment.graph
    nulls = {EVEN: Null(random_circuits(graph, len(material.circuit), settings.draws, settings.seed), keep)}
    try:
        copies = exchanged_heads(graph, keep, settings.draws, settings.seed)
        none = "" if bool((copies != keep).any()) else "the circuit has no attention heads that could change places"
        nulls[EXCHANGED] = Null(copies, keep, none)
    except WheatstoneError as error:
        nulls[EXCHANGED] = no_circuits(keep, f"{error.got} cannot have heads exchanged")
    nulls[SHUFFLED] = _shuffled(material, settings, scores, report)
    return nulls


def _shuffled(material: CardMaterial, settings: CardSettings, scores: PromptScores, report: Reporter) -> Null:
    """Circuits of the same scoring when answers are shuffled, against the one of the true answers."""
    (true,) = scores.mean().top([material.size])
    if len(material.own) < 2:
        return no_circuits(true, "one prompt has no other prompt's answers to take")
    if material.experiment.metric.name == "kl":
        return no_circuits(true, "the metric kl does not read answers")
    masks: list[Tensor] = []
    for draw in range(settings.shuffles):
        report("shuffled answers", draw, settings.shuffles)
        shuffled = shuffled_answers(material.own, settings.seed + draw)
        if shuffled is None:
            return no_circuits(true, "too few prompts have answers that differ, so that shuffled answers coincide")
        try:
            null = scores_by_prompt(material.experiment, shuffled, method=material.method, steps=material.steps)
        except WheatstoneError as error:
            return no_circuits(true, why(error))
        masks.append(null.mean().top([material.size])[0])
    report("shuffled answers", settings.shuffles, settings.shuffles)
    return Null(torch.stack(masks), true)


def _compared(
    material: CardMaterial, groups: Mapping[str, Tensor], experiments: Sequence[Experiment]
) -> dict[str, Carried]:
    """What the circuits of each group carry, all run on the same facts; a circuit of several groups is run once."""
    masks, once = torch.cat(list(groups.values())), dict[bytes, int]()
    places = [once.setdefault(mask.numpy().tobytes(), len(once)) for mask in masks]
    distinct = masks[[places.index(at) for at in range(len(once))]]
    found = carried(experiments, distinct, complete=material.complete)
    whole = Carried(found.part[places], found.whole)
    ends = torch.tensor([len(masks) for masks in groups.values()]).cumsum(0).tolist()
    starts = [0, *ends[:-1]]
    return {
        name: Carried(whole.part[start:end], whole.whole) for name, start, end in zip(groups, starts, ends, strict=True)
    }


def _removed(keep: Bool[Tensor, "channel node"], second: second_part.Second) -> Bool[Tensor, "channel node"]:
    """The circuit's edges without the indispensable ones; all of them where all are."""
    others = keep & ~second.spared
    return others if bool(others.any()) else keep


def _effects(
    material: CardMaterial,
    keep: Bool[Tensor, "channel node"],
    line: CoreLine,
    most: int,
    experiments: Sequence[Experiment],
    report: Reporter,
) -> dict[tuple[str, str], Estimate]:
    """Exact effects of the circuit's edges of the strongest scores."""
    report("exact effects", 0, None)
    names = [(row.sender, row.receiver) for row in line.edges[:most]]
    places = torch.tensor([material.experiment.graph.edge(*name) for name in names])
    found = exact_effects(experiments, keep, places, complete=material.complete)
    return dict(zip(names, found, strict=True))


def _second_line(
    found: second_part.Second | None,
    keep: Bool[Tensor, "channel node"],
    names: tuple[str, ...],
    shares: Mapping[str, Carried],
    words: str,
) -> SecondLine:
    if found is None:
        return second_part.not_tested("The circuit was found to be complete: it is judged by what is lost without it.")
    on = SecondLine(second_part.CLAIM, NOT_TESTED, "", measured_on=words, without_first=shares["without first"].share())
    if found.keep is not None:
        on = replace(
            on,
            faithfulness=shares["second"].share(),
            without_second=shares["without second"].share(),
            without_both=shares["without both"].share(),
        )
    return second_part.second_line(found, keep, names, on)
