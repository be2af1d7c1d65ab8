"""A forward pass that begins at some layer, and whose sublayers may be made to write something else.

Layers below a change give what they gave before: they are not run again. Gradients go through where they are enabled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone.models import QKV, ResidualModel, Tokens

Site = Literal["input", "attention", "mlp", "state"]
"""What the first layer that is run reads; what attention writes, what the MLP writes, the stream after a layer."""
Rewrite = Callable[[Site, int, Float[Tensor, "batch pos d_model"]], Float[Tensor, "batch pos d_model"]]
"""What is there instead: (where, in which layer, what would be there) -> that."""


def unchanged(_site: Site, _layer: int, there: Tensor) -> Tensor:
    """Leaves a run as it is."""
    return there


def run_from(
    model: ResidualModel,
    tokens: Tokens,
    first: int,
    stream: Float[Tensor, "batch pos d_model"] | None,
    rewrite: Rewrite = unchanged,
    *,
    all_positions: bool = False,
) -> Tensor:
    """Logits of a run from a layer on.

    Args:
        model: the model.
        tokens: the prompts.
        first: the first layer that is run; as many as there are layers to unembed a stream as it is.
        stream: what it reads; where `first` is 0, by default the embeddings.
        rewrite: what is there instead.
        all_positions: logits at every position; by default only at each prompt's last.
    """
    last = model.graph.layers - 1

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        if index < first:
            return stream if stream is not None and index == last else x
        if index == first:
            x = rewrite("input", index, x if stream is None else stream)
        block = model.blocks[index]
        attention = block.attention_output(block.attend(block.qkv(block.attention_norm(x)), call))
        middle = x + rewrite("attention", index, attention)
        mlp = rewrite("mlp", index, block.mlp_output(block.mlp_norm(x if model.graph.parallel else middle)))
        return rewrite("state", index, middle + mlp)

    return model.run(tokens, layer, all_positions=all_positions)


@dataclass(frozen=True, eq=False)
class ChangedRun:
    """Runs of prompts that change at one position each and after it, above one layer.

    What a causal model computes at earlier positions stays as it is, and only attention reads it. So queries, keys and
    values of the whole prompts are kept from one run, and everything else is computed at the changed positions alone.

    Args:
        model: the model.
        tokens: the prompts.
        first: the first layer that is run.
        rows: 0, 1, …, one for each prompt.
        where: the positions that are run, as many of each prompt.
        kept: queries, keys and values of each layer from `first` on.
    """

    model: ResidualModel
    tokens: Tokens
    first: int
    rows: Int[Tensor, "batch 1"]
    where: Int[Tensor, "batch changed"]
    kept: tuple[QKV, ...]

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        model: ResidualModel,
        tokens: Tokens,
        first: int,
        stream: Float[Tensor, "batch pos d_model"],
        changed: Int[Tensor, " batch"],
    ) -> ChangedRun:
        """Runs the prompts as they are.

        Args:
            model: the model.
            tokens: the prompts.
            first: the first layer that is run.
            stream: what it reads.
            changed: the first position of each prompt that will change.
        """
        kept: list[QKV] = []

        def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
            if index < first:
                return x
            x, block = stream if index == first else x, model.blocks[index]
            kept.append(block.qkv(block.attention_norm(x)))
            middle = x + block.attention_output(block.attend(kept[-1], call))
            return middle + block.mlp_output(block.mlp_norm(x if model.graph.parallel else middle))

        model.run(tokens, layer)
        # As many positions of every prompt, so that they make one tensor; shorter prompts run earlier ones again.
        count = int((tokens.lengths - changed).max())
        starts = changed.clamp(max=tokens.width - count)
        return cls(
            model,
            tokens,
            first,
            torch.arange(tokens.batch, device=starts.device)[:, None],
            starts[:, None] + torch.arange(count, device=starts.device),
            tuple(kept),
        )

    def logits(
        self,
        stream: Float[Tensor, "batch pos d_model"],
        rows: Int[Tensor, " read"],
        positions: Int[Tensor, " read"],
    ) -> Float[Tensor, "read vocab"]:
        """Logits at some positions, none of them before its prompt's change.

        Args:
            stream: what the first layer reads.
            rows: prompts.
            positions: of each, where.
        """
        found: list[Tensor] = [stream[self.rows, self.where]]

        def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
            if index >= self.first:
                found.append(self._layer(index, found.pop(), call))
            return x

        self.model.run(self.tokens, layer)
        return self.model.unembed(found[0][rows, positions - self.where[rows, 0]])

    def _layer(
        self, index: int, x: Float[Tensor, "batch changed d_model"], call: dict[str, Any]
    ) -> Float[Tensor, "batch changed d_model"]:
        block, here = self.model.blocks[index], (self.rows, self.where)
        new = block.qkv(block.attention_norm(x))
        whole = QKV(*(old.index_put(here, part) for old, part in zip(self.kept[index - self.first], new, strict=True)))
        middle = x + block.attention_output(block.attend(whole, call)[here])
        return middle + block.mlp_output(block.mlp_norm(x if self.model.graph.parallel else middle))


@torch.no_grad()
def mlp_inside(
    model: ResidualModel, tokens: Tokens, layer: int
) -> tuple[Float[Tensor, "batch pos neuron"], Float[Tensor, "batch pos d_model"], Float[Tensor, "batch pos d_model"]]:
    """An MLP from within: its neurons, its last projection's output, and the residual stream without what it writes.

    Layers above it are not run.
    """
    found: list[Tensor] = []

    def step(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        if index > layer:
            return x
        block = model.blocks[index]
        middle = x + block.attention_output(block.attend(block.qkv(block.attention_norm(x)), call))
        normed = block.mlp_norm(x if model.graph.parallel else middle)
        if index < layer:
            return middle + block.mlp_output(normed)
        mlp, neurons = block.mlp_opened(normed)
        neurons = neurons.reshape(*x.shape[:2], -1)
        projection = block.neurons_in
        found.extend((neurons, type(projection).forward(projection, neurons), middle))
        return middle + mlp

    model.run(tokens, step)
    neurons, projected, middle = found
    return neurons, projected, middle


def at(values: Float[Tensor, "batch pos d"], positions: Int[Tensor, " batch"]) -> Float[Tensor, "batch d"]:
    """Each prompt's value at its own position."""
    return values[torch.arange(len(values), device=values.device), positions]
