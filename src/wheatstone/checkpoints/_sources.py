"""From what a user typed to a checkpoint on this machine."""

from __future__ import annotations

import hashlib
import os
import re
from functools import partial
from pathlib import Path
from typing import Any

from wheatstone._errors import ModelError, reason
from wheatstone._home import home
from wheatstone._path import StrPath, expanded
from wheatstone._progress import Reporter, silent
from wheatstone.checkpoints._cache import CacheEntry, ModelFiles
from wheatstone.checkpoints._claims import Stored
from wheatstone.checkpoints._folder import json_object, require_causal, require_tokenizer, weight_files
from wheatstone.checkpoints._gguf import dequantise
from wheatstone.checkpoints._hashes import remembered_sha256
from wheatstone.checkpoints._known import KNOWN_MODELS
from wheatstone.checkpoints._quiet import quiet

_HUB_ID = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*?)(@(?P<revision>[\w./-]+))?")
_HUB_FILES = ["*.safetensors", "*.json", "*.model", "merges.txt", "vocab.txt", "chat_template*"]


def resolve_model(name: StrPath, *, revision: str | None = None, report: Reporter = silent) -> ModelFiles:
    """Finds a model, fetching and converting it first where need be.

    Args:
        name: a bundled name (`smollm2-135m`), a Hugging Face id (`org/name`, or `org/name@revision`), a local
            folder (config.json and safetensors), or a `.gguf` file, de-quantised once into the cache.
        revision: branch, tag or commit of a Hugging Face id; default its main branch.
        report: progress callback, for what takes over a second.

    Returns:
        Files that are there and checked. The `id` finds the same files again: a Hugging Face id gains its
        commit, a path becomes absolute.

    Raises:
        ModelError: no such model, a broken file, or not a decoder-only language model.
        ComputationError: the download failed or the disk is full; nothing is left behind.

    When this misleads: a cached file is hashed again only if its size or modification time changed.
    `pull_model` always reads every byte.
    """
    return _find(name, revision, force=False, thorough=False, report=report)


def pull_model(name: str, *, force: bool = False, report: Reporter = silent) -> ModelFiles:
    """Fetches a model into the cache and checks every byte. Safe to interrupt, repeat and run in parallel.

    Args:
        name: as for `resolve_model`.
        force: fetch and convert again even where it is here.
        report: progress callback.

    Raises:
        ModelError, ComputationError: as `resolve_model`.
    """
    return _find(name, None, force=force, thorough=True, report=report)


def _find(name: StrPath, revision: str | None, *, force: bool, thorough: bool, report: Reporter) -> ModelFiles:
    hub = _HUB_ID.fullmatch(os.fspath(name))
    path = expanded(name)
    known = KNOWN_MODELS.get(os.fspath(name))
    if revision is not None and (known is not None or path.exists()):
        raise ModelError(
            expected="a revision only with a Hugging Face id", got=f"{name} at {revision}", do="leave it out"
        )
    if known is not None:
        if known.entry.present() and not force:
            return known.entry.open(thorough=thorough, report=report)
        return known.entry.make(partial(known.build, report=report), force=force, report=report)
    if path.is_dir():
        return _folder(path.resolve(), str(path.resolve()), thorough=thorough, report=report)
    if path.is_file() and path.suffix == ".gguf":
        return _gguf(path.resolve(), force=force, thorough=thorough, report=report)
    if hub is not None and not path.exists() and path.suffix != ".gguf":
        revision = revision or hub["revision"]
        return _hub(hub["repo"], revision, force=force, thorough=thorough, report=report)
    raise _none_of_these(name)


def _none_of_these(name: StrPath) -> ModelError:
    path = expanded(name)
    got, do = f"{os.fspath(name)!r}, which is none of these", "run `wheatstone models` for the bundled ones"
    if path.is_file():
        got, do = f"the file {path}", "give the folder it is in" if path.suffix == ".safetensors" else do
    elif os.sep in os.path.normpath(path) and (path.is_absolute() or not _HUB_ID.fullmatch(os.fspath(name))):
        got, do = f"{os.fspath(name)!r}, which is not there", "check the path"
    return ModelError(
        expected=f"a bundled name ({', '.join(KNOWN_MODELS)}), a Hugging Face id (org/name), a folder with "
        "config.json and safetensors, or a .gguf file",
        got=got,
        do=do,
    )


def tokenizer_here(name: str) -> Path | None:
    """The folder of a model's config and tokenizer, if they are on this machine; nothing is fetched or loaded.

    Args:
        name: as for `resolve_model`.

    Returns:
        None where they are not here, or only inside a `.gguf` file.

    Raises:
        ModelError: the name can be none of a model.
    """
    hub, path, known = _HUB_ID.fullmatch(name), expanded(name), KNOWN_MODELS.get(name)
    if known is not None:
        folder = known.entry.folder
    elif path.is_dir():
        folder = path
    elif path.is_file() and path.suffix == ".gguf":
        return None
    elif hub is not None and not path.exists() and path.suffix != ".gguf":
        import huggingface_hub

        cached = huggingface_hub.try_to_load_from_cache(hub["repo"], "tokenizer.json", revision=hub["revision"])
        folder = Path(cached).parent if isinstance(cached, str) else path
    else:
        raise _none_of_these(name)
    return folder if (folder / "tokenizer.json").is_file() and (folder / "config.json").is_file() else None


def _folder(folder: Path, model_id: str, *, thorough: bool, report: Reporter) -> ModelFiles:
    require_causal(folder)
    weights = weight_files(folder)
    if stored := Stored.of(weights):
        stored.check_settings(folder, json_object(folder / "config.json"))
    require_tokenizer(folder)
    hashes = remembered_sha256(weights, _record(folder), afresh=thorough, report=report)
    shards = sorted(hashes.values())
    sha256 = shards[0] if len(shards) == 1 else hashlib.sha256("".join(shards).encode()).hexdigest()
    return ModelFiles(model_id, folder, sha256)


def _record(path: Path) -> Path:
    return home() / "hashes" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:24]}.json"


def _gguf(path: Path, *, force: bool, thorough: bool, report: Reporter) -> ModelFiles:
    (sha256,) = remembered_sha256([path], _record(path), afresh=thorough, report=report).values()
    again = f"run `wheatstone pull {path} --force` to convert it again"
    entry = CacheEntry(id=str(path), key=f"gguf-{sha256[:24]}", repair=again)
    if entry.present() and not force:
        return entry.open(thorough=thorough, report=report)

    def build(work: Path, out: Path) -> dict[str, Any]:
        title = f"{path.name}, {dequantise(path, out, report)}, expanded to float32"
        return {"kind": "gguf", "file": path.name, "sha256": sha256, "title": title}

    return entry.make(build, force=force, report=report)


def _hub(repo: str, revision: str | None, *, force: bool, thorough: bool, report: Reporter) -> ModelFiles:
    import huggingface_hub

    snapshot = partial(
        huggingface_hub.snapshot_download,
        repo,
        revision=revision,
        force_download=force,
        ignore_patterns=["*/*"],
    )
    report(f"look for {repo} on the Hugging Face Hub", 0, None)
    try:
        with quiet():
            # The config first: an encoder is refused before its gigabytes arrive.
            require_causal(Path(snapshot(allow_patterns=["config.json", "adapter_config.json", "quant*config.json"])))
            folder = Path(snapshot(allow_patterns=_HUB_FILES))
    except (OSError, ValueError) as error:
        raise ModelError(
            expected=f"{repo} at revision {revision or 'main'} "
            f"in {huggingface_hub.constants.HF_HUB_CACHE} or at {huggingface_hub.constants.ENDPOINT}",
            got=f"{type(error).__name__}: {reason(error)}",
            do="check the id and the network, or give a local folder",
        ) from error
    return _folder(folder, f"{repo}@{folder.name}", thorough=thorough, report=report)
