"""ACDC in batches against the loop of the paper, one edge and one run at a time."""

from __future__ import annotations

import pytest
import torch
from tiny import explainable_pairs, make_tiny
from tolerance import rounding
from torch import Tensor

from wheatstone import Experiment, RequestError
from wheatstone.discovery import acdc
from wheatstone.models import ResidualModel


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def small(request: pytest.FixtureRequest) -> ResidualModel:
    """Two layers of two heads, for the slow loop; the llama's heads share their key and value."""
    return make_tiny(request.param, torch.float64, layers=2, heads=2)


def one_edge_at_a_time(experiment: Experiment, threshold: float, keep: str) -> Tensor:
    """Algorithm 1, run as it is written."""
    graph = experiment.graph
    circuit = torch.from_numpy(graph.valid).clone()
    value = float(experiment.values(circuit[None]).mean())
    for channel in reversed(range(len(graph.channels))):
        for node in reversed(range(int(graph.senders[channel]))):
            circuit[channel, node] = False
            without = float(experiment.values(circuit[None]).mean())
            worse = without - value if experiment.metric.name == "kl" else value - without
            if (worse if keep == "signed" else abs(worse)) < threshold:
                value = without
            else:
                circuit[channel, node] = True
    return circuit


def experiment_on(model: ResidualModel, seed: int, metric: str, ablation: str = "counterfactual") -> Experiment:
    """One prompt and its counterfactual, drawn by seed."""
    words = torch.randint(1, 40, (5,), generator=torch.Generator().manual_seed(seed)).tolist()
    prompt, other = (" ".join(f"w{word}" for word in [*words[:2], subject, words[4]]) for subject in words[2:4])
    return Experiment(model, explainable_pairs(model, [(prompt, other)]), metric=metric, ablation=ablation)


@pytest.mark.parametrize("keep", ["abs", "signed"])
@pytest.mark.parametrize("metric", ["logit_diff", "kl"])
@pytest.mark.parametrize(("seed", "share"), [(1, 0.003), (2, 0.02), (4, 0.1)])
def test_the_same_edges_stay_as_one_at_a_time(
    small: ResidualModel, seed: int, share: float, metric: str, keep: str
) -> None:
    experiment = experiment_on(small, seed, metric)
    threshold = share * float((experiment.clean - experiment.corrupt).mean().abs())
    slow = one_edge_at_a_time(experiment, threshold, keep)
    found = acdc(experiment, threshold, keep=keep)
    working = torch.from_numpy(experiment.graph.working_edges(slow.numpy()))
    assert torch.equal(found.keep, working)
    assert 0 < int(working.sum()) < experiment.graph.edges
    value = experiment.values(slow[None]).mean()
    assert found.value == rounding(experiment.model).near(float(value))
    assert found.faithfulness == rounding(experiment.model).near(experiment.faithfulness(found.keep[None])[0])


def test_another_ablation_is_decided_alike(small: ResidualModel) -> None:
    experiment = experiment_on(small, 4, "kl", "zero")
    slow = one_edge_at_a_time(experiment, 0.02, "abs")
    assert torch.equal(acdc(experiment, 0.02).keep, torch.from_numpy(experiment.graph.working_edges(slow.numpy())))


def test_the_trace_accounts_for_every_decision_that_was_run(small: ResidualModel) -> None:
    experiment = experiment_on(small, 0, "logit_diff")
    told: list[tuple[str, float, float | None]] = []
    before = experiment.evaluations
    found = acdc(experiment, 0.05, report=lambda *report: told.append(report))
    assert found.evaluations == experiment.evaluations - before
    kept = {step.kept for step in found.trace if step.kept is not None}
    graph = experiment.graph
    assert {(graph.nodes[node], graph.channels[channel]) for channel, node in found.keep.nonzero().tolist()} <= kept
    assert all(abs(step.change) >= 0.05 for step in found.trace if step.kept is not None)
    assert found.trace[-1].value == found.value
    decided = sum(step.removed + (step.kept is not None) for step in found.trace)
    assert len(kept) < decided <= graph.edges
    done = [report[1] for report in told]
    assert done == sorted(done)
    assert told[-1] == ("acdc", graph.edges, graph.edges)


def test_a_threshold_above_everything_leaves_nothing(small: ResidualModel) -> None:
    experiment = experiment_on(small, 0, "logit_diff")
    found = acdc(experiment, 1e6)
    assert not found.keep.any()
    assert found.faithfulness == rounding(experiment.model).near(0)
    assert found.evaluations < experiment.graph.edges


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
def test_a_threshold_that_is_none_is_refused(small: ResidualModel, threshold: float) -> None:
    with pytest.raises(RequestError, match=r"a threshold above 0, in units of the metric.*try 0.05 logits"):
        acdc(experiment_on(small, 0, "logit_diff"), threshold)


def test_another_rule_is_refused(small: ResidualModel) -> None:
    with pytest.raises(RequestError, match="one of abs, signed; got 'both'"):
        acdc(experiment_on(small, 0, "logit_diff"), 0.1, keep="both")
