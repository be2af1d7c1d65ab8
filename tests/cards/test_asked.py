"""The same facts asked otherwise: other templates and other counterfactuals, by hand and in a card's line."""

from __future__ import annotations

import torch
from tiny import explainable_pairs, make_tiny
from tolerance import rounding

from wheatstone import Experiment
from wheatstone.cards._asked import COUNTERFACTUALS, asked_otherwise
from wheatstone.discovery import attribute
from wheatstone.tasks import PromptPair, weak_change
from wheatstone.verification import specification_line

TEMPLATES = ("w1 {subject} w3", "w5 w6 {subject} w7", "{subject} and {subject}", "w8 {subject}")


def facts() -> tuple[Experiment, list[PromptPair]]:
    """Ten facts of subjects w4 to w13, under the first template."""
    model = make_tiny("llama", torch.float64)
    pairs = explainable_pairs(model, [(f"w1 w{at} w3", f"w1 w{at + 10} w3") for at in range(4, 14)])
    spans = [{"subject": (3, len(pair.prompt) - 3), "relation": (0, 2)} for pair in pairs]
    pairs = [pair.model_copy(update={"spans": span}) for pair, span in zip(pairs, spans, strict=True)]
    return Experiment(model, pairs, allow_weak=True), pairs


def test_facts_are_reworded_and_set_against_others() -> None:
    experiment, pairs = facts()
    found = asked_otherwise(experiment, pairs[:6], pairs, TEMPLATES, seed=1)
    assert list(found) == ["“w5 w6 … w7”", "“w8 …”", COUNTERFACTUALS]
    first = found["“w5 w6 … w7”"][0]
    assert (first.prompt, first.counterfactual) == ("w5 w6 w4 w7", "w5 w6 w14 w7")
    assert (first.answers, first.distractors) == (pairs[0].answers, pairs[0].distractors)
    assert first.prompt[slice(*first.spans["subject"])] == "w4"
    own = {pair.prompt: pair for pair in pairs}
    for other in found[COUNTERFACTUALS]:
        assert other.prompt in [pair.prompt for pair in pairs[:6]]
        assert other.counterfactual != own[other.prompt].counterfactual
        assert other.counterfactual in own
        assert other.distractors == own[other.counterfactual].answers


def test_facts_without_a_subject_are_asked_as_they_are() -> None:
    experiment, pairs = facts()
    bare = [pair.model_copy(update={"spans": {}}) for pair in pairs]
    assert list(asked_otherwise(experiment, bare, bare[:2], TEMPLATES, seed=1)) == []
    shown = [pair.model_copy(update={"spans": pair.spans | {"demonstration": (0, 2)}}) for pair in pairs]
    assert list(asked_otherwise(experiment, shown, shown[:2], TEMPLATES, seed=1)) == []
    longer = pairs[0].model_copy(update={"counterfactual": "w2 w14 w3"})
    assert "“w8 …”" not in asked_otherwise(experiment, [longer, *pairs[1:]], pairs, TEMPLATES, seed=1)


def test_each_way_of_asking_is_a_row() -> None:
    experiment, pairs = facts()
    keep = attribute(experiment).top([60])[0]
    asked = asked_otherwise(experiment, pairs, pairs, TEMPLATES[:2], seed=1)
    broken = {"another length": (pairs[0].model_copy(update={"counterfactual": "w1"}),)}
    line = specification_line(
        [experiment], keep, keep[None][:0], least=0.5, asked=asked | broken, measured_on="10 facts"
    )
    rows, measured = {row.asked: row for row in line.rows}, 0
    assert list(rows) == ["", *asked, *broken]
    assert rows["another length"].kept is None
    assert rows["another length"].missing
    for name, others in asked.items():
        alone = Experiment(experiment.model, others, allow_weak=True)
        if weak_change("logit_diff", float(alone.clean.mean()), float(alone.corrupt.mean())):
            assert rows[name].missing.startswith("Asked like this")
            continue
        measured += 1
        expected = float((alone.values(keep[None])[0] - alone.corrupt).mean() / (alone.clean - alone.corrupt).mean())
        scale = float(alone.clean_logits.abs().max() / (alone.clean - alone.corrupt).mean().abs())
        kept = rows[name].kept
        assert kept is not None
        assert len({pair.prompt for pair in others}) == len(others)  # a prompt counts once
        assert kept.value == rounding(alone.model).near(expected, magnitude=scale)
    assert measured


def test_means_of_other_words_are_none_of_these() -> None:
    experiment, pairs = facts()
    mean = experiment.under("mean", "logit_diff")
    keep = attribute(experiment).top([60])[0]
    asked = asked_otherwise(experiment, pairs, pairs, TEMPLATES[1:2], seed=1)
    line = specification_line([mean], keep, keep[None][:0], least=0.5, asked=asked, measured_on="10 facts")
    assert all(row.kept is None and "means" in row.missing for row in line.rows if row.asked)
