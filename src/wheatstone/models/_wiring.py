"""The gate at load: a model whose graph is not the computation transformers runs is refused."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wheatstone._errors import ModelError
from wheatstone.models._block import QKV, Block
from wheatstone.models._norm import Norm
from wheatstone.models._parity import TOLERANCE, Parity, parity
from wheatstone.models._residual import ResidualModel
from wheatstone.models._tokens import Tokens


@torch.no_grad()
def check_wiring(model: ResidualModel) -> Parity:
    """Compares the factored forward with transformers on six tokens, and its parts with what their names promise.

    Raises:
        ModelError: logits that differ by more than the float noise of the dtype, or are not finite; a norm that is
            not of the kind its family says; a query, key or value that is another head's.

    When this misleads: six tokens are fewer than a sliding window spans. Masks are transformers' own.
    """
    for block in (model.blocks[0], model.blocks[-1]):
        with block.present():
            for norm in block.norms:
                _check_norm(model, norm)
    vocabulary = model.vocabulary
    ours, theirs = ([(first + step * 97) % vocabulary for step in range(6)] for first in (11, 1009))
    found = parity(model, ours, theirs)
    if not found.passed:
        raise ModelError(
            expected=f"a factored forward pass of {model.id} equal to transformers'",
            got=f"logits that differ by {found.worst:.2g}",
            do="report it: this model's family is not wired as its config says",
        )
    _check_heads(model, Tokens.of([ours], model.device))
    return found


def _check_norm(model: ResidualModel, norm: Norm) -> None:
    """Gradients go through a norm's closed form, logits through its module: the two must be one function."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, model.d_model, generator=draw).to(norm.device, model.dtype)
    expected = norm(x).float()
    error = float((norm.closed_form(x).float() - expected).abs().max())
    if not error <= TOLERANCE[model.dtype] * max(1.0, float(expected.abs().max())):
        raise ModelError(
            expected=f"norms in {model.id} of the kind that family {model.family.name} names",
            got=f"{type(norm.module).__name__}, whose output differs by {error:.2g}",
            do="correct the family's norm_kind, norm_eps or norm_weight_plus",
        )


def _check_heads(model: ResidualModel, tokens: Tokens) -> None:
    """Turns round one query, key and value at a time: each must move what attention makes of its own head, alone.

    Parity cannot see this: with one input for all channels, cutting a fused projection up wrongly and putting it
    together again changes nothing. Attention is given drawn queries, keys and values, so that nothing depends on the
    checkpoint's weights, whose heads may be zero or alike. A norm of queries and keys with a weight of zero may still
    silence a head: its queries and keys then move nothing, and the next head is asked. To a norm across heads a turned
    vector is as long as before.
    """
    heads, draw = model.graph.heads, torch.Generator().manual_seed(0)
    seen: set[str] = set()

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        block = model.blocks[index]
        shapes = block.qkv(block.attention_norm(x))
        qkv = QKV(*(torch.randn(part.shape, generator=draw).to(part) for part in shapes))
        for head in reversed(range(heads)):
            if not {"query", "key"} <= seen:
                seen.update(_moving(model, block, qkv, call, head))
        return x

    model.run(tokens, layer)
    if len(seen) == 2:  # one of query and key moves attention in no layer, while the other does
        (silent,) = {"query", "key"} - seen
        raise _miswired(model, silent, "a part that attention does not read")


def _moving(model: ResidualModel, block: Block, qkv: QKV, call: dict[str, Any], head: int) -> set[str]:
    """Which of a head's query, key and value move attention; its value always does.

    Raises:
        ModelError: one of them moves what is not its own.
    """
    graph, before = model.graph, block.attend(qkv, call)
    group = graph.group_of(head)
    alone = torch.arange(graph.heads) == head
    of_group = torch.tensor([graph.group_of(h) == group for h in range(graph.heads)])

    def moved(kind: int, row: int, position: int) -> Tensor:
        """Which heads change, [pos, head]."""
        parts = [part.clone() for part in qkv]
        parts[kind][:, position, row] *= -1
        change = (block.attend(QKV(*parts), call) - before).unflatten(-1, (graph.heads, -1))
        return (change[0].abs().amax(-1) > 1e-6 * before.abs().max()).cpu()

    # The first position sees itself alone: only its value matters there.
    query, key, value = moved(0, head, -1), moved(1, group, 0), moved(2, group, 0)
    promised = {
        "query": not query[:-1].any() and (query[-1].equal(alone) or not query.any()),
        "key": not key[0].any() and (key.any(0).equal(of_group) or not key.any()),
        "value": value[0].equal(of_group) and value.any(0).equal(of_group),
    }
    for name, kept in promised.items():
        if not kept:
            raise _miswired(model, name, f"another part of attention, in layer {block.index}")
    return {name for name, moves in (("query", query), ("key", key), ("value", value)) if moves.any()}


def _miswired(model: ResidualModel, name: str, got: str) -> ModelError:
    return ModelError(
        expected=f"each head's {name} in {model.id} where family {model.family.name} says",
        got=got,
        do="correct the family's qkv or interleaved",
    )
