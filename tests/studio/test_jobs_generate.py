"""Continuations as jobs: token by token, once for the same request, and after a worker that is killed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
from browser import ended
from starlette.testclient import TestClient

from wheatstone.lenses import NodeChange, node_interventions
from wheatstone.models import load_model
from wheatstone.studio import Library, create_app
from wheatstone.studio._jobs import Jobs
from wheatstone.studio._jobs_foreman import _Rate
from wheatstone.studio._jobs_schema import Change, Discover, Generate, Intervene, JobEvent
from wheatstone.studio._jobs_worker import Progress
from wheatstone.studio._library import EXAMPLES, identity
from wheatstone.tasks import PromptPair

LONG = 29
"""Tokens: all that the model's context has room for."""


@pytest.fixture(scope="module")
def asked(made: str) -> Generate:
    changes = [Change(node="a0.h1", how="scale", factor=8), Change(node="m1.n3", how="patch")]
    return Generate(run=made, changes=changes, tokens=6, temperature=1.0, seed=2)


@pytest.fixture
def client(jobs: Jobs, runs: Path) -> TestClient:
    return TestClient(create_app(Library((runs,)), jobs=jobs, built=Path("/nowhere")), base_url="http://127.0.0.1:8765")


async def _all(jobs: Jobs, id: str) -> list[JobEvent]:
    return [event async for event in jobs.follow(id)]


def test_both_texts_grow_token_by_token(jobs: Jobs, asked: Generate) -> None:
    id = jobs.submit(asked).id
    parts = [event.generated for event in asyncio.run(asyncio.wait_for(_all(jobs, id), 600)) if event.generated]
    sizes = [(len(part.original), len(part.changed)) for part in parts]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 2
    whole = parts[-1]
    for part in parts:
        assert part.original == whole.original[: len(part.original)]
        assert part.changed == whole.changed[: len(part.changed)]
    assert 0 < len(whole.original) <= asked.tokens
    assert whole.original != whole.changed


def test_the_same_request_gives_the_same_texts_and_no_change_gives_the_original(jobs: Jobs, asked: Generate) -> None:
    same = asked.model_copy(update={"changes": [Change(node="a0.h1", how="scale", factor=1)]})
    first, second, unchanged = (ended(jobs, jobs.submit(each).id).generated for each in (asked, asked, same))
    assert first
    assert first == second
    assert unchanged
    assert unchanged.changed == unchanged.original == first.original


def test_a_request_that_is_made_twice_at_once_is_one_job(
    client: TestClient, jobs: Jobs, discover: Discover, asked: Generate
) -> None:
    ids: list[str] = []
    body = asked.model_copy(update={"seed": 7}).model_dump()

    def post() -> None:
        ids.append(client.post("/api/v1/jobs", json=body).json()["id"])

    # Every edge exactly, which takes long: it keeps the job waiting until the second request has come.
    before = jobs.submit(discover.model_copy(update={"method": "verified", "faithfulness": 1.0}))
    both = [threading.Thread(target=post) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(ids) == 2
    assert len(set(ids)) == 1
    jobs.cancel(before.id)
    assert ended(jobs, ids[0]).state == "done"
    assert client.post("/api/v1/jobs", json=body).json()["id"] != ids[0]  # the first has ended: a new one


def test_a_worker_that_is_killed_while_it_writes_is_said_and_the_text_can_be_had(jobs: Jobs, asked: Generate) -> None:
    job = jobs.submit(asked.model_copy(update={"tokens": LONG, "temperature": 2.0, "seed": 5}))

    async def killed() -> JobEvent:
        last: JobEvent | None = None
        dead = False
        async for event in jobs.follow(job.id):
            last = event
            if event.generated and not dead:
                worker = jobs._foreman._worker
                assert worker
                assert worker.pid
                os.kill(worker.pid, signal.SIGKILL)
                dead = True
        assert last
        return last

    last = asyncio.run(asyncio.wait_for(killed(), 600))
    assert last.state == "failed"
    assert last.problem
    assert "signal 9" in last.problem.detail
    assert last.generated  # what was written until then
    assert last.generated.original
    again = ended(jobs, jobs.resume(job.id).id)
    assert again.state == "done"
    assert again.generated
    assert again.generated.original


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"tokens": 0}, "tokens"),
        ({"tokens": 201}, "tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 10.5}, "temperature"),
        ({"seed": 2**32}, "seed"),
        ({"changes": []}, "changes"),
    ],
)
def test_what_is_out_of_range_is_refused_at_once(
    client: TestClient, asked: Generate, patch: dict[str, object], said: str
) -> None:
    response = client.post("/api/v1/jobs", json=asked.model_dump() | patch)
    assert response.status_code == 422
    assert said in response.json()["got"]


def test_a_node_that_is_not_there_is_named(jobs: Jobs, asked: Generate) -> None:
    last = ended(jobs, jobs.submit(asked.model_copy(update={"changes": [Change(node="m1.n999999", how="ablate")]})).id)
    assert last.problem
    assert "m1.n999999" in last.problem.detail


def test_time_that_is_left_follows_from_the_rate() -> None:
    rate = _Rate()
    assert rate.left(Progress("search", 10, 110), 5.0) is None  # how fast it is, is not known yet
    assert rate.left(Progress("search", 30, 110), 9.0) == 16.0  # 20 in 4 s, 80 are left
    assert rate.left(Progress("verify", 1, 4), 10.0) is None
    assert rate.left(Progress("verify", 1, None), 12.0) is None


def test_nodes_of_a_graph_are_changed_at_their_position(jobs: Jobs, runs: Path, made: str, discover: Discover) -> None:
    """A graph of the prompt of a circuit: the same change at one position gives the same text in both."""
    pair = discover.pair
    assert pair
    folder = shutil.copytree(EXAMPLES / "a-fact-in-neurons", runs / "graph", dirs_exist_ok=True)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["model"] = json.loads((jobs._library.find(made) / "manifest.json").read_text(encoding="utf-8"))["model"]
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    graph = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
    graph |= {
        "prompt": pair.prompt,
        "tokens": pair.prompt.split(),
        "answers": [pair.answer],
        "counterfactuals": [pair.counterfactual],
    }
    (folder / "graph.json").write_text(json.dumps(graph), encoding="utf-8")
    id = identity(str(folder))

    def text(run: str, node: str) -> tuple[str, ...]:
        changes = [Change(node=node, how="patch"), Change(node="a1.h2", how="scale", factor=-4)]
        end = ended(jobs, jobs.submit(Generate(run=run, changes=changes, tokens=5, temperature=1.0, seed=1)).id)
        assert end.generated, end
        return end.generated.changed

    last = len(graph["tokens"]) - 1
    model = load_model(discover.model)
    both = PromptPair(prompt=pair.prompt, counterfactual=pair.counterfactual, answers=(pair.answer,))
    changed = [NodeChange("a0.h1", "patch", positions=(last,)), NodeChange("a1.h2", "scale", -4.0)]
    interventions = node_interventions(model, both, changed)
    ids = model.generate(pair.prompt, new=5, interventions=interventions, temperature=1.0, seed=1).ids[0]
    assert text(id, f"a0.h1@{last}") == tuple(model.decode(ids))
    assert text(id, "m0") == text(made, "m0")
    wrong = ended(jobs, jobs.submit(Generate(run=id, changes=[Change(node=f"m0@{last + 1}", how="patch")])).id)
    assert wrong.problem
    assert "a part of the prompts" in wrong.problem.detail
    graph["answers"] = []
    (folder / "graph.json").write_text(json.dumps(graph), encoding="utf-8")
    bare = ended(jobs, jobs.submit(Intervene(run=id, changes=[Change(node="m0", how="ablate")])).id)
    assert bare.changed, bare
    answer = next(token for token in bare.changed.tokens if token.role == "answer")
    assert answer.before == max(token.before for token in bare.changed.tokens)
    graph["counterfactuals"] = []
    (folder / "graph.json").write_text(json.dumps(graph), encoding="utf-8")
    without = ended(jobs, jobs.submit(Generate(run=id, changes=[Change(node="m0", how="patch")])).id)
    assert without.problem
    assert "a counterfactual to patch from" in without.problem.detail
    silent = ended(jobs, jobs.submit(Intervene(run=id, changes=[Change(node="a0.h1", how="ablate")])).id)
    assert silent.changed, silent
    assert silent.changed.kl > 0
    manifest["model"]["sha256"] = ""
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    foreign = ended(jobs, jobs.submit(Generate(run=id, changes=[Change(node="m0", how="ablate")])).id)
    assert foreign.problem
    assert "one of another tool" in foreign.problem.detail
