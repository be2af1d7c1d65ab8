"""A scan that is killed at every file that it puts in place, and started again each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import wheatstone as ws

_SCRIPT = """
import json, os, signal, sys
from pathlib import Path
import torch
from tiny import make_tiny
from wheatstone.lenses import HEADS
from wheatstone.neurons import NEURONS, ScanSettings, run_scan

of, folder, texts, step = sys.argv[1:]
model, plain = make_tiny("llama", torch.float32), os.replace
settings = ScanSettings(texts=(texts,), window=8, top=3, batch=24, shard=2)
deaths = 0
for most in range(1, 120, int(step)):
    child = os.fork()
    if child == 0:
        calls = 0
        def replace(source, target):
            global calls
            calls += 1
            if calls == most // 2 + 1 and most % 2:
                os.kill(os.getpid(), signal.SIGKILL)  # the new file is written, not in place
            plain(source, target)
            if calls == most // 2 + 1:
                os.kill(os.getpid(), signal.SIGKILL)  # in place, and nothing knows
        os.replace = replace
        run_scan(model, settings, Path(folder), of={"neurons": NEURONS, "heads": HEADS}[of])
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        deaths += 1
    else:
        print(json.dumps({"deaths": deaths, "status": status}))
        break
"""


def killed_scan(of: str, folder: Path, texts: Path, *, after: bool) -> None:
    """Scans `neurons` or `heads` of the tiny llama; each start gets one write further than the one before.

    Args:
        of: what is scanned.
        folder: of the scan.
        texts: what is read.
        after: whether it is also killed after each file is in place, not only before.
    """
    step = "1" if after else "2"
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _SCRIPT, of, str(folder), str(texts), step]
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(ws.__file__).parents[1])])
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == 0
    assert found["deaths"] >= 4
