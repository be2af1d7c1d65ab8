"""Standard streams in encodings that lack letters, as on Windows or with LC_ALL=C."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from typing import Any


def forgive_encodings() -> None:
    """From now on a letter that a stream cannot encode comes out as a question mark instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not _encodes_all(stream):
            stream.reconfigure(errors="replace")


def json_line(document: Mapping[str, Any], stream: Any) -> str:
    """A document in one line; where the stream lacks letters, all that are not ASCII are escaped.

    Args:
        document: of finite numbers.
        stream: where it will be printed; None where it is closed.
    """
    return json.dumps(document, ensure_ascii=stream is not None and not _encodes_all(stream), allow_nan=False)


def _encodes_all(stream: Any) -> bool:
    return (stream.encoding or "utf-8").lower().replace("-", "").startswith("utf")
