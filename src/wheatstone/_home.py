"""Where Wheatstone keeps what it fetched or made once."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from wheatstone._path import expanded


def home() -> Path:
    """The cache folder: `$WHEATSTONE_HOME` if set, else the platform's user cache. It may not exist yet."""
    chosen = os.environ.get("WHEATSTONE_HOME") or platformdirs.user_cache_dir("wheatstone")
    return expanded(chosen).absolute()
