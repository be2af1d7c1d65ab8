"""What a discovery may be asked for: many pairs, a task, a metric, an ablation, a goal; its cost beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from browser import ended
from pydantic import ValidationError
from starlette.testclient import TestClient

from wheatstone.studio import Library, create_app
from wheatstone.studio._jobs import Jobs
from wheatstone.studio._jobs_schema import Ask, Discover, Pair


@pytest.fixture(scope="module")
def pairs(tiny_task: tuple[Path, Path]) -> tuple[Pair, ...]:
    records = [json.loads(line) for line in tiny_task[1].read_text(encoding="utf-8").splitlines()]
    return tuple(
        Pair(
            prompt=record["prompt"],
            counterfactual=record["counterfactual"],
            answer=record["answers"][0],
            distractor=record["distractors"][0],
        )
        for record in records[:3]
    )


@pytest.fixture
def client(jobs: Jobs, runs: Path) -> TestClient:
    return TestClient(create_app(Library((runs,)), jobs=jobs, built=Path("/nowhere")), base_url="http://127.0.0.1:8765")


def test_many_pairs_and_every_option_reach_the_run(
    client: TestClient, jobs: Jobs, discover: Discover, pairs: tuple[Pair, ...]
) -> None:
    asked = {"metric": "prob_diff", "ablation": "mean", "goal": "complete", "positions": "", "method": "eap"}
    request = {"model": discover.model, "pairs": pairs, "faithfulness": 0.3, "allow_weak": True, **asked}
    job = jobs.submit(Discover.model_validate(request))
    assert job.title.endswith("and 2 more")
    last = ended(jobs, job.id)
    assert last.state == "done", last
    run = client.get(f"/api/v1/runs/{last.run}").json()
    assert [prompt["prompt"] for prompt in run["prompts"]] == [pair.prompt for pair in pairs]
    made = {name: run["settings"][name] for name in ("metric", "ablation", "goal", "method")}
    assert made == {name: asked[name] for name in made}


def test_what_it_takes_is_said_before(jobs: Jobs, discover: Discover, pairs: tuple[Pair, ...]) -> None:
    end = ended(jobs, jobs.submit(Ask(model=discover.model, pairs=pairs, method="eap", cost=True)).id)
    assert (end.state, end.run) == ("done", None), end
    assert end.answers
    assert end.cost
    assert end.answers.n == end.cost.prompts == len(pairs)
    assert 0 < end.cost.needed <= end.cost.free
    assert end.cost.seconds
    assert end.cost.seconds[1] == pytest.approx(4 * end.cost.seconds[0])
    plain = ended(jobs, jobs.submit(Ask(model=discover.model, pairs=pairs, method="eap")).id)
    assert plain.cost
    assert plain.cost.seconds is None


@pytest.mark.parametrize("name", ["runs/x", "no-such-task"])
def test_a_task_is_a_bundled_one(jobs: Jobs, discover: Discover, name: str) -> None:
    last = ended(jobs, jobs.submit(Discover(model=discover.model, task=name)).id)
    assert last.problem
    assert last.problem.expected == "a bundled task"


@pytest.mark.parametrize(
    "patch",
    [
        {},
        {"task": "../../etc/passwd"},
        {"task": "/etc/passwd"},
        {"task": "ioi", "pair": {"prompt": "a", "counterfactual": "b", "answer": "c"}},
        {"pairs": [{"prompt": "a", "counterfactual": "b", "answer": "c"}] * 201},
        {"task": "ioi", "metric": "x"},
        {"task": "ioi", "ablation": "x"},
        {"task": "ioi", "goal": "x"},
    ],
)
def test_a_request_is_of_one_thing_and_known_names(patch: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Discover.model_validate(patch)
