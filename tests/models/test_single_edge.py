"""The intact model with one edge cut, against the circuit that is the whole graph less that edge."""

from __future__ import annotations

import pytest
import torch
from tiny_families import FAMILY_CONFIGS, tiny_family
from tolerance import rounding
from torch import Tensor

from wheatstone import ComputationError, Experiment
from wheatstone.models import MemoryWarning, ResidualModel, Tokens
from wheatstone.models._single_edge import SingleEdges

CLEAN = Tokens.of([[3, 1, 4, 1, 5], [9, 2, 6], [5, 3, 5, 8, 9, 7, 9]])
OTHER = Tokens.of([[3, 2, 4, 1, 5], [9, 8, 6], [5, 3, 0, 8, 1, 7, 9]])


def ablated_nodes(model: ResidualModel, ablation: str) -> Tensor:
    nodes = model.forward(OTHER, cache=True).nodes
    assert nodes is not None
    other = {"counterfactual": nodes, "mean": nodes[:, :1, :1], "zero": nodes.new_zeros(())}
    return other[ablation].expand_as(nodes)


def without_each(model: ResidualModel, ablated: Tensor, budget: int | None = None) -> tuple[Tensor, Tensor]:
    """The edges in the order they came, and their logits."""
    parts = list(model.without_each_edge(CLEAN, ablated, budget=budget))
    return torch.cat([edges for edges, _ in parts]), torch.cat([logits for _, logits in parts])


def less_one(model: ResidualModel, edges: Tensor) -> Tensor:
    keep = torch.from_numpy(model.graph.valid).repeat(len(edges), 1, 1)
    keep[torch.arange(len(edges)), edges[:, 0], edges[:, 1]] = False
    return keep


@pytest.mark.parametrize("case", FAMILY_CONFIGS)
def test_every_family_is_itself_less_one_edge(case: str) -> None:
    """float64 where the family allows it; norms that go through float32 all the same keep its noise."""
    routed = FAMILY_CONFIGS[case].get("num_experts")
    model = tiny_family(case, torch.float32 if routed else torch.float64)
    for ablation in ("counterfactual", "zero"):
        ablated = ablated_nodes(model, ablation)
        edges, logits = without_each(model, ablated)
        draw = torch.Generator().manual_seed(0)
        some = torch.randperm(len(edges), generator=draw)[:40]
        expected = model.circuit_logits(CLEAN, ablated, less_one(model, edges[some]))
        rounding(model).check(logits[some], expected)
        assert (expected - model.forward(CLEAN).logits).abs().max() > 0.01


@pytest.mark.parametrize("ablation", ["counterfactual", "mean", "zero"])
def test_every_edge_comes_once_and_is_exact(tiny64: ResidualModel, ablation: str) -> None:
    ablated = ablated_nodes(tiny64, ablation)
    edges, logits = without_each(tiny64, ablated)
    assert sorted(edges.tolist()) == torch.from_numpy(tiny64.graph.valid).nonzero().tolist()
    expected = tiny64.circuit_logits(CLEAN, ablated, less_one(tiny64, edges))
    rounding(tiny64).check(logits, expected)


def test_an_mlp_that_reads_the_input_alone_writes_its_ablated_output_without_it() -> None:
    """In a parallel first layer; only where ablated outputs are not a run's own does it show."""
    model = tiny_family("gptj", torch.float64)
    ablated = ablated_nodes(model, "mean")
    edges, logits = without_each(model, ablated)
    (cut,) = (edges == torch.tensor([model.graph.edge("input", "m0")])).all(1).nonzero()[0].tolist()
    expected = model.circuit_logits(CLEAN, ablated, less_one(model, edges[cut : cut + 1]))[0]
    rounding(model).check(logits[cut], expected)


def test_positions_before_the_first_ablated_one_are_not_run(tiny64: ResidualModel) -> None:
    runs = SingleEdges(tiny64, CLEAN, ablated_nodes(tiny64, "counterfactual"), 10**9)
    assert [(prompt.start, prompt.differences.shape[1]) for prompt in runs.prompts] == [(1, 4), (1, 2), (2, 5)]
    everywhere = SingleEdges(tiny64, CLEAN, ablated_nodes(tiny64, "zero"), 10**9)
    assert [prompt.start for prompt in everywhere.prompts] == [0, 0, 0]


def test_a_small_budget_only_makes_batches_smaller(tiny64: ResidualModel) -> None:
    ablated = ablated_nodes(tiny64, "counterfactual")
    edges, logits = without_each(tiny64, ablated)
    one = SingleEdges(tiny64, CLEAN, ablated, 1)
    assert one.rows == 1
    alone = list(one.batches())
    assert torch.equal(edges, torch.tensor(alone)[:, 0])
    for place in range(0, len(alone), 11):
        rounding(tiny64).check(one.run(alone[place])[0], logits[place])


def test_out_of_memory_halves_the_batch_says_so_and_goes_on(
    tiny64: ResidualModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every run of more than five edges is made to run out of memory."""
    ablated = ablated_nodes(tiny64, "counterfactual")
    edges, logits = without_each(tiny64, ablated)
    run = tiny64.run

    def scarce(limit: int) -> None:
        def scarcely(tokens: Tokens, *args: object, **kwargs: object) -> Tensor:
            if tokens.batch > limit:
                raise torch.OutOfMemoryError
            return run(tokens, *args, **kwargs)  # pyright: ignore[reportArgumentType]

        monkeypatch.setattr(tiny64, "run", scarcely)

    scarce(5)
    with pytest.warns(MemoryWarning, match="going on with half as many"):
        halved, same = without_each(tiny64, ablated)
    assert torch.equal(edges, halved)
    rounding(tiny64).check(logits, same)
    runs = SingleEdges(tiny64, CLEAN, ablated, 1)
    scarce(0)
    with pytest.warns(MemoryWarning), pytest.raises(ComputationError, match="memory for one circuit"):
        runs.run([(0, 0)])


def test_a_run_left_half_way_leaves_gradients_as_they_were(tiny64: ResidualModel) -> None:
    _, logits = next(tiny64.without_each_edge(CLEAN, ablated_nodes(tiny64, "zero")))
    assert not logits.requires_grad
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("case", ["gptj", "cohere", "gemma3_text", "opt"])
def test_a_few_tokens_logits_are_those_of_the_whole_vocabulary(case: str) -> None:
    """With an unembedding's bias, a logit scale, a softcap, and a projection before it."""
    model = tiny_family(case, torch.float64)
    ablated, ids = ablated_nodes(model, "counterfactual"), torch.tensor([7, 3, 40])
    _, logits = without_each(model, ablated)
    few = torch.cat([part for _, part in model.without_each_edge(CLEAN, ablated, vocabulary=ids)])
    rounding(model).check(few, logits[..., ids])
    assert model.forward(CLEAN).logits.shape[-1] == logits.shape[-1]


@pytest.mark.real_weights
def test_real_weights_are_themselves_less_one_edge(france: Experiment) -> None:
    """Edges into early and late attention, MLPs and the logits, against circuits of all edges but one."""
    runs = SingleEdges(france.model, france.encoded.clean, france.ablated, france.memory)
    batches = list(runs.batches())
    samples = [batch[:: -(len(batch) // 2)] for batch in (batches[0], *batches[1 :: len(batches) // 4])]
    got = torch.cat([runs.run(edges) for edges in samples])[:, 0]
    expected = france.logits(less_one(france.model, torch.tensor([edge for edges in samples for edge in edges])))[:, 0]
    rounding(france.model).check(got, expected)
    assert ((expected - france.clean_logits).abs().amax(-1) > 0.01).sum() >= 5
