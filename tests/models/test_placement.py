"""Models that accelerate keeps partly on disk give the numbers of the same model in memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import dispatch_model
from prompts import FRANCE
from tiny import explainable_pairs, make_tiny
from tolerance import rounding
from torch import Tensor

from wheatstone import ModelError, discover, load_model, score_edges, wrap_model
from wheatstone.models import (
    AddScore,
    KnockOutAttention,
    MemoryWarning,
    Replace,
    ResidualModel,
    Scale,
    Tokens,
    check_parity,
)
from wheatstone.models._wiring import check_wiring

TOKENS = Tokens.of([[3, 1, 4, 1, 5], [9, 2], [6, 5, 3, 5]])
OTHER = Tokens(TOKENS.ids + 20, TOKENS.lengths)


def on_disk(model: ResidualModel, folder: Path, *layers: int) -> ResidualModel:
    """The model with some layers' weights in files, fetched by accelerate when they are needed."""
    module: Any = copy.deepcopy(model.module)
    where: dict[str, str | int | torch.device] = {
        name: "cpu" for name, part in module.named_modules() if name and not list(part.children())
    }
    prefix = model.family.layers
    where = {name: device for name, device in where.items() if not name.startswith(prefix)}
    where |= {f"{prefix}.{index}": "disk" if index in layers else "cpu" for index in range(model.graph.layers)}
    dispatch_model(module, where, offload_dir=folder)
    return ResidualModel(module, model.tokenizer, id=model.id)


def on_meta(model: ResidualModel) -> set[int]:
    return {block.index for block in model.blocks if all(weight.is_meta for weight in block.layer.parameters())}


@pytest.fixture(params=["llama", "llama-biased", "gpt2"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ResidualModel, ResidualModel]:
    """A tiny model, and the same with its first and last layer on disk."""
    plain = make_tiny(request.param, torch.float32)
    return plain, on_disk(plain, tmp_path, 0, 2)


def circuits(model: ResidualModel) -> Tensor:
    valid = torch.from_numpy(model.graph.valid)
    draw = torch.Generator().manual_seed(0)
    return valid & (torch.rand(3, *valid.shape, generator=draw) < 0.6)


def test_every_run_gives_the_same_numbers(both: tuple[ResidualModel, ResidualModel]) -> None:
    edits = [Replace(at="a0.h1", value=torch.ones(16)), Scale(at="m2.n3", factor=3.0), Scale(at="m0", factor=2.0)]
    cut = KnockOutAttention(layer=2, queries=(1,), keys=(0,))

    def numbers(model: ResidualModel) -> dict[str, Tensor]:
        plain = model.forward(TOKENS, cache=True, all_positions=True)
        ablated = model.forward(OTHER, cache=True).nodes
        assert plain.nodes is not None
        assert ablated is not None
        gradients = model.channel_gradients(TOKENS, lambda logits: logits.log_softmax(-1)[:, 3], cache=True)
        edited = model.forward_with(TOKENS, [*edits, cut], cache=True)
        assert edited.nodes is not None
        whole = torch.from_numpy(model.graph.valid)
        split = model.head_split(TOKENS, "a2.h1")
        return {
            "logits": plain.logits,
            "nodes": plain.nodes,
            "stream": model.after_layers(plain.nodes),
            "unembed": model.unembed(plain.nodes.sum(0)[:, -1]),
            "circuits": model.circuit_logits(TOKENS, ablated, circuits(model)),
            "patched": model.patched_logits(model.streams(TOKENS), [1, 14], plain.nodes[:2]),
            "slopes": model.circuit_gradients(TOKENS, ablated, circuits(model)[0], lambda logits: logits[:, 3]),
            "slopes of all": model.circuit_gradients(TOKENS, ablated, whole, lambda logits: logits[:, 3]),
            "gradients": torch.cat([gradients.at_layer(layer) for layer in range(3)]),
            "at logits": gradients.at_logits(),
            "edited": edited.logits,
            "edited nodes": edited.nodes,
            "attention": model.attention(TOKENS, interventions=[cut]),
            "scores": model.forward_with(TOKENS, [AddScore(head="a2.h1", keys=(0,), value=torch.tensor(2.0))]).logits,
            "split": torch.cat([getattr(split, name).flatten() for name in ("q", "k", "v", "scores", "stream")]),
        }

    plain, spread = both
    expected = numbers(plain)
    for name, found in numbers(spread).items():
        rounding(plain, passes=3).check(found, expected[name], say=name)
        assert on_meta(spread) == {0, 2}, name


def test_it_passes_the_gate(both: tuple[ResidualModel, ResidualModel]) -> None:
    _, spread = both
    assert check_wiring(spread).passed
    assert all(row.passed for row in check_parity(spread, ["w1 w2 w3 w4"]))
    assert on_meta(spread) == {0, 2}


def test_a_circuit_is_discovered_alike(tmp_path: Path) -> None:
    plain = make_tiny("llama-biased", torch.float32)
    spread = on_disk(plain, tmp_path, 1)
    pairs = explainable_pairs(plain, [("w1 w2", "w1 w9")])
    exact = [score_edges(model, pairs, method="exact").values for model in (plain, spread)]
    rounding(plain).check(*exact)
    found = [discover(model, pairs, faithfulness=0.5) for model in (plain, spread)]
    assert len(found[0]) > 0
    assert found[0].edges == found[1].edges
    assert on_meta(spread) == {1}


def test_a_backward_pass_fetches_weights_again_instead_of_keeping_them(tmp_path: Path) -> None:
    spread = on_disk(make_tiny("llama", torch.float32), tmp_path, 1)
    hook: Any = spread.blocks[1].mlp.get_submodule("up_proj")._hf_hook
    weights: Mapping[str, Tensor] = hook.weights_map
    fetched: list[str] = []
    before: list[int] = []

    class Watched(dict[str, Tensor]):
        def __getitem__(self, name: str) -> Tensor:
            fetched.append(name)
            return weights[name]

    hook.weights_map = Watched()

    def values(logits: Tensor) -> Tensor:
        before.append(len(fetched))
        return logits[:, 3]

    list(spread.channel_gradients(TOKENS, values).each())
    assert (before, fetched) == ([1], ["weight"] * 3)  # forward, backward, and for the gradients at its channels


def test_a_layer_on_two_devices_is_refused(tmp_path: Path) -> None:
    model = make_tiny("llama", torch.float32)
    model.blocks[1].mlp.to("meta")
    with pytest.raises(
        ModelError, match=r"weights of layer 1 on one device.*got weights on cpu, meta.*each decoder layer whole"
    ):
        wrap_model(model.module, model.tokenizer, id="split")


def test_auto_spreads_what_does_not_fit_and_says_so(
    tiny_folder: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = load_model(tiny_folder)
    weights = sum(weight.numel() * weight.element_size() for weight in plain.module.parameters())
    monkeypatch.setattr("wheatstone.models._load.free_memory", lambda device: weights - 1)
    monkeypatch.setattr("wheatstone.models._load.memory_room", lambda device: weights // 3)
    with pytest.warns(MemoryWarning, match=r"GB of memory for the weights of .* GB free on cpu: spread over"):
        spread = load_model(tiny_folder, device="auto")
    assert on_meta(spread)
    tokens = Tokens.of([spread.encode("a b c")])
    rounding(plain).check(spread.forward(tokens).logits, plain.forward(tokens).logits)


@pytest.mark.real_weights
def test_real_weights_half_on_disk(smollm2: ResidualModel) -> None:
    layers = range(smollm2.graph.layers)
    where = {f"model.layers.{layer}": "disk" if layer % 2 else "cpu" for layer in layers}
    rest = dict.fromkeys(("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"), "cpu")
    spread = load_model("smollm2-135m", device=where | rest)
    assert on_meta(spread) == {layer for layer in layers if layer % 2}
    tokens, other = (smollm2.tokens([text]) for text in (FRANCE.prompt, FRANCE.counterfactual))
    found: list[tuple[Tensor, Tensor]] = []
    for model in (smollm2, spread):
        nodes = model.forward(other, cache=True).nodes
        assert nodes is not None
        valid = torch.from_numpy(model.graph.valid)
        keep = valid & (torch.rand(valid.shape, generator=torch.Generator().manual_seed(0)) < 0.05)
        gradients = model.channel_gradients(tokens, lambda logits: logits[:, 5])
        found.append((model.circuit_logits(tokens, nodes, keep[None]), gradients.at_layer(3)))
    for got, expected in zip(found[1], found[0], strict=True):
        rounding(smollm2, passes=3).check(got, expected)
    assert on_meta(spread) == {layer for layer in layers if layer % 2}
