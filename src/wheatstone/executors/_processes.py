"""In several processes of this machine.

Each loads the model once; weights in their stored dtype are memory-mapped, so that all share one copy. Where a process
is killed, the shards that were with it go back into the queue, and alone from there, so that one that kills its process
whenever it is run is found, and refused, while the others are done.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized

import torch

from wheatstone._progress import Reporter, silent
from wheatstone.executors._executor import Done, ModelSource, Shard, run_elsewhere
from wheatstone.models import ResidualModel

ATTEMPTS = 3
"""How often a shard may lose its process."""
LOST = f"its process was killed {ATTEMPTS} times; memory may have run out"


@dataclass(frozen=True)
class ProcessExecutor:
    """Shards in processes, each with the model.

    Args:
        workers: processes; with CUDA the n-th takes the n-th GPU, round and round.
        threads: of each process's matrix products.
    """

    workers: int
    threads: int = 1

    def run(self, model: ResidualModel, shards: Sequence[Shard], report: Reporter = silent) -> Iterator[Done]:
        """See `Executor`."""
        source = ModelSource.of(model)
        queue, lost = deque(shards), Counter[str]()
        while queue:
            with _Pool(min(self.workers, len(queue)), source) as pool:
                flying: dict[Future[Done], Shard] = {}
                broken = False
                while (queue and not broken) or flying:
                    while queue and not broken:
                        suspects = any(lost[shard.name] for shard in (queue[0], *flying.values()))
                        if flying and (suspects or len(flying) == 2 * self.workers):
                            break
                        shard = queue.popleft()
                        try:
                            flying[pool.submit(run_elsewhere, source, self.threads, shard)] = shard
                        except BrokenProcessPool:
                            queue.appendleft(shard)
                            broken = True
                    for future in wait(flying, return_when=FIRST_COMPLETED).done:
                        shard = flying.pop(future)
                        try:
                            yield future.result()
                        except BrokenProcessPool:
                            broken = True
                            lost[shard.name] += 1
                            if lost[shard.name] < ATTEMPTS:
                                queue.appendleft(shard)
                            else:
                                yield Done(shard.name, {}, LOST)


class _Pool:
    """A pool whose processes end at once when it is left, or when this process is killed."""

    def __init__(self, workers: int, source: ModelSource) -> None:
        self._workers, self._gpus = workers, torch.cuda.device_count() if source.device == "cuda" else 0

    def __enter__(self) -> ProcessPoolExecutor:
        context = get_context("spawn")
        end, self._hold = context.Pipe(duplex=False)
        begun = context.Value("i", 0)
        self._pool = ProcessPoolExecutor(self._workers, context, _begin, (end, begun, self._gpus))
        return self._pool

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:  # also where whoever asked for the work has had enough
            self._hold.close()
        self._pool.shutdown(cancel_futures=True)
        self._hold.close()


def _begin(end: Connection, begun: Synchronized[int], gpus: int) -> None:
    """In a new process: its GPU, and a watch over the one that began it, whose Ctrl-C is not for this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if gpus:
        with begun.get_lock():
            os.environ["CUDA_VISIBLE_DEVICES"] = str(begun.value % gpus)
            begun.value += 1

    def watch() -> None:
        end.poll(None)  # nothing is ever sent: it returns when the other end is closed
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
