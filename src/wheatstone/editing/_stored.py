"""An edit as a folder: `edit.json`, which says what it is, and `edit.safetensors`, which holds its tensors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from wheatstone._disk import changed, finish_changes
from wheatstone._errors import RunError, reason
from wheatstone._json import load_json, sha256_of
from wheatstone._path import StrPath
from wheatstone.editing._delta import delta_of
from wheatstone.editing._edit import Edit
from wheatstone.editing._request import EditRequest

_LARGEST = 1 << 33
"""Bytes of the arrays of an edit, at most."""

FORMAT = "wheatstone.edit/1"
_HASH = Field(pattern=r"^[0-9a-f]{64}$")


class StoredModel(BaseModel):
    """The model of an edit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    sha256: str = Field(pattern=r"^([0-9a-f]{64})?$")


class _Stored(BaseModel):
    """`edit.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["wheatstone.edit/1"]
    method: str
    requests: tuple[EditRequest, ...]
    settings: dict[str, Any]
    model: StoredModel
    before: dict[str, str]
    notes: tuple[str, ...] = ()
    tensors: str = _HASH


def save_edit(edit: Edit, folder: StrPath) -> None:
    """Writes an edit into a folder, which is made where it is not there.

    Args:
        edit: the edit.
        folder: where to; an older edit in it is replaced, both files together.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = edit_files(edit)
    with changed(folder) as change:
        for name, data in files.items():
            change.file(name).write_bytes(data)


def edit_files(edit: Edit) -> dict[str, bytes]:
    """The two files of an edit, by name."""
    tensors = {
        f"{name}:{part}": tensor for name, delta in edit.deltas.items() for part, tensor in delta.tensors.items()
    }
    tensors |= {f"{name}:keys": keys for name, keys in edit.keys.items()}
    tensors |= {f"{name}:features": features for name, features in edit.features.items()}
    data = save({name: tensor.cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()})
    stored = {"format": FORMAT, **edit.provenance, "tensors": hashlib.sha256(data).hexdigest()}
    text = json.dumps(stored, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    return {"edit.safetensors": data, "edit.json": text.encode()}


def load_edit(folder: StrPath) -> Edit:
    """Reads an edit that `save_edit` wrote. Whether it fits a model is seen when it is applied.

    Raises:
        RunError: a file is missing, damaged or of another form.
    """
    folder = Path(folder)
    finish_changes(folder)
    try:
        stored = _Stored.model_validate(load_json(folder / "edit.json"))
        tensors = folder / "edit.safetensors"
        if sha256_of(tensors, _LARGEST) != stored.tensors:
            raise ValueError("edit.safetensors is not the file that edit.json names")
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in load_file(tensors).items():
            weight, _, part = name.rpartition(":")
            parts.setdefault(weight, {})[part] = tensor
        keys = {weight: part.pop("keys") for weight, part in parts.items() if "keys" in part}
        features = {weight: part.pop("features") for weight, part in parts.items() if "features" in part}
        if set(parts) != set(stored.before):
            raise ValueError("the weights in edit.json are not those in edit.safetensors")
        return Edit(
            method=stored.method,
            requests=stored.requests,
            settings=stored.settings,
            model_id=stored.model.id,
            model_sha256=stored.model.sha256,
            before=stored.before,
            deltas={weight: delta_of(part) for weight, part in parts.items()},
            keys=keys,
            features=features,
            notes=stored.notes,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        said = f"{first['msg']} at {'.'.join(map(str, first['loc']))}" if first else reason(error)
        raise RunError(
            expected=f"a folder of an edit of format {FORMAT}",
            got=f"{folder}: {said}",
            do="give the folder that --save named",
        ) from error
