"""`wheatstone import`: graphs of EAP-IG and circuits of ours as runs that every verb can open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from commands import FRANCE_WORDS, Cli, RealRun, Refused
from starlette.testclient import TestClient

from wheatstone.checkpoints._cache import ModelFiles
from wheatstone.circuits import Circuit
from wheatstone.studio import Library, create_app

PAIRS = [
    {"prompt": "a a b", "counterfactual": "b b b", "answers": [" a"], "distractors": [" c"]},
    {"prompt": "a c b", "counterfactual": "b b b", "answers": [" a"], "distractors": [" c"]},
]
EDGES = {
    "input->a0.h0<v>": {"score": 0.5, "in_graph": True},
    "input->a0.h1<v>": {"score": -0.75, "in_graph": True},
    "a0.h0->m0": {"score": 0.25, "in_graph": True},
    "m0->logits": {"score": 1.0, "in_graph": True},
    "input->logits": {"score": 0.125, "in_graph": False},
}


def graph(**more: Any) -> dict[str, Any]:
    cfg = {"n_layers": 2, "n_heads": 2, "parallel_attn_mlp": False, "d_model": 16}
    return {"cfg": cfg, "nodes": {"input": {"in_graph": True, "score": float("nan")}}, "edges": EDGES, **more}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ioi-graph.json"
    path.write_text(json.dumps(graph()))  # with NaN for the node's score, as EAP-IG writes it
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, PAIRS)))
    return path


@pytest.mark.usefixtures("own_home")
def test_a_graph_alone_is_a_run(
    cli: Cli, refused: Refused, file: Path, pairs: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "run"
    shown = cli("import", file, "--model", tiny_folder, "--out", run, "--json")
    assert shown.code == 0, shown.err
    document = shown.document
    assert document["format"] == "wheatstone.import/1"
    assert (document["edges"], document["scored_edges"], document["verification"]) == (3, 4, None)
    circuit = Circuit.load(run / "circuit.json")
    assert [str(edge) for edge in circuit] == ["input->a0.g0<v>", "a0.h0->m0", "m0->logits"]
    assert circuit.scores == (-0.75, 0.25, 1.0)
    ranked = pq.read_table(run / "edges.parquet").to_pylist()
    assert {(row["sender"], row["receiver"]): row["score"] for row in ranked}["input", "logits"] == 0.125

    (listed,) = cli("runs", "list", "--json").document["runs"]
    assert (listed["verb"], listed["task"], listed["edges"], listed["faithfulness"]) == ("import", "ioi-graph", 3, None)
    assert cli("runs", "show", run).code == 0
    assert cli("runs", "check", run).code == 0
    for form in ("json", "parquet", "svg", "graphml", "eap-json"):
        assert cli("export", run, "--format", form, "--out", tmp_path / f"out.{form}").code == 0
    exported = json.loads((tmp_path / "out.eap-json").read_text())
    assert {name for name, info in exported["edges"].items() if info["in_graph"]} == EDGES.keys() - {"input->logits"}
    for words in (("--format", "html"), ("--format", "svg", "--figure", "curve")):
        assert "imported without any; import it again with --prompts" in refused("export", run, *words)
    assert "imported without any; give --prompt" in refused("verify", run)
    assert "imported without any; import it again" in refused("explain", run)

    studio = TestClient(create_app(Library((run.parent,), examples=tmp_path / "none")), base_url="http://127.0.0.1")
    (summary,) = studio.get("/api/v1/runs").json()["runs"]
    assert (summary["title"], summary["edges"], summary["trouble"]) == ("ioi-graph", 3, None)
    for part in ("", "/edges", "/verifications", "/tables/lens", "/tables/curve", "/portable", "/figures/circuit.svg"):
        answer = studio.get(f"/api/v1/runs/{summary['id']}{part}")
        assert answer.status_code == 200, (part, answer.text)
    assert studio.get(f"/api/v1/runs/{summary['id']}/figures/answer.svg").status_code == 422

    proof = cli("verify", run, "--prompts", pairs, "--allow-weak", "--json").document
    assert proof["n"] == 2
    assert studio.get(f"/api/v1/runs/{summary['id']}/verifications").json()[0]["n"] == 2


@pytest.mark.usefixtures("own_home")
def test_a_graph_with_prompts_is_verified(cli: Cli, file: Path, pairs: Path, tiny_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("import", file, "--model", tiny_folder, "--out", run)
    document = cli(*words, "--prompts", pairs, "--allow-weak", "--ablation", "zero", "--json").document
    assert document["verification"]["n"] == 2
    assert document["verification"]["ablation"] == "zero"
    assert document["evaluation"]["faithfulness"] == document["verification"]["faithfulness"]
    again = cli("verify", run, "--json").document
    assert again["faithfulness"] == pytest.approx(document["verification"]["faithfulness"], abs=1e-6)
    assert (run / "report.html").is_file()
    assert cli("export", run, "--format", "html", "--out", tmp_path / "r.html").code == 0
    assert cli("explain", run, "--only", "lens").code == 0
    sizes = {row["size"] for row in pq.read_table(run / "curve.parquet").to_pylist()}
    assert sizes == {1, 2, 4}  # the file scores four edges

    # Its circuit.json is a file to import too, with the prompts it was run on.
    second = tmp_path / "second"
    copied = cli("import", run / "circuit.json", "--out", second, "--json").document
    assert copied["verification"]["faithfulness"] == pytest.approx(document["verification"]["faithfulness"], abs=1e-6)
    assert Circuit.load(second / "circuit.json").ablation == "zero"

    bare = json.loads((run / "circuit.json").read_text())
    bare["edges"] = [{"from": edge["from"], "to": edge["to"]} for edge in bare["edges"]]
    (tmp_path / "bare.json").write_text(json.dumps(bare))
    shown = cli("import", tmp_path / "bare.json", "--out", tmp_path / "third", "--json")  # draws a curve of no scores
    assert shown.code == 0, shown.err
    assert shown.document["verification"]["faithfulness"] == pytest.approx(again["faithfulness"], abs=1e-6)


@pytest.mark.usefixtures("own_home")
def test_prompts_that_the_model_does_not_answer_are_refused_or_headed_by_a_warning(
    cli: Cli, refused: Refused, tiny_task: tuple[Path, Path], tmp_path: Path
) -> None:
    model, task = tiny_task
    row = json.loads(task.read_text().splitlines()[0])
    names = {"answers": row["distractors"], "distractors": row["answers"]}
    weak = tmp_path / "weak.jsonl"
    weak.write_text(json.dumps({name: row[name] for name in ("prompt", "counterfactual")} | names))
    config = json.loads((model / "config.json").read_text())
    cfg = {"n_layers": config["num_hidden_layers"], "n_heads": config["num_attention_heads"]}
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(graph(cfg=cfg | {"parallel_attn_mlp": False})))
    words = ("import", file, "--model", model, "--prompts", weak, "--out", tmp_path / "run", "--no-figures")
    assert refused(*words).endswith("allow weak answers (--allow-weak)")
    assert not (tmp_path / "run").exists()
    shown = cli(*words, "--allow-weak")
    assert shown.code == 0, shown.err
    assert "warning: The model itself prefers the distractor" in " ".join(shown.out.split())
    assert cli("verify", tmp_path / "run", "--draws", 1).code == 0  # its own prompts were accepted
    again = ("import", tmp_path / "run" / "circuit.json", "--out", tmp_path / "again", "--no-figures")
    assert "warning: The model itself prefers" in " ".join(cli(*again).out.split())


@pytest.mark.usefixtures("own_home")
def test_a_task_s_test_split_is_held_out(cli: Cli, tiny_task: tuple[Path, Path], tmp_path: Path) -> None:
    model, task = tiny_task
    config = json.loads((model / "config.json").read_text())
    cfg = {
        "n_layers": config["num_hidden_layers"],
        "n_heads": config["num_attention_heads"],
        "parallel_attn_mlp": False,
    }
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(graph(cfg=cfg)))
    run = tmp_path / "run"
    shown = cli("import", file, "--model", model, "--task", task, "--known", 0, "--out", run, "--no-figures", "--json")
    assert shown.code == 0, shown.err
    assert [proof["split"] for proof in shown.document["held_out"]] == ["test"]
    assert cli("verify", run, "--split", "train", "--json").code == 0


@pytest.mark.usefixtures("own_home")
def test_an_existing_run_is_replaced_only_by_force(
    cli: Cli, refused: Refused, file: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    words = ("import", file, "--model", tiny_folder, "--out", tmp_path / "run", "--no-figures")
    assert cli(*words).code == 0
    assert "which already holds a run" in refused(*words)
    assert cli(*words, "--force").code == 0


def spoiled(change: Callable[[dict[str, Any]], object]) -> str:
    document = graph(edges=dict(EDGES))
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "Expecting property name"),
        ("[1]", "no JSON object"),
        ("PK\x03\x04", "Expecting value"),
        ('{"edges": 1, "other": 2}', "the keys 'edges', 'other'"),
        ('{"metadata": {}, "nodes": [], "links": []}', "at least one node and the prompt's tokens"),
        ('{"format": "wheatstone.circuit/1"}', "Field required at model"),
        ('{"format": "wheatstone.circuit/1", "model": {"id": "x"}}', "Field required at model.family"),
        (spoiled(lambda graph: graph["cfg"].update(n_heads=4)), "got 2 layers, 4 heads"),
        (spoiled(lambda graph: graph.update(cfg=5)), "TypeError"),
        (spoiled(lambda graph: graph["edges"].update({"m9->logits": {"score": 1, "in_graph": True}})), "'m9'"),
        (spoiled(lambda graph: graph["edges"].update({"m9->logits": {"score": 1, "in_graph": False}})), "'m9'"),
        (spoiled(lambda graph: graph["edges"].update({"m0": {"score": 1, "in_graph": True}})), "the edge 'm0'"),
        (spoiled(lambda graph: graph["edges"].update({"m0->m1": {"score": "x", "in_graph": True}})), "score 'x'"),
        (spoiled(lambda graph: graph["edges"].update({"m0->m1": {"score": float("nan"), "in_graph": True}})), "'nan'"),
        (spoiled(lambda graph: graph["edges"].update({"m0->m1": 5})), "TypeError"),
    ],
)
@pytest.mark.usefixtures("own_home")
def test_files_that_cannot_be_imported(
    text: str, says: str, refused: Refused, tiny_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file.json"
    file.write_text(text)
    assert says in refused("import", file, "--model", tiny_folder, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("own_home")
def test_wrong_requests(refused: Refused, file: Path, tiny_folder: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "run")
    assert "names none; add --model" in refused("import", file, *out)
    assert "No such file" in refused("import", tmp_path / "none.json", *out)
    pickled = tmp_path / "graph.pt"
    pickled.write_bytes(b"PK\x03\x04\xff\xfe")
    assert "a pickled graph (.pt) is never read" in refused("import", pickled, *out)
    assert "--ablation out of" in refused("import", file, "--model", tiny_folder, *out, "--ablation", "noise")
    assert "--metric out of" in refused("import", file, "--model", tiny_folder, *out, "--metric", "loss")
    assert "got both" in refused("import", file, *out, "--task", "ioi", "--prompt", "a")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("own_home")
def test_a_million_edges_are_refused_at_the_first_that_the_model_lacks(
    refused: Refused, tiny_folder: Path, tmp_path: Path
) -> None:
    edges = {f"m{at}->logits": {"score": 0.5, "in_graph": False} for at in range(1_000_000)}
    file = tmp_path / "large.json"
    file.write_text(json.dumps(graph(edges=edges)))
    assert "'m2' in the edge m2 -> logits" in refused("import", file, "--model", tiny_folder, "--out", tmp_path / "run")


@pytest.mark.real_weights
def test_a_circuit_goes_out_as_eap_json_and_comes_back(
    cli: Cli, france_run: RealRun, smollm2_files: ModelFiles, own_home: Path, tmp_path: Path
) -> None:
    """Through EAP-IG's format and back: the same edges with the same faithfulness."""
    own_home.mkdir()
    (own_home / "models").symlink_to(smollm2_files.folder.parent)
    assert cli("export", france_run.folder, "--format", "eap-json", "--out", tmp_path / "france.json").code == 0
    words = ("import", tmp_path / "france.json", *FRANCE_WORDS, "--out", tmp_path / "back", "--no-figures", "--json")
    shown = cli(*words)  # the file names the model
    assert shown.code == 0, shown.err
    assert shown.document["evaluation"]["edges"] == france_run.document["evaluation"]["edges"]
    before = france_run.document["verification"]["faithfulness"]
    assert shown.document["verification"]["faithfulness"] == pytest.approx(before, abs=1e-5)
    assert (
        Circuit.load(tmp_path / "back" / "circuit.json").edges == Circuit.load(france_run.folder / "circuit.json").edges
    )
