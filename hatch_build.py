"""Builds the web app into the wheel, so that whoever installs Wheatstone needs no Node.js."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WebApp(BuildHookInterface[Any]):
    """Builds `web/` where npm is at hand; else takes what is built, and says so where nothing is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Runs before the files of the wheel are gathered; an editable install is left to `make web`."""
        web, built = Path(self.root) / "web", Path(self.root) / "src/wheatstone/studio/app/index.html"
        if version == "editable" or not web.is_dir():
            return
        sources = [path for path in web.rglob("*") if path.is_file() and "node_modules" not in path.parts]
        if built.exists() and all(path.stat().st_mtime <= built.stat().st_mtime for path in sources):
            return
        npm = shutil.which("npm")
        if npm is None:
            what = "an older web app" if built.exists() else "no web app"
            self.app.display_warning(f"npm is not there, so the wheel has {what}; install Node.js 20 or newer")
            return
        for words in ("ci --no-audit --no-fund", "run build"):
            subprocess.run([npm, *words.split()], cwd=web, check=True)
