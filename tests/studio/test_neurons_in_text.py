"""What a scan among the runs holds of a neuron, looked up by a job."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import ended
from pydantic import ValidationError
from starlette.testclient import TestClient
from tolerance import Rounding

from wheatstone.models import load_model
from wheatstone.neurons import Scan, ScanSettings, run_scan, scan_evidence
from wheatstone.studio import Library, create_app
from wheatstone.studio._jobs import Jobs
from wheatstone.studio._jobs_schema import LookUp
from wheatstone.studio._library import identity


@pytest.fixture(scope="module")
def scan(runs: Path, tiny_task: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan of the model that the jobs use, of one of its two layers."""
    texts = tmp_path_factory.mktemp("texts")
    for number in range(6):
        (texts / f"{number}.txt").write_text(" ".join(f"w{(number * 7 + at * at) % 40}" for at in range(30 + number)))
    run_scan(load_model(tiny_task[0]), ScanSettings(texts=(str(texts),), window=8, layers=(1,)), runs / "scan")
    return runs / "scan"


@pytest.fixture
def client(jobs: Jobs, runs: Path, tmp_path: Path) -> TestClient:
    return TestClient(create_app(Library((runs,)), jobs=jobs, built=tmp_path), base_url="http://127.0.0.1:8765")


def test_scans_of_a_run_are_those_of_its_model(client: TestClient, scan: Path, made: str) -> None:
    (found,) = client.get(f"/api/v1/runs/{made}/scans").json()
    assert (found["id"], found["command"]) == (identity(str(scan)), "neuron scan")
    assert client.get("/api/v1/runs/example-a-fact-in-neurons/scans").json() == []


def test_a_neuron_is_looked_up_in_a_scan(jobs: Jobs, scan: Path, tiny_task: tuple[Path, Path]) -> None:
    found = ended(jobs, jobs.submit(LookUp(run=identity(str(scan)), neuron="m1.n3", value=0.5)).id).in_text
    assert found
    model = load_model(tiny_task[0])
    (row,) = scan_evidence(model, Scan.load(scan), [("m1.n3", 0.5)])
    assert [passage.text for passage in found.passages] == row.passages
    assert [passage.activation for passage in found.passages] == row.strengths
    assert (found.below, found.mean, found.least, found.most) == (row.below, row.mean, row.least, row.most)
    assert len(found.counts) == len(found.edges) + 1
    assert sum(found.counts) == found.counted
    assert found.calibration[0].low == found.least
    assert found.calibration[-1].high == found.most
    assert sum(one.corpus for one in found.calibration) <= found.counted
    weighed = sum(one.corpus * one.probability for one in found.calibration) / sum(
        one.corpus for one in found.calibration
    )
    assert found.base == Rounding(len(found.calibration)).near(weighed)


@pytest.mark.parametrize(("neuron", "said"), [("m0.n3", "a layer that was scanned"), ("m1.n999", "a layer that was")])
def test_a_neuron_that_was_not_scanned_is_said(jobs: Jobs, scan: Path, neuron: str, said: str) -> None:
    problem = ended(jobs, jobs.submit(LookUp(run=identity(str(scan)), neuron=neuron)).id).problem
    assert problem
    assert said in problem.detail


def test_a_circuit_is_no_scan(jobs: Jobs, made: str) -> None:
    problem = ended(jobs, jobs.submit(LookUp(run=made, neuron="m1.n3")).id).problem
    assert problem
    assert "a run of `wheatstone neuron scan`" in problem.detail


@pytest.mark.parametrize("neuron", ["", "m1", "m1.n3@2", "../m1.n3", "m1.n3\n"])
def test_what_is_no_neuron_is_refused_at_once(neuron: str) -> None:
    with pytest.raises(ValidationError):
        LookUp(run="x", neuron=neuron)
