"""Executors by name, as the command line has them."""

from __future__ import annotations

import os

from wheatstone._errors import RequestError, check_choice
from wheatstone.executors._executor import Executor
from wheatstone.executors._local import LocalExecutor
from wheatstone.executors._processes import ProcessExecutor

EXECUTORS = ("local", "processes", "ray")


def executor_named(
    name: str, *, workers: int | None = None, threads: int | None = None, address: str | None = None
) -> Executor:
    """The executor of a name.

    Args:
        name: `local`, `processes` or `ray`.
        workers: processes or actors; by default as many as there are cores (with `ray`, or GPUs) for.
        threads: of each worker; 1 by default, with `local` what torch takes.
        address: of a Ray cluster; none starts Ray on this machine alone.

    Raises:
        RequestError: no such executor, or an option that it does not have.
    """
    check_choice("an executor", name, EXECUTORS)
    if any(number is not None and number < 1 for number in (workers, threads)):
        raise RequestError(
            expected="at least one worker, of at least one thread",
            got=f"--workers {workers}, --threads {threads}",
            do="leave them out for all cores",
        )
    if (address and name != "ray") or (workers and name == "local"):
        what = "--address" if address else "--workers"
        raise RequestError(
            expected=f"{what} with an executor that has it", got=f"--executor {name}", do=f"leave {what} out"
        )
    if name == "local":
        return LocalExecutor(threads)
    if name == "processes":
        each = threads or 1
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return ProcessExecutor(workers or max(1, cores // each), each)
    from wheatstone.executors._ray import RayExecutor

    return RayExecutor(address, workers, threads or 1)
