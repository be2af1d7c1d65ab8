"""Many independent pieces of work, done one after another, in several processes, or on several machines."""

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

__getattr__ = door(__name__)
