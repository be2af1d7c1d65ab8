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

__all__ = [
    "EXECUTORS",
    "Done",
    "Executor",
    "LocalExecutor",
    "ProcessExecutor",
    "RayExecutor",
    "Shard",
    "executor_named",
]
__getattr__ = door(
    __name__,
    {
        "EXECUTORS": "wheatstone.executors._named",
        "Done": "wheatstone.executors._executor",
        "Executor": "wheatstone.executors._executor",
        "LocalExecutor": "wheatstone.executors._local",
        "ProcessExecutor": "wheatstone.executors._processes",
        "RayExecutor": "wheatstone.executors._ray",
        "Shard": "wheatstone.executors._executor",
        "executor_named": "wheatstone.executors._named",
    },
)
