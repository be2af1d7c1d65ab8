"""The two goals: enough alone, and gone without."""

from __future__ import annotations

import pytest
import torch
from tolerance import rounding

from wheatstone import Experiment, PromptError, RequestError, discover
from wheatstone.discovery import GOALS, GRANULARITIES, DiscoverySettings, acdc
from wheatstone.discovery._goal import goal_named
from wheatstone.discovery._scores import attribute
from wheatstone.discovery._search import VerifiedSearch
from wheatstone.discovery._units import Units


def test_a_complete_circuit_takes_the_metric_away_and_no_edge_of_it_can_be_spared(tiny_experiment: Experiment) -> None:
    experiment = tiny_experiment
    valid = torch.from_numpy(experiment.graph.valid)
    found = VerifiedSearch(experiment, attribute(experiment), 0.8, goal="complete").run()
    (left,) = experiment.faithfulness((valid & ~found.keep)[None])
    assert abs(left) <= 0.2
    assert found.reached == rounding(experiment.model).near(1 - left)
    assert found.effects is not None
    for channel, node in found.keep.nonzero().tolist():
        spared = valid & ~found.keep
        spared[channel, node] = True
        (value,) = experiment.faithfulness(spared[None])
        assert abs(value) > 0.2
        assert float(found.effects[channel, node]) == rounding(experiment.model).near(value - left)


def test_slopes_of_both_goals_are_derivatives_by_the_mask(tiny_experiment: Experiment) -> None:
    valid = torch.from_numpy(tiny_experiment.graph.valid)
    keep = valid & (torch.rand(valid.shape, generator=torch.Generator().manual_seed(0)) < 0.5)
    complete, sufficient = (GOALS[name](tiny_experiment) for name in ("complete", "sufficient"))
    torch.testing.assert_close(complete.slopes(keep), sufficient.slopes(valid & ~keep))
    assert complete.reached(keep[None]) == pytest.approx([1 - sufficient.reached((valid & ~keep)[None])[0]])


def test_a_circuit_proven_both_ways_suffices_each_way_and_every_edge_is_needed_one_way(
    tiny_experiment: Experiment,
) -> None:
    both = tiny_experiment.both_ways()
    back = [pair.swapped() for pair in tiny_experiment.encoded.pairs]
    other = tiny_experiment.on([pair for pair in back if pair is not None])
    found = VerifiedSearch(both, attribute(both), 0.8, both_ways=True).run()
    near = rounding(both.model).near

    edges = found.keep.nonzero()
    masks = found.keep.repeat(1 + len(edges), 1, 1)
    for number, (channel, node) in enumerate(edges.tolist(), start=1):
        masks[number, channel, node] = False
    each_way = zip(tiny_experiment.faithfulness(masks), other.faithfulness(masks), strict=True)
    reached, *without = (max(values, key=lambda value: abs(1 - value)) for values in each_way)
    assert abs(1 - reached) <= 0.2
    assert found.reached == near(reached)
    assert all(abs(1 - value) > 0.2 for value in without)
    assert found.effects is not None
    assert found.effects[found.keep].tolist() == near([reached - value for value in without])


def test_a_pair_without_distractor_has_no_other_way(tiny_experiment: Experiment) -> None:
    bare = tiny_experiment.encoded.pairs[0].model_copy(update={"distractors": ()})
    with pytest.raises(PromptError, match="--distractor"):
        Experiment(tiny_experiment.model, [bare], metric="kl", allow_weak=True).both_ways()
    with pytest.raises(RequestError, match="--both-ways with --goal complete"):
        DiscoverySettings(both_ways=True, goal="complete").check()


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_whole_units_are_kept_and_each_is_necessary(tiny_experiment: Experiment, granularity: str) -> None:
    experiment = tiny_experiment
    found = VerifiedSearch(experiment, attribute(experiment), 0.8, granularity=granularity).run()
    assert abs(1 - found.reached) <= 0.2
    units = Units.of(experiment.graph, granularity)
    chosen = units.present(found.keep)
    assert experiment.faithfulness(units.mask(chosen)[None]) == rounding(experiment.model).near([found.reached])
    for unit in chosen.nonzero().flatten().tolist():
        without = chosen.clone()
        without[unit] = False
        (value,) = experiment.faithfulness(units.mask(without)[None])
        assert abs(1 - value) > 0.2


def test_an_unknown_goal_is_refused(tiny_experiment: Experiment) -> None:
    with pytest.raises(RequestError, match="sufficient, complete; got 'small'"):
        goal_named("small", tiny_experiment)
    with pytest.raises(RequestError, match="a goal out of"):
        discover(tiny_experiment.model, tiny_experiment.encoded.pairs, goal="small")


def test_acdc_by_name_is_acdc(tiny_experiment: Experiment) -> None:
    pairs = tiny_experiment.encoded.pairs
    circuit = discover(tiny_experiment.model, pairs, method="acdc", threshold=0.05, metric="kl")
    found = acdc(Experiment(tiny_experiment.model, pairs, metric="kl"), 0.05)
    assert torch.equal(circuit.mask(), found.keep)
    assert circuit.effects is None


def test_a_scoring_method_by_name_is_its_ranking(tiny_experiment: Experiment) -> None:
    circuit = discover(tiny_experiment.model, tiny_experiment.encoded.pairs, method="eap", faithfulness=0.8)
    scores = attribute(tiny_experiment, method="eap")
    assert torch.equal(circuit.mask(), scores.top([len(circuit)])[0])
    assert circuit.evaluation is not None
    assert abs(1 - circuit.evaluation.faithfulness) <= 0.2
