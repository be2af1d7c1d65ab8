"""What is to be done, who does it, and what comes back.

A shard is one piece of work that needs no other: a value that any process with the model can carry out. It comes back
as the files it wrote, so that only the process that began the work writes to the run's folder, wherever the others are.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from wheatstone._disk import scratch_folder
from wheatstone._errors import ModelError, WheatstoneError
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.models import ResidualModel, load_model


@runtime_checkable
class Shard(Protocol):
    """One piece of work. Picklable; it gives the same bytes on any worker with the same processor, versions, number of
    threads and memory budget."""

    @property
    def name(self) -> str:
        """What it is called among the others; a folder's name."""
        ...

    @property
    def content(self) -> dict[str, Any]:
        """Everything but the model that its files depend on, as JSON: data (or its hash) and settings."""
        ...

    def run(self, model: ResidualModel, folder: Path, report: Reporter, /) -> None:
        """Writes its files into an empty folder."""
        ...


@dataclass(frozen=True)
class Done(Brief):
    """What came of a shard.

    Args:
        shard: its name.
        files: what it wrote, by path in its folder; none where it was refused.
        refused: why it could not be done: too few facts are known, memory ran out, its process was killed thrice.
        seconds: on the clock.
        processor_seconds: of its process.
    """

    shard: str
    files: dict[str, bytes]
    refused: str | None = None
    seconds: float = 0.0
    processor_seconds: float = 0.0


@runtime_checkable
class Executor(Protocol):
    """Who carries shards out."""

    def run(
        self, model: ResidualModel, shards: Sequence[Shard], report: Reporter = silent
    ) -> Generator[Done, None, None]:
        """Yields what comes of each shard, in the order in which they end. Closed early, it stops all work.

        Args:
            model: which; other processes load it again by its id, and its weights' hash must be the same there.
            shards: to do.
            report: progress callback.
        """
        ...


@dataclass(frozen=True)
class ModelSource:
    """A model as another process finds it.

    Args:
        id: as `load_model` takes it.
        sha256: of its weights.
        dtype: of its parameters.
        device: where they go.
    """

    id: str
    sha256: str
    dtype: str
    device: str

    @classmethod
    def of(cls, model: ResidualModel) -> ModelSource:
        """Of a loaded model."""
        return cls(model.id, model.sha256, model.precision, model.device.type)

    def load(self) -> ResidualModel:
        """Loads it; weights in their stored dtype are shared with other processes of the machine.

        Raises:
            ModelError: there is none of that id here, or it has other weights.
        """
        model = load_model(self.id, device=self.device, dtype=self.dtype)
        if model.sha256 != self.sha256:
            raise ModelError(
                expected=f"{self.id} with the weights {self.sha256[:12]}… on every machine",
                got=f"{model.sha256[:12]}… here",
                do="copy the same files there",
            )
        return model


def run_shard(model: ResidualModel, shard: Shard, report: Reporter = silent) -> Done:
    """Carries one shard out here."""
    started, used = time.perf_counter(), time.process_time()
    files: dict[str, bytes] = {}
    refused = None
    with scratch_folder() as folder:
        try:
            shard.run(model, folder, report)
        except WheatstoneError as error:
            refused = str(error)
        else:
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return Done(shard.name, files, refused, time.perf_counter() - started, time.process_time() - used)


@lru_cache(maxsize=1)
def _loaded(source: ModelSource) -> ResidualModel:
    return source.load()


def run_elsewhere(source: ModelSource, threads: int, shard: Shard) -> Done:
    """Carries one shard out in a process of its own, which keeps the model for the next."""
    torch.set_num_threads(threads)
    return run_shard(_loaded(source), shard)
