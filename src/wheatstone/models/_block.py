"""One decoder layer seen as its parts: norms, per-head projections, attention core, MLP.

Every array here is a view of the checkpoint's own parameter; every computation inside attention and MLP is
transformers' own code, called with inputs of our choosing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wheatstone.models._families import Family

HeadWeights = Float[Tensor, "head d_head d_model"]


@dataclass(frozen=True)
class Norm:
    """A norm module with the closed form of its vector-Jacobian product.

    With x centred (layer norm) or not (RMS norm) and r = 1 / sqrt(mean(x²) + eps), the norm is
    y = w ⊙ x r + b, and its Jacobian applied to u = w ⊙ v is r (u − x (x·u) r² / d_model), centred again
    for a layer norm.

    Args:
        module: the checkpoint's module.
        centred: whether it subtracts the mean (layer norm).
        weight: w, d_model.
        bias: b, d_model, or None.
        eps: added under the root.
    """

    module: nn.Module
    centred: bool
    weight: Tensor
    bias: Tensor | None
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return self.module(x)

    def standardise(self, x: Float[Tensor, "*n d_model"]) -> tuple[Tensor, Tensor]:
        """x (centred where the norm centres) and r, in float32 or better."""
        x = x if x.dtype == torch.float64 else x.float()
        if self.centred:
            x = x - x.mean(-1, keepdim=True)
        return x, torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


@dataclass(frozen=True)
class QKV:
    """Queries, keys and values of one layer, before any rotary embedding: [batch, pos, head or group, d_head]."""

    q: Tensor
    k: Tensor
    v: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.q, self.k, self.v))


class Block:
    """The parts of decoder layer `index`.

    Args:
        layer: the checkpoint's decoder layer.
        index: its position, from 0.
        family: names and flags.
        heads: query heads.
        kv_groups: key/value heads.
    """

    def __init__(self, layer: nn.Module, index: int, family: Family, heads: int, kv_groups: int) -> None:
        self.layer = layer
        self.index = index
        self.heads = heads
        self.kv_groups = kv_groups
        self.attention = layer.get_submodule(family.attention)
        self.mlp = layer.get_submodule(family.mlp)
        self.attention_norm = _norm(layer.get_submodule(family.attention_norm), family)
        self.mlp_norm = _norm(layer.get_submodule(family.mlp_norm), family)
        self.neurons_in = self.mlp.get_submodule(family.mlp_output)
        self._qkv = tuple(self.attention.get_submodule(name) for name in family.qkv)
        self._output = self.attention.get_submodule(family.attention_output)

        out_in, self.output_bias = _weight(self._output)
        d_head = out_in.shape[1] // heads
        self._sizes = [heads * d_head, kv_groups * d_head, kv_groups * d_head]
        self.output_weight: HeadWeights = out_in.T.unflatten(0, (heads, d_head))
        rows = [_weight(module)[0] for module in self._qkv]
        rows = list(rows[0].split(self._sizes)) if len(rows) == 1 else rows
        biases = [_weight(module)[1] for module in self._qkv]
        if len(biases) == 1:
            biases = [None] * 3 if biases[0] is None else list(biases[0].split(self._sizes))
        self.qkv_weights: tuple[HeadWeights, ...] = tuple(row.unflatten(0, (-1, d_head)) for row in rows)
        self._qkv_biases = [None if bias is None else bias.unflatten(0, (-1, d_head)) for bias in biases]

    def qkv(self, normed: Float[Tensor, "batch pos d_model"]) -> QKV:
        """Projects one input shared by all heads, through the checkpoint's own modules."""
        parts = [type(module).forward(module, normed) for module in self._qkv]
        if len(parts) == 1:
            parts = list(parts[0].split(self._sizes, dim=-1))
        d_head = self.output_weight.shape[1]
        return QKV(*(part.unflatten(-1, (-1, d_head)) for part in parts))

    def project(self, kind: int, inputs: Float[Tensor, "channel tokens d_model"], rows: list[int]) -> Tensor:
        """Projects each head's own input.

        Args:
            kind: 0 for queries, 1 for keys, 2 for values.
            inputs: normed input of each channel.
            rows: which heads (or groups) these channels are.

        Returns:
            [channel, tokens, d_head].
        """
        weight, bias = self.qkv_weights[kind][rows], self._qkv_biases[kind]
        projected = torch.bmm(inputs, weight.transpose(1, 2))
        return projected if bias is None else projected + bias[rows][:, None]

    @torch.no_grad()
    def offsets(self) -> QKV:
        """What q, k and v are at a standardised input of zero: the norm's bias projected, plus the biases."""
        bias = self.attention_norm.bias
        zero = torch.zeros_like(self.attention_norm.weight) if bias is None else bias
        return QKV(*(part[0, 0] for part in self.qkv(zero[None, None])))

    def attend(self, qkv: QKV, call: dict[str, Any]) -> Float[Tensor, "batch pos head_d_head"]:
        """Runs the checkpoint's attention on given queries, keys and values, up to its output projection."""
        return self.attend_with_weights(qkv, call)[0]

    def attend_with_weights(self, qkv: QKV, call: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """As `attend`; also the attention weights, where the attention implementation returns them."""
        flat = [part.flatten(-2) for part in qkv]
        supplied = [torch.cat(flat, dim=-1)] if len(self._qkv) == 1 else flat
        # The value fed in is never read: it gives the attention code its batch and position shape.
        shape_only = flat[0].new_empty(1).expand(*flat[0].shape[:2], self.output_weight.shape[2])
        with replaced_forward({m: _returning(t) for m, t in zip(self._qkv, supplied, strict=True)}):
            with replaced_forward({self._output: lambda z: z}):
                return self.attention(hidden_states=shape_only, **call)[:2]

    def head_outputs(
        self, z: Float[Tensor, "batch pos head_d_head"], heads: list[int] | None = None
    ) -> Float[Tensor, "head batch pos d_model"]:
        """What each head writes: its slice of z through its slice of the output projection, without the bias."""
        per_head = z.flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(0, 1)
        weight = self.output_weight
        if heads is not None and len(heads) < self.heads:
            per_head, weight = per_head[heads], weight[heads]
        return torch.bmm(per_head, weight).unflatten(1, z.shape[:2])

    def attention_output(self, z: Tensor) -> Tensor:
        """What the whole attention layer writes, bias included."""
        return type(self._output).forward(self._output, z)


def _weight(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """A projection's weight as [out, in], whichever way round the checkpoint keeps it, and its bias."""
    weight, bias = module.weight, module.bias
    assert isinstance(weight, Tensor)
    return (weight if isinstance(module, nn.Linear) else weight.T), bias  # pyright: ignore[reportReturnType]


def _norm(module: nn.Module, family: Family) -> Norm:
    bias = getattr(module, "bias", None)
    return Norm(
        module=module,
        centred=family.norm_kind == "layer",
        weight=module.get_parameter("weight"),
        bias=bias,
        eps=getattr(module, family.norm_eps),
    )


def _returning(value: Tensor) -> Callable[..., Tensor]:
    return lambda *_args, **_kwargs: value


@contextmanager
def replaced_forward(forwards: dict[nn.Module, Callable[..., Any]]) -> Generator[None, None, None]:
    """Gives modules another `forward` for a while and leaves them exactly as they were."""
    before = {module: module.__dict__.get("forward") for module in forwards}
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module, old in before.items():
            if old is None:
                del module.forward
            else:
                module.forward = old
