"""Jobs as a client of the API has them: a real worker on a tiny model."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import signal
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import ended, served
from starlette.testclient import TestClient
from tolerance import Rounding

from wheatstone._errors import RequestError
from wheatstone.circuits import Circuit
from wheatstone.runs import add_file, damaged_files
from wheatstone.studio import Library, create_app
from wheatstone.studio._jobs import Jobs
from wheatstone.studio._jobs_foreman import Bounds
from wheatstone.studio._jobs_journal import Asked, Journal, read_journals
from wheatstone.studio._jobs_schema import (
    Ask,
    Change,
    Discover,
    Explain,
    Intervene,
    JobEvent,
    Measure,
    Pair,
    Verify,
)
from wheatstone.studio._library import EXAMPLES, identity

ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def change(made: str) -> Intervene:
    """A job of milliseconds."""
    return Intervene(run=made, changes=[Change(node="a0.h1", how="scale", factor=2), Change(node="m1", how="patch")])


@pytest.fixture
def client(jobs: Jobs, runs: Path) -> TestClient:
    return TestClient(create_app(Library((runs,)), jobs=jobs, built=Path("/nowhere")), base_url=ADDRESS)


@pytest.fixture
def idle(tmp_path: Path) -> Jobs:
    """A queue that nothing is taken from."""
    jobs = Jobs(Library((tmp_path,)), tmp_path / "jobs", Bounds(waiting=2))
    jobs._serve = lambda: None  # pyright: ignore[reportAttributeAccessIssue]
    return jobs


def test_a_discovery_becomes_a_run_that_other_jobs_add_to(
    client: TestClient, jobs: Jobs, discover: Discover, pair: Pair, made: str, change: Intervene
) -> None:
    run = client.get(f"/api/v1/runs/{made}").json()
    assert run["prompts"][0]["prompt"] == pair.prompt
    assert run["missing"] == []
    assert damaged_files(Path(run["path"])) == []
    assert made in {run["id"] for run in client.get("/api/v1/runs").json()["runs"]}
    asked = (
        {"verb": "verify", "run": made, "on": "own"},
        {"verb": "verify", "run": made, "on": "given", "pair": pair.model_dump()},
        {"verb": "explain", "run": made, "only": ["vocabulary"]},
        change.model_dump(),
        {"verb": "look", "run": made, "head": "a1.h0"},
    )
    answers = [client.post("/api/v1/jobs", json=body) for body in asked]
    assert [answer.status_code for answer in answers] == [202] * 5
    ends = [ended(jobs, answer.json()["id"]) for answer in answers]
    assert [end.state for end in ends] == ["done"] * 5, ends
    assert len(client.get(f"/api/v1/runs/{made}/verifications").json()) == 3  # own, swapped, given
    assert ends[3].changed
    assert ends[3].changed.tokens[0].role == "answer"
    looked = ends[4].looked
    assert looked
    for side in (looked.through_query, looked.through_key):
        size = sum(abs(term.value) for term in side)
        assert sum(term.value for term in side) == Rounding(len(side)).near(looked.difference, magnitude=size)
    assert damaged_files(Path(run["path"])) == []


def test_the_test_split_of_a_task_is_verified(
    client: TestClient, jobs: Jobs, made: str, tiny_task: tuple[Path, Path]
) -> None:
    run = client.get(f"/api/v1/runs/{made}").json()
    assert run["test_pairs"] == 0
    records = [json.loads(line) for line in tiny_task[1].read_text().splitlines()]
    named = ("prompt", "counterfactual", "answers", "distractors")
    pairs = [{name: record[name] for name in named} for record in records if record["split"] == "test"]
    add_file(Path(run["path"]), "task.json", {"pairs": {"test": pairs}})
    assert client.get(f"/api/v1/runs/{made}").json()["test_pairs"] == len(pairs)
    assert ended(jobs, jobs.submit(Verify(run=made, on="test")).id).state == "done"
    found = client.get(f"/api/v1/runs/{made}/verifications").json()
    assert [known["n"] for known in found if known["split"] == "test"] == [len(pairs)]


def test_nodes_are_measured_together(jobs: Jobs, made: str) -> None:
    """All nodes of the circuit are the circuit alone; a node that is not there is refused."""
    circuit = Circuit.load(jobs._library.find(made))
    nodes = [name for name in circuit.nodes if name != "input"]
    end = ended(jobs, jobs.submit(Measure(run=made, nodes=nodes)).id)
    assert (end.state, end.run) == ("done", None)
    assert end.measured
    assert circuit.evaluation
    assert 0 < end.measured.edges <= len(circuit)  # an edge to a node that writes along none does nothing
    assert end.measured.alone == pytest.approx(circuit.evaluation.faithfulness, abs=5e-7)  # written to six decimals
    assert set(end.measured.probability) == set(end.measured.top) == {"model", "alone", "without"}
    wrong = ended(jobs, jobs.submit(Measure(run=made, nodes=["a99.h0"])).id)
    assert wrong.problem
    assert wrong.problem.got == "'a99.h0'"


def test_fifty_clients_miss_no_event(
    jobs: Jobs, runs: Path, discover: Discover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of them break off after a few events and come back, as a browser does."""

    async def follow(client: httpx.AsyncClient, address: str, breaks: bool) -> list[int]:
        seen: list[int] = []
        while True:
            headers = {"last-event-id": str(seen[-1])} if seen else {}
            async with client.stream("GET", address, headers=headers) as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                fresh = 0
                async for line in response.aiter_lines():
                    if line.startswith("id: "):
                        seen.append(int(line[4:]))
                        fresh += 1
                    if line.startswith("data: ") and json.loads(line[6:])["state"] == "done":
                        ending = True
                        break
                    if breaks and fresh == 3 and not line:
                        ending = False
                        break
                else:
                    ending = True
            if ending:
                return seen

    async def all_of_them(address: str) -> tuple[list[list[int]], str]:
        async with httpx.AsyncClient(base_url=address, timeout=600, limits=httpx.Limits(max_connections=60)) as client:
            id = (await client.post("api/v1/jobs", json=discover.model_dump())).json()["id"]
            each = [follow(client, f"api/v1/jobs/{id}/events", at % 2 == 1) for at in range(50)]
            return await asyncio.gather(*each), id

    monkeypatch.setattr(jobs, "close", lambda: None)  # its worker is wanted by the next tests
    with served(Library((runs,)), jobs) as address:
        seen, id = asyncio.run(all_of_them(address))
    assert jobs.job(id).last.state == "done"
    every = list(range(1, jobs.job(id).last.id + 1))
    # The last event's id comes after its data, which is where the clients leave.
    assert all(ids in (every, every[:-1]) for ids in seen)


def test_what_waits_is_dropped_and_what_runs_is_stopped(
    jobs: Jobs, runs: Path, discover: Discover, change: Intervene
) -> None:
    before = sorted(path.name for path in runs.iterdir())
    # Every edge exactly: longer than it takes to stop it.
    first = jobs.submit(discover.model_copy(update={"method": "verified", "faithfulness": 1.0}))
    second = jobs.submit(change)
    assert second.ahead == 1
    assert jobs.cancel(second.id).last.state == "cancelled"
    jobs.cancel(first.id)
    assert ended(jobs, first.id).state == "cancelled"
    assert sorted(path.name for path in runs.iterdir()) == before
    assert ended(jobs, jobs.resume(second.id).id).state == "done"
    jobs.forget(second.id)
    assert second.id not in {job.id for job in jobs.list().jobs}


def test_a_job_has_so_much_time(jobs: Jobs, discover: Discover, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs._foreman, "_bounds", replace(Bounds(), seconds=0.0))
    last = ended(jobs, jobs.submit(discover).id)
    assert last.state == "failed"
    assert last.problem
    assert "longer than" in last.problem.detail


def test_a_worker_that_is_killed_is_said_and_the_next_job_has_a_new_one(
    jobs: Jobs, runs: Path, change: Intervene
) -> None:
    ended(jobs, jobs.submit(change).id)  # there is a worker, with torch in it
    run = shutil.copytree(EXAMPLES / "a-fact", runs / "own")
    half = run / ".explain.partial-x"
    half.mkdir()
    job = jobs.submit(Explain(run=identity(str(run))))
    worker = jobs._foreman._worker
    assert worker
    assert worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    last = ended(jobs, job.id)
    assert last.state == "failed"
    assert last.problem
    assert "signal 9" in last.problem.detail
    assert not half.exists()
    assert ended(jobs, jobs.submit(change).id).state == "done"


def test_what_cannot_be_done_fails_with_its_reason(jobs: Jobs, discover: Discover, pair: Pair) -> None:
    same = discover.model_copy(update={"pair": pair.model_copy(update={"counterfactual": pair.prompt})})
    last = ended(jobs, jobs.submit(same).id)
    assert last.state == "failed"
    assert last.problem
    assert last.problem.expected == "a counterfactual that differs from its prompt"


def test_what_the_model_says_is_asked_before_and_refused_where_it_is_no_answer(
    client: TestClient, jobs: Jobs, discover: Discover, pair: Pair
) -> None:
    listed = {run["id"] for run in client.get("/api/v1/runs").json()["runs"]}
    asked = client.post("/api/v1/jobs", json=Ask(model=discover.model, pair=pair).model_dump())
    assert asked.status_code == 202
    said = ended(jobs, asked.json()["id"])
    assert (said.state, said.run) == ("done", None)
    assert said.answers
    assert (said.answers.weak, said.answers.warnings, said.answers.needs_allow_weak) == (0, [], False)
    (row,) = said.answers.prompts
    assert (row.answer.text, row.answer.tokens) == (pair.answer, 1)
    assert row.answer.rank <= 10
    assert row.clean is not None
    assert row.ablated is not None
    assert row.clean > row.ablated

    weak = pair.model_copy(update={"answer": pair.distractor, "distractor": pair.answer})
    said = ended(jobs, jobs.submit(Ask(model=discover.model, pair=weak)).id)
    assert said.answers
    assert said.answers.needs_allow_weak
    last = ended(jobs, jobs.submit(discover.model_copy(update={"pair": weak})).id)
    assert last.state == "failed"
    assert last.problem
    assert "the model itself prefers the distractor" in last.problem.got
    assert {run["id"] for run in client.get("/api/v1/runs").json()["runs"]} == listed
    last = ended(jobs, jobs.submit(discover.model_copy(update={"pair": weak, "allow_weak": True})).id)
    assert last.state == "done", last
    run = client.get(f"/api/v1/runs/{last.run}").json()
    assert run["title"] == f"{pair.prompt} (weak answer)"
    assert run["model_answers"]["weak"] == 1
    assert "preference between two tokens" in run["model_answers"]["warnings"][0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"model": "no-such-model"}, "none of these"),
        ({"pair": {"prompt": "a" * 10_000}}, "at most 5,000 characters in prompt"),
        ({"pair": {"prompt": ""}}, "prompt"),
        ({"faithfulness": 2}, "faithfulness"),
        ({"verb": "edit"}, "verb"),
    ],
)
def test_a_wrong_request_is_refused_at_once(
    client: TestClient, discover: Discover, body: dict[str, Any], said: str
) -> None:
    asked = discover.model_dump()
    asked |= {**body, "pair": asked["pair"] | body.get("pair", {})}
    response = client.post("/api/v1/jobs", json=asked)
    assert response.status_code == 422
    assert said in response.json()["expected"] + response.json()["got"]


def test_examples_are_read_only_and_unknown_jobs_and_runs_are_said(client: TestClient) -> None:
    for body, status in (({"run": "example-a-fact"}, 422), ({"run": "none"}, 404)):
        assert client.post("/api/v1/jobs", json={"verb": "explain"} | body).status_code == status
    assert client.get("/api/v1/jobs/none").status_code == 404
    assert client.get("/api/v1/jobs/none/events").status_code == 404
    assert client.post("/api/v1/jobs/none/cancel").status_code == 404
    assert client.delete("/api/v1/jobs/none").status_code == 404


def test_another_page_starts_nothing(client: TestClient, discover: Discover) -> None:
    response = client.post("/api/v1/jobs", json=discover.model_dump(), headers={"origin": "http://evil.example"})
    assert response.status_code == 403


def test_the_queue_is_bounded(idle: Jobs, discover: Discover) -> None:
    one, two, three = (discover.model_copy(update={"faithfulness": share}) for share in (0.5, 0.6, 0.7))
    first = idle.submit(one)
    assert idle.submit(two).ahead == 1
    assert idle.submit(one).id == first.id  # the same once more is the same job
    with pytest.raises(RequestError, match="at most 2 jobs that wait"):
        idle.submit(three)
    idle.cancel(first.id)
    assert idle.submit(three).last.state == "queued"


def test_a_stopped_job_can_be_resumed_by_the_same_worker(jobs: Jobs, discover: Discover) -> None:
    job = jobs.submit(discover)
    jobs.cancel(job.id)
    assert ended(jobs, job.id).state == "cancelled"
    jobs.resume(job.id)
    assert ended(jobs, job.id).state == "done"


def test_a_job_that_is_resumed_replaces_the_run_that_it_had_saved(jobs: Jobs, runs: Path, discover: Discover) -> None:
    before = {path.name for path in runs.iterdir()}
    job = jobs.submit(discover)

    async def saved() -> Path:
        async for _ in jobs.follow(job.id):
            for path in runs.iterdir():
                if path.name not in before and (path / "manifest.json").is_file():
                    jobs.cancel(job.id)
                    return path
        raise AssertionError("the job ended before")

    run = asyncio.run(asyncio.wait_for(saved(), 600))
    assert ended(jobs, job.id).state == "cancelled"
    assert "explanation" in json.loads((run / "manifest.json").read_text())["missing"]
    jobs.resume(job.id)
    end = ended(jobs, job.id)
    assert (end.state, end.run) == ("done", identity(str(run)))
    assert {path.name for path in runs.iterdir()} - before == {run.name}
    assert json.loads((run / "manifest.json").read_text())["missing"] == {}
    assert damaged_files(run) == []


def test_a_job_that_is_asked_for_again_makes_another_run(jobs: Jobs, discover: Discover) -> None:
    ends = [ended(jobs, jobs.submit(discover).id) for _ in range(2)]
    assert ends[0].run != ends[1].run


def test_events_that_cannot_be_saved_stop_no_job(
    jobs: Jobs, client: TestClient, discover: Discover, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(journal: Journal) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "save", full)
        job = jobs.submit(discover)
        assert ended(jobs, job.id).state == "done"
        assert "No space left" in client.get("/api/v1/about").json()["trouble"]
    again = jobs.submit(discover)
    assert ended(jobs, again.id).state == "done"
    assert client.get("/api/v1/about").json()["trouble"] == ""


def test_a_job_that_cannot_be_saved_is_refused(
    client: TestClient, discover: Discover, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    response = client.post("/api/v1/jobs", json=discover.model_dump())
    assert response.status_code == 500
    assert "free some space" in response.json()["do"]


def test_a_line_separator_in_a_prompt_is_no_end_of_a_line(tmp_path: Path, discover: Discover, pair: Pair) -> None:
    odd = discover.model_copy(update={"pair": pair.model_copy(update={"prompt": "a\u2028b\x85c"})})
    now = datetime.now(UTC).isoformat()
    journal = Journal(tmp_path / "one.jsonl", Asked(id="one", title="one", created=now, request=odd))
    journal.begin()
    journal.add(JobEvent(id=1, at=now, state="queued"))
    (read,) = read_journals(tmp_path)
    assert read.asked == journal.asked


def test_lines_that_could_not_be_written_are_written_with_the_next(tmp_path: Path, discover: Discover) -> None:
    now = datetime.now(UTC).isoformat()
    journal = Journal(tmp_path / "one.jsonl", Asked(id="one", title="one", created=now, request=discover))
    journal.begin()
    journal.path.chmod(0o400)
    path, journal.path = journal.path, tmp_path  # no file: it cannot be opened
    with pytest.raises(OSError, match="directory"):
        journal.add(JobEvent(id=1, at=now, state="queued"))
    journal.path = path
    path.chmod(0o600)
    journal.add(JobEvent(id=2, at=now, state="running"))
    (read,) = read_journals(tmp_path)
    assert [event.id for event in read.events] == [1, 2]


def test_a_path_is_no_model_where_others_may_ask(tmp_path: Path, discover: Discover) -> None:
    with pytest.raises(RequestError, match="by its name"):
        Jobs(Library((tmp_path,)), tmp_path / "jobs", Bounds(paths=False)).submit(discover)


def test_a_second_studio_shows_the_jobs_and_starts_none(idle: Jobs, tmp_path: Path, discover: Discover) -> None:
    job = idle.submit(discover)
    other = Jobs(Library((tmp_path,)), tmp_path / "jobs")
    assert [listed.id for listed in other.list().jobs] == [job.id]
    assert other.job(job.id).last.state == "queued"
    with pytest.raises(RequestError, match="another that is open"):
        other.submit(discover)
    idle.close()
    assert other.job(job.id).last.state == "interrupted"
    other.close()


def test_what_a_server_that_was_killed_left_is_interrupted_and_can_be_resumed(
    tmp_path: Path, discover: Discover
) -> None:
    folder = tmp_path / "jobs"
    folder.mkdir()
    now = datetime.now(UTC).isoformat()
    journal = Journal(folder / "one.jsonl", Asked(id="one", title="one", created=now, request=discover))
    journal.begin()
    journal.add(JobEvent(id=1, at=now, state="queued"))
    journal.add(JobEvent(id=2, at=now, state="running", stage="pruning", done=3, total=9))
    with journal.path.open("a") as file:
        file.write('\n{"id": 3, "at": "20')  # cut short
    (folder / "noise.jsonl").write_text("no job")
    jobs = Jobs(Library((tmp_path,)), folder)
    assert jobs.job("one").last.state == "interrupted"
    jobs.close()
    (read,) = read_journals(folder)
    assert [event.id for event in read.events] == [1, 2, 3]
    assert read.last.state == "interrupted"


def test_ending_the_studio_stops_what_runs(tmp_path: Path, discover: Discover) -> None:
    """With a queue of its own, and so a second worker."""
    other = Jobs(Library((tmp_path,)), tmp_path / "jobs")
    first = other.submit(discover)
    second = other.submit(discover.model_copy(update={"faithfulness": 0.6}))  # the same again would be the same job

    async def begun() -> None:
        async for event in other.follow(first.id):
            if event.stage == "starting the worker":
                return

    asyncio.run(asyncio.wait_for(begun(), 600))
    other.close()
    assert not any(path.name != "jobs" for path in tmp_path.iterdir())
    (one, two) = read_journals(tmp_path / "jobs")
    assert (one.asked.id, two.asked.id) == (first.id, second.id)
    assert (one.last.state, two.last.state) == ("interrupted", "interrupted")


def test_tokens_of_a_draft_are_the_model_s(client: TestClient, discover: Discover, pair: Pair) -> None:
    said = client.post("/api/v1/tokens", json={"model": discover.model} | pair.model_dump()).json()
    assert said["prompt"] == pair.prompt.split()
    assert said["counterfactual"] == pair.counterfactual.split()
    assert said["answer"] == pair.answer.split()
    assert said["problems"] == []


@pytest.mark.parametrize(
    ("draft", "field", "said"),
    [
        ({"prompt": "w1 w2", "counterfactual": "w1 w2 w3"}, "counterfactual", "2 tokens and the counterfactual 3"),
        ({"prompt": "w1 w2", "counterfactual": "w1 w2"}, "counterfactual", "the same"),
        ({"prompt": "w1 " * 40, "counterfactual": "w2 " * 40}, "prompt", "at most 32 tokens"),
        ({"prompt": "w1 w2", "answer": "w3"}, "answer", "tokens of its own"),
        ({"prompt": "w1 w2", "answer": " w3", "distractor": " w3 w4"}, "distractor", "both begin with 'w3'"),
        ({"model": "no-such-model"}, "model", "none of these"),
    ],
)
def test_what_stands_against_a_draft_is_said_with_its_field(
    client: TestClient, discover: Discover, draft: dict[str, str], field: str, said: str
) -> None:
    found = client.post("/api/v1/tokens", json={"model": discover.model} | draft).json()
    assert [problem["field"] for problem in found["problems"]] == [field]
    assert said in found["problems"][0]["said"]


def test_a_model_that_is_not_here_yet_has_no_tokens(client: TestClient) -> None:
    found = client.post("/api/v1/tokens", json={"model": "nobody/nothing-at-all", "prompt": "a"}).json()
    assert not found["here"]
    assert "fetched when the job starts" in found["notes"][0]
