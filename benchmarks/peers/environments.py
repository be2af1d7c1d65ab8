"""The peers' virtual environments, made by `benchmarks/peers.py --setup` out of PyPI."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pin(package: str) -> str:
    """A package with the version that everything here is measured with."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Args:
        name: its folder under the cache.
        requirements: what pip installs beside the torch of `constraints.txt`.
    """

    name: str
    requirements: tuple[str, ...]

    def python(self, cache: Path) -> Path:
        """Its Python."""
        return cache / "venvs" / self.name / "bin" / "python"

    def make(self, cache: Path) -> None:
        """Makes it, unless it stands."""
        python, done = self.python(cache), cache / "venvs" / self.name / "installed.json"
        if done.exists() and json.loads(done.read_text()) == [pin("torch"), *self.requirements]:
            return
        print(f"{self.name}: installing {', '.join(self.requirements)} with {pin('torch')}", flush=True)
        venv.create(python.parents[1], with_pip=True, clear=True)
        _refuse_gpu_build(python)
        _pip(python, "install", "-qq", pin("torch"), *self.requirements)
        done.write_text(json.dumps([pin("torch"), *self.requirements]))


# attrs: auto-circuit imports it and does not name it; matplotlib: EAP-IG's, which is not on PyPI and shares this one.
TL3 = Environment("transformer-lens-3", ("auto-circuit==1.0.1", "transformer-lens==3.8.0", "attrs", "matplotlib"))
TL4 = Environment("transformer-lens-4", (pin("transformer-lens"), pin("transformers")))
NNSIGHT = Environment("nnsight", tuple(map(pin, ("nnsight", "transformers", "accelerate"))))


def _refuse_gpu_build(python: Path) -> None:
    """Asks pip what torch would bring, before gigabytes of it are fetched."""
    report = json.loads(_pip(python, "install", "-qq", "--dry-run", "--report", "-", pin("torch")))
    names = sorted(item["metadata"]["name"] for item in report["install"])
    gpu = [name for name in names if name.startswith(("nvidia", "cuda", "triton"))]
    if gpu:
        sys.exit(
            f"expected a CPU build of {pin('torch')}; got one that brings {', '.join(gpu)}; "
            "point pip to a folder with the CPU wheel: PIP_FIND_LINKS=…"
        )


def _pip(python: Path, *arguments: str) -> str:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"pip could not install into {python.parents[1]}: {' '.join(arguments)}")
    return done.stdout
