"""One command in a forked child of a process that has imported everything, with bounds on its time and memory.

A fork takes some milliseconds where a new process takes seconds, so that thousands of commands can be tried. The parent
must have started no thread pool of its own: `prepare` says so to the libraries that have one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 20
"""Of a processor, after which a command counts as hanging."""
PATIENCE = 60.0
"""Seconds of the clock that a command may take, on a machine that does other things too."""
REFUSED_WITHIN = 2.0
"""Seconds of a processor within which a wrong request is refused, above start."""
REFUSED_BELOW = 200
"""Megabytes a refusal may take, above start."""
_MEMORY = 3 << 30
"""Bytes that a command may allocate: more ends it."""
_NOBODY = 65534


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Args:
        words: of the command.
        code: its exit code; None where it had to be killed, negative for a signal.
        seconds: it took, of the clock.
        busy: seconds of a processor, where it ended by itself.
        grown: megabytes of memory at its peak, above start.
        out: what it printed.
        err: what it printed on stderr.
        served: it is a server and was ended as it listened.
    """

    words: tuple[str, ...]
    code: int | None
    seconds: float
    busy: float
    grown: int
    out: str
    err: str
    served: bool = False

    @property
    def fault(self) -> str:
        """What is wrong with how it ended; empty where nothing is."""
        if self.served:
            return ""
        if "Traceback (most recent call last)" in self.err:
            return "traceback"
        if self.code is None:
            return "hang"
        if self.code not in (0, 1, 2):
            return f"exit code {self.code}"
        if "\x1b" in self.out + self.err:
            return "control characters"
        return "" if self.code != 2 else self._refusal()

    def _refusal(self) -> str:
        lines = self.err.splitlines()
        if len(lines) != 1:
            return "" if not self.err.strip() and "Usage" in self.out else f"{len(lines)} lines: {lines[0][:100]}"
        if "--json" in self.words:
            try:
                said = json.loads(lines[0])["format"] == "wheatstone.error/1"
            except ValueError:
                said = False
        else:
            said = re.fullmatch(r"wheatstone: expected .+; got .+; .+", lines[0]) is not None
        if not said:
            return "no expected/got/do"
        if self.busy > REFUSED_WITHIN:
            return "slow refusal"
        return "refusal in much memory" if self.grown > REFUSED_BELOW else ""


def prepare() -> None:
    """Keeps libraries from starting threads in this process, which a fork would not take along."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def import_everything() -> None:
    """Imports what any command imports, so that no child has to."""
    import codecs
    import importlib
    import pkgutil
    import warnings

    import wheatstone

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in pkgutil.walk_packages(wheatstone.__path__, "wheatstone."):
            if not part.name.endswith(("._ray", "._widget", "._notebook")):
                importlib.import_module(part.name)
        for name in ("utf-8-sig", "cp437", "utf-16", "idna", "latin-1", "ascii", "punycode"):
            codecs.lookup(name)
        " ".encode("idna")
        for name in (
            "gguf",
            "joblib",
            "sklearn.linear_model",
            "multiprocessing.pool",
            "transformers.models.llama.modeling_llama",
            "transformers.modeling_gguf_pytorch_utils",
        ):
            importlib.import_module(name)


def run_forked(
    words: Sequence[str], *, folder: Path, home: Path, server: bool = False, unprivileged: bool = True
) -> Outcome:
    """Runs `wheatstone WORDS` in a forked child.

    Args:
        words: of the command.
        folder: it runs in.
        home: its `WHEATSTONE_HOME`.
        server: whether it counts as good that it still listens after a while.
        unprivileged: give up the rights of root first, where this process has them.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        ours, theirs = os.pipe()
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _child(list(words), folder, home, out.fileno(), err.fileno(), theirs, unprivileged)
        os.close(theirs)
        done = _waited(ours, 6.0 if server else PATIENCE)
        seconds = time.monotonic() - started
        busy, grown = json.loads((os.read(ours, 4096) if done else b"") or "[0, 0]")
        os.close(ours)
        if not done:
            os.killpg(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # what it started and left
        texts: list[str] = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(1 << 20).decode("utf-8", "replace"))
        code = os.waitstatus_to_exitcode(status) if done else None
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            code = None
        served = server and not done and "http://" in texts[1]
        return Outcome(tuple(words), code, seconds, busy, grown, texts[0], texts[1], served)


def _waited(pipe: int, seconds: float) -> bool:
    """Whether the other end of a pipe was closed or written to in time."""
    return bool(select.select([pipe], [], [], seconds)[0])


def _child(words: list[str], folder: Path, home: Path, out: int, err: int, pipe: int, unprivileged: bool) -> None:
    """Does the work and ends the process; never returns."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        os.environ["WHEATSTONE_HOME"] = str(home)
        os.environ["HOME"] = str(home)
        os.environ["COLUMNS"] = "200"
        for stream, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
            os.dup2(stream, target)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        if unprivileged and os.geteuid() == 0:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
        before, begun = _memory(), time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
        data = before["VmData"] * 1024 + _MEMORY
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))
        sys.argv = ["wheatstone", *words]
        from wheatstone.cli import main

        try:
            main()
            code = 0
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 1 if stopped.code else 0
        sys.stdout.flush()
        after = _memory()
        # A fork shares the pages of files, which come in one by one and are no allocation.
        grown = (after["VmHWM"] - after["RssFile"]) - (before["VmRSS"] - before["RssFile"])
        os.write(pipe, json.dumps([time.process_time() - begun, max(0, grown // 1024)]).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _memory() -> dict[str, int]:
    """Sizes of this process in kilobytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) for name, value in pairs}
