"""`load_model`: from a name to a checked `ResidualModel`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch

from wheatstone._errors import ModelError, RequestError, WheatstoneError, check_choice
from wheatstone._path import StrPath, expanded
from wheatstone._progress import Reporter, silent
from wheatstone.checkpoints import ModelFiles, load_checkpoint, resolve_model
from wheatstone.models._memory import MemoryWarning, free_memory, memory_room
from wheatstone.models._residual import ResidualModel
from wheatstone.models._wiring import check_wiring

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}

DeviceMap = Mapping[str, int | str | torch.device]
"""Which part of the model goes where, by the name of its module."""


class PrecisionWarning(UserWarning):
    """Results are coarser than they look."""


class TokenizerWarning(UserWarning):
    """A tokenizer's own reading of a prompt is not the one that is used."""


def load_model(
    name: StrPath,
    *,
    revision: str | None = None,
    device: str | DeviceMap = "cpu",
    dtype: str = "float32",
    report: Reporter = silent,
) -> ResidualModel:
    """Loads a model and checks that it can be taken apart exactly.

    Args:
        name: a bundled name (`smollm2-135m`), a Hugging Face id, a local folder, or a `.gguf` file.
        revision: of a Hugging Face id.
        device: where to put the weights: `cpu`, `cuda`, `mps`, or `auto` for the first there is of the last two. Where
            they do not fit there, `auto` spreads them over all GPUs, the CPU and disk. Or which part goes where, as
            transformers' `device_map`, `cpu` and `disk` included; every decoder layer whole.
        dtype: `float32`, `float64`, `bfloat16` or `float16`.
        report: progress callback.

    Raises:
        ModelError: unknown model, broken files, too little memory, an unsupported family, one whose parts do not add
            up to it, or logits that are not finite.
        RequestError: no such device or dtype.

    Warns:
        MemoryWarning: the weights are spread, and runs slower for it.
        PrecisionWarning: in half precision, with the size of the noise.
        TokenizerWarning: the tokenizer puts a token after every text; it is left out.

    When this misleads: rounding hides small effects. In float32 single-edge effects below about 1e-5 logits are
    noise, in half precision those of most edges.
    """
    model = open_model(name, revision=revision, device=device, dtype=dtype, report=report)
    try:
        found = check_wiring(model)
    except (WheatstoneError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError, IndexError, TypeError) as error:  # transformers' own code, with a wrong config
        raise _does_not_run(model.id, error) from error
    if model.dtype.itemsize < 4:
        warnings.warn(
            f"{model.id} in {dtype}: logits are rounded by about {found.full_circuit:.1g}; "
            "effects of single edges below that are noise; float32 resolves about 1e-5",
            PrecisionWarning,
            stacklevel=2,
        )
    warn_of_ending(model)
    return model


def warn_of_ending(model: ResidualModel) -> None:
    """Says that a token is left out that the tokenizer puts after every text."""
    _, after = model.reader.frame
    if after:
        warnings.warn(
            f"the tokenizer of {model.id} puts {model.written(after)!r} after every text; it is left out, "
            "because prompts are continued",
            TokenizerWarning,
            stacklevel=3,
        )


def open_model(
    name: StrPath, *, revision: str | None, device: str | DeviceMap, dtype: str, report: Reporter = silent
) -> ResidualModel:
    """As `load_model`, without the check."""
    check_choice("a dtype", dtype, DTYPES)
    where = _device(device) if isinstance(device, str) else {"device_map": dict(device)}
    number, local = DTYPES[dtype], expanded(name).resolve()
    files = ModelFiles(f"{local}", local, "")
    # A folder's are counted before gigabytes of them are read to hash them.
    if isinstance(where, torch.device) and device != "auto" and (shortage := _shortage(files, number, where)):
        raise shortage
    files = resolve_model(name, revision=revision, report=report)
    if isinstance(where, torch.device) and (shortage := _shortage(files, number, where)):
        if device != "auto":
            raise shortage
        warnings.warn(
            f"{shortage.expected}, {shortage.got}: spread over all there are and disk", MemoryWarning, stacklevel=2
        )
        where = {"device_map": "auto", "max_memory": _rooms(where)}
    module, tokenizer = load_checkpoint(files, dtype=number, device=where)
    try:
        return ResidualModel(module, tokenizer, id=files.id, sha256=files.sha256, title=files.title)
    except (RuntimeError, ValueError, TypeError, AttributeError, ZeroDivisionError) as error:  # likewise
        raise _does_not_run(files.id, error) from error


def _does_not_run(name: str, error: Exception) -> ModelError:
    return ModelError(
        expected=f"{name} to run as its config says",
        got=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300],
        do="replace config.json by that of the model the weights are of",
    )


def _rooms(device: torch.device) -> dict[int | str, int]:
    """Bytes that weights may take of each device: what the default budget of runs leaves."""
    devices: dict[int | str, torch.device] = {"cpu": torch.device("cpu")}
    if device.type == "cuda":
        devices = {index: torch.device("cuda", index) for index in range(torch.cuda.device_count())} | devices
    elif device.type == "mps":
        devices = {"mps": device} | devices
    return {name: free_memory(each) - memory_room(each) for name, each in devices.items()}


def _shortage(files: ModelFiles, dtype: torch.dtype, device: torch.device) -> ModelError | None:
    """What to say of weights that are larger than the free memory, before any is read."""
    needed = files.numbers() or 0  # where it cannot be read, that is said better where it is loaded
    free = free_memory(device)
    if needed * dtype.itemsize <= free:
        return None
    return ModelError(
        expected=f"{needed * dtype.itemsize / 1e9:,.1f} GB of memory for the weights of {files.id}",
        got=f"{free / 1e9:,.1f} GB free on {device.type}",
        do="choose a smaller model or a coarser --dtype, or let --device auto spread it",
    )


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
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise RequestError(
            expected="a device such as cpu, cuda or cuda:1", got=repr(name)[:60], do="write it so"
        ) from error
