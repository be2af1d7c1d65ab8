"""`load_model`: from a name to a checked `ResidualModel`."""

from __future__ import annotations

from pathlib import Path

import torch

from wheatstone._errors import ModelError, RequestError
from wheatstone._progress import Reporter, silent
from wheatstone.models._checkpoint import load_checkpoint
from wheatstone.models._residual import ResidualModel
from wheatstone.models._sources import resolve_model
from wheatstone.models._tokens import Tokens

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
"""Largest |Δlogit| to transformers that a checked model may have; half precision is not gated."""


def load_model(
    name: str | Path,
    *,
    revision: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    report: Reporter = silent,
) -> ResidualModel:
    """Loads a model and checks that it can be taken apart exactly.

    Args:
        name: a bundled name (`smollm2-135m`), a Hugging Face id, a local folder, or a `.gguf` file.
        revision: of a Hugging Face id.
        device: where to put the weights: `cpu`, `cuda`, `mps`, or `auto` for the first there is of the last two.
        dtype: `float32`, `float64`, `bfloat16` or `float16`. In half precision effects of single edges are noise.
        report: told how far a download or conversion is.

    Raises:
        ModelError: unknown model, broken files, an unsupported family, or one whose parts do not add up to it.
        RequestError: no such device or dtype.
    """
    if dtype not in DTYPES:
        raise RequestError(expected=f"a dtype out of {', '.join(DTYPES)}", got=repr(dtype), do="choose one of these")
    where = _device(device)
    files = resolve_model(name, revision=revision, report=report)
    module, tokenizer = load_checkpoint(files, dtype=DTYPES[dtype], device=where)
    model = ResidualModel(module, tokenizer, id=files.id, sha256=files.sha256)
    check_wiring(model)
    return model


def _device(name: str) -> torch.device:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next((kind for kind in ("cuda", "mps") if there[kind]), "cpu"))
    if not there.get(name.split(":")[0], False):
        raise RequestError(
            expected=f"a device this machine has ({', '.join(kind for kind, here in there.items() if here)})",
            got=repr(name),
            do="choose one of these, or auto",
        )
    return torch.device(name)


@torch.no_grad()
def check_wiring(model: ResidualModel) -> None:
    """Refuses a model whose graph is not the computation transformers runs.

    With every edge kept the rewired run must give transformers' logits on one prompt; with every edge cut, its
    logits on another. The second catches what the first cannot: a node that is missing, a channel mixed up.

    Raises:
        ModelError: either differs by more than the float noise of the dtype.
    """
    if model.dtype not in _TOLERANCE:
        return
    vocabulary = model.module.config.vocab_size
    ours, theirs = (
        Tokens.of([[(first + step * 97) % vocabulary for step in range(6)]], model.device) for first in (11, 1009)
    )
    ablated = model.forward(theirs, cache=True).nodes
    assert ablated is not None
    whole = torch.from_numpy(model.graph.valid)[None]
    for keep, tokens in ((whole, ours), (torch.zeros_like(whole), theirs)):
        expected = model.module(tokens.ids, use_cache=False).logits[:, -1]
        got = model.forward_circuit(ours, ablated, keep).logits[0]
        error = float((got - expected).abs().max())
        if not error <= _TOLERANCE[model.dtype] * max(1.0, float(expected.abs().max())):
            raise ModelError(
                expected=f"a factored forward pass of {model.id} equal to transformers'",
                got=f"logits that differ by {error:.2g}",
                do="report it: this model's family is not wired as its config says",
            )
