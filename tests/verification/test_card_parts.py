"""Parts of a card by hand: shares, early stopping, shuffled answers, nulls, exact effects, backups."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import planted_pair
from tiny import explainable_pairs, make_tiny
from tolerance import rounding

from wheatstone import Experiment, ResidualModel
from wheatstone.discovery import attribute
from wheatstone.tasks import PromptPair
from wheatstone.verification import (
    EVEN,
    EXCHANGED,
    NOT_SUPPORTED,
    NOT_TESTED,
    SUPPORTED,
    Carried,
    Null,
    backup_heads,
    carried,
    carried_without,
    exact_effects,
    held_out_line,
    null_line,
    ratio_estimate,
    selectivity_line,
    shuffled_answers,
    specification_line,
)
from wheatstone.verification._carried import carried_alike


def planted() -> tuple[ResidualModel, list[PromptPair]]:
    model, _ = planted_pair()
    return model, explainable_pairs(model, [(f"w1 w{at} w3 w4", f"w1 w{at + 10} w3 w4") for at in range(5, 25)])


def way_of(experiment: Experiment) -> torch.Tensor:
    """The planted way."""
    keep = torch.zeros(experiment.graph.valid.shape, dtype=torch.bool)
    for edge in (("input", "a1.g1<v>"), ("a1.h2", "logits")):
        keep[experiment.graph.edge(*edge)] = True
    return keep


def test_shares_by_hand() -> None:
    """Two circuits on three facts. The first keeps 4 of 8 in all; of the facts it keeps 1, 0 (1.5 is too much by a
    half: 0.5) and none, and on the last the model itself does not change."""
    found = Carried(np.array([[2.0, 3.0, -1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]), np.array([2.0, 2.0, 4.0, 0.0]))
    assert found.share(0).value == pytest.approx(4 / 8)
    assert found.share(slice(None)).value == pytest.approx(4 / 8)
    assert found.share(0).n == 4
    assert found.each().tolist() == [1.0, 0.5, 0.0]
    assert Carried(np.array([[-2.0]]), np.array([-4.0])).each().tolist() == [0.5]  # of KL, which falls


def test_a_circuit_judged_by_what_is_lost_without_it(tiny_several: Experiment) -> None:
    keep = attribute(tiny_several).top([60])
    pairs = tiny_several.encoded.pairs
    without = carried(tiny_several.over(pairs), torch.from_numpy(tiny_several.graph.valid) & ~keep)
    lost = carried(tiny_several.over(pairs), keep, complete=True)
    assert lost.share().value == pytest.approx(1 - without.share().value)


def test_held_out_facts_are_measured_until_the_question_is_decided() -> None:
    model, pairs = planted()
    experiment = Experiment(model, pairs[:4])
    way = way_of(experiment)
    good = held_out_line(experiment, way, pairs[4:], least=0.5)
    assert good.verdict == SUPPORTED
    assert good.kept is not None
    assert good.kept.value == pytest.approx(1)
    assert good.facts == 8 < good.available == 16
    bad = held_out_line(experiment, torch.zeros_like(way), pairs[4:], least=0.5)
    assert (bad.verdict, bad.facts) == (NOT_SUPPORTED, 8)
    few = held_out_line(experiment, way, pairs[4:6], least=0.5)
    assert few.verdict == NOT_SUPPORTED
    assert "2 facts do not decide" in few.why
    none = held_out_line(experiment, way, (), least=0.5)
    assert (none.verdict, none.kept) == (NOT_TESTED, None)


def test_shuffled_answers_are_those_of_other_prompts() -> None:
    _, pairs = planted()
    shuffled = shuffled_answers(pairs, 0)
    assert shuffled is not None
    assert [pair.prompt for pair in shuffled] == [pair.prompt for pair in pairs]
    assert sorted(pair.answers for pair in shuffled) == sorted(pair.answers for pair in pairs)
    changed = sum(not set(old.answers) & set(new.answers) for old, new in zip(pairs, shuffled, strict=True))
    assert changed >= 0.75 * len(pairs)
    same = [pair.model_copy(update={"answers": (" w1",)}) for pair in pairs]
    assert shuffled_answers(same, 0) is None


@pytest.mark.parametrize(("kept", "verdict"), [(0.1, SUPPORTED), (0.9, NOT_SUPPORTED), (-0.5, SUPPORTED)])
def test_a_circuit_must_keep_more_than_chance(kept: float, verdict: str) -> None:
    draw = np.random.default_rng(0)
    whole = 4 + draw.random(12)
    found = Carried(np.stack([0.9 * whole, kept * whole + 0.01 * draw.random(12)]), whole)
    mask = torch.tensor([[True, False]])
    line = null_line(
        {EXCHANGED: Null(~mask[None], mask)}, {EXCHANGED: found}, mask, least=1.5, size=1, measured_on="12 facts"
    )
    assert line.verdict == verdict
    (row,) = line.rows
    assert row.shared == 0
    assert (row.specificity is None) == (kept < 0)


def test_a_ratio_to_about_nothing_is_said_in_words() -> None:
    """Rounding alone can differ from 0 on every fact in the same direction, and its interval then excludes 0."""
    draw = np.random.default_rng(0)
    whole = 4 + draw.random(12)
    found = Carried(np.stack([0.7 * whole, 1e-6 * (1 + draw.random(12))]), whole)
    assert ratio_estimate(found.part[0], found.part[1]).low is not None
    assert found.against(0, slice(1, None)) is None
    mask = torch.tensor([[True, False]])
    line = null_line({EVEN: Null(~mask[None], mask)}, {EVEN: found}, mask, least=1.5, size=1, measured_on="12 facts")
    assert line.rows[0].specificity is None
    assert "against 70%; chance keeps about nothing, so no ratio is given." in line.why
    assert "times as much" not in line.why


def test_the_effect_of_an_edge_is_what_the_circuit_loses_without_it() -> None:
    model, pairs = planted()
    experiment = Experiment(model, pairs[:6])
    way = way_of(experiment)
    edges = torch.tensor([experiment.graph.edge("input", "a1.g1<v>"), experiment.graph.edge("a1.h2", "logits")])
    assert [found.value for found in exact_effects(experiment.over(pairs[:6]), way, edges)] == pytest.approx([1, 1])
    extra = way.clone()
    extra[experiment.graph.edge("input", "m0")] = True
    more = torch.tensor([experiment.graph.edge("input", "m0")])
    assert exact_effects(experiment.over(pairs[:6]), extra, more)[0].value == rounding(experiment.model).near(0)


@pytest.mark.parametrize("memory", [1 << 34, 1 << 16, 1])
def test_without_each_edge_is_a_run_of_the_rest(tiny_several: Experiment, memory: int) -> None:
    """Edges into many sublayers and into the logits, with and without room for the circuit's own run."""
    pairs = tiny_several.encoded.pairs
    experiment = Experiment(tiny_several.model, pairs, memory=memory, allow_weak=True)
    keep = attribute(tiny_several).top([200])[0]
    edges = keep.nonzero()[::7]
    assert edges[-1, 0] == experiment.graph.logits_channel
    without = keep.repeat(len(edges), 1, 1)
    without[torch.arange(len(edges)), edges[:, 0], edges[:, 1]] = False
    expected = carried([tiny_several], torch.cat([keep[None], without]))
    found = carried_without([experiment], keep, edges)
    scale = float(tiny_several.clean_logits.abs().max())
    near = rounding(tiny_several.model)
    near.check(torch.from_numpy(found.part), torch.from_numpy(expected.part), magnitude=scale)
    near.check(torch.from_numpy(found.whole), torch.from_numpy(expected.whole), magnitude=scale)


def test_metrics_of_the_same_runs_are_those_of_their_own(tiny_several: Experiment) -> None:
    keep = attribute(tiny_several).top([60, 200])
    groups = [[tiny_several.under("counterfactual", metric)] for metric in ("logit_diff", "prob_diff")]
    for group, found in zip(groups, carried_alike(groups, keep), strict=True):
        expected = carried(group, keep)
        scale = float(tiny_several.clean_logits.abs().max())
        near = rounding(tiny_several.model)
        near.check(torch.from_numpy(found.part), torch.from_numpy(expected.part), magnitude=scale)


def test_a_planted_backup_is_found() -> None:
    """A second head of the same layer writes what the first does. The final norm hides it while the first is there,
    under zero ablation; under counterfactual ablation one more of two equal writers counts the same either way."""
    model, _ = planted_pair()
    module = model.module
    weights = dict(module.named_parameters())
    out, values = weights["model.layers.1.self_attn.o_proj.weight"], weights["model.layers.1.self_attn.v_proj.weight"]
    out.data[:, 0:4] = out.data[:, 8:12]
    values.data[0:4] = values.data[4:8]
    model = ResidualModel(module, model.tokenizer, id="backup")
    pairs = explainable_pairs(model, [(f"w1 w{at} w3 w4", f"w1 w{at + 10} w3 w4") for at in range(5, 15)])
    experiment = Experiment(model, pairs, ablation="zero", allow_weak=True)
    first, *others = backup_heads([experiment.on(pairs)], way_of(experiment))
    assert first.head == "a1.h0"
    assert abs(first.intact) < 0.05
    assert first.ablated > 0.5
    assert first.growth.value == pytest.approx(first.ablated - first.intact)
    assert all(abs(other.growth.value) < 1e-9 for other in others)
    without = Experiment(*planted())
    none = rounding(without.model).near(0)
    assert all(row.growth.value == none for row in backup_heads([without], way_of(without)))


def test_direct_effects_are_those_of_runs_without_the_edge(tiny_several: Experiment) -> None:
    keep = attribute(tiny_several).top([30])[0]
    pairs = tiny_several.encoded.pairs
    row = backup_heads([tiny_several.on(pairs)], keep, most=1)[0]
    graph = tiny_several.graph
    valid = torch.from_numpy(graph.valid)
    masks = torch.stack([valid, valid, valid & ~keep, valid & ~keep])
    masks[1::2, graph.logits_channel, graph.nodes.index(row.head)] = False
    whole, without, rest, rest_without = tiny_several.faithfulness(masks)
    assert (row.intact, row.ablated) == pytest.approx((whole - without, rest - rest_without))


def test_a_claim_is_measured_under_each_specification() -> None:
    model, pairs = planted()
    experiment = Experiment(model, pairs[:6])
    way = way_of(experiment)
    line = specification_line([experiment.on(pairs[:6])], way, way[None][:0], least=0.5, measured_on="6 facts")
    assert [(row.ablation, row.metric) for row in line.rows] == [
        ("counterfactual", "logit_diff"),
        ("counterfactual", "prob_diff"),
        ("mean", "logit_diff"),
        ("zero", "logit_diff"),
    ]
    assert line.rows[0].kept is not None
    assert line.rows[0].kept.value == pytest.approx(1)
    assert line.verdict in (SUPPORTED, NOT_SUPPORTED)


def test_a_task_that_does_not_need_the_circuit_loses_nothing() -> None:
    """Words that change at another place go another way: the planted way carries the first task, and is needed by the
    other too where the other is the same task."""
    model, pairs = planted()
    experiment = Experiment(model, pairs[:6])
    way = way_of(experiment)
    none = selectivity_line(experiment, way, pairs[:6], {})
    assert none.verdict == NOT_TESTED
    same = selectivity_line(experiment, way, pairs[:6], {"same": pairs[6:12]})
    assert same.rows[0].lost is not None
    assert same.rows[0].lost.value == pytest.approx(1)
    assert same.verdict in (NOT_SUPPORTED, NOT_TESTED)
    other = torch.zeros_like(way)
    other[experiment.graph.edge("input", "m0")] = True
    apart = selectivity_line(experiment, other, pairs[:6], {"same": pairs[6:12]})
    assert apart.own is not None
    assert apart.own.value == pytest.approx(0, abs=1e-9)


def test_specifications_that_disagree() -> None:
    """A circuit of no edges keeps nothing under its own ablation, and the same under all others."""
    experiment = Experiment(make_tiny("llama", torch.float64), planted()[1][:4], allow_weak=True)
    none = torch.zeros(experiment.graph.valid.shape, dtype=torch.bool)
    line = specification_line([experiment], none, none[None][:0], least=0.5, measured_on="4")
    assert line.verdict == SUPPORTED
    assert "does not keep" in line.why
