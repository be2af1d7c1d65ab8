"""A model's weights by name, their hashes, and the one matrix of an MLP that facts are written into."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wheatstone._errors import ModelError, RequestError
from wheatstone.editing._delta import Delta, LowRank
from wheatstone.models import ResidualModel


def weight_hash(weight: Tensor) -> str:
    """SHA-256 of a tensor's bytes, precision and shape."""
    digest = hashlib.sha256(f"{weight.dtype} {list(weight.shape)}".encode())
    digest.update(weight.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def weights_hash(model: ResidualModel, names: Iterable[str] | None = None) -> str:
    """SHA-256 of weights as they are in memory; all of them take about a second per GB.

    Args:
        model: the model.
        names: which weights; all by default.
    """
    parameters = dict(model.module.named_parameters())
    chosen = sorted(parameters if names is None else names)
    each = (f"{name} {weight_hash(parameters[name])}\n" for name in chosen)
    return hashlib.sha256("".join(each).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Projection:
    """The last projection of a layer's MLP: the associative memory of ROME (arXiv 2202.05262, section 3.1).

    Its input, gate x up in a gated MLP, is the key; its output the value. `W k` below is its output without a bias.

    Args:
        layer: from 0.
        name: of its weight in the checkpoint.
        module: the projection.
    """

    layer: int
    name: str
    module: nn.Module

    @property
    def weight(self) -> Float[Tensor, "d_model neuron"]:
        """As [out, in], whichever way round the checkpoint keeps it."""
        weight = self.module.weight
        assert isinstance(weight, Tensor)
        return weight if self.upright else weight.T

    @property
    def upright(self) -> bool:
        """Whether the checkpoint keeps it as [out, in]."""
        return isinstance(self.module, nn.Linear)

    def write(self, values: Float[Tensor, "d_model rank"], keys: Float[Tensor, "neuron rank"]) -> LowRank:
        """values · keysᵀ, in the checkpoint's orientation."""
        values, keys = values.contiguous(), keys.contiguous()
        return LowRank(values, keys) if self.upright else LowRank(keys, values)

    def read(self, delta: Delta) -> Float[Tensor, "neuron d_model"]:
        """What a delta of this weight answers to each neuron: keys times it is what it adds to the output."""
        return delta.change.T if self.upright else delta.change


def down_projection(model: ResidualModel, layer: int) -> Projection:
    """The matrix of a layer's MLP that facts are written into.

    Raises:
        RequestError: the model has no such layer.
        ModelError: the layer's MLP has no such matrix, or it is not in memory.
    """
    if not 0 <= layer < model.graph.layers:
        raise RequestError(
            expected=f"a layer of {model.id} to edit, from 0 to {model.graph.layers - 1}",
            got=str(layer),
            do="choose one of these",
        )
    if not model.blocks[layer].dense:
        dense = [str(block.index) for block in model.blocks if block.dense]
        raise ModelError(
            expected=f"an MLP with one last projection in layer {layer} to write into",
            got="a mixture of experts",
            do=f"choose a dense layer ({', '.join(dense)})" if dense else "use lora, which changes attention instead",
        )
    module = model.blocks[layer].neurons_in
    name = next((name for name, found in model.module.named_modules() if found is module), None)
    weight = getattr(module, "weight", None)
    if name is None or not isinstance(weight, nn.Parameter) or weight.ndim != 2 or weight.is_meta:
        raise ModelError(
            expected=f"a weight matrix in memory as the MLP's last projection in layer {layer}",
            got=f"{type(module).__name__} without one" if weight is None else "one that is kept elsewhere or packed",
            do="load the model whole, unquantised, on one device",
        )
    return Projection(layer, f"{name}.weight", module)


def down_projections(model: ResidualModel, names: Iterable[str]) -> list[Projection]:
    """Of some weights, those that are an MLP's last projection, in order of layers.

    Args:
        model: the model.
        names: of weights, such as an edit's deltas.
    """
    chosen = set(names)
    dense = (down_projection(model, block.index) for block in model.blocks if block.dense)
    return [projection for projection in dense if projection.name in chosen]
