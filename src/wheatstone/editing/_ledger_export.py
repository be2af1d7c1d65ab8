"""A ledger for other tools: a checkpoint as transformers writes it, a LoRA adapter as peft reads it, or plain deltas.

A low-rank change of W [out, in] is Δ = B A with A [rank, in] and B [out, rank], which is what a LoRA adapter holds; its
scale α / r is 1 here.

When this misleads: an adapter is added to the weights by whoever loads it, in an order and precision of their own. Only
a checkpoint has the ledger's weights bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from wheatstone._disk import claimed_for, room_for, write_tensors
from wheatstone._errors import RequestError, RunError
from wheatstone._path import StrPath
from wheatstone.checkpoints import quiet
from wheatstone.editing._delta import Chain, LowRank
from wheatstone.editing._ledger import Ledger
from wheatstone.models import ResidualModel

Exported = Literal["checkpoint", "lora", "deltas"]


def export_checkpoint(ledger: Ledger, model: ResidualModel, out: StrPath, *, force: bool = False) -> None:
    """Writes the edited model as a checkpoint that transformers loads: config, tokenizer, weights.

    Args:
        ledger: the ledger.
        model: its model, unedited; the checkpoint has the precision it was loaded in.
        out: a new folder.
        force: replace an export that is there.

    Raises:
        RequestError: the ledger is empty.
        ModelError: it is another model.
        RunError: something is there already.
        ComputationError: a file could not be written; nothing is left of it.
    """
    with _new_export(ledger, out, force=force) as folder, ledger.applied(model):
        module: Any = model.module
        with quiet():
            module.save_pretrained(folder)
            model.tokenizer.save_pretrained(folder)
        _note(ledger, "checkpoint", folder)


def export_delta(ledger: Ledger, model: ResidualModel, out: StrPath, *, force: bool = False) -> Exported:
    """Writes what the edits add to the weights.

    Where every change is of low rank and its factors take less room than the matrices, this is a LoRA adapter:
    `adapter_config.json` and `adapter_model.safetensors`, as `peft` reads them. Otherwise it is the difference of
    every edited weight, as `deltas.safetensors`.

    Args:
        ledger: the ledger.
        model: its model, unedited.
        out: a new folder.
        force: replace an export that is there.

    Returns:
        `lora` or `deltas`.

    Raises:
        RequestError: the ledger is empty.
        ModelError: it is another model.
        RunError: something is there already.
        ComputationError: a file could not be written; nothing is left of it.
    """
    with _new_export(ledger, out, force=force) as folder:
        ledger.check_model(model)
        parts = _factors(ledger, model)
        if parts is None:
            write_tensors(_differences(ledger, model), folder / "deltas.safetensors")
            _note(ledger, "deltas", folder)
            return "deltas"
        _write_adapter(parts, model, folder)
        _note(ledger, "lora", folder)
        return "lora"


def _factors(ledger: Ledger, model: ResidualModel) -> dict[str, tuple[Tensor, Tensor]] | None:
    """A and B of every weight, by name of its module; None where a change is no product, or the product is larger."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    size, whole = 0, 0
    for name, chain in ledger.edit.deltas.items():
        assert isinstance(chain, Chain)
        parts = [part for part in chain.parts if isinstance(part, LowRank)]
        if len(parts) < len(chain.parts) or not name.endswith(".weight"):
            return None
        module = name.removesuffix(".weight")
        left, right = (torch.cat([getattr(part, side) for part in parts], 1).float() for side in ("left", "right"))
        upright = isinstance(model.module.get_submodule(module), nn.Linear)
        inner, outer = (right, left) if upright else (left, right)
        found[module] = (inner.T.contiguous().cpu(), outer.contiguous().cpu())
        size += left.numel() + right.numel()
        whole += chain.shape[0] * chain.shape[1]
    return found if size < whole else None


def _write_adapter(parts: dict[str, tuple[Tensor, Tensor]], model: ResidualModel, folder: Path) -> None:
    ranks = {module: len(inner) for module, (inner, _) in parts.items()}
    most = max(ranks.values())
    upright = {isinstance(model.module.get_submodule(module), nn.Linear) for module in parts}
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model.id,
        "r": most,
        "lora_alpha": most,
        "rank_pattern": ranks,
        "alpha_pattern": ranks,
        "target_modules": sorted(ranks),
        "fan_in_fan_out": upright == {False},
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }
    tensors: dict[str, Tensor] = {}
    for module, (inner, outer) in parts.items():
        tensors[f"base_model.model.{module}.lora_A.weight"] = inner
        tensors[f"base_model.model.{module}.lora_B.weight"] = outer
    write_tensors(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _differences(ledger: Ledger, model: ResidualModel) -> dict[str, Tensor]:
    """Edited weight less the model's own, in float32 at least."""
    parameters = dict(model.module.named_parameters())
    before = {name: parameters[name].data for name in ledger.base}
    with ledger.applied(model):
        after = {name: parameters[name].data for name in ledger.base}
    exact = {name: torch.promote_types(weight.dtype, torch.float32) for name, weight in before.items()}
    return {
        name: (after[name].to(exact[name]) - weight.to(exact[name])).contiguous().cpu()
        for name, weight in before.items()
    }


@contextmanager
def _new_export(ledger: Ledger, out: StrPath, *, force: bool) -> Generator[Path, None, None]:
    """A folder to write to, which takes the place of `out` when all went well.

    Raises:
        RequestError: the ledger is empty.
        RunError: something is there already, or nothing can be written there.
        ComputationError: a file could not be written.
    """
    out = Path(out).absolute()
    with (
        claimed_for(out, lambda: check_export(ledger, out, force=force)) as claim,
        room_for(
            "room and permission to write the export",
            out,
            "free some space or choose another --out; nothing was left behind",
        ),
    ):
        claim.work.mkdir()
        yield claim.work
        claim.put(claim.work)


def check_export(ledger: Ledger, out: StrPath, *, force: bool = False) -> None:
    """Refuses an export before the model is loaded.

    Raises:
        RequestError: the ledger is empty.
        RunError: something is in `out` that must not be replaced.
    """
    out = Path(out)
    if not ledger.entries:
        raise RequestError(
            expected="a ledger with an edit to export", got="an empty one", do="add one with `wheatstone edit add`"
        )
    taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    ours = (out / "edits.json").is_file()
    if taken and not (force and ours):
        what = "an export" if ours else "something that is not an export"
        do = "choose another --out" + (", or replace the export with --force" if ours else "")
        raise RunError(expected="an empty or new folder for the export", got=f"{out}, which holds {what}", do=do)


def _note(ledger: Ledger, kind: Exported, folder: Path) -> None:
    """Writes where an export comes from, next to it."""
    about = {
        "format": "wheatstone.export/1",
        "kind": kind,
        "model": {"id": ledger.model_id, "sha256": ledger.model_sha256, "precision": ledger.precision},
        "edits": [
            {
                "number": entry.number,
                "method": entry.edit.method,
                "requests": [request.model_dump() for request in entry.edit.requests],
                "sha256": entry.edit.sha256,
            }
            for entry in ledger.entries
        ],
        "before": dict(ledger.base),
        "weights": dict(ledger.weights),
    }
    text = json.dumps(about, ensure_ascii=False, indent=1) + "\n"
    (folder / "edits.json").write_text(text, encoding="utf-8")
