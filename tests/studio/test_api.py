"""What the API says of runs: the same as their files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from wheatstone.runs import catalogue_add
from wheatstone.studio._library import EXAMPLES, identity, state_of


def _table(client: TestClient, address: str) -> pa.Table:
    response = client.get(address)
    assert response.status_code == 200, response.text
    return pa.ipc.open_stream(response.content).read_all()


def _problem(client: TestClient, address: str, status: int) -> dict[str, Any]:
    response = client.get(address)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()


def test_lists_own_runs_first_then_the_examples(client: TestClient) -> None:
    runs = client.get("/api/v1/runs").json()["runs"]
    assert [run["example"] for run in runs] == [False] + [True] * (len(runs) - 1)
    assert not any(run["trouble"] for run in runs)


def test_a_line_of_the_list_says_what_is_in_the_run(client: TestClient) -> None:
    runs = {run["id"]: run for run in client.get("/api/v1/runs").json()["runs"]}
    for name in ("a-fact", "a-or-an", "a-relation"):
        line, folder = runs[f"example-{name}"], EXAMPLES / name
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        assert (line["n"], line["method"]) == (len(manifest["prompts"]), manifest["settings"]["method"])
        assert line["answer"] == " or ".join(manifest["prompts"][0]["answers"]).strip()
        held_out = folder / "held_out.json"
        tests = json.loads(held_out.read_text(encoding="utf-8")) if held_out.is_file() else []
        tests.sort(key=lambda one: one["split"] != "test")  # its test split where there is one
        assert line["held_out"] == (tests[0]["faithfulness"] if tests else None)
    assert runs["example-a-relation"]["held_out"] is not None


def test_a_run_of_the_catalogue_is_listed_and_opened(client: TestClient, tmp_path: Path) -> None:
    run = shutil.copytree(EXAMPLES / "a-fact", tmp_path / "elsewhere")
    catalogue_add(run)
    listed = {found["path"]: found for found in client.get("/api/v1/runs").json()["runs"]}
    assert listed[str(run)]["edges"] == 14
    assert client.get(f"/api/v1/runs/{identity(str(run))}").json()["path"] == str(run)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/graph.json")))
def test_every_graph_among_the_examples_holds_its_answer(client: TestClient, name: str) -> None:
    others = {line["id"]: line for line in client.get("/api/v1/runs").json()["others"]}
    assert (others[f"example-{name}"]["command"], others[f"example-{name}"]["trouble"]) == ("graph", None)
    for table in client.get(f"/api/v1/runs/example-{name}/contents").json()["tables"]:
        assert _table(client, f"/api/v1/runs/example-{name}/tables/{table['name']}").num_rows == table["rows"]
    assert json.loads((EXAMPLES / name / "graph.json").read_text(encoding="utf-8"))["enough"]
    assert sum(path.stat().st_size for path in (EXAMPLES / name).rglob("*") if path.is_file()) < 500_000


@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/circuit.json")))
def test_every_example_is_whole_and_small(client: TestClient, name: str) -> None:
    address = f"/api/v1/runs/example-{name}"
    run = client.get(address).json()
    assert run["missing"] == []
    assert {"lens_by_position", "vocabulary", "attribution_nodes", "attention_tokens"} <= {
        table["name"] for table in run["tables"]
    }
    for table in run["tables"]:
        assert _table(client, f"{address}/tables/{table['name']}").num_rows == table["rows"]
    edges = _table(client, f"{address}/edges")
    assert sum(edges["circuit"].to_pylist()) == run["evaluation"]["edges"]
    assert client.get(f"{address}/verifications").json()[0]["n"] == len({pair["prompt"] for pair in run["prompts"]})
    assert sum(path.stat().st_size for path in (EXAMPLES / name).rglob("*") if path.is_file()) < 550_000


def test_edges_are_a_prefix_by_strength_and_then_the_rest_of_the_circuit(client: TestClient, mine: str) -> None:
    edges = _table(client, f"{mine}/edges?limit=100")
    scores = [abs(score) for score in edges["score"].to_pylist()]
    assert scores[:100] == sorted(scores[:100], reverse=True)
    assert edges["rank"].to_pylist()[:100] == list(range(1, 101))
    assert all(edges["circuit"].to_pylist()[100:])
    assert edges.num_rows == 100 + sum(rank > 100 for rank in edges["rank"].to_pylist())
    assert edges.schema.metadata[b"edges"] == b"70651"
    weight = float(edges.schema.metadata[b"weight"])
    every = pq.read_table(EXAMPLES / "a-fact" / "edges.parquet")["score"].to_numpy().astype("float64")
    assert weight == pytest.approx(abs(every).sum())


def test_edges_of_the_circuit_have_the_effects_of_its_file(client: TestClient, mine: str) -> None:
    rows = _table(client, f"{mine}/edges").to_pylist()
    kept = {(row["sender"], row["receiver"]): row["effect"] for row in rows if row["circuit"]}
    written = json.loads((EXAMPLES / "a-fact" / "circuit.json").read_text())["edges"]
    # Six decimals are written.
    assert kept == {(edge["from"], edge["to"]): pytest.approx(edge["effect"], abs=1e-6) for edge in written}
    assert all(row["effect"] is None for row in rows if not row["circuit"])


def test_figures_are_drawn_from_the_run(client: TestClient, mine: str) -> None:
    assert client.get(f"{mine}/figures/curve.svg").text.startswith("<svg")


def test_an_unknown_run_table_or_limit_is_a_problem_document(client: TestClient, mine: str) -> None:
    assert _problem(client, "/api/v1/runs/none", 404)["do"] == "choose one of the list, or reload it"
    assert "curve, trace" in _problem(client, f"{mine}/tables/none", 404)["expected"]
    assert _problem(client, f"{mine}/edges?limit=20001", 422)["title"] == "RequestError"


def test_a_run_deleted_while_open_says_so(client: TestClient, mine: str, runs_folder: Path) -> None:
    catalogue_add(runs_folder / "mine")
    shutil.rmtree(runs_folder / "mine")
    assert "moved or deleted" in _problem(client, mine, 404)["got"]
    (run,) = (run for run in client.get("/api/v1/runs").json()["runs"] if not run["example"])
    assert run["trouble"] == "the folder is gone"
    assert state_of(runs_folder / "mine", "edges.parquet") == ((0, 0),) * 3  # of a run deleted while it is listed


@pytest.mark.parametrize(
    ("file", "content", "address"),
    [
        ("circuit.json", "{", ""),
        ("circuit.json", "[]", "/edges"),
        ("circuit.json", '{"edges": [{"from": 1}]}', "/edges"),
        ("manifest.json", '{"format": "wheatstone.run/1", "verb": "discover"}', ""),
        ("circuit.json", '{"edges": [{"from": "m0", "to": "logits", "effect": "../../../etc/passwd"}]}', "/edges"),
        ("circuit.json", '{"edges": [{"from": "m0", "to": "logits", "effect": {}}]}', "/edges"),
        ("edges.parquet", "PAR1", "/edges"),
        ("curve.parquet", "PAR1", ""),
        ("verification.json", "{}", "/verifications"),
        ("explain/lens.json", "[]", ""),
        ("explain/lens_by_position.parquet", "", "/tables/lens_by_position"),
    ],
)
def test_a_damaged_run_is_a_problem_and_the_list_stays(
    client: TestClient, mine: str, runs_folder: Path, file: str, content: str, address: str
) -> None:
    (runs_folder / "mine" / file).write_text(content)
    assert _problem(client, mine + address, 404)["title"] == "RunError"
    assert client.get("/api/v1/runs").status_code == 200


def test_a_section_that_is_none_is_said_of_the_run(client: TestClient, mine: str, runs_folder: Path) -> None:
    path = runs_folder / "mine/explain/lens.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"method": []}))
    for address in ("", "/contents"):
        assert _problem(client, mine + address, 404)["title"] == "RunError"


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("circuit.json", ["", "/edges", "/circuit.json", "/portable"]),
        ("edges.parquet", ["/edges", "/portable"]),
        ("verification.json", ["/verifications", "/portable"]),
        ("labels.json", ["/labels"]),
        ("explain/lens.json", [""]),
        ("explain/vocabulary.parquet", ["/tables/vocabulary"]),
        ("explain", ["", "/tables/vocabulary"]),
        ("manifest.json", ["", "/edges", "/contents"]),
    ],
)
def test_a_link_out_of_the_run_is_not_followed(
    client: TestClient, mine: str, runs_folder: Path, tmp_path: Path, file: str, parts: list[str]
) -> None:
    """What it leads to is as good as what was there, so that only the link can be the reason."""
    inside, outside = runs_folder / "mine" / file, tmp_path / "outside"
    if inside.exists():
        inside.rename(outside)
    else:
        outside.write_text('{"format": "wheatstone.labels/1", "labels": [{"node": "m0", "text": "secret"}]}')
    inside.symlink_to(outside)
    for part in parts:
        assert "a link out of it" in _problem(client, mine + part, 404)["got"], part


@pytest.mark.parametrize(("layers", "heads"), [(10**9, 9), (10_000, 10_000)])
def test_a_model_larger_than_any_is_refused(
    client: TestClient, mine: str, runs_folder: Path, layers: int, heads: int
) -> None:
    path = runs_folder / "mine" / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["model"] |= {"layers": layers, "heads": heads}
    path.write_text(json.dumps(manifest), encoding="utf-8")
    for part in ("", "/portable"):
        _problem(client, mine + part, 404)
    assert client.get("/api/v1/runs").status_code == 200


def test_equal_scores_keep_the_prefix_and_the_circuit(client: TestClient, mine: str, runs_folder: Path) -> None:
    """The strongest edges are found without sorting all of them: ties, zeros and NaN as with a sort."""
    path = runs_folder / "mine" / "edges.parquet"
    assert _table(client, f"{mine}/edges?limit=50").num_rows >= 50  # what was read before is not kept when it changes
    table = pq.read_table(path)
    scores = np.random.default_rng(0).integers(-3, 4, table.num_rows).astype(np.float32)
    scores[::1000] = np.nan
    pq.write_table(table.set_column(table.schema.get_field_index("score"), "score", pa.array(scores)), path)
    strength = np.nan_to_num(np.abs(scores))
    order = np.argsort(-strength, kind="stable")
    names = [f"{row['sender']}>{row['receiver']}" for row in table.select(["sender", "receiver"]).to_pylist()]
    rows = _table(client, f"{mine}/edges?limit=50").to_pylist()
    assert [f"{row['sender']}>{row['receiver']}" for row in rows[:50]] == [names[at] for at in order[:50]]
    assert [row["rank"] for row in rows[:50]] == list(range(1, 51))
    assert sum(row["circuit"] for row in rows) == 14
    for row in rows[50:]:
        at = names.index(f"{row['sender']}>{row['receiver']}")
        assert row["rank"] == max(50, int((strength > strength[at]).sum())) + 1


def test_the_server_needs_no_torch_and_little_memory(runs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = f"""
import sys
from pathlib import Path
import psutil
from starlette.testclient import TestClient
from wheatstone.studio import Library, create_app
client = TestClient(create_app(Library((Path({str(runs_folder)!r}),))), base_url="http://127.0.0.1")
for run in client.get("/api/v1/runs").json()["runs"]:
    for part in ("", "/edges", "/verifications", "/story"):
        assert client.get(f"/api/v1/runs/{{run['id']}}{{part}}").status_code == 200
draft = {{"model": "smollm2-135m", "prompt": "The official language of France is", "answer": " French"}}
assert client.post("/api/v1/tokens", json=draft).status_code == 200
assert client.get("/api/v1/jobs").json()["jobs"] == []
assert "ioi" in client.get("/api/v1/tasks").json()
for part in ("graph", "scans"):
    assert client.get(f"/api/v1/runs/example-a-fact-in-neurons/{{part}}").status_code == 200
assert "torch" not in sys.modules
print(psutil.Process().memory_info().rss // 2**20)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    with capsys.disabled():
        print(f"\nserver without a model: {int(done.stdout)} MiB")
    assert int(done.stdout) < 300


def test_edges_told_apart_by_position_carry_their_span(client: TestClient) -> None:
    address = "/api/v1/runs/example-a-fact-by-token"
    spans = [span["name"] for span in client.get(address).json()["spans"]]
    assert spans == ["0", "1", "2", "3", "4", "5"]
    senders = {row["sender"] for row in _table(client, f"{address}/edges").to_pylist() if row["circuit"]}
    assert senders
    assert {sender.partition("@")[2] for sender in senders} <= set(spans)
