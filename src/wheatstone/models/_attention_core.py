"""The queries and keys that meet in a head, and how they depend on what the projections give.

Between a head's projections and its scores lie a norm on queries and keys (Qwen3, Gemma 3, OLMo 2), clipping (OLMo) and
the rotary embedding. With the norm's scale and the clipping of one run held fixed, all of it is one affine map at each
position,

    q = M[pos] q_projected + m[pos]

The map is probed, not looked up: the checkpoint's own attention code runs on a basis of the head, and the vectors
that reach the scores are the map's columns. So partial, interleaved, long and absent rotary embeddings need no code.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from wheatstone._errors import ModelError
from wheatstone.models._block import QKV, Block, replaced_forward
from wheatstone.models._norm import Norm

_NAME = "wheatstone_core"
"""Of our attention function, while it is registered."""
_NUMBERS = 1 << 23
"""Numbers of queries that a piece of the basis may have."""


@dataclass(frozen=True, eq=False)
class Core:
    """What reaches the scores of one layer: score = softcap(q·k scaling) + mask.

    Args:
        q: queries.
        k: keys.
        v: values.
        mask: what transformers adds to the scores, or where they are allowed; None where a query sees all before it.
        scaling: of the products.
        softcap: scores are softcap · tanh(score / softcap); None where they are not bounded.
    """

    q: Float[Tensor, "batch head pos d_head"]
    k: Float[Tensor, "batch group pos d_head"]
    v: Float[Tensor, "batch group pos d_head"]
    mask: Tensor | None
    scaling: float
    softcap: float | None

    @property
    def qkv(self) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values."""
        return self.q, self.k, self.v


@dataclass(frozen=True, eq=False)
class CoreMap:
    """What one head's projected query and key become at each position, in the model's precision.

    Args:
        q: columns are a basis of the projected query.
        k: the same of the head's key.
        q_bias: what a projected query of zero becomes: the bias of the norm on queries.
        k_bias: the same of the key.
    """

    q: Float[Tensor, "pos d_head d_projected"]
    k: Float[Tensor, "pos d_head d_projected"]
    q_bias: Float[Tensor, "pos d_head"]
    k_bias: Float[Tensor, "pos d_head"]


def without_scores(block: Block) -> ModelError:
    """The error for a layer whose attention computes no scores, or not by transformers' interface."""
    return ModelError(
        expected="attention that computes scores from queries and keys once, by transformers' AttentionInterface",
        got=f"{type(block.attention).__name__} in layer {block.index}, which does not",
        do="choose a model with scores, or set the family's attention_core; docs/guides/add-a-family.md says what "
        "it means",
    )


def core_of(block: Block, qkv: QKV, call: dict[str, Any], *, clipped: bool = True) -> Core:
    """Runs a layer's attention up to its scores.

    Args:
        block: the layer.
        qkv: what its projections give.
        call: the other arguments of the layer.
        clipped: whether to clip as the model does.

    Raises:
        ModelError: the attention code does not hand its queries and keys over.
    """
    seen: list[Core] = []

    with _instead_of_scores(block, seen.append), _clipping(block, clipped):
        block.attend(qkv, call)
    if len(seen) != 1:
        raise without_scores(block)
    return seen[0]


def core_map(block: Block, qkv: QKV, call: dict[str, Any], head: int, group: int) -> CoreMap:
    """Probes what the attention code makes of one head's query and key, norms frozen and clipping off.

    Args:
        block: the layer.
        qkv: what its projections give on the prompt, a batch of one.
        call: the other arguments of the layer.
        head: of the query.
        group: of the key.
    """
    with _frozen_norms(block, qkv, call):

        def probed(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
            """[basis, d_projected] at every position -> [pos, d_head, basis]."""
            supplied = [part.new_zeros(len(q), *part.shape[1:]) for part in qkv]
            supplied[0][:, :, head] = q[:, None]
            supplied[1][:, :, group] = k[:, None]
            found = core_of(block, QKV(*supplied), call, clipped=False)
            return found.q[:, head].permute(1, 2, 0), found.k[:, group].permute(1, 2, 0)

        width = qkv.q.shape[-1]
        zero = qkv.q.new_zeros(1, width)
        q_bias, k_bias = probed(zero, zero)
        basis = torch.eye(width, dtype=qkv.q.dtype, device=qkv.q.device)
        # Every head's query is there, though only one is read: pieces bound what a long prompt takes.
        together = max(1, _NUMBERS // qkv.q.numel())
        pieces = [probed(piece, piece) for piece in basis.split(together)]
        q, k = (torch.cat(parts, dim=-1) for parts in zip(*pieces, strict=True))
    return CoreMap(q - q_bias, k - k_bias, q_bias[..., 0], k_bias[..., 0])


@contextmanager
def _instead_of_scores(block: Block, note: Callable[[Core], None]) -> Generator[None, None, None]:
    """While this lasts, the layer's attention code hands over what reaches its scores, and attends to nothing."""
    attention, own = block.attention, block.family.attention_core
    if own is not None:

        def method(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, None]:
            note(Core(query, key, value, mask, query.shape[-1] ** -0.5, None))
            return query, None

        attention.__dict__[own] = method
        try:
            yield
        finally:
            del attention.__dict__[own]
        return

    def function(
        _module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        scaling: float | None = None,
        softcap: float | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        usual = query.shape[-1] ** -0.5
        note(Core(query, key, value, mask, usual if scaling is None else scaling, softcap))
        return query.transpose(1, 2), None

    config: Any = attention.config
    before = config._attn_implementation
    ALL_ATTENTION_FUNCTIONS[_NAME] = function
    # The mask was made before, for the implementation that the model has; only this layer's call sees the other.
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before
        del ALL_ATTENTION_FUNCTIONS[_NAME]


@contextmanager
def _clipping(block: Block, clipped: bool) -> Generator[None, None, None]:
    """While this lasts, attention does not clip its projections unless it should."""
    if clipped or not block.family.clamps_in_place:
        yield
        return
    config: Any = block.attention.config
    before, config.clip_qkv = config.clip_qkv, None
    try:
        yield
    finally:
        config.clip_qkv = before


@contextmanager
def _frozen_norms(block: Block, qkv: QKV, call: dict[str, Any]) -> Generator[None, None, None]:
    """While this lasts, norms on queries and keys keep the scale they have on given queries and keys."""
    given: dict[nn.Module, Tensor] = {}

    def noting(norm: nn.Module) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            given[norm] = x
            return type(norm).forward(norm, x)

        return forward

    norms = block.query_key_norms
    with replaced_forward({norm.module: noting(norm.module) for norm in norms if norm.module is not None}):
        core_of(block, qkv, call)
    with replaced_forward({norm.module: _frozen(norm, given[norm.module]) for norm in norms if norm.module in given}):
        yield


def _frozen(norm: Norm, given: Tensor) -> Callable[[Tensor], Tensor]:
    """The norm with the scale it has on `given`."""
    module = norm.module
    assert module is not None
    scale = norm.scale(given)
    at_zero = type(module).forward(module, torch.zeros_like(given))

    def forward(x: Tensor) -> Tensor:
        # The module divides by the size of x: undo that. Its weights, of any shape, and its bias stay its own.
        alone = type(module).forward(module, x) - at_zero
        return (alone * (scale / norm.scale(x))).to(x.dtype) + at_zero

    return forward
