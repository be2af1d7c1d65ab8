"""The docs name everything a user can call, their links lead somewhere, and their examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import wheatstone
from wheatstone._lazy import opens
from wheatstone.checkpoints._known import KNOWN_MODELS
from wheatstone.checkpoints.families import FAMILIES
from wheatstone.circuits import ABLATIONS
from wheatstone.cli._app import app_of
from wheatstone.discovery import METHODS
from wheatstone.figures import FIGURES
from wheatstone.tasks import METRICS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
AXES = [
    "batch",
    "pos",
    "d_model",
    "layer",
    "head",
    "group",
    "d_head",
    "neuron",
    "node",
    "channel",
    "step",
    "vocab",
    "circuit",
    "edge",
]


def _id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _python(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def _public_names() -> list[str]:
    errors = [name for name, value in vars(wheatstone).items() if isinstance(value, type) and name.endswith("Error")]
    return sorted({*opens("wheatstone"), *errors})


def _verbs(of: typer.Typer, before: str = "") -> list[str]:
    """Every command line the app knows, such as `runs show`."""
    names = [command.name or command.callback.__name__ for command in of.registered_commands if command.callback]
    verbs = [before + name.replace("_", "-") for name in names]
    for group in of.registered_groups:
        inner = group.typer_instance
        assert inner is not None
        verbs += [f"{before}{inner.info.name}", *_verbs(inner, f"{before}{inner.info.name} ")]
    return verbs


@pytest.mark.parametrize("name", _public_names())
def test_every_public_name_is_documented(name: str) -> None:
    assert re.search(rf"`(ws\.|wheatstone\.)?{name}`|\bws\.{name}\b", TEXT)


@pytest.mark.parametrize("name", _public_names())
def test_every_public_name_is_in_an_example_that_runs(name: str) -> None:
    """`make examples` runs these."""
    scripts = (path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.py"))
    code = "\n".join([*_python(TEXT), *scripts])
    assert re.search(rf"\bws\.{name}\b", code)


@pytest.mark.parametrize("verb", _verbs(app_of()))
def test_every_verb_is_documented(verb: str) -> None:
    assert re.search(rf"(wheatstone |`){verb}[ `\n]", TEXT)


@pytest.mark.parametrize("name", [*METRICS, *METHODS, *ABLATIONS, *KNOWN_MODELS, *sorted(FAMILIES)])
def test_every_option_s_value_is_in_the_readme(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("figure", [*FIGURES])
def test_every_figure_is_documented(figure: str) -> None:
    assert f"`{figure}`" in TEXT


@pytest.mark.parametrize("axis", AXES)
def test_every_axis_is_in_the_glossary(axis: str) -> None:
    rows = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    assert any(row.startswith("| `") and f"`{axis}`" in row.split("|")[1] for row in rows)


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            file = page.parent / path if path else page
            assert file.exists(), f"{_id(page)} links to {target}"
            assert not anchor or anchor in _anchors(file), f"{_id(page)} links to {target}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_python_examples_compile(page: Path) -> None:
    for example in _python(page.read_text(encoding="utf-8")):
        compile(example, _id(page), "exec")


@pytest.mark.parametrize("script", ["commands.py", "api.py", "schemas.py", "notebooks.py"])
def test_the_generated_pages_are_up_to_date(script: str) -> None:
    words = [sys.executable, ROOT / "scripts" / script, "--check"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_of_every_package_is_on_the_page_of_the_api() -> None:
    """Under its package, with its signature or its value."""
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\S+)$(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    source = Path(wheatstone.__file__).parent
    packages = ["wheatstone", *(f"wheatstone.{door.parent.name}" for door in sorted(source.glob("[!_]*/__init__.py")))]
    for package in packages:
        __import__(package)
        listed = dict(re.findall(r"^### (\w+)$\n\n((?:    .*\n)+)", sections[package], re.MULTILINE))
        assert listed.keys() >= opens(package).keys(), package
        assert all(name in signature for name, signature in listed.items())


@pytest.mark.parametrize("page", sorted((ROOT / "docs/results").glob("*.md")), ids=_id)
def test_every_results_page_is_in_the_index_and_names_its_model(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert page.name == "index.md" or f"]({page.name})" in (ROOT / "docs/results/index.md").read_text(encoding="utf-8")
    # SmolLM2's shape alone, with random weights, is called so.
    assert not re.search(r"SmolLM2-135M(?!-Instruct|'s shape)", text)


@pytest.mark.real_weights
@pytest.mark.usefixtures("smollm2_files")
def test_the_readme_s_example_runs_and_gives_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = _python(README)
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)
    circuit = wheatstone.Circuit.load(tmp_path / "france.json")
    assert circuit.edges == names["circuit"].edges
    kept, total, share = re.findall(r"(\d+) of ([\d,]+) edges keep ([\d.]+)%", README)[0]
    evaluation = circuit.evaluation
    assert evaluation is not None
    assert (evaluation.edges, f"{evaluation.total_edges:,}") == (int(kept), total)
    assert evaluation.faithfulness == pytest.approx(float(share) / 100, abs=1e-3)
    (swapped,) = re.findall(r"swapped \(n = 1\):\nfaithfulness ([\d.]+)", README)
    assert names["swapped"].faithfulness == pytest.approx(float(swapped), abs=1e-3)
