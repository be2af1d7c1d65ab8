"""Many independent pieces of work: who does them, and the folders in which they resume."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.executors._executor import Done as Done
    from wheatstone.executors._executor import Executor as Executor
    from wheatstone.executors._executor import Shard as Shard
    from wheatstone.executors._local import LocalExecutor as LocalExecutor
    from wheatstone.executors._named import EXECUTORS as EXECUTORS
    from wheatstone.executors._named import executor_named as executor_named
    from wheatstone.executors._processes import ProcessExecutor as ProcessExecutor
    from wheatstone.executors._ray import RayExecutor as RayExecutor
    from wheatstone.executors._resumable import alone_in as alone_in
    from wheatstone.executors._resumable import finished as finished
    from wheatstone.executors._resumable import open_resumable as open_resumable
    from wheatstone.executors._resumable import settings_file as settings_file
    from wheatstone.executors._resumable import work_begun as work_begun
    from wheatstone.executors._shards import SHARD_LIST as SHARD_LIST
    from wheatstone.executors._shards import damaged_shards as damaged_shards
    from wheatstone.executors._shards import run_shards as run_shards
    from wheatstone.executors._shards import shard_cost as shard_cost
    from wheatstone.executors._shards import shards_done as shards_done
    from wheatstone.executors._shards import some_done as some_done

__getattr__ = door(__name__)
