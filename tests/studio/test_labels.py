"""What a person wrote on a map is kept in the run, and no one writes over another's words unawares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from wheatstone.runs import damaged_files
from wheatstone.studio._library import EXAMPLES

WRITTEN: dict[str, Any] = {
    "format": "wheatstone.labels/1",
    "labels": [{"node": "a23.h4", "text": "reads the country"}],
    "supernodes": [{"name": "late MLPs", "members": ["m23", "m29"]}],
    "views": [{"name": "the head", "query": "sel=a23.h4"}],
}


def _etag(client: TestClient, mine: str) -> dict[str, str]:
    return {"if-match": client.get(f"{mine}/labels").headers["etag"]}


def test_they_are_kept_in_the_run_and_hashed(client: TestClient, mine: str, runs_folder: Path) -> None:
    first = client.get(f"{mine}/labels")
    assert first.json() == {"format": "wheatstone.labels/1", "labels": [], "supernodes": [], "views": []}
    saved = client.put(f"{mine}/labels", json=WRITTEN, headers=_etag(client, mine))
    assert (saved.status_code, saved.json()) == (200, WRITTEN)
    again = client.get(f"{mine}/labels")
    assert (again.json(), again.headers["etag"]) == (WRITTEN, saved.headers["etag"])
    assert again.headers["etag"] != first.headers["etag"]
    assert json.loads((runs_folder / "mine/labels.json").read_text(encoding="utf-8")) == WRITTEN
    assert damaged_files(runs_folder / "mine") == []
    assert client.get(f"{mine}/portable?limit=1").json()["labels"] == WRITTEN


def test_two_tabs_do_not_write_over_each_other(client: TestClient, mine: str) -> None:
    both = _etag(client, mine)
    assert client.put(f"{mine}/labels", json=WRITTEN, headers=both).status_code == 200
    late = client.put(f"{mine}/labels", json={}, headers=both)
    assert (late.status_code, late.headers["content-type"]) == (412, "application/problem+json")
    assert "another tab" in late.json()["got"]
    assert client.get(f"{mine}/labels").json() == WRITTEN
    assert client.put(f"{mine}/labels", json={}, headers=_etag(client, mine)).status_code == 200
    assert client.put(f"{mine}/labels", json=WRITTEN).status_code == 428


def test_an_example_is_read_only(client: TestClient) -> None:
    address = "/api/v1/runs/example-a-fact/labels"
    assert client.get(address).json()["labels"] == []
    refused = client.put(address, json=WRITTEN, headers={"if-match": client.get(address).headers["etag"]})
    assert (refused.status_code, refused.json()["do"]) == (403, "keep its labels in the browser")
    assert not (EXAMPLES / "a-fact/labels.json").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": [{"node": "../../etc", "text": "x"}]},
        {"labels": [{"node": "m1", "text": ""}]},
        {"labels": [{"node": "m1", "text": "x"}, {"node": "m1", "text": "y"}]},
        {"supernodes": [{"name": "a>b", "members": ["m1", "m2"]}]},
        {"supernodes": [{"name": "one", "members": ["m1"]}]},
        {"supernodes": [{"name": "a", "members": ["m1", "m2"]}, {"name": "b", "members": ["m2", "m3"]}]},
        {"views": [{"name": "v", "query": "x" * 4001}]},
        {"more": 1},
        {"format": "wheatstone.labels/2"},
    ],
)
def test_what_is_not_of_the_schema_is_refused(client: TestClient, mine: str, wrong: dict[str, Any]) -> None:
    assert client.put(f"{mine}/labels", json=wrong, headers=_etag(client, mine)).status_code == 422


def test_a_damaged_file_is_said_and_left_as_it_is(client: TestClient, mine: str, runs_folder: Path) -> None:
    path = runs_folder / "mine/labels.json"
    path.write_text('{"labels": 3}', encoding="utf-8")
    assert "labels.json" in client.get(f"{mine}/labels").json()["got"]
    assert client.put(f"{mine}/labels", json=WRITTEN, headers={"if-match": '"x"'}).status_code == 404
    assert path.read_text(encoding="utf-8") == '{"labels": 3}'
