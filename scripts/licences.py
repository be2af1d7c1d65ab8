"""Writes docs/licences.md: the licence of every package that Wheatstone depends on by name.

Python packages are read from installed metadata, those bundled into the web app from `web/package-lock.json`.

    .venv/bin/python scripts/licences.py [--check]

A package that is not installed keeps the line it has. `--check` writes nothing, and exits with 1 where the page is not
what would be written.
"""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from generated import write_or_check

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/licences.md"
LOCK = ROOT / "web/package-lock.json"
HEAD = """# Licences of dependencies

Wheatstone is under Apache-2.0. These are the packages that `pyproject.toml` names, with the licence that each declares;
their own dependencies are not listed. Written by `scripts/licences.py` and checked by a test.

| package | licence | for |
|---|---|---|
"""


def asked_for() -> dict[str, str]:
    """Every package by name, with what for: `run` or the names of extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"run": project["dependencies"], **project["optional-dependencies"]}
    found: dict[str, list[str]] = {}
    for group, requirements in groups.items():
        for requirement in requirements:
            found.setdefault(re.split(r"[<>=!\[; ]", requirement)[0], []).append(group)
    return {name: ", ".join(found[name]) for name in sorted(found, key=str.lower)}


def licence_of(name: str) -> str | None:
    """What an installed package says of itself; None where it is not installed."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return None
    classified = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::") and line != "License :: OSI Approved"
    ]
    # A field that has the whole text of the licence names it in its first line, or not at all.
    said = (about["License-Expression"] or about["License"] or "").strip()
    said = said if said and "\n" not in said and len(said) < 120 else ""
    return said or ", ".join(classified) or "not said in its metadata"


WEB_HEAD = """
## In the web app

The web app of the studio, which is part of the wheel, contains these npm packages. Their licence texts are in
`wheatstone/studio/app/licences.txt`.

| package | licence |
|---|---|
"""


def bundled() -> dict[str, str]:
    """The npm packages that the web app contains, their dependencies included, with their licences."""
    packages = json.loads(LOCK.read_text(encoding="utf-8"))["packages"]
    return {
        path.rpartition("node_modules/")[2]: str(about.get("license", "not said in its metadata"))
        for path, about in sorted(packages.items())
        if path and not about.get("dev") and not about.get("optional")
    }


def page() -> str:
    """The page as it should be."""
    there = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", PAGE.read_text("utf-8"), re.M)) if PAGE.is_file() else {}
    rows = [
        f"| `{name}` | {licence_of(name) or there.get(name, 'not looked up')} | {groups} |"
        for name, groups in asked_for().items()
    ]
    web = [f"| `{name}` | {licence} |" for name, licence in bundled().items()]
    return HEAD + "\n".join(rows) + "\n" + WEB_HEAD + "\n".join(web) + "\n"


if __name__ == "__main__":
    write_or_check({PAGE: page()})
