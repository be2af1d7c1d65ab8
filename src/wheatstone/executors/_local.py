"""In this process, one after another."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch

from wheatstone._progress import Reporter, silent
from wheatstone.executors._executor import Done, Shard, run_shard
from wheatstone.models import ResidualModel


@dataclass(frozen=True)
class LocalExecutor:
    """Shards one after another, with the model as it is loaded.

    Args:
        threads: of each matrix product; as many as torch takes by default.
    """

    threads: int | None = None

    def run(
        self, model: ResidualModel, shards: Sequence[Shard], report: Reporter = silent
    ) -> Generator[Done, None, None]:
        """See `Executor`."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads or before)
        try:
            for shard in shards:
                yield run_shard(model, shard, report)
        finally:
            torch.set_num_threads(before)
