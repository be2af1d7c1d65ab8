"""On the machines of a Ray cluster.

One actor a worker, with the model resident. Shards are handed to actors that are up and idle; a shard whose actor or
machine is lost goes to another, and a new actor is asked for, which Ray places wherever there is room.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from wheatstone._errors import ComputationError, RequestError
from wheatstone._progress import Reporter, silent
from wheatstone.executors._executor import Done, ModelSource, Shard, run_shard
from wheatstone.executors._processes import ATTEMPTS, LOST
from wheatstone.models import ResidualModel


class _Actor:
    """A process somewhere, with the model."""

    def __init__(self, source: ModelSource, threads: int) -> None:
        torch.set_num_threads(threads)
        self.model = source.load()

    def ready(self) -> None:
        """Returns once the model is loaded."""

    def run(self, shard: Shard) -> Done:
        """Carries one shard out."""
        return run_shard(self.model, shard)


@dataclass(frozen=True)
class RayExecutor:
    """Shards on a Ray cluster.

    Args:
        address: `auto`, `ray://host:port`, or that of a head; None starts Ray on this machine alone, for this work.
        workers: actors; by default as many as the cluster's machines have GPUs (with a model on CUDA) and cores for.
            Given with an address, they may be more: Ray starts those beyond as the cluster grows.
        threads: of each actor's matrix products, and cores it asks for, all on one machine.
    """

    address: str | None = None
    workers: int | None = None
    threads: int = 1

    def run(
        self, model: ResidualModel, shards: Sequence[Shard], report: Reporter = silent
    ) -> Generator[Done, None, None]:
        """See `Executor`.

        Raises:
            RequestError: Ray is not installed, there is no cluster at the address, or no machine in it has room for an
                actor.
            ComputationError: actors cannot start.
        """
        if not shards:
            return
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            _connect(ray, self.address, report)
        try:
            yield from self._run(ray, model, shards, report)
        finally:
            if ours:
                ray.shutdown()

    def _run(
        self, ray: Any, model: ResidualModel, shards: Sequence[Shard], report: Reporter
    ) -> Generator[Done, None, None]:
        source, gpus = ModelSource.of(model), int(model.device.type == "cuda")
        kind = ray.remote(num_cpus=self.threads, num_gpus=gpus, max_restarts=0)(_Actor)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = room_for_actors(nodes, self.threads, gpus)
        grows = self.address is not None and self.workers is not None
        if not (room or grows):  # it would wait for ever
            raise RequestError(
                expected=f"a machine with room for an actor of {self.threads} cores" + " and a GPU" * gpus,
                got="machines of at most {:g} cores and {:g} GPUs".format(
                    *(max((node.get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU"))
                ),
                do="give fewer --threads, or --workers with --address where the cluster grows by itself",
            )
        workers = min(self.workers or room, len(shards))
        queue, lost, failed = deque(shards), Counter[str](), 0
        waiting: dict[Any, tuple[Any, Shard | None]] = {}
        """What is awaited, of which actor: a shard, or its start."""
        idle: list[Any] = []
        finished = deque[Done]()

        def begin() -> None:
            actor = kind.remote(source, self.threads)
            waiting[actor.ready.remote()] = (actor, None)

        for _ in range(workers):
            begin()
        try:
            while queue or finished or any(shard is not None for _, shard in waiting.values()):
                while queue and idle:
                    actor, shard = idle.pop(), queue.popleft()
                    waiting[actor.run.remote(shard)] = (actor, shard)
                if finished:  # now that no actor waits while it is written
                    yield finished.popleft()
                    continue
                report("workers at work", sum(shard is not None for _, shard in waiting.values()), workers)
                (first,), _ = ray.wait(list(waiting), num_returns=1)
                actor, shard = waiting.pop(first)
                try:
                    done = ray.get(first)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from None
                except ray.exceptions.RayError as error:  # the actor, its machine, or what it gave back is lost
                    begin()
                    if shard is not None:
                        lost[shard.name] += 1
                        if lost[shard.name] < ATTEMPTS:
                            queue.appendleft(shard)
                        else:
                            finished.append(Done(shard.name, {}, LOST))
                        continue
                    failed += 1
                    if failed == ATTEMPTS * workers:
                        raise ComputationError(
                            expected="actors that load the model",
                            got=f"{failed} that ended as they began: {str(error).strip().splitlines()[-1]}",
                            do="look at Ray's log; what is finished is kept, and started again this goes on",
                        ) from error
                else:
                    failed = 0
                    idle.append(actor)
                    if done is not None:
                        finished.append(done)
        finally:
            for actor in [*idle, *(actor for actor, _ in waiting.values())]:
                ray.kill(actor)  # else they would finish what is in hand first


def room_for_actors(nodes: Sequence[Mapping[str, float]], threads: int, gpus: int) -> int:
    """How many actors a cluster has room for; none is ever spread over two machines.

    Args:
        nodes: `CPU` and `GPU` of each machine.
        threads: cores that an actor asks for.
        gpus: GPUs that it asks for, 0 or 1.
    """
    fit = (min(node.get("CPU", 0) // threads, node.get("GPU", 0) // gpus if gpus else float("inf")) for node in nodes)
    return int(sum(fit))


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise RequestError(
            expected="Ray, for --executor ray",
            got="none installed",
            do="pip install 'wheatstone[ray]', or use --executor processes",
        ) from error
    return ray


def _connect(ray: Any, address: str | None, report: Reporter) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    alone = {} if address else {"include_dashboard": False}
    terminated = signal.getsignal(signal.SIGTERM)
    report("connecting to Ray", 0, None)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level="error", **alone)
            break
        except Exception as error:  # Ray has no class of its own for what goes wrong here
            ray.shutdown()  # else it stays half connected, and refuses every other address
            if isinstance(error, ConnectionAbortedError) and attempt < ATTEMPTS:
                continue  # at times the process that a head begins for a client dies as it is forked
            raise RequestError(
                expected=f"a Ray cluster at {address or 'this machine'}",
                got=" ".join([f"{type(error).__name__}:", *str(error).strip().splitlines()[-1:]]),
                do="start one (`ray start --head`), or use --executor processes",
            ) from error
    report("connecting to Ray", 1, 1)
    if callable(terminated) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminated)  # Ray puts its own there, whose exit code says nothing
