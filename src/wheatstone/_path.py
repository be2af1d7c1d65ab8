"""What a public function accepts as a path."""

from __future__ import annotations

import os

StrPath = str | os.PathLike[str]
"""A path as text or as an object such as `pathlib.Path`. It is taken as it is: only the command expands `~`."""
