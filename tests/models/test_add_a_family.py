"""The guide's example, run as it stands: one new file and one line make a family."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import test_families
import tiny_families

import wheatstone
from wheatstone._errors import ModelError
from wheatstone.checkpoints.families import FAMILIES

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "add-a-family.md"
FILE, LINE, CONFIG = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """StarCoder 2 as the guide adds it, until the test is over."""
    monkeypatch.setattr(tiny_families, "FAMILY_CONFIGS", tiny_families.FAMILY_CONFIGS.copy())
    exec(CONFIG, {"FAMILY_CONFIGS": tiny_families.FAMILY_CONFIGS})
    with pytest.raises(ModelError, match="add-a-family"):
        tiny_families.tiny_family("starcoder2")
    monkeypatch.setitem(FAMILIES, "starcoder2", FAMILIES["llama"])
    exec(FILE, {})


@pytest.mark.usefixtures("known")
def test_the_example_passes_what_every_family_passes() -> None:
    ran = 0
    for name, test in vars(test_families).items():
        if name.startswith("test_") and test.__code__.co_varnames[: test.__code__.co_argcount] == ("case",):
            test("starcoder2")
            ran += 1
    assert ran >= 8


@pytest.mark.usefixtures("known")
def test_one_file_and_one_line_are_enough(tmp_path: Path) -> None:
    model = tiny_families.tiny_family("starcoder2")
    model.module.save_pretrained(tmp_path / "model")
    model.tokenizer.save_pretrained(tmp_path / "model")

    package = tmp_path / "wheatstone"
    shutil.copytree(Path(wheatstone.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "checkpoints/families/starcoder2.py").write_text(FILE, "utf-8")
    door = package / "checkpoints/families/__init__.py"
    before = "from wheatstone.checkpoints.families._family import FAMILIES"
    door.write_text(door.read_text("utf-8").replace(before, f"{LINE}{before}"), "utf-8")

    check = "import sys; from wheatstone.cli import main; sys.argv[0] = 'wheatstone'; main()"
    command = [sys.executable, "-c", check, "models", "check", str(tmp_path / "model"), "--prompt", "w1 w2 w3"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "WHEATSTONE_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "(starcoder2, float32): passed" in " ".join(done.stdout.split())
