"""Every family against transformers: a tiny random model each, built from its config, nothing downloaded."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from assembled import AssembledRun
from tiny_families import FAMILY_CONFIGS, tiny_family
from tolerance import rounding
from torch import Tensor, nn

from wheatstone._errors import ModelError
from wheatstone.checkpoints.families import FAMILIES, register
from wheatstone.models import PrecisionWarning, ResidualModel, Tokens, load_model
from wheatstone.models._parity import TOLERANCE, check_parity
from wheatstone.models._wiring import check_wiring

CASES = list(FAMILY_CONFIGS)
PROMPTS = [[7, 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5], [8, 9, 7, 9], [2, 7, 1, 8, 2, 8, 1, 8]]
"""The first is longer than the tiny models' sliding window of 5; the others are padded on the right."""
OTHERS = [[7, 3, 1, 40, 1, 5, 9, 2, 6, 35, 3, 5], [8, 19, 7, 9], [22, 7, 1, 8, 2, 28, 1, 8]]

model_of = functools.cache(tiny_family)


def expected(model: ResidualModel, prompts: list[list[int]]) -> list[Tensor]:
    """transformers' logits of each prompt on its own, unpadded."""
    with torch.no_grad():
        return [model.module(torch.tensor([ids]), use_cache=False).logits[0] for ids in prompts]


def values(logits: Tensor) -> Tensor:
    """A metric that bends: a log-probability."""
    return logits.log_softmax(-1)[:, 3]


def all_channel_gradients(model: ResidualModel, ids: list[int]) -> Tensor:
    """[channel, pos, d_model]."""
    run = model.channel_gradients(Tokens.of([ids]), values)
    return torch.cat([*(run.at_layer(layer) for layer in range(model.graph.layers)), run.at_logits()])[:, 0]


def test_every_family_is_tested() -> None:
    assert {case.partition("-")[0] for case in CASES} == set(FAMILIES)


@pytest.mark.parametrize("case", CASES)
def test_a_padded_batch_is_transformers_on_each_prompt(case: str) -> None:
    model = model_of(case)
    recorded = model.forward(Tokens.of(PROMPTS), cache=True, all_positions=True).logits
    last = model.forward(Tokens.of(PROMPTS)).logits
    for row, logits in enumerate(expected(model, PROMPTS)):
        rounding(model).check(recorded[row, : len(logits)], logits)
        rounding(model).check(last[row], logits[-1])


@pytest.mark.parametrize("case", CASES)
def test_nodes_sum_to_the_residual_stream_at_every_layer(case: str) -> None:
    model = model_of(case)
    streams: list[Tensor] = []

    def note(_module: nn.Module, _args: Any, output: Any) -> None:
        streams.append(output[0] if isinstance(output, tuple) else output)

    handles = [block.layer.register_forward_hook(note) for block in model.blocks]
    expected(model, PROMPTS[:1])
    for handle in handles:
        handle.remove()
    nodes = model.forward(Tokens.of(PROMPTS), cache=True).nodes
    assert nodes is not None
    constant = torch.zeros(model.d_model)
    for block, stream in zip(model.blocks, streams, strict=True):
        if block.output_bias is not None:
            constant = constant + block.output_bias
        total = nodes[: model.graph.mlp_nodes(block.index).stop, 0].sum(0) + constant
        rounding(model).check(total, stream.view_as(total))


@pytest.mark.parametrize("case", CASES)
def test_the_full_circuit_is_the_model_and_the_empty_one_the_counterfactual(case: str) -> None:
    model = model_of(case)
    ablated = model.forward(Tokens.of(OTHERS), cache=True).nodes
    assert ablated is not None
    whole = torch.from_numpy(model.graph.valid)
    empty = torch.zeros_like(whole)
    clean, corrupt = ([logits[-1] for logits in expected(model, prompts)] for prompts in (PROMPTS, OTHERS))
    # Each alone, where whole layers are shared; and together, where every channel is assembled on its own.
    for circuits in ([whole], [empty], [whole, empty]):
        run = model.forward_circuit(Tokens.of(PROMPTS), ablated, torch.stack(circuits))
        for keep, logits in zip(circuits, run.logits, strict=True):
            wanted = torch.stack(clean if keep is whole else corrupt)
            rounding(model).check(logits, wanted)


@pytest.mark.parametrize("case", CASES)
def test_random_circuits_are_what_assembling_every_channel_gives(case: str) -> None:
    model = model_of(case)
    ablated = model.forward(Tokens.of(OTHERS), cache=True).nodes
    assert ablated is not None
    draw = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.05, 0.3, 0.8])[:, None, None]
    keep = (torch.rand(3, *model.graph.valid.shape, generator=draw) < shares) & torch.from_numpy(model.graph.valid)
    run = model.forward_circuit(Tokens.of(PROMPTS), ablated, keep)
    for circuit, logits in zip(keep, run.logits, strict=True):
        alone = model.forward_circuit(Tokens.of(PROMPTS), ablated, circuit[None]).logits[0]
        rounding(model).check(alone, logits)
        for row, ids in enumerate(PROMPTS):
            slow = AssembledRun(model, ids, keep=circuit.float(), ablated=ablated[:, row, : len(ids)])
            rounding(model).check(logits[row], slow.logits)


@pytest.mark.parametrize("case", CASES)
def test_channel_gradients_are_autograds_with_one_leaf_per_channel(case: str) -> None:
    model = model_of(case)
    ids = PROMPTS[0]
    got = all_channel_gradients(model, ids)
    leaves = {channel: torch.zeros(len(ids), model.d_model, requires_grad=True) for channel in model.graph.channels}
    values(AssembledRun(model, ids, leaves=leaves).logits[None]).sum().backward()
    for channel, gradient in zip(leaves, got, strict=True):
        wanted = leaves[channel].grad
        assert wanted is not None
        rounding(model, passes=3).check(gradient, wanted, say=channel)


@pytest.mark.parametrize("case", CASES)
def test_mask_gradients_are_autograds_through_every_edge(case: str) -> None:
    model = model_of(case)
    ids, other = PROMPTS[0], OTHERS[0]
    ablated = model.forward(Tokens.of([other]), cache=True).nodes
    assert ablated is not None
    keep = torch.from_numpy(model.graph.valid)
    got = model.circuit_gradients(Tokens.of([ids]), ablated, keep, values)
    mask = keep.float().requires_grad_()
    logits = AssembledRun(model, ids, keep=mask, ablated=ablated[:, 0]).logits
    (slopes,) = torch.autograd.grad(values(logits[None])[0], mask)
    # A slope is a product of a gradient and a node's output, summed over positions and the width.
    magnitude = float(ablated.abs().max() * slopes.abs().max().clamp(min=1))
    rounding(model, passes=3).check(got, slopes * keep, magnitude=magnitude)


@pytest.mark.parametrize("case", CASES)
def test_bfloat16_stays_within_its_rounding(case: str) -> None:
    half = tiny_family(case, torch.bfloat16)
    found = check_wiring(half)
    assert found.passed
    assert found.limit < 2
    fine, coarse = (all_channel_gradients(model, PROMPTS[0]) for model in (model_of(case), half))
    assert coarse.dtype == torch.bfloat16
    assert float((coarse - fine).norm() / fine.norm()) < 0.3


@pytest.mark.parametrize("case", CASES)
def test_the_gate_lets_every_family_pass(case: str) -> None:
    model = model_of(case)
    found = check_wiring(model)
    assert found.passed
    assert found.worst < rounding(model).bound(found.limit / TOLERANCE[model.dtype])  # the largest logit, at least 1


@pytest.mark.parametrize(("case", "dtype"), [("gemma2", "float32"), ("gptj", "float32"), ("mixtral", "float64")])
def test_families_without_the_fast_kernels_load(case: str, dtype: str, tmp_path: Path) -> None:
    model = tiny_family(case)
    model.module.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    assert load_model(tmp_path, dtype=dtype).family.name == case


def test_half_precision_loads_with_a_warning_that_says_how_coarse_it_is(tiny_folder: Path) -> None:
    with pytest.warns(PrecisionWarning, match=r"in bfloat16: logits are rounded by about .*float32 resolves"):
        load_model(tiny_folder, dtype="bfloat16")


@pytest.mark.real_weights
def test_real_weights_pass_on_prompts_of_all_kinds(smollm2: ResidualModel) -> None:
    for found in check_parity(smollm2):
        assert found.worst < rounding(smollm2, positions=128).bound(found.limit / TOLERANCE[smollm2.dtype])
        assert found.top1_agreement == 1


@pytest.mark.parametrize(
    ("case", "mistake"),
    [
        ("llama", {"parallel": True}),
        ("llama", {"mlp_norm": "input_layernorm"}),
        ("llama", {"norm_kind": "layer"}),
        ("gemma", {"norm_weight_plus": 0.0}),
        ("gemma2", {"attention_output_norm": None}),
        ("gemma2", {"mlp_output_norm": None}),
        ("gpt_neox-sequential", {"interleaved": False}),
        ("gptj", {"parallel": False}),
        ("granite", {"residual_multiplier": None}),
        ("olmo2", {"attention_norm": "post_attention_layernorm"}),
        ("llama", {"attention": "attn"}),
    ],
)
def test_a_family_described_wrongly_is_refused(
    case: str, mistake: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = case.partition("-")[0]
    wrong = dataclasses.replace(FAMILIES[name], variants=(), **mistake)  # pyright: ignore[reportArgumentType]
    monkeypatch.setitem(FAMILIES, name, wrong)
    with pytest.raises(ModelError):
        check_wiring(tiny_family(case))


def zero_heads(model: ResidualModel, layer: int, heads: Sequence[int]) -> None:
    """Sets everything that heads read and write to zero, and their groups with them."""
    block = model.blocks[layer]
    for head in heads:
        block.output_weight.data[head] = 0
        for parts in (block.qkv_weights, block.qkv_biases or ()):
            for part, row in zip(parts, (head, model.graph.group_of(head), model.graph.group_of(head)), strict=False):
                part.data[row] = 0


def zero(*parts: nn.Module) -> None:
    for part in parts:
        for parameter in part.parameters():
            parameter.data.zero_()


def heads_alike(model: ResidualModel) -> None:
    for rows in (model.blocks[0].output_weight, *model.blocks[0].qkv_weights):
        rows.data[:] = rows.data[:1].clone()


def embeddings_alike(model: ResidualModel) -> None:
    weight = model.module.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    weight.data.fill_(0.5)


DEGENERATE: dict[str, Callable[[ResidualModel], None]] = {
    "last head of layer 0 is zero": lambda model: zero_heads(model, 0, [model.graph.heads - 1]),
    "all heads of layer 0 are zero": lambda model: zero_heads(model, 0, range(model.graph.heads)),
    "heads are alike": heads_alike,
    "attention of layer 0 is zero, its norms too": lambda model: zero(model.blocks[0].attention),
    "all attention is zero": lambda model: zero(*(block.attention for block in model.blocks)),
    "an MLP is zero": lambda model: zero(model.blocks[0].mlp),
    "a layer is pruned": lambda model: zero(model.blocks[1].layer),
    "embeddings are alike": embeddings_alike,
    "everything is zero": lambda model: zero(model.module),
}
"""Models of little use and sound wiring."""


@pytest.mark.parametrize("what", DEGENERATE)
@pytest.mark.parametrize("case", ["llama-biased", "gpt2", "gpt_neox", "qwen3", "olmo2", "phi3", "gemma2", "mixtral"])
def test_a_degenerate_model_of_sound_wiring_passes(case: str, what: str) -> None:
    model = tiny_family(case)
    DEGENERATE[what](model)
    assert check_wiring(model).passed


@pytest.mark.parametrize("what", [None, *DEGENERATE])
@pytest.mark.parametrize(
    ("case", "mistake"),
    [
        ("gpt_neox-sequential", {"interleaved": False}),
        ("opt", {"qkv": ("k_proj", "q_proj", "v_proj")}),
        ("opt", {"qkv": ("v_proj", "k_proj", "q_proj")}),
        ("opt", {"qkv": ("q_proj", "v_proj", "k_proj")}),
        ("llama", {"qkv": ("q_proj", "v_proj", "k_proj")}),
    ],
)
def test_queries_keys_and_values_mixed_up_are_refused_whatever_the_weights(
    case: str, mistake: dict[str, object], what: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = case.partition("-")[0]
    wrong = dataclasses.replace(FAMILIES[name], variants=(), **mistake)  # pyright: ignore[reportArgumentType]
    monkeypatch.setitem(FAMILIES, name, wrong)
    model = tiny_family(case)
    if what is not None:
        DEGENERATE[what](model)
    with pytest.raises(ModelError, match=r"each head's (query|key|value) in tiny-.*correct the family's qkv"):
        check_wiring(model)


def test_an_unknown_family_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(FAMILIES, "olmo")
    with pytest.raises(ModelError, match=r"cohere, .*stablelm.*family 'olmo'.*docs/guides/add-a-family\.md"):
        tiny_family("olmo")


def test_wiring_that_no_family_describes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILY_CONFIGS, "opt-350m", FAMILY_CONFIGS["opt"] | {"do_layer_norm_before": False})
    with pytest.raises(ModelError, match="do_layer_norm_before = True"):
        tiny_family("opt-350m")
    monkeypatch.setitem(FAMILY_CONFIGS, "gemma2-biased", FAMILY_CONFIGS["gemma2"] | {"attention_bias": True})
    with pytest.raises(ModelError, match="without an output bias"):
        tiny_family("gemma2-biased")


def test_a_routed_mlp_has_no_neurons() -> None:
    with pytest.raises(ModelError, match="mixture of experts"):
        _ = model_of("mixtral").blocks[0].neurons_in


def test_the_later_of_two_families_of_one_name_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "llama", FAMILIES["llama"])
    register(dataclasses.replace(FAMILIES["llama"], parallel=True))
    assert tiny_family("llama").graph.parallel


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("model.layers.1.mlp.down_proj.weight", "in the MLP of layer 1"),
        ("model.layers.2.self_attn.o_proj.weight", "in attention of layer 2"),
        ("model.layers.0.input_layernorm.weight", "in attention of layer 0"),
        ("model.embed_tokens.weight", "in the embedding"),
        ("lm_head.weight", "in the unembedding"),
    ],
)
def test_logits_that_are_not_finite_stop_with_the_layer(where: str, said: str) -> None:
    model = tiny_family("llama")
    model.module.get_parameter(where).data.fill_(torch.inf)
    with pytest.raises(ModelError, match=f"NaN or infinity, first {said}"):
        model.forward(Tokens.of([[1, 2, 3]]))
    assert not model.blocks[0].layer._forward_hooks
