"""A prompt's numbers are the same alone and in any batch, at lengths around every switch and window of its config."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from tiny_families import FAMILY_CONFIGS, VOCABULARY, tiny_family
from torch import Tensor

from wheatstone.compression import bits
from wheatstone.editing._generation import continuations
from wheatstone.models import ResidualModel, Tokens

CASES = list(FAMILY_CONFIGS)
SWITCHING = ["phi3-longrope", "gemma3_text-longrope", "llama-dynamic"]
"""Their rotary tables depend on how long the text is."""

model_of = functools.cache(tiny_family)


def edges_of_config(model: ResidualModel) -> set[int]:
    """Lengths at which something changes: windows, and where rotary scaling switches."""
    config: Any = model.module.config.get_text_config()
    ropes = config.rope_parameters if getattr(config, "rope_parameters", None) else {}
    settings = [config.to_dict(), ropes, *(rope for rope in ropes.values() if isinstance(rope, dict))]
    names = ("sliding_window", "original_max_position_embeddings")
    lengths = {found[name] for found in settings for name in names if found.get(name)}
    if ropes.get("rope_type") == "dynamic":
        lengths.add(config.max_position_embeddings)
    return {length for length in lengths if length < 20}


def prompts_around(model: ResidualModel) -> list[list[int]]:
    """One, two and 13 tokens, and on either side of everything in the config; long and short ones in turn."""
    at = edges_of_config(model)
    lengths = sorted({1, 2, 13} | {edge + step for edge in at for step in (-1, 0, 1)})
    mixed = [*lengths[::2], *reversed(lengths[1::2])]
    draw = torch.Generator().manual_seed(0)
    return [torch.randint(VOCABULARY, (length,), generator=draw).tolist() for length in mixed]


def tolerance(model: ResidualModel, expected: Tensor) -> float:
    """Rounding of sums as long as the network's: each layer adds up its widths and its positions, in float32."""
    config: Any = model.module.config.get_text_config()
    additions = 2 * model.graph.layers * (2 * config.hidden_size + 13)
    return torch.finfo(torch.float32).eps * additions * max(1.0, float(expected.abs().max()))


def assert_same(model: ResidualModel, got: Tensor, expected: Tensor, what: str) -> None:
    error = float((got - expected).abs().max())
    assert error <= tolerance(model, expected), f"{what}: {error:.2g} apart"


def fresh_logits(model: ResidualModel, ids: list[int]) -> Tensor:
    """transformers' own, from a module that has read nothing before."""
    with torch.no_grad():
        return copy.deepcopy(model.module)(torch.tensor([ids]), use_cache=False).logits[0]


def log_probability(logits: Tensor) -> Tensor:
    return logits.log_softmax(-1)[:, 3]


def changed(ids: list[int]) -> list[int]:
    return [(token + 5) % VOCABULARY for token in ids]


def runs(model: ResidualModel, prompts: list[list[int]]) -> dict[str, list[Tensor]]:
    """Every kind of run, as one tensor for each prompt over its own positions."""
    tokens, lengths = Tokens.of(prompts), [len(prompt) for prompt in prompts]
    ablated = model.forward(Tokens.of([changed(prompt) for prompt in prompts]), cache=True).nodes
    assert ablated is not None
    valid = torch.from_numpy(model.graph.valid)
    draw = torch.Generator().manual_seed(1)
    keep = torch.stack([(torch.rand(valid.shape, generator=draw) < 0.5) & valid, ~valid & valid, valid])
    plain = model.streams(tokens)
    nodes = [1, len(model.graph.nodes) - 1]
    cuts = torch.zeros(2, model.graph.layers, len(prompts), tokens.width, dtype=torch.bool)
    cuts[1, 1:, [row for row, length in enumerate(lengths) if length > 1], 0] = True
    recorded = model.forward(tokens, cache=True, all_positions=True)
    gradients = model.channel_gradients(tokens, log_probability)
    senders = torch.zeros(2, len(model.graph.nodes), dtype=torch.bool)
    senders[0, 0] = senders[1, 2] = True
    receivers = [model.graph.logits_channel - 1, model.graph.logits_channel]
    assert recorded.nodes is not None
    by_row = list[Tensor]

    def inside(values: Tensor, dim: int) -> list[Tensor]:
        """[..., batch, pos, ...] with the batch at `dim`, cut at each prompt's end."""
        return [one.narrow(dim, 0, length) for one, length in zip(values.unbind(dim), lengths, strict=True)]

    def attention() -> list[Tensor]:
        rows = model.attention(tokens).unbind(1)
        return [row[:, :, :length, :length] for row, length in zip(rows, lengths, strict=True)]

    def edges() -> list[Tensor]:
        if model.rotary.last is None:
            return []  # slow, and nothing here depends on the length
        found = {
            tuple(edge): logits
            for some, each in model.without_each_edge(tokens, ablated)
            for edge, logits in zip(some.tolist(), each, strict=True)
        }
        return by_row(torch.stack([found[edge] for edge in sorted(found)], dim=1))

    def neurons() -> list[Tensor]:
        found: dict[int, Tensor] = {}
        layers = [block.index for block in model.blocks if block.dense]
        model.stream_neurons(tokens, lambda layer, values: found.update({layer: values.clone()}), layers=layers)
        return inside(torch.cat([found[layer] for layer in layers], dim=-1), 0) if layers else []

    return {
        "logits": inside(recorded.logits, 0),
        "last logits": by_row(model.forward(tokens).logits),
        "nodes": inside(recorded.nodes, 1),
        "circuits": by_row(model.forward_circuit(tokens, ablated, keep).logits.transpose(0, 1)),
        "patches": by_row(model.patched_logits(plain, nodes, (ablated - recorded.nodes)[nodes]).transpose(0, 1)),
        "paths": by_row(model.path_logits(plain, ablated, senders, receivers).transpose(0, 1)),
        "cuts": by_row(model.last_cut_logits(tokens, cuts).transpose(0, 1)),
        "gradients": inside(gradients.at_layer(0), 1),
        "attention": attention(),
        "edges": edges(),
        "neurons": neurons(),
    }


@pytest.mark.parametrize("case", CASES)
def test_logits_in_a_batch_are_transformers_of_the_prompt_alone(case: str) -> None:
    model = model_of(case)
    prompts = prompts_around(model)
    got = model.forward(Tokens.of(prompts), all_positions=True).logits
    for row, ids in zip(got, prompts, strict=True):
        assert_same(model, row[: len(ids)], fresh_logits(model, ids), f"{len(ids)} tokens")


@pytest.mark.parametrize("case", CASES)
def test_every_run_gives_a_prompt_the_numbers_it_has_alone(case: str) -> None:
    model = model_of(case)
    prompts = prompts_around(model)
    together = runs(model, prompts)
    for row, ids in enumerate(prompts):
        alone = runs(model, [ids])
        for what, rows in together.items():
            if rows:
                assert_same(model, rows[row], alone[what][0], f"{what} of {len(ids)} tokens")


@pytest.mark.parametrize("case", SWITCHING)
def test_a_switch_does_make_a_difference(case: str) -> None:
    """Or the tests above would pass without any grouping."""
    model = model_of(case)
    switch = model.rotary.last
    assert switch is not None
    (long,) = (ids for ids in prompts_around(model) if len(ids) == 13)
    short, beginning = fresh_logits(model, long[:switch]), fresh_logits(model, long)[:switch]
    assert float((short - beginning).abs().max()) > 10 * tolerance(model, short)


@pytest.mark.parametrize("case", SWITCHING)
def test_a_long_prompt_leaves_nothing_behind(case: str) -> None:
    model = tiny_family(case)
    switch = model.rotary.last
    assert switch is not None
    draw = torch.Generator().manual_seed(0)
    long, between, at_switch = (
        torch.randint(VOCABULARY, (length,), generator=draw).tolist() for length in (20, switch + 2, switch)
    )
    before = {name: buffer.clone() for name, buffer in model.module.named_buffers()}
    for ids in (long, between, at_switch, long):
        assert_same(
            model, model.forward(Tokens.of([ids])).logits[0], fresh_logits(model, ids)[-1], f"{len(ids)} tokens"
        )
    assert all(buffer.equal(before[name]) for name, buffer in model.module.named_buffers())
    # Nor does a run of transformers' own disturb the next run here.
    expected = fresh_logits(model, at_switch)[-1]
    with torch.no_grad():
        model.module(torch.tensor([long]), use_cache=False)
    assert_same(model, model.forward(Tokens.of([at_switch])).logits[0], expected, "after transformers' own run")


@pytest.mark.parametrize("case", [*SWITCHING, "gpt2"])
def test_greedy_continuations_do_not_depend_on_the_batch(case: str) -> None:
    """gpt2 reads 64 tokens: how many new ones fit is each prompt's own affair."""
    model = model_of(case)
    room = model.context - 2 if case == "gpt2" else 9
    draw = torch.Generator().manual_seed(0)
    prompts = [
        " ".join(f"w{token}" for token in torch.randint(VOCABULARY, (length,), generator=draw).tolist())
        for length in (1, 3, 3, room)
    ]
    together = continuations(model, prompts, 8)
    for prompt, found in zip(prompts, together, strict=True):
        assert found == continuations(model, [prompt], 8)[0]
    assert case != "gpt2" or list(map(len, together)) == [8, 8, 8, 2]


@pytest.mark.parametrize("case", SWITCHING)
def test_what_a_token_costs_does_not_depend_on_what_follows(case: str) -> None:
    model = model_of(case)
    short = bits(model, "w0 w1").surprise
    assert bits(model, "w0 w1 w2 w3 w4 w5").surprise[: len(short)] == pytest.approx(short, rel=1e-4)
