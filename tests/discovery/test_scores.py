"""Edge scores against their definition and against exact effects."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import explainable_pairs, make_tiny
from tolerance import rounding

from wheatstone import Experiment, RequestError
from wheatstone.discovery import METHODS, _activations
from wheatstone.discovery._scores import EdgeScores, attribute, score_edges
from wheatstone.models import Graph


def test_scores_are_difference_times_gradient_edge_by_edge(tiny_experiment: Experiment) -> None:
    experiment, model, graph = tiny_experiment, tiny_experiment.model, tiny_experiment.graph
    scores = attribute(experiment, method="eap").values
    run = model.channel_gradients(experiment.encoded.clean, experiment.values_of, cache=True)
    assert run.nodes is not None
    gradients = torch.cat([*(run.at_layer(layer) for layer in range(graph.layers)), run.at_logits()])
    for channel, node in torch.from_numpy(graph.valid).nonzero().tolist():
        difference = run.nodes[node] - experiment.ablated[node]
        expected = float((difference * gradients[channel]).sum()) / experiment.encoded.clean.batch
        assert float(scores[channel, node]) == rounding(model, passes=3).near(expected)
    assert (scores[~torch.from_numpy(graph.valid)] == 0).all()


def test_the_score_of_an_edge_into_the_logits(tiny_experiment: Experiment) -> None:
    """There the channel's gradient is the metric's own through final norm and unembedding."""
    experiment = tiny_experiment
    model, graph, tokens = experiment.model, experiment.graph, experiment.encoded.clean
    nodes = model.forward(tokens, cache=True).nodes
    assert nodes is not None
    bias = sum(0 if block.output_bias is None else block.output_bias for block in model.blocks)
    rows = torch.arange(tokens.batch)
    stream = (nodes.sum(0) + bias)[rows, experiment.encoded.last].requires_grad_()
    body = model.module.get_submodule("transformer" if model.family.name == "gpt2" else "model")
    norm = body.get_submodule("ln_f" if model.family.name == "gpt2" else "norm")
    logits = model.module.get_submodule("lm_head")(norm(stream))
    rounding(model).check(logits, experiment.clean_logits)
    (gradient,) = torch.autograd.grad(experiment.values_of(logits).mean(), stream)
    difference = (nodes - experiment.ablated)[:, rows, experiment.encoded.last]
    expected = torch.einsum("nbd,bd->n", difference, gradient)
    got = attribute(experiment, method="eap").values[graph.logits_channel]
    rounding(model).check(got, expected)


def test_scores_are_the_slopes_of_the_whole_graphs_mask(tiny_experiment: Experiment) -> None:
    whole = torch.from_numpy(tiny_experiment.graph.valid)
    scale = float(tiny_experiment.clean.mean() - tiny_experiment.corrupt.mean())
    expected = tiny_experiment.edge_gradients(whole) * scale
    got = attribute(tiny_experiment, method="eap").values
    rounding(tiny_experiment.model).check(got, expected)


def test_integrated_scores_are_the_mean_of_single_steps(tiny_experiment: Experiment) -> None:
    experiment, graph = tiny_experiment, tiny_experiment.graph
    nodes = experiment.model.forward(experiment.encoded.clean, cache=True).nodes
    assert nodes is not None
    differences = (nodes - experiment.ablated).flatten(1)
    total = torch.zeros(graph.valid.shape, dtype=torch.float64)
    for step in (1, 2, 3):
        point = experiment.ablated[0] + step / 3 * (experiment.clean_input - experiment.ablated[0])
        run = experiment.model.channel_gradients(experiment.encoded.clean, experiment.values_of, inputs=point[None])
        rows = torch.cat([*(run.at_layer(layer) for layer in range(graph.layers)), run.at_logits()])
        total += rows.flatten(1) @ differences.T / 3 / experiment.encoded.clean.batch
    got = attribute(experiment, method="eap-ig", steps=3).values
    rounding(experiment.model).check(got, total * torch.from_numpy(graph.valid))
    once = attribute(experiment, method="eap-ig", steps=1).values
    rounding(experiment.model, passes=3).check(once, attribute(experiment, method="eap").values)


def test_prompts_weigh_the_same_in_any_order_and_any_batch(tiny_experiment: Experiment) -> None:
    model, pairs = tiny_experiment.model, list(tiny_experiment.encoded.pairs)
    whole = score_edges(model, pairs).values
    rounding(model, passes=3).check(score_edges(model, pairs[::-1]).values, whole)
    singles = sum(score_edges(model, [pair]).values for pair in pairs)
    assert isinstance(singles, torch.Tensor)
    rounding(model).check(singles / len(pairs), whole)


def test_ranking_is_by_size_of_effect_and_ties_keep_the_order_of_computation() -> None:
    graph = Graph(1, 1, 1)
    values = torch.zeros(graph.valid.shape)
    values[graph.edge("m0", "logits")] = -3.0
    values[graph.edge("input", "m0")] = 2.0
    scores = EdgeScores(graph, values, "eap", 1)
    first = [divmod(int(index), len(graph.nodes)) for index in scores.ranking()]
    assert first[:3] == [graph.edge("m0", "logits"), graph.edge("input", "m0"), graph.edge("input", "a0.h0<q>")]
    assert len(first) == graph.edges
    masks = scores.top([0, 2, graph.edges])
    assert masks.sum((1, 2)).tolist() == [0, 2, graph.edges]
    assert torch.equal(masks[2], torch.from_numpy(graph.valid))


def test_requests_that_are_refused(tiny_experiment: Experiment) -> None:
    with pytest.raises(RequestError, match=r"eap-ig, eap, .*; got 'acdc'"):
        attribute(tiny_experiment, method="acdc")
    with pytest.raises(
        RequestError, match=r"use `wheatstone path-patching`; its direct paths, edge by edge, are `exact`"
    ):
        attribute(tiny_experiment, method="path-patching")
    with pytest.raises(RequestError, match="at least one integration step; got 0"):
        attribute(tiny_experiment, steps=0)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_numbers_in_the_graph_alone_and_repeats_them(
    tiny_experiment: Experiment, method: str
) -> None:
    steps = min(METHODS[method].steps or 1, 5)
    first = attribute(tiny_experiment, method=method, steps=steps)
    valid = torch.from_numpy(tiny_experiment.graph.valid)
    assert first.values.shape == valid.shape
    assert first.values.isfinite().all()
    assert (first.values[~valid] == 0).all()
    assert first.values.count_nonzero() > first.graph.edges / 2
    assert (first.method, first.steps) == (method, steps)
    assert torch.equal(first.values, attribute(tiny_experiment, method=method, steps=steps).values)
    other = attribute(tiny_experiment, method=method, steps=steps, seed=1).values
    assert torch.equal(first.values, other) != METHODS[method].seeded


@pytest.mark.parametrize("ablation", ["counterfactual", "zero"])
def test_scores_by_activations_are_the_mean_over_runs_with_one_sublayer_moved(
    ablation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One component and one step at a time, with hooks of our own on the llama; read at MLPs and logits."""
    model = make_tiny("llama", torch.float64, layers=2, heads=2)
    pairs = explainable_pairs(model, [("w1 w2 w3 w4", "w1 w9 w3 w4"), ("w5 w6 w7 w8", "w5 w6 w17 w8")])
    experiment, graph, steps = Experiment(model, pairs, ablation=ablation), model.graph, 3
    nodes = model.forward(experiment.encoded.clean, cache=True).nodes
    assert nodes is not None
    differences = nodes - experiment.ablated
    layers = [model.module.get_submodule(f"model.layers.{layer}") for layer in range(2)]
    components = [(model.module.get_submodule("model.embed_tokens"), slice(0, 1))]
    for index, layer in enumerate(layers):
        components += [(layer.get_submodule("self_attn"), graph.head_nodes(index))]
        components += [(layer.get_submodule("mlp"), graph.mlp_nodes(index))]
    norms = [layer.get_submodule("post_attention_layernorm") for layer in layers]
    norms.append(model.module.get_submodule("model.norm"))
    total = torch.zeros(3, len(graph.nodes), dtype=torch.float64)
    for component, span in components:
        for step in range(1, steps + 1):
            leaves = [torch.zeros_like(nodes[0], requires_grad=True) for _ in norms]

            def moved(_module: object, _args: object, output: Any, span: slice = span, step: int = step) -> Any:
                change = (1 - step / steps) * differences[span].sum(0)
                return (
                    (output[0].detach() - change, *output[1:])
                    if isinstance(output, tuple)
                    else output.detach() - change
                )

            handles = [component.register_forward_hook(moved)]
            handles += [
                norm.register_forward_pre_hook(lambda _module, args, leaf=leaf: (args[0] + leaf,))
                for norm, leaf in zip(norms, leaves, strict=True)
            ]
            logits = model.module(experiment.encoded.clean.ids, use_cache=False).logits[:, -1]
            for handle in handles:
                handle.remove()
            value = experiment.values_of(logits).mean()
            gradients = torch.autograd.grad(value, leaves, materialize_grads=True)
            for row, gradient in zip(total, gradients, strict=True):
                row += torch.einsum("nbsd,bsd->n", differences, gradient) / (steps * len(components))
    got = attribute(experiment, method="eap-ig-activations", steps=steps).values
    for channel, expected in zip(["m0", "m1", "logits"], total, strict=True):
        row = graph.channel_index[channel]
        readable = int(graph.senders[row])
        rounding(model).check(got[row, :readable], expected[:readable])
    monkeypatch.setattr(_activations, "_TOKENS", 1)
    experiment.memory = 1
    alone = attribute(experiment, method="eap-ig-activations", steps=steps).values
    rounding(model).check(alone, got)


@pytest.mark.parametrize(("ablation", "metric"), [("counterfactual", "logit_diff"), ("zero", "kl"), ("mean", "kl")])
def test_exact_scores_are_the_effects_of_single_ablations(
    tiny_experiment: Experiment, ablation: str, metric: str
) -> None:
    pairs, told = tiny_experiment.encoded.pairs, list[tuple[str, float, float | None]]()
    experiment = Experiment(tiny_experiment.model, pairs, ablation=ablation, metric=metric)
    before = experiment.evaluations
    scores = attribute(experiment, method="exact", report=lambda *report: told.append(report)).values
    assert experiment.evaluations - before == experiment.graph.edges
    assert told[-1][1] == told[-1][2]
    whole = torch.from_numpy(experiment.graph.valid)
    edges = whole.nonzero()
    keep = whole.repeat(len(edges), 1, 1)
    keep[torch.arange(len(edges)), edges[:, 0], edges[:, 1]] = False
    expected = experiment.clean.mean() - experiment.values(keep).mean(-1)
    rounding(experiment.model, passes=3).check(scores[whole], expected)


def test_a_method_without_steps_takes_one(tiny_experiment: Experiment) -> None:
    assert attribute(tiny_experiment, method="eap", steps=7).steps == 1


@pytest.mark.real_weights
def test_the_strongest_edges_of_france_are_exactly_as_strong_as_scored_to_first_order(france: Experiment) -> None:
    """A score is an estimate: the exact effects of the top edges must agree in sign and roughly in size."""
    scores = attribute(france)
    whole = torch.from_numpy(france.graph.valid)
    top = scores.ranking()[:8]
    keep = whole.flatten().repeat(len(top), 1)
    keep[torch.arange(len(top)), top] = False
    effects = france.clean.mean() - france.values(keep.unflatten(1, whole.shape)).mean(-1)
    estimates = scores.values.flatten()[top]
    assert torch.corrcoef(torch.stack([effects, estimates]))[0, 1] > 0.8
