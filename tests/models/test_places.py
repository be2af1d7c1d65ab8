"""Every place of every family: what is read there is what transformers computes there, and changes there act."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_families import FAMILY_CONFIGS, tiny_family
from tolerance import Rounding, rounding
from torch import Tensor, nn

from wheatstone import Add, Apply, KnockOut, KnockOutAttention, PromptError, RequestError, ResidualModel, Scale
from wheatstone.models import Intervention, Tokens

IDS = [3, 1, 4, 1, 5, 9, 2]


@pytest.fixture(scope="module", params=FAMILY_CONFIGS)
def family(request: pytest.FixtureRequest) -> ResidualModel:
    return tiny_family(request.param)


def ids_of(model: ResidualModel) -> list[int]:
    return IDS[: model.context]


def transformers_run(model: ResidualModel) -> dict[tuple[str, int], Tensor]:
    """What hooks on transformers' own modules see, with its eager attention."""
    seen: dict[tuple[str, int], Tensor] = {}
    handles: list[Any] = []

    def note(module: nn.Module, kind: str, layer: int, *, given: bool) -> None:
        def before(_module: nn.Module, args: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
            seen[kind, layer] = (args[0] if args else named["hidden_states"]).clone()

        def after(_module: nn.Module, _args: object, output: Any) -> None:
            seen[kind, layer] = (output[0] if isinstance(output, tuple) else output).clone()

        if given:
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        else:
            handles.append(module.register_forward_hook(after))

    for block in model.blocks:
        note(block.layer, "pre", block.index, given=True)
        note(block.layer, "post", block.index, given=False)
        note(block.attention.get_submodule(model.family.attention_output), "z", block.index, given=True)
        for name, projection in zip("qkv", model.family.qkv, strict=False):
            note(block.attention.get_submodule(projection), name, block.index, given=False)
        if block.dense:
            note(block.neurons_in, "n", block.index, given=True)
    config = model.module.config
    attention = config._attn_implementation
    config._attn_implementation = "eager"
    try:
        with torch.no_grad():
            output = model.module(torch.tensor([ids_of(model)]), use_cache=False, output_attentions=True)
    finally:
        config._attn_implementation = attention
        for handle in handles:
            handle.remove()
    return (
        seen
        | {("pattern", layer): weights for layer, weights in enumerate(output.attentions)}
        | {("logits", 0): output.logits}
    )


def test_every_place_holds_what_transformers_computes_there(family: ResidualModel) -> None:
    run, seen = family(ids_of(family), attention=True), transformers_run(family)
    within: Rounding = rounding(family)
    within.check(run.logits, seen["logits", 0])
    fused = len(family.family.qkv) == 1
    for (kind, layer), expected in seen.items():
        if kind == "logits":
            continue
        if kind in "qkv" and fused:
            if family.family.interleaved:  # [head, (q, k, v), d_head]
                parts = torch.stack([run[f"a{layer}.{each}"] for each in "qkv"], dim=-2).flatten(-3)
            else:
                parts = torch.cat([run[f"a{layer}.{each}"].flatten(-2) for each in "qkv"], dim=-1)
            within.check(parts, expected, say=f"qkv of layer {layer}")
        else:
            name = f"r{layer}.{kind}" if kind in ("pre", "post") else f"{'m' if kind == 'n' else 'a'}{layer}.{kind}"
            got = run[name]
            magnitude = max(1.0, float(expected.abs().max()))
            within.check(got.reshape(expected.shape), expected, magnitude=magnitude, say=name)


def test_the_parts_of_a_run_add_up(family: ResidualModel) -> None:
    run = family(ids_of(family))
    within = rounding(family)
    for block in family.blocks:
        layer, heads = block.index, run[f"a{block.index}.h"]
        bias = 0 if block.output_bias is None else block.output_bias
        within.check(heads.sum(2) + bias, run[f"a{layer}"], magnitude=float(heads.abs().sum(2).max()))
        assert torch.equal(run[f"r{layer}.pre"] + run[f"a{layer}"], run[f"r{layer}.mid"])
        assert torch.equal(run[f"r{layer}.mid"] + run[f"m{layer}"], run[f"r{layer}.post"])
    recorded = family.forward(ids_of(family), cache=True)
    assert recorded.nodes is not None
    assert torch.equal(run.nodes, recorded.nodes)


def places_of(model: ResidualModel) -> list[str]:
    last = model.graph.kv_groups - 1
    names = ["input", "r1.pre", "r1.mid", "r2.post", "a1", "a1.h", "a1.h2", "a1.q", "a1.h2.q", "a1.k", f"a1.g{last}.k"]
    names += ["a1.v", f"a1.g{last}.v", "a1.z", "a1.h2.z", "a1.pattern", "a1.h2.pattern", "m1"]
    return names + (["m1.n", "m1.n5"] if model.blocks[1].dense else [])


def test_replacing_every_place_by_itself_changes_no_bit(family: ResidualModel) -> None:
    plain = family(ids_of(family), attention=True)
    same = family.patch(ids_of(family), plain, places_of(family), attention=True)
    assert torch.equal(same.logits, plain.logits)


def test_a_source_may_be_a_text_or_its_run() -> None:
    """Of a text only what is patched is kept."""
    model = tiny_family("mixtral").split({1: "experts"})
    other = [*IDS[1:], 8]
    for name in ("m1.e1", "a1.h", "a1.h2", "r1.post"):
        by_text, by_run = model.patch(IDS, other, name), model.patch(IDS, model(other), name)
        assert torch.equal(by_text[name], by_run[name]), name
        assert torch.equal(by_text.logits, by_run.logits), name
        assert not torch.equal(by_text.logits, model(IDS).logits), name


@pytest.mark.parametrize("case", ["llama", "gptj", "gemma2", "mixtral"])
def test_a_function_at_any_place_is_used(case: str) -> None:
    model = tiny_family(case)
    plain = model(IDS, attention=True)
    for name in places_of(model):
        # Not a constant: a key's cancels in the softmax.
        other = model(IDS, interventions=[Apply(at=name, function=lambda x: x * 1.5)], attention=True)
        assert torch.equal(other[name], plain[name] * 1.5), name
        assert not torch.equal(other.logits, plain.logits), name


def test_generation_keeps_keys_and_values_under_interventions(family: ResidualModel) -> None:
    """The cache changes nothing: a place at every token, a place in the prompt, and a place of attention weights."""
    ids, vector = IDS[: min(5, family.context - 3)], torch.linspace(-1, 1, family.d_model)
    edge = KnockOutAttention(layer=2, queries=(-1,), keys=(1,), heads=(0,))
    changes: list[Intervention] = [Add(at="r1.post", value=vector), Scale(at="a2.h1.q", factor=2.0), edge]
    changes.append(Apply(at="a1.pattern", function=lambda weights: weights.flip(1)))
    held = KnockOut(at="a1.h2", positions=(0, -1))
    kept = family.generate(ids, new=3, interventions=[*changes, held])
    whole, edge = list(ids), replace(edge, queries=(len(ids) - 1,))
    changes[2:3] = [edge, replace(held, positions=(0, len(ids) - 1))]
    for token in kept.ids[0]:
        assert token == int(family(whole, interventions=changes, cache=False).last()[0].argmax())
        whole.append(token)


@pytest.mark.parametrize(
    ("name", "suggests"),
    [
        ("blocks.1.attn.hook_ressult", "blocks.1.attn.hook_result"),
        ("blocks.1.attn.hook_z[77]", r"blocks.1.attn.hook_z\[3\]"),
        ("blocks.1.hook_mlp_in", "blocks.1.hook_mlp_out"),
        ("blocks.1.hook_resid_mid[2]", "blocks.1.hook_resid_mid"),
        ("a1.h9", "a1.h3"),
        ("a1.g3.k", "a1.g1.k"),
        ("r3.post", "r2.post"),
        ("", "a0.h0"),
    ],
)
def test_a_wrong_place_is_answered_with_the_nearest(tiny_llama_model: ResidualModel, name: str, suggests: str) -> None:
    with pytest.raises(RequestError, match=f"a place that the model has, such as {suggests}$"):
        tiny_llama_model(IDS)[name].sum()
    with pytest.raises(RequestError, match=f"such as {suggests}$"):
        tiny_llama_model(IDS, interventions=[KnockOut(at=name)])


@pytest.fixture(scope="module")
def tiny_llama_model() -> ResidualModel:
    return tiny_family("llama")


def test_an_expert_layer_has_no_neurons() -> None:
    with pytest.raises(RequestError, match="expected an MLP with neurons; got a mixture of experts in layer 1"):
        tiny_family("mixtral")(IDS)["m1.n5"].sum()


@pytest.mark.parametrize(
    ("hook", "place"),
    [
        ("hook_embed", "input"),
        ("blocks.1.hook_resid_pre", "r1.pre"),
        ("blocks.1.hook_resid_mid", "r1.mid"),
        ("blocks.2.hook_resid_post", "r2.post"),
        ("blocks.1.hook_attn_out", "a1"),
        ("blocks.1.hook_mlp_out", "m1"),
        ("blocks.1.attn.hook_result[2]", "a1.h2"),
        ("blocks.1.attn.hook_q[2]", "a1.h2.q"),
        ("blocks.1.attn.hook_k", "a1.k"),
        ("blocks.1.attn.hook_v[1]", "a1.g1.v"),
        ("blocks.1.attn.hook_z[3]", "a1.h3.z"),
        ("blocks.1.attn.hook_pattern[3]", "a1.h3.pattern"),
        ("blocks.1.mlp.hook_post[7]", "m1.n7"),
    ],
)
def test_transformerlens_hooks_name_places(tiny_llama_model: ResidualModel, hook: str, place: str) -> None:
    run = tiny_llama_model(IDS, attention=True)
    assert torch.equal(run[hook], run[place])


def test_a_run_says_what_it_did_not_keep(tiny_llama_model: ResidualModel) -> None:
    with pytest.raises(RequestError, match=r"kept attention weights; .* run the model with attention=True"):
        tiny_llama_model(IDS).attention.sum()
    with pytest.raises(RequestError, match="run the model with cache=True"):
        tiny_llama_model(IDS, cache=False)["a1.h2"].sum()
    assert tiny_llama_model(IDS, cache=False, attention=True).attention.shape == (3, 1, 4, 7, 7)


def test_text_is_refused_where_ids_are_meant_and_read_elsewhere(tiny_llama_model: ResidualModel) -> None:
    with pytest.raises(RequestError, match=r"lists of token ids; got the text 'w1 w2'; .* model\.tokens"):
        Tokens.of(["w1 w2"])
    with pytest.raises(PromptError, match="ids of tiny-llama, from 0 to 47; got 48"):
        tiny_llama_model([48])
    with pytest.raises(PromptError, match="got an empty prompt"):
        tiny_llama_model("")
    with pytest.raises(PromptError, match="at most 64 tokens"):
        tiny_llama_model([1] * 65)
    by_text, by_ids = tiny_llama_model(["w3 w1 w4", "w9"]), tiny_llama_model([[3, 1, 4], [9]])
    assert torch.equal(by_text.logits, by_ids.logits)
    assert torch.equal(tiny_llama_model.forward("w9").logits, tiny_llama_model.forward(Tokens.of([[9]])).logits)
