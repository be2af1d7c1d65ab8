"""Tuned-lens weights from a file: an affine map for each layer that takes its residual stream to the last layer's.

    x → x + A_l x + b_l        before the final norm, for the stream that layer l reads; none after the last layer

Source: Belrose et al. 2023, "Eliciting Latent Predictions from Transformers with the Tuned Lens" (arXiv 2303.08112).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from wheatstone._errors import RequestError, reason
from wheatstone._path import StrPath
from wheatstone._view import Brief
from wheatstone.models import ResidualModel


@dataclass(frozen=True, eq=False)
class TunedLens(Brief):
    """One map a layer.

    Args:
        weights: A of each layer.
        biases: b of each layer.
    """

    weights: Float[Tensor, "layer d_model d_model"]
    biases: Float[Tensor, "layer d_model"]

    @classmethod
    def load(cls, path: StrPath, model: ResidualModel) -> TunedLens:
        """Reads a safetensors file with `0.weight`, `0.bias`, `1.weight` …, as the tuned-lens package names them.

        Its metadata must say which model it belongs to: `sha256` of the weights, or `model`, the name.

        Args:
            path: the file.
            model: that it is for.

        Raises:
            RequestError: it cannot be read, belongs to another model, or lacks a layer or has one of another shape.
        """
        path = Path(path)
        wanted = {"weight": (model.d_model, model.d_model), "bias": (model.d_model,)}
        try:
            with safe_open(path, "pt") as file:
                about = file.metadata() or {}
                _same_model(path, about, model)
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise RequestError(
                expected="a safetensors file of tuned-lens weights", got=f"{path}: {reason(error)}", do="check the path"
            ) from error
        for layer in range(model.graph.layers):
            for part, shape in wanted.items():
                name = f"{layer}.{part}"
                got = "none" if name not in found else str(tuple(found[name].shape))
                if got != str(shape):
                    raise RequestError(
                        expected=f"{name} of shape {shape} in the tuned lens",
                        got=f"{path}, which has {got}",
                        do=f"give a lens trained for {model.id}",
                    )
        stacked = {
            part: torch.stack([found[f"{layer}.{part}"] for layer in range(model.graph.layers)]) for part in wanted
        }
        return cls(*(stacked[part].to(model.device, model.dtype) for part in ("weight", "bias")))

    def __call__(self, layers: int, stream: Float[Tensor, "*n d_model"]) -> Float[Tensor, "*n d_model"]:
        """The stream after some layers as it would be after the last."""
        if layers == len(self.weights):
            return stream
        return stream + stream @ self.weights[layers].T + self.biases[layers]


def _same_model(path: Path, about: dict[str, str], model: ResidualModel) -> None:
    by = "sha256" if about.get("sha256") and model.sha256 else "model"
    if about.get(by) != {"sha256": model.sha256, "model": model.id}[by]:
        raise RequestError(
            expected=f"a tuned lens of {model.id}, by `sha256` or `model` in the file's metadata",
            got=f"{path}, which names {by} {about[by][:40]}" if by in about else f"{path}, which names no model",
            do="give the lens of this model, or name the model in its metadata",
        )
