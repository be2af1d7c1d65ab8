"""Circuits beside each other: what each does alone, what is lost without it, and who has their way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tolerance import rounding

from wheatstone import Circuit, CircuitError, Edge, Experiment, RequestError
from wheatstone.circuits import ModelInfo
from wheatstone.mechanisms import Competition, CompetitionRow, competition, strengths, strongest_path
from wheatstone.mechanisms._competition import own_edges


def circuit_of(experiment: Experiment, keep: torch.Tensor) -> Circuit:
    return Circuit.of_mask(ModelInfo.of(experiment.model), keep, ablation=experiment.ablation)


def test_own_edges_are_in_no_other_circuit() -> None:
    masks = {
        "one": torch.tensor([[True, True, False, False]]),
        "two": torch.tensor([[False, True, True, False]]),
        "three": torch.tensor([[False, False, True, True]]),
    }
    own = {name: keep.nonzero()[:, 1].tolist() for name, keep in own_edges(masks).items()}
    assert own == {"one": [0], "two": [], "three": [3]}


def test_the_whole_model_pushes_all_the_way_and_nothing_is_left_without_it(tiny_experiment: Experiment) -> None:
    graph = tiny_experiment.graph
    whole = torch.from_numpy(graph.valid)
    found = competition(
        tiny_experiment.model, tiny_experiment.encoded.pairs, {"whole": circuit_of(tiny_experiment, whole)}, draws=2
    )
    gap = (tiny_experiment.clean - tiny_experiment.corrupt).double().numpy()
    assert found.edges == {"whole": (graph.edges, graph.edges)}
    for row in found.rows:
        assert row.push == rounding(tiny_experiment.model).near(gap[row.prompt])
        assert row.own_drop == rounding(tiny_experiment.model).near(gap[row.prompt])
        assert row.drop == (None if row.draw else rounding(tiny_experiment.model).near(gap[row.prompt]))
    (strength,) = strengths(found)
    assert strength.share == pytest.approx(1)
    assert strength.push == pytest.approx(gap.mean())
    assert strength.beyond == rounding(tiny_experiment.model).near(0)
    assert strength.beyond_low is strength.beyond_high is None  # three prompts are too few


def test_each_number_is_a_run_of_its_own(tiny_experiment: Experiment) -> None:
    experiment, draw = tiny_experiment, torch.Generator().manual_seed(0)
    valid = torch.from_numpy(experiment.graph.valid)
    masks = {name: (torch.rand(valid.shape, generator=draw) < 0.5) & valid for name in ("one", "two")}
    circuits = {name: circuit_of(experiment, keep) for name, keep in masks.items()}
    found = competition(experiment.model, experiment.encoded.pairs, circuits, draws=1)
    assert found.model == pytest.approx(experiment.clean.tolist())
    assert found.ablated == pytest.approx(experiment.corrupt.tolist())
    for name, other in (("one", "two"), ("two", "one")):
        own = masks[name] & ~masks[other]
        alone, without, without_own = experiment.values(torch.stack([masks[name], valid & ~masks[name], valid & ~own]))
        rows = [row for row in found.rows if row.circuit == name and row.draw == 0]
        assert [row.push for row in rows] == pytest.approx((alone - experiment.corrupt).tolist())
        assert [row.drop for row in rows] == pytest.approx((experiment.clean - without).tolist())
        assert [row.own_drop for row in rows] == pytest.approx((experiment.clean - without_own).tolist())
    copies = [row for row in found.rows if row.draw == 1]
    assert {(row.prompt, row.circuit) for row in copies} == {(p, c) for p in range(3) for c in ("one", "two")}


def made_up(pushes: dict[str, list[float]], model: list[float]) -> Competition:
    """Copies push half as much the other way."""
    rows = [
        CompetitionRow(prompt, name, draw, push * (-0.5 if draw else 1), None if draw else push, 2 * push)
        for name, of in pushes.items()
        for draw in (0, 1, 2)
        for prompt, push in enumerate(of)
    ]
    return Competition(tuple(model), (0.0,) * len(model), dict.fromkeys(pushes, (5, 2)), tuple(rows))


def test_strength_by_hand() -> None:
    pushes = {"one": [1.0, 3.0, 1.0, 3.0], "two": [-2.0] * 4}
    one, two = strengths(made_up(pushes, [4.0, 0.0, 4.0, 0.0]))
    assert (one.n, one.edges, one.own_edges) == (4, 5, 2)
    assert (one.share, one.push, one.drop, one.own_drop) == (1.0, 2.0, 2.0, 4.0)
    assert one.beyond == 3.0
    assert one.own_beyond == 0.0
    # No skewness: 2 ± t · s / √n with t(3) = 3.1824, widened by 1 + 9/64, and s² = 4/3.
    reach = 3.18244631 * (1 + 9 / 64) * (1 / 3) ** 0.5
    assert (one.push_low, one.push_high) == pytest.approx((2 - reach, 2 + reach))
    assert (two.share, two.beyond, two.beyond_low, two.beyond_high) == (-1.0, -3.0, None, None)  # it does not vary


def test_the_stronger_of_two_decides() -> None:
    found = made_up({"one": [5.0, 1.0, 3.0, 2.0], "two": [-1.0, -2.0, -1.0, -3.0]}, [3.0, -2.0, 1.0, -2.5])
    verdicts = {(verdict.measure, verdict.of): verdict for verdict in strongest_path(found, "one", "two")}
    right, wrong = verdicts["push", "circuits"], verdicts["push", "copies"]
    assert (right.agrees, right.agrees_low, right.agrees_high) == pytest.approx((1, 0.4540497, 1))  # four of four
    assert (wrong.agrees, right.same, wrong.n) == (0.0, 0.5, 4)
    assert right.correlation == pytest.approx(0.9486833)  # sums 4 −1 2 −1 have ranks 4 1.5 3 1.5; D has 4 2 3 1
    assert wrong.correlation == pytest.approx(-0.9486833)


def test_two_answers_in_balance_can_be_asked(tiny_experiment: Experiment) -> None:
    """What Experiment refuses for a logit difference: prompts on which the model prefers neither answer."""
    first, *others = tiny_experiment.encoded.pairs
    pairs = [
        first,
        *(pair.model_copy(update={"answers": pair.distractors, "distractors": pair.answers}) for pair in others),
    ]
    keep = torch.from_numpy(tiny_experiment.graph.valid)
    found = competition(tiny_experiment.model, pairs, {"whole": circuit_of(tiny_experiment, keep)}, draws=1)
    assert np.sign(found.model).tolist() == [1, -1, -1]


def test_what_cannot_compete_is_refused(tiny_experiment: Experiment) -> None:
    model, pairs = tiny_experiment.model, tiny_experiment.encoded.pairs
    one = Circuit(ModelInfo.of(model), (Edge("input", "logits"),))
    with pytest.raises(RequestError, match="at least one circuit"):
        competition(model, pairs, {})
    with pytest.raises(RequestError, match="0 copies"):
        competition(model, pairs, {"one": one}, draws=0)
    with pytest.raises(CircuitError, match="counterfactual and zero"):
        competition(model, pairs, {"one": one, "two": replace(one, ablation="zero")})
    with pytest.raises(CircuitError, match=r"a9\.h0"):
        competition(model, pairs, {"one": replace(one, edges=(Edge("a9.h0", "logits"),))})
