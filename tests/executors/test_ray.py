"""Work on Ray's own test cluster, two nodes of one core on this machine: the same bytes, whatever is killed."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import stopped
from needs import require
from notes import by_name, gone, notes, processes_of, same_bytes, times_run, wait_until

from wheatstone import PromptPair, RequestError
from wheatstone.discovery import DiscoverySettings
from wheatstone.executors import LocalExecutor, RayExecutor, run_shards, shards_done
from wheatstone.models import ResidualModel, load_model
from wheatstone.studies._sweep_pair import PairShard

pytestmark = [
    pytest.mark.needs("ray"),
    # Ray waits for none of the processes that it began.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture(scope="module")
def model(tiny_task: tuple[Path, Path]) -> ResidualModel:
    return load_model(str(tiny_task[0]))


@pytest.fixture(scope="module")
def port() -> int:
    """One that is free for Ray's client server."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def begun(begin: Callable[[], Any]) -> Any:
    """Ray gives a node 30 seconds to start, which can be too few on a busy machine: then the test is skipped."""
    for _ in range(4):
        try:
            return begin()
        except Exception as error:
            if "timed out" not in str(error):
                raise
    return require("ray node")


@pytest.fixture(scope="module")
def cluster(port: int) -> Generator[Any, None, None]:
    import ray
    from ray.cluster_utils import Cluster

    here = os.pathsep.join([str(Path(stopped.__file__).parent), os.environ.get("PYTHONPATH", "")])
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as environment:
        warnings.simplefilter("ignore")
        environment.setenv("PYTHONPATH", here)  # actors find these shards by it
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        node = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000}
        cluster = begun(lambda: Cluster(True, head_node_args=node | {"ray_client_server_port": port}))
        yield cluster
        ray.shutdown()
        cluster.shutdown()
        del cluster
        gc.collect()


def test_an_actor_and_a_whole_node_are_killed(model: ResidualModel, cluster: Any, tmp_path: Path) -> None:
    other = begun(lambda: cluster.add_node(num_cpus=1, object_store_memory=80_000_000))
    waiting = {"n" + "0" * count: {"waits": True} for count in (2, 3)}
    shards = notes(tmp_path / "notes", 5, n0000={"kills": 1}, **waiting)
    results = RayExecutor(cluster.address).run(model, shards)
    found = [next(results)]
    # The first is done on one node; then both are at a shard that waits.
    wait_until(lambda: times_run(shards[1]), "the second is under way")
    lost = {path.read_text() for path in (tmp_path / "notes").glob("n0*.0")}
    assert lost
    cluster.remove_node(other, allow_graceful=False)
    (tmp_path / "notes" / "go").touch()
    found += list(results)
    assert by_name(found) == by_name(list(LocalExecutor(1).run(model, notes(tmp_path / "quiet", 5))))
    assert times_run(shards[3]) >= 2
    wait_until(lambda: all(map(gone, processes_of(tmp_path / "notes"))), "no process is left")


def test_whoever_began_the_work_is_killed(model: ResidualModel, cluster: Any, tmp_path: Path) -> None:
    words = [sys.executable, stopped.__file__, "ray", model.id, str(tmp_path), cluster.address]
    first, second = (tmp_path / "notes" / f"{name}.0" for name in ("n0", "n00"))
    with subprocess.Popen(words) as process:
        wait_until(lambda: second.exists() or process.poll() is not None, "the second is under way")
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: all(map(gone, processes_of(tmp_path / "notes"))), "no process is left")
    assert shards_done(tmp_path / "out") == (1, stopped.SHARDS)
    begun = first.read_text()
    (tmp_path / "notes" / "go").touch()
    run_shards(model, notes(tmp_path / "notes", stopped.SHARDS), tmp_path / "out", "shards", LocalExecutor(1))
    assert [first.read_text(), first.with_suffix(".1").exists()] == [begun, False]
    (tmp_path / "now").mkdir()
    run_shards(model, notes(tmp_path / "quiet", stopped.SHARDS), tmp_path / "now", "shards", LocalExecutor(1))
    assert same_bytes(tmp_path / "out") == same_bytes(tmp_path / "now")


def test_by_ray_s_client(model: ResidualModel, cluster: Any, port: int, tiny_task: tuple[Path, Path]) -> None:
    records = [json.loads(line) for line in tiny_task[1].read_text().splitlines()[:2]]
    pairs = [
        PromptPair(**{name: record[name] for name in PromptPair.model_fields if name in record}) for record in records
    ]
    settings = DiscoverySettings(method="eap-ig", faithfulness=0.8)
    shards = [PairShard(f"p{number}", pair, settings) for number, pair in enumerate(pairs)]
    found = by_name(list(RayExecutor(f"ray://127.0.0.1:{port}", workers=1).run(model, shards)))
    assert found == by_name(list(LocalExecutor(1).run(model, shards)))


@pytest.mark.parametrize(
    ("error", "tries", "told"),
    [
        (ConnectionAbortedError("from the server:\nTraceback\nRuntimeError: no server"), 3, "RuntimeError: no server;"),
        (AssertionError(), 1, "got AssertionError:; start one"),
    ],
)
def test_no_connection_leaves_nothing_half_connected(
    model: ResidualModel, cluster: Any, tmp_path: Path, error: Exception, tries: int, told: str
) -> None:
    """The client's server is asked again, for Ray loses it at times; then the head's own address still serves."""
    from ray.util.client.worker import Worker

    asked: list[str] = []

    def refuse(*_: Any, **__: Any) -> None:
        asked.append("once")
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "__init__", refuse)
        with pytest.raises(RequestError, match=told):
            list(RayExecutor("ray://127.0.0.1:1").run(model, notes(tmp_path / "none", 1)))
    assert len(asked) == tries
    assert [done.shard for done in RayExecutor(cluster.address).run(model, notes(tmp_path / "one", 1))] == ["n0"]


def test_what_is_refused(model: ResidualModel, cluster: Any, tmp_path: Path) -> None:
    assert list(RayExecutor(cluster.address).run(model, [])) == []
    with pytest.raises(RequestError, match="got machines of at most 1 cores and 0 GPUs; give fewer --threads"):
        list(RayExecutor(cluster.address, threads=2).run(model, notes(tmp_path, 1)))
