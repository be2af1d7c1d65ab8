"""One token of several lanes through a llama whose weights are rounded to 8 bits.

transformers' module reads 4 bytes a weight for every token, copies all keys and values to add one, and repeats them
for every head that shares them. Here

* a matrix is whole numbers of 8 bits, a scale for each output. What it is multiplied with is rounded to 16 bits, two
  numbers of 8, a scale for each lane. Sums of whole numbers are exact: they do not depend on who adds in which order
  (processors without instructions for them take a slower way to the same sums, see `exact_products`);
* keys and values have their place from the start, and heads that share them are rows of one product;
* a full window forgets its oldest token instead of being read again.

Norms, rotary embeddings and attention stay in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int, Int8, Int32
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

from wheatstone.models import ResidualModel

_LARGEST, _FINER = 127, 254
"""Of a number of 8 bits; and how many steps of the second number of an activation are one of the first."""
_NOTHING = 1e-30
"""Added to a scale, so that a row of zeros has one."""


@cache
def exact_products() -> bool:
    """Whether torch's products of 8 bits are exact sums here.

    On processors without instructions for them (VNNI on x86) they add pairs in 16 bits, where a sum may not fit.
    """
    ones = torch.full((64, 256), _LARGEST, dtype=torch.int8)
    return all(
        bool((torch._int_mm(ones[:rows], ones.T) == 256 * _LARGEST**2).all())  # pyright: ignore[reportPrivateImportUsage]
        for rows in (2, 32)
    )


def _product(left: Int8[Tensor, "row d_in"], right: Int8[Tensor, "out d_in"]) -> Int32[Tensor, "row out"]:
    """left · rightᵀ, exactly."""
    if exact_products():
        return torch._int_mm(left, right.T)  # pyright: ignore[reportPrivateImportUsage]
    # Sums of 1,024 products are below 2^24, so that float32 holds each of them on the way.
    parts = zip(left.split(1024, 1), right.split(1024, 1), strict=True)
    return torch.stack([(ours.float() @ theirs.float().T).int() for ours, theirs in parts]).sum(0, dtype=torch.int32)


@dataclass(frozen=True, eq=False)
class Rounded:
    """A matrix in 8 bits.

    Args:
        weight: whole numbers.
        scale: of each output: weight times scale is about the matrix.
    """

    weight: Int8[Tensor, "out d_in"]
    scale: Float[Tensor, " out"]

    @classmethod
    def of(cls, *matrices: torch.nn.Linear) -> Rounded:
        """Matrices that read the same input, as one."""
        weight = torch.cat([matrix.weight.detach() for matrix in matrices])
        scale = weight.abs().amax(1) / _LARGEST + _NOTHING
        return cls((weight / scale[:, None]).round().to(torch.int8), scale)

    def __call__(self, x: Float[Tensor, "lane d_in"]) -> Float[Tensor, "lane out"]:
        """The product."""
        scale = x.abs().amax(-1, keepdim=True) / _LARGEST + _NOTHING
        steps = x / scale
        coarse = steps.round()
        digits = torch.cat((coarse, ((steps - coarse) * _FINER).round())).to(torch.int8)
        # One product, so that the matrix is read from memory once.
        first, second = _product(digits, self.weight).chunk(2)
        return (first + second / _FINER) * self.scale * scale


@dataclass(frozen=True, eq=False)
class _Layer:
    """One layer's matrices, and the weights of the norms before them."""

    attention_norm: Float[Tensor, " d_model"]
    qkv: Rounded
    output: Rounded
    mlp_norm: Float[Tensor, " d_model"]
    gate_up: Rounded
    down: Rounded

    @classmethod
    def of(cls, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        return cls(
            layer.input_layernorm.weight.detach(),
            Rounded.of(attention.q_proj, attention.k_proj, attention.v_proj),
            Rounded.of(attention.o_proj),
            layer.post_attention_layernorm.weight.detach(),
            Rounded.of(mlp.gate_proj, mlp.up_proj),
            Rounded.of(mlp.down_proj),
        )


@dataclass(frozen=True, eq=False)
class Llama:
    """A llama's weights in 8 bits; a quarter of what they take in float32.

    Args:
        embedding: of the tokens.
        layers: its layers.
        norm: weight of the final norm.
        unembedding: to logits.
        cos: rotary table.
        sin: rotary table, its first half negated.
        eps: of the norms.
        heads: that look.
        groups: of heads that share keys and values.
    """

    embedding: Float[Tensor, "vocab d_model"]
    layers: tuple[_Layer, ...]
    norm: Float[Tensor, " d_model"]
    unembedding: Rounded
    cos: Float[Tensor, "pos 1 d_head"]
    sin: Float[Tensor, "pos 1 d_head"]
    eps: float
    heads: int
    groups: int

    @classmethod
    def of(cls, model: ResidualModel) -> Llama | None:
        """None of a model that is no plain llama in float32 on the CPU."""
        module: Any = model.module
        config = module.config
        if (
            config.model_type != "llama"
            or model.dtype != torch.float32
            or {weight.device.type for weight in module.parameters()} != {"cpu"}
            or model.rotary.last is not None
            or config.attention_bias
            or config.mlp_bias
            or config.hidden_act != "silu"
            or type(module.lm_head) is not torch.nn.Linear
        ):
            return None
        decoder = module.model
        with torch.inference_mode():
            positions = torch.arange(model.causal_context)[None]
            cos, sin = decoder.rotary_emb(decoder.embed_tokens.weight[:1], positions)
            half = sin.shape[-1] // 2
            return cls(
                decoder.embed_tokens.weight.detach(),
                tuple(_Layer.of(layer) for layer in decoder.layers),
                decoder.norm.weight.detach(),
                Rounded.of(module.lm_head),
                cos[0, :, None],
                torch.cat((-sin[..., :half], sin[..., half:]), dim=-1)[0, :, None],
                float(config.rms_norm_eps),
                model.graph.heads,
                model.graph.kv_groups,
            )

    def cache_bytes(self, lanes: int, tokens: int) -> int:
        """Of keys and values."""
        return 8 * len(self.layers) * lanes * self.groups * tokens * self.cos.shape[-1]


class LlamaLanes:
    """Predictions for `count` stretches of text that are read side by side, as those of `Lanes`.

    Args:
        llama: the model.
        count: how many stretches.
        steps: tokens of the longest.
        window: most tokens the model looks back on, beside the start token.
        overlap: how many of them are read again where the model's positions end.
        start: what is read before them.
    """

    def __init__(self, llama: Llama, count: int, steps: int, *, window: int, overlap: int, start: int) -> None:
        self.llama, self.count, self.window, self.overlap = llama, count, window, overlap
        room, width = 1 + min(window, steps), llama.cos.shape[-1]
        self.cache = torch.zeros(len(llama.layers), 2, count * llama.groups, room, width)
        self.start = self.now = torch.full((count,), start)
        self.past: list[Tensor] = []
        self.position = 0

    @torch.inference_mode()
    def probabilities(self) -> Float[Tensor, "lane vocab"]:
        """Of the token after those seen, in float32."""
        llama = self.llama
        if self.position == len(llama.cos):
            self.position = 0
            for tokens in (self.start, *self.past[:-1]):
                self._read(tokens)
        x = self._read(self.now)
        return llama.unembedding(rms_norm(x, x.shape[-1:], llama.norm, llama.eps)).softmax(-1)

    def see(self, tokens: Int[Tensor, " lane"]) -> None:
        """The token that really came, in each lane."""
        self.now = tokens
        self.past = [*self.past, tokens][-self.overlap :]

    def _read(self, tokens: Int[Tensor, " lane"]) -> Float[Tensor, "lane d_model"]:
        """The residual stream after the last layer; keys and values take their place in the cache."""
        llama, count, at = self.llama, self.count, self.position
        # The start token is never forgotten: heads that look for nothing look there.
        slot = 1 + (at - 1) % self.window if at else 0
        known = 1 + min(at, self.window)
        cos, sin, eps, heads, groups = llama.cos[at], llama.sin[at], llama.eps, llama.heads, llama.groups
        width = cos.shape[-1]
        x = llama.embedding[tokens]
        shape = x.shape[-1:]
        for layer, (keys, values) in zip(llama.layers, self.cache, strict=True):
            qkv = layer.qkv(rms_norm(x, shape, layer.attention_norm, eps)).view(count, heads + 2 * groups, width)
            turned = qkv[:, : heads + groups]
            turned = turned * cos + turned.roll(width // 2, -1) * sin
            keys[:, slot] = turned[:, heads:].reshape(-1, width)
            values[:, slot] = qkv[:, heads + groups :].reshape(-1, width)
            # A group's queries look at the same keys: they are rows, as queries at several positions would be.
            queries = turned[:, :heads].reshape(count * groups, 1, heads // groups, width)
            found = scaled_dot_product_attention(queries, keys[:, None, :known], values[:, None, :known])
            x = x + layer.output(found.reshape(count, -1))
            gate, up = layer.gate_up(rms_norm(x, shape, layer.mlp_norm, eps)).chunk(2, dim=-1)
            x = x + layer.down(silu(gate) * up)
        self.position += 1
        return x
