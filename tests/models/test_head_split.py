"""A head's scores as sums over senders: what transformers itself puts into the softmax, in every family."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_families import FAMILY_CONFIGS, tiny_family
from tolerance import Rounding, rounding
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from wheatstone import ModelError, RequestError, ResidualModel
from wheatstone.models import Tokens, _attention_core, stream_heads
from wheatstone.models._head_split import BIASES, HeadSplit

CASES = list(FAMILY_CONFIGS)
IDS = [7, 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]
"""Longer than the tiny models' sliding window of 5, and than the 6 tokens at which rotary tables begin to change."""

LONG = [(7 * at * at + 3 * at + 1) % 48 for at in range(60)]
"""Nearly all that the tiny models read, ten times what some of them were made for."""


class InDouble(TorchFunctionMode):
    """Leaves out the detours through float32 that transformers takes in norms, rotary tables and the softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.scores: list[Tensor] = []
        """What attention's softmax is given, in transformers' eager code, layer by layer."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is nn.functional.softmax and args[0].ndim == 4:
            self.scores.append(args[0])
        func = Tensor.double if func is Tensor.float else func
        swapped: list[Any] = [torch.float64 if value is torch.float32 else value for value in args]
        named = {name: torch.float64 if value is torch.float32 else value for name, value in (kwargs or {}).items()}
        return func(*swapped, **named)


@functools.cache
def double_family(case: str) -> ResidualModel:
    model = tiny_family(case, torch.float64)
    model.module.config._experts_implementation = "eager"  # the grouped one has no float64
    return model


def sums(split: HeadSplit) -> Tensor:
    """[key], the terms of all pairs added up."""
    return torch.einsum("id,jkd->k", split.q, split.k) * split.scaling


@pytest.mark.parametrize(("ids", "others"), [(IDS, []), (LONG, []), (IDS, [LONG])], ids=["short", "long", "padded"])
@pytest.mark.parametrize("case", CASES)
def test_terms_add_up_to_what_the_softmax_is_given_and_to_what_the_head_writes(
    case: str, ids: list[int], others: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Never used before: transformers' dynamic rotary tables keep what a longer text made of them.
    model = double_family.__wrapped__(case)
    exact = Rounding(rounding(model).additions)
    tokens, last = Tokens.of([ids, *others]), len(ids) - 1
    looks = [("a0.h1", last), ("a1.h2", 6), ("a2.h3", last)]
    with InDouble() as mode, torch.no_grad():
        with monkeypatch.context() as patch:
            patch.setattr(model.module.config, "_attn_implementation", "eager")
            model.module(torch.tensor([ids]), use_cache=False)
        given = mode.scores[:]
        assert len(given) == model.graph.layers
        nodes = model.forward(tokens, cache=True).nodes
        assert nodes is not None
        splits = model.head_splits(tokens, looks)
        for (name, query), split in zip(looks, splits, strict=True):
            layer, head = model.head(name)
            assert split.senders == (*model.graph.nodes[: split.nodes], *BIASES)
            scores = given[layer][0, head, query, : query + 1]
            seen = scores > -1e30
            assert torch.equal(split.visible, seen)
            exact.check(split.capped(sums(split))[seen], scores[seen], say=f"{case} {name}")
            exact.check(split.capped(split.scores)[seen], scores[seen], say=f"{case} {name}")
            written = torch.einsum("k,jkd->d", split.weights(split.scores), split.v) @ split.output
            exact.check(written, nodes[model.graph.node_index[name], 0, query], say=f"{case} {name}")
        exact.check(splits[-1].stream, model.after_sublayers(nodes[:, 0, last])[-1])


def test_one_run_splits_several_heads(tiny64: ResidualModel) -> None:
    looks = [("a2.h0", 11), ("a0.h3", 4), ("a2.h1", 7), ("a2.h0", 5)]
    for look, split in zip(looks, tiny64.head_splits(Tokens.of([IDS]), looks), strict=True):
        alone = tiny64.head_split(Tokens.of([IDS]), *look)
        assert split.senders == alone.senders
        for name in ("q", "k", "v", "scores", "output", "stream"):
            assert torch.equal(getattr(split, name), getattr(alone, name))


def test_biases_are_named_for_what_they_are(tiny64: ResidualModel) -> None:
    with InDouble():
        split = tiny64.head_split(Tokens.of([[3, 1, 4, 1, 5]]), "a1.h2")
    rows = dict(zip(BIASES, split.q[split.nodes :].abs().sum(-1) > 0, strict=True))
    block = tiny64.blocks[1]
    assert rows == {
        "bias.output": tiny64.blocks[0].output_bias is not None,
        "bias.norm": block.attention_norm.bias is not None,
        "bias.qkv": block.qkv_biases is not None,
        "bias.qknorm": False,
        "clip": False,
    }
    if block.qkv_biases is not None:
        # llama rotates the bias as it does a query of position 4; gpt2 leaves it as it is. Either keeps its length.
        length = block.qkv_biases[0][2].norm()
        rounding(tiny64).check(split.q[split.senders.index("bias.qkv")].norm(), length)
        rounding(tiny64).check(
            split.v[split.senders.index("bias.qkv"), 0], block.qkv_biases[2][tiny64.graph.group_of(2)]
        )


def test_clipping_is_a_term_of_its_own() -> None:
    model = double_family("olmo")
    split = model.head_split(Tokens.of([IDS]), "a1.h1")
    clip = model.module.config.clip_qkv
    free = split.v[:-1].sum(0)  # values before they are clipped: no rotation, no bias
    assert (free.abs() > clip).any()
    rounding(model).check(split.v[-1], free.clamp(-clip, clip) - free)


def test_split_mlps_are_senders_by_their_parts(tiny64: ResidualModel) -> None:
    tokens = Tokens.of([[3, 1, 4, 1, 5]])
    whole = tiny64.head_split(tokens, "a2.h0")
    parts = tiny64.split({0: "neurons"}).head_split(tokens, "a2.h0")
    assert parts.senders[5:7] == ("m0.n0", "m0.n1")
    rounding(tiny64).check(sums(parts), sums(whole))


def test_the_basis_may_be_probed_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for long prompts, of which not all of it fits."""
    model = double_family("qwen3")
    whole = model.head_split(Tokens.of([IDS]), "a1.h2")
    monkeypatch.setattr(_attention_core, "_NUMBERS", 1)
    pieces = model.head_split(Tokens.of([IDS]), "a1.h2")
    rounding(model).check(pieces.q, whole.q)
    rounding(model).check(pieces.k, whole.k)


def test_other_prompts_of_a_batch_do_not_matter() -> None:
    model = double_family("llama-dynamic")
    alone = model.head_split(Tokens.of([IDS[:5]]), "a2.h1")
    padded = model.head_split(Tokens.of([IDS[:5], IDS]), "a2.h1")
    rounding(model).check(padded.k, alone.k)
    rounding(model).check(padded.q, alone.q)


@pytest.mark.parametrize("case", ["llama", "gpt2", "gptj", "olmo"])
def test_the_model_is_left_as_it_was(case: str) -> None:
    model = double_family(case)
    config = model.module.config
    before = model.forward(Tokens.of([IDS])).logits, config._attn_implementation, getattr(config, "clip_qkv", None)
    model.head_split(Tokens.of([IDS]), "a1.h1")
    assert torch.equal(model.forward(Tokens.of([IDS])).logits, before[0])
    assert (config._attn_implementation, getattr(config, "clip_qkv", None)) == before[1:]
    assert all("forward" not in part.__dict__ and "_attn" not in part.__dict__ for part in model.module.modules())


def test_bad_requests_are_refused_in_one_line(tiny64: ResidualModel) -> None:
    tokens = Tokens.of([[3, 1, 4]])
    for name in ("a3.h0", "a0.h4", "m0", "input", "nothing"):
        with pytest.raises(RequestError, match=r"a head of .*, from a0.h0 to a2.h3; got"):
            tiny64.head_split(tokens, name)
    with pytest.raises(RequestError, match="a position in the prompt, which has 3 tokens; got 3"):
        tiny64.head_split(tokens, "a0.h0", 3)


def test_attention_without_scores_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the split, and by a scan of texts."""
    model, tokens = tiny_family("llama"), Tokens.of([[3, 1, 4]])
    refused = r"attention that computes scores .* in layer 1, which does not; choose a model"
    attention = model.blocks[1].attention
    with monkeypatch.context() as patch:
        patch.setattr(attention, "forward", lambda **_: (torch.zeros(1, 3, 32), None), raising=False)
        with pytest.raises(ModelError, match=refused):
            model.head_split(tokens, "a1.h0")
    kind = type("WithoutWeights", (type(attention),), {"forward": lambda *_, **__: (torch.zeros(1, 3, 32), None)})
    attention.__class__ = kind
    with pytest.raises(ModelError, match=refused):
        stream_heads(model, tokens, lambda *_: None)
