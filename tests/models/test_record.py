"""The plain forward pass: equal to transformers', its parts summing to the whole, and the checkpoint left alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tolerance import Rounding, rounding
from torch import Tensor, nn

from wheatstone.models import ResidualModel, Tokens

PROMPTS = [[3, 1, 4, 1, 5], [9, 2], [6, 5, 3, 5, 8, 9, 7]]


def transformers_logits(model: ResidualModel, ids: list[int]) -> Tensor:
    with torch.no_grad():
        return model.module(torch.tensor([ids]), use_cache=False).logits[0]


def hidden_states(model: ResidualModel, ids: list[int]) -> tuple[Tensor, ...]:
    """The residual stream after each layer but the last, as transformers reports it (the last is normed)."""
    with torch.no_grad():
        states = model.module(torch.tensor([ids]), use_cache=False, output_hidden_states=True).hidden_states
    return tuple(state[0] for state in states[:-1])


@pytest.mark.parametrize("cache", [False, True])
def test_logits_are_transformers(tiny: ResidualModel, cache: bool) -> None:
    got = tiny.forward(Tokens.of(PROMPTS), cache=cache)
    everywhere = tiny.forward(Tokens.of(PROMPTS), cache=cache, all_positions=True)
    for row, ids in enumerate(PROMPTS):
        expected = transformers_logits(tiny, ids)
        rounding(tiny).check(got.logits[row], expected[-1])
        rounding(tiny).check(everywhere.logits[row, : len(ids)], expected)


def test_node_outputs_sum_to_the_residual_stream(tiny64: ResidualModel) -> None:
    ids = PROMPTS[0]
    nodes = tiny64.forward(Tokens.of([ids]), cache=True).nodes
    assert nodes is not None
    total = nodes[0, 0]
    for layer, state in enumerate(hidden_states(tiny64, ids)):
        rounding(tiny64).check(total, state)
        written = nodes[tiny64.graph.head_nodes(layer)].sum(0) + nodes[tiny64.graph.mlp_nodes(layer)].sum(0)
        bias = tiny64.blocks[layer].output_bias
        total = total + written[0] + (0 if bias is None else bias)


def test_one_prompt_alone_is_the_same_prompt_in_a_padded_batch(tiny64: ResidualModel) -> None:
    batch = tiny64.forward(Tokens.of(PROMPTS), cache=True)
    assert batch.nodes is not None
    for row, ids in enumerate(PROMPTS):
        alone = tiny64.forward(Tokens.of([ids]), cache=True)
        assert alone.nodes is not None
        rounding(tiny64).check(batch.logits[row], alone.logits[0])
        rounding(tiny64).check(batch.nodes[:, row, : len(ids)], alone.nodes[:, 0])


def snapshot(module: nn.Module) -> list[Any]:
    """Everything a module is: its attributes by identity, its hooks, its flags."""
    seen: list[Any] = []
    for part in module.modules():
        for name, value in sorted(part.__dict__.items()):
            seen.append((name, sorted(value.items()) if "hooks" in name and isinstance(value, dict) else id(value)))
        seen.append([(name, id(value), value.requires_grad) for name, value in part.named_parameters(recurse=False)])
    return seen


def test_a_run_leaves_the_checkpoint_exactly_as_it_was(tiny: ResidualModel) -> None:
    before, weights = snapshot(tiny.module), {k: v.clone() for k, v in tiny.module.state_dict().items()}
    config = tiny.module.config.to_dict()
    tokens = Tokens.of(PROMPTS)
    nodes = tiny.forward(tokens, cache=True).nodes
    assert nodes is not None
    tiny.forward_circuit(tokens, nodes.flip(1), torch.from_numpy(tiny.graph.valid)[None])
    tiny.channel_gradients(tokens, lambda logits: logits[:, 0])
    tiny.circuit_gradients(tokens, nodes.flip(1), torch.from_numpy(tiny.graph.valid), lambda logits: logits[:, 0])
    assert snapshot(tiny.module) == before
    assert tiny.module.config.to_dict() == config
    for name, weight in tiny.module.state_dict().items():
        assert torch.equal(weight, weights[name])
    assert all(parameter.grad is None for parameter in tiny.module.parameters())


class Interrupted(Exception):
    """Raised in the middle of a run."""


@pytest.mark.parametrize("where", ["attention", "mlp", "metric"])
def test_an_exception_inside_a_run_leaves_the_checkpoint_as_it_was(
    tiny: ResidualModel, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = tiny.blocks[1]
    before, expected = snapshot(tiny.module), tiny.forward(Tokens.of(PROMPTS)).logits

    def interrupt(*_: Any, **__: Any) -> Any:
        raise Interrupted

    def values(logits: Tensor) -> Tensor:
        return interrupt() if where == "metric" else logits[:, 0]

    with monkeypatch.context() as patch:
        if where != "metric":
            patch.setattr(type({"attention": block.attention, "mlp": block.mlp}[where]), "forward", interrupt)
            with pytest.raises(Interrupted):
                tiny.forward(Tokens.of(PROMPTS), cache=True)
        with pytest.raises(Interrupted):
            tiny.channel_gradients(Tokens.of(PROMPTS), values)
    assert snapshot(tiny.module) == before
    assert torch.equal(tiny.forward(Tokens.of(PROMPTS)).logits, expected)


def test_a_forward_of_the_users_own_is_put_back(tiny: ResidualModel) -> None:
    layer = tiny.blocks[0].layer
    own = layer.forward

    def traced(*args: Any, **kwargs: Any) -> Any:
        return own(*args, **kwargs)

    layer.forward = traced
    try:
        tiny.forward(Tokens.of(PROMPTS))
        assert layer.__dict__["forward"] is traced
    finally:
        del layer.forward


@pytest.mark.real_weights
def test_smollm2_is_transformers(smollm2: ResidualModel) -> None:
    texts = ["The official language of France is", "When Mary and John went to the store, John gave a drink to", "A"]
    got = smollm2.forward(smollm2.tokens(texts), cache=True)
    for row, text in enumerate(texts):
        expected = transformers_logits(smollm2, smollm2.encode(text))[-1]
        rounding(smollm2).check(got.logits[row], expected)


@pytest.mark.real_weights
def test_smollm2_node_outputs_sum_to_the_residual_stream(smollm2: ResidualModel) -> None:
    ids = smollm2.encode("The official language of France is")
    nodes = smollm2.forward(Tokens.of([ids]), cache=True).nodes
    assert nodes is not None
    totals = nodes[:, 0].double().cumsum(0)
    for layer, state in enumerate(hidden_states(smollm2, ids)):
        # Each node's own output is a sum over a head or over the MLP's inputs; the stream is their sum.
        sums = Rounding(len(nodes) + 1536, torch.float32)
        sums.check(totals[smollm2.graph.mlp_nodes(layer - 1).stop - 1 if layer else 0].float(), state)
