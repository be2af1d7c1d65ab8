"""A driver running in its own process, with one thread, asked for one job at a time."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

PINNED = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "GOMP_SPINCOUNT": "10000",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "disabled",
}
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": "0"}
"""Without these, glibc's `malloc` returns each large block to the system and asks for it again, page by page."""


@dataclass
class Driver:
    """A context manager: the process lives inside `with`.

    Args:
        name: for people and for the log.
        python: whose environment it runs in.
        script: `drive_*.py` beside this file.
        arguments: of the script, the model's folder first.
        logs: folder for what it prints.
        environment: variables of the process, besides those of every driver.
    """

    name: str
    python: Path | str
    script: str
    arguments: tuple[str, ...]
    logs: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    process: subprocess.Popen[str] | None = field(default=None, init=False)
    answers: TextIO | None = field(default=None, init=False)

    def __enter__(self) -> Driver:
        self.logs.mkdir(parents=True, exist_ok=True)
        reading, writing = os.pipe()
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [str(self.python), str(Path(__file__).with_name(self.script)), *self.arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
                env={**os.environ, **PINNED, **self.environment, "ANSWERS": str(writing)},
                pass_fds=(writing,),
            )
        os.close(writing)
        self.answers = os.fdopen(reading)
        self._answer()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.logs / f"{self.name}.log"

    def ask(self, job: str, **options: Any) -> dict[str, Any]:
        """Runs one job: `seconds` by the clock, `cpu` seconds of a processor, `peak_mb`, and what the job adds."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"job": job, **options}) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        cost = f"{answer['seconds']:.2f} s, {answer['cpu']:.2f} s of a processor, {answer['peak_mb']:.0f} MB"
        print(f"  {time.strftime('%H:%M:%S')} {self.name} {job} {options}: {cost}", flush=True)
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self.answers is not None
        line = self.answers.readline()
        if not line:
            tail = "\n".join(self.log.read_text().splitlines()[-5:])
            raise RuntimeError(f"{self.name} stopped: {tail}")
        return json.loads(line)
