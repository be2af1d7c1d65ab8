"""In several processes of this machine.

Each loads the model once; weights in their stored dtype are memory-mapped, so that all share one copy. Where a process
is killed, the shards that were with it go back into the queue, and alone from there, so that one that kills its process
whenever it is run is found, and refused, while the others are done.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized

import torch

from wheatstone._disk import scratch_folder
from wheatstone._progress import Reporter, silent
from wheatstone.executors._executor import Done, ModelSource, Shard, run_elsewhere
from wheatstone.models import ResidualModel

ATTEMPTS = 3
"""How often a shard may lose its process while it is alone."""
LOST = f"its process was killed {ATTEMPTS} times; memory may have run out"


@dataclass(frozen=True)
class ProcessExecutor:
    """Shards in processes, each with the model.

    Args:
        workers: processes; with CUDA the n-th takes the n-th GPU that this process sees, round and round.
        threads: of each process's matrix products.

    When this misleads: each process imports the script that runs this, which needs `if __name__ == "__main__":`.
    """

    workers: int
    threads: int = 1

    def run(
        self, model: ResidualModel, shards: Sequence[Shard], report: Reporter = silent
    ) -> Generator[Done, None, None]:
        """See `Executor`."""
        source = ModelSource.of(model)
        queue, lost, suspects = deque(shards), Counter[str](), set[str]()
        while queue:
            with _Pool(min(self.workers, len(queue)), source) as pool:
                flying: dict[Future[Done], Shard] = {}
                broken = False
                while (queue and not broken) or flying:
                    while queue and not broken:
                        suspect = any(shard.name in suspects for shard in (queue[0], *flying.values()))
                        if flying and (suspect or len(flying) == 2 * self.workers):
                            break
                        shard = queue.popleft()
                        try:
                            flying[pool.submit(run_elsewhere, source, self.threads, shard)] = shard
                        except BrokenProcessPool:
                            queue.appendleft(shard)
                            broken = True
                    alone = len(flying) == 1 and not broken
                    for future in wait(flying, return_when=FIRST_COMPLETED).done:
                        shard = flying.pop(future)
                        try:
                            yield future.result()
                        except BrokenProcessPool:
                            broken = True
                            suspects.add(shard.name)
                            lost[shard.name] += alone
                            if lost[shard.name] < ATTEMPTS:
                                queue.appendleft(shard)
                            else:
                                yield Done(shard.name, {}, LOST)


class _Pool:
    """A pool whose processes end at once when it is left, or when this process is killed."""

    def __init__(self, workers: int, source: ModelSource) -> None:
        self._workers, self._gpus = workers, _visible_gpus() if source.device == "cuda" else []

    def __enter__(self) -> ProcessPoolExecutor:
        # Forked from a process that has only imported, each begins at once; the first waits for these seconds.
        context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
        context.set_forkserver_preload(["__main__", run_elsewhere.__module__])
        end, self._hold = context.Pipe(duplex=False)
        begun = context.Value("i", 0)
        self._scratch = scratch_folder()
        scratch = str(self._scratch.__enter__())
        self._pool = ProcessPoolExecutor(
            self._workers, context, _begin, (dict(os.environ), end, begun, self._gpus, scratch)
        )
        return self._pool

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:  # also where whoever asked for the work has had enough
            self._hold.close()
        self._pool.shutdown(cancel_futures=True)
        self._hold.close()
        self._scratch.__exit__(None, None, None)  # what a killed process was writing


def _visible_gpus() -> list[str]:
    """By name; a scheduler may have given this process some of the machine's alone."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return given.split(",") if given else [str(number) for number in range(torch.cuda.device_count())]


def _begin(environ: dict[str, str], end: Connection, begun: Synchronized[int], gpus: list[str], scratch: str) -> None:
    """In a new process: its GPU, and a watch over the one that began it, whose Ctrl-C is not for this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(environ)  # as it is now, which may not be what the process that forked this one began with
    tempfile.tempdir = scratch
    if gpus:
        with begun.get_lock():
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[begun.value % len(gpus)]
            begun.value += 1

    def watch() -> None:
        end.poll(None)  # nothing is ever sent: it returns when the other end is closed
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
