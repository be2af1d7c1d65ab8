"""SHA-256 of files, without reading again what has not changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from wheatstone._disk import replaced
from wheatstone._json import load_json
from wheatstone._progress import Reporter, silent

_CHUNK = 1 << 24


def sha256_of(path: Path, report: Reporter = silent) -> str:
    """SHA-256 of one file as 64 hex digits; about 1 s per GB.

    Args:
        path: the file to read.
        report: progress callback, in MB read so far.
    """
    digest, total = hashlib.sha256(), round(path.stat().st_size / 1e6)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            report(f"check {path.name} (MB)", round(file.tell() / 1e6), total)
    return digest.hexdigest()


def remembered_sha256(
    files: Iterable[Path], record: Path, *, afresh: bool = False, report: Reporter = silent
) -> dict[str, str]:
    """SHA-256 by file name, reading only files whose size or modification time differ from `record`.

    Args:
        files: files with distinct names.
        record: a JSON file this function keeps; may not exist yet, may lie in a read-only folder.
        afresh: read every file and ignore `record`.
        report: progress callback, in MB read so far.

    When this misleads: a byte changed without touching size and modification time goes unnoticed
    unless read `afresh`.
    """
    known = {} if afresh else _read(record)
    seen: dict[str, dict[str, Any]] = {}
    for path in files:
        stat = path.stat()
        stamp: dict[str, Any] = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        old = known.get(path.name, {})
        same = old == {**stamp, "sha256": old.get("sha256")}
        seen[path.name] = old if same else {**stamp, "sha256": sha256_of(path, report)}
    if seen != known:
        _write(record, seen)
    return {name: entry["sha256"] for name, entry in seen.items()}


def _read(record: Path) -> dict[str, Any]:
    try:
        value: Any = load_json(record)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(record: Path, value: dict[str, dict[str, Any]]) -> None:
    with suppress(OSError), replaced(record) as partial:  # without a record the files are hashed again each time
        partial.write_text(json.dumps(value, indent=1), encoding="utf-8")
