"""The model cache: one folder per model, written whole or not at all.

A folder holds safetensors, config and tokenizer, and two files of ours: `manifest.json` (what it is, where it
came from, SHA-256 and size of every file) and `verified.json` (size and time of each file when last hashed).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from wheatstone._disk import claimed, remove
from wheatstone._errors import ComputationError, ModelError, reason
from wheatstone._home import home
from wheatstone._json import load_json
from wheatstone._progress import Reporter
from wheatstone.checkpoints._claims import Stored
from wheatstone.checkpoints._folder import weight_files
from wheatstone.checkpoints._hashes import remembered_sha256

FORMAT = "wheatstone.model/1"
_MANIFEST, _VERIFIED = "manifest.json", "verified.json"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class ModelFiles:
    """A checkpoint on this machine, complete and checked.

    Attributes:
        id: the name that finds it again.
        folder: holds config, tokenizer and safetensors.
        sha256: identifies the weights: of the safetensors file, or of the sorted shard hashes.
        title: what the weights are where `id` does not say it, such as a quantised file; otherwise empty.
    """

    id: str
    folder: Path
    sha256: str
    title: str = ""

    def numbers(self) -> int | None:
        """How many numbers its weights have, read from the headers alone; None where that cannot be read."""
        try:
            stored = Stored.of(weight_files(self.folder))
        except ModelError:
            return None
        return None if stored is None else stored.numbers


@dataclass(frozen=True)
class CacheEntry:
    """One place in the cache.

    Attributes:
        id: the name a user knows the model by.
        key: the folder's name below `home()/models`.
        repair: what to do when a file is bad, as an imperative.
        title: what the weights are, where `id` does not say it; otherwise what the build recorded as the title.
    """

    id: str
    key: str
    repair: str
    title: str = ""

    @property
    def folder(self) -> Path:
        """Where the finished model lies, or will."""
        return home() / "models" / self.key

    def present(self) -> bool:
        """Whether a finished model lies here; its files are not checked."""
        return self.folder.is_dir()

    def open(self, *, thorough: bool, report: Reporter) -> ModelFiles:
        """Checks every file and returns the model.

        Presence and size are always checked; content where size or time changed since the last check.

        Args:
            thorough: read and hash every file.
            report: progress callback, in MB read.

        Raises:
            ModelError: a file is missing or not as recorded; it is named.
        """
        try:
            manifest: Any = load_json(self.folder / _MANIFEST)
            files: dict[str, dict[str, Any]] = manifest["files"]
            weights: str = files[_WEIGHTS]["sha256"]
            title = self.title or str(manifest.get("source", {}).get("title", ""))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise self._broken(_MANIFEST, f"a readable {FORMAT} manifest", "none") from None
        for name, entry in files.items():
            path = self.folder / name
            if not path.is_file():
                raise self._broken(name, "it to be there", "no such file")
            if path.stat().st_size != entry["size"]:
                raise self._broken(name, f"{entry['size']} bytes", f"{path.stat().st_size} bytes")
        paths = [self.folder / name for name in files]
        hashes = remembered_sha256(paths, self.folder / _VERIFIED, afresh=thorough, report=report)
        for name, entry in files.items():
            if hashes[name] != entry["sha256"]:
                raise self._broken(name, f"SHA-256 {entry['sha256'][:12]}…", f"{hashes[name][:12]}…")
        return ModelFiles(self.id, self.folder, weights, title)

    def make(self, build: Callable[[Path, Path], dict[str, Any]], *, force: bool, report: Reporter) -> ModelFiles:
        """Builds the model unless it is here. Safe to kill, to repeat and to run in several processes.

        Args:
            build: `build(work, out)` writes the model's files into the empty folder `out`, may use the folder
                `work` for what is thrown away, and returns the manifest's `source`.
            force: build again even where a model lies, and put the new one in its place.
            report: progress callback, for waiting and hashing.

        Raises:
            ModelError: the model that lies here is broken.
            ComputationError: writing failed, such as by a full disk. Nothing is left behind.
        """
        try:
            with claimed(self.folder, wait=None, report=(report, f"wait for another pull of {self.id}")) as claim:
                for older in self.folder.parent.glob(f".{self.key}.*.part"):  # of a killed pull of an earlier version
                    remove(older)
                if self.present() and not force:
                    return self.open(thorough=True, report=report)
                work = claim.work
                work.mkdir()
                out = work / "model"
                out.mkdir()
                self._write_manifest(out, build(work, out), report)
                claim.put(out)
        except (OSError, SafetensorError) as error:
            raise ComputationError(
                expected=f"to write {self.id} below {self.folder.parent}",
                got=reason(error),
                do="free the disk or set WHEATSTONE_HOME to another folder, then repeat",
            ) from error
        return self.open(thorough=False, report=report)

    def _write_manifest(self, out: Path, source: dict[str, Any], report: Reporter) -> None:
        files = sorted(path for path in out.iterdir() if path.is_file())
        hashes = remembered_sha256(files, out / _VERIFIED, afresh=True, report=report)
        manifest = {
            "format": FORMAT,
            "id": self.id,
            "source": source,
            "files": {path.name: {"sha256": hashes[path.name], "size": path.stat().st_size} for path in files},
            "versions": {name: version(name) for name in ("wheatstone", "torch", "transformers", "gguf")},
        }
        (out / _MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")

    def _broken(self, name: str, expected: str, got: str) -> ModelError:
        return ModelError(expected=f"{self.folder / name} of {self.id} unchanged ({expected})", got=got, do=self.repair)


def require_space(folder: Path, needed: int) -> None:
    """Raises ComputationError unless `needed` bytes are free on the disk of `folder` (which exists)."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ComputationError(
            expected=f"{needed / 1e6:,.0f} MB free at {folder}",
            got=f"{free / 1e6:,.0f} MB",
            do="free some disk or set WHEATSTONE_HOME to a folder on another one",
        )
