"""One job a line, asked over standard input and answered over a pipe: the half of every driver that is the same.

A driver gives `serve` its jobs by name. A job takes the request's options and returns the work and what to do with its
result; only the work is measured: by the clock, in processor seconds, and its peak memory above what was there before.
This file is run by every peer's own Python: standard library only.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Job = Callable[..., tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]]


def serve(jobs: dict[str, Job]) -> None:
    """Answers requests until standard input ends, over the pipe `$ANSWERS`: peers print to standard output."""
    answers = os.fdopen(int(os.environ.get("ANSWERS", "1")), "w")
    print(json.dumps({"ready": sorted(jobs)}), file=answers, flush=True)
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        work, describe = jobs[request.pop("job")](**request)
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
        before = _kilobytes("VmRSS")
        wall, busy = time.perf_counter(), time.process_time()
        result = work()
        cost = {
            "seconds": time.perf_counter() - wall,
            "cpu": time.process_time() - busy,
            "peak_mb": (_kilobytes("VmHWM") - before) * 1024 / 1e6,
        }
        print(json.dumps(cost | describe(result)), file=answers, flush=True)
        del result, work, describe


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
