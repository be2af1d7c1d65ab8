"""The gate at load: a model whose graph is not the computation transformers runs is refused."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wheatstone._errors import ModelError
from wheatstone.models._block import QKV
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
    together again changes nothing. To a norm across heads a turned vector is as long as before.
    """
    graph = model.graph
    head, group = graph.heads - 1, graph.kv_groups - 1
    of_group = torch.tensor([graph.group_of(h) == group for h in range(graph.heads)])
    alone = torch.arange(graph.heads) == head

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        if index > 0:
            return x
        block = model.blocks[0]
        qkv = block.qkv(block.attention_norm(x))
        before = block.attend(qkv, call)

        def moved(kind: int, row: int, position: int) -> Tensor:
            """Which heads change, [pos, head]."""
            parts = [part.clone() for part in qkv]
            parts[kind][:, position, row] *= -1
            change = (block.attend(QKV(*parts), call) - before).unflatten(-1, (graph.heads, -1))
            return (change[0].abs().amax(-1) > 1e-6 * before.abs().max()).cpu()

        # The first position sees itself alone: only its value matters there.
        query, key, value = moved(0, head, -1), moved(1, group, 0), moved(2, group, 0)
        promised = {
            "query": not query[:-1].any() and query[-1].equal(alone),
            "key": not key[0].any() and key.any(0).equal(of_group),
            "value": value[0].equal(of_group) and value.any(0).equal(of_group),
        }
        for name, kept in promised.items():
            if not kept:
                raise ModelError(
                    expected=f"each head's {name} in {model.id} where family {model.family.name} says",
                    got=f"another part of attention, where the last head's {name} should be",
                    do="correct the family's qkv or interleaved",
                )
        return x

    model.run(tokens, layer)
