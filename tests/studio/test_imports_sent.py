"""Files that are sent to be imported: a graph and circuits become runs; what is too large or none is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browser import ended
from starlette.testclient import TestClient
from test_graphs import foreign

from wheatstone._errors import RequestError
from wheatstone.circuits import Circuit, to_eap_json
from wheatstone.runs import damaged_files
from wheatstone.studio import Library, create_app
from wheatstone.studio._guard import Limits
from wheatstone.studio._jobs import Jobs
from wheatstone.studio._jobs_journal import sent_file
from wheatstone.studio._jobs_schema import Import

ADDRESS = "http://127.0.0.1:8765"
SENT = "/api/v1/imports"


@pytest.fixture
def client(jobs: Jobs, runs: Path) -> TestClient:
    return TestClient(create_app(Library((runs,)), jobs=jobs, built=Path("/nowhere")), base_url=ADDRESS)


def test_a_foreign_graph_becomes_a_run_that_is_drawn(client: TestClient, jobs: Jobs) -> None:
    sent = client.post(SENT, params={"name": "theirs"}, content=json.dumps(foreign(40, 120)))
    assert sent.status_code == 202
    last = ended(jobs, sent.json()["id"])
    assert last.state == "done", last
    given = client.get(f"/api/v1/runs/{last.run}/graph").json()
    assert (given["total_nodes"], given["total_edges"]) == (40, 120)
    assert Path(given["path"]).name == "theirs"
    assert damaged_files(Path(given["path"])) == []
    kept = sent_file(jobs._folder, sent.json()["request"]["file"])
    assert not kept.exists()  # a job that is done is not started again
    failed = client.post(SENT, params={"name": "none"}, content=b"{")
    assert ended(jobs, failed.json()["id"]).state == "failed"
    kept = sent_file(jobs._folder, failed.json()["request"]["file"])
    assert kept.is_file()  # until the job is forgotten, for it may be started again
    jobs.forget(failed.json()["id"])
    assert not kept.exists()


def test_circuits_of_both_formats_become_runs(client: TestClient, jobs: Jobs, made: str) -> None:
    run = jobs._library.find(made)
    circuit = Circuit.load(run)
    eap = client.get(f"/api/v1/runs/{made}/circuit.json").content, to_eap_json(circuit).encode()
    for name, content in zip(("own", "eap"), eap, strict=True):
        sent = client.post(SENT, params={"name": name, "model": circuit.model.id}, content=content)
        last = ended(jobs, sent.json()["id"])
        assert last.state == "done", last
        imported = Circuit.load(jobs._library.find(str(last.run)))
        assert set(imported.edges) == set(circuit.edges)
    without = client.post(SENT, params={"name": "none"}, content=eap[1] + b"\n")
    last = ended(jobs, without.json()["id"])
    assert last.problem
    assert "the model that the circuit was found in" in last.problem.detail
    other = client.post(SENT, params={"name": "none", "model": "no-such-model"}, content=eap[1])
    assert other.status_code >= 400


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "another file"), (b"[1]", "another file"), (b"\x80\x02}q", "another file")]
)
def test_what_is_no_document_is_refused_at_once(client: TestClient, content: bytes, said: str) -> None:
    answer = client.post(SENT, params={"name": "x"}, content=content)
    assert answer.status_code == 422
    assert said in answer.json()["got"]


def test_a_document_of_another_kind_fails_in_one_line(client: TestClient, jobs: Jobs, runs: Path) -> None:
    before = sorted(path.name for path in runs.iterdir())
    for content in (b"{", b'{"a": 1}', b'{"nodes": [], "links": []}', b'{"x":' * 70 + b"1" + b"}" * 70):
        last = ended(jobs, client.post(SENT, params={"name": "x"}, content=content).json()["id"])
        assert last.state == "failed", content
        assert last.problem
        assert "\n" not in last.problem.detail
    assert sorted(path.name for path in runs.iterdir()) == before


def test_a_file_may_be_larger_than_other_bodies_and_no_larger(tmp_path: Path, jobs: Jobs) -> None:
    app = create_app(Library((tmp_path,)), jobs=jobs, built=tmp_path, limits=Limits(body=100, file=10_000))
    client = TestClient(app, base_url=ADDRESS)
    assert client.post(SENT, params={"name": "x"}, content=b'{"a": "' + b"x" * 5_000 + b'"}').status_code == 202
    for path in (SENT, "/api/v1/jobs"):
        refused = client.post(path, params={"name": "x"}, content=b"{" + b" " * 20_000 + b"}")
        assert refused.status_code == 413
    assert "at most" in refused.json()["expected"]
    assert client.post("/api/v1/jobs", content=b"{" + b" " * 5_000 + b"}").status_code == 413


def test_a_job_names_no_file_that_was_not_sent(jobs: Jobs) -> None:
    with pytest.raises(RequestError, match="a file that was sent"):
        jobs.submit(Import(file="0" * 64, name="x"))
