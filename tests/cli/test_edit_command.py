"""`wheatstone edit`: an edit as a run that can be loaded and applied; what is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import Cli, Refused
from tolerance import rounding

from wheatstone.circuits import Circuit
from wheatstone.editing import METHODS, load_edit
from wheatstone.figures import trace_chart
from wheatstone.models import load_model
from wheatstone.runs import damaged_files
from wheatstone.runs._folder import read_manifest

WORDS = ("--prompt", "w1 w2 w3", "--subject", "w2", "--target", "w30")


@pytest.fixture
def words(tiny_task: tuple[Path, Path]) -> tuple[object, ...]:
    """A request of the tiny model."""
    return ("edit", "--model", tiny_task[0], *WORDS)


def test_an_edit_is_a_run(cli: Cli, words: tuple[object, ...], tmp_path: Path, own_home: Path) -> None:
    out = tmp_path / "run"
    shown = cli(*words, "--method", "ft-m", "--layer", 1, "--also", "w4 w5", "--trace", "--out", out, "--json")
    assert shown.code == 0, shown.err
    document = shown.document
    assert document["method"] == "ft-m"
    assert [row["prompt"] for row in document["answers"]] == ["w1 w2 w3", "w4 w5"]
    assert document["answers"][0]["target_after"] != document["answers"][0]["target_before"]
    assert document["undone"]
    assert damaged_files(out) == []
    assert read_manifest(out)["verb"] == "edit"
    model = load_model(words[2])  # pyright: ignore[reportArgumentType]
    target = model.continuation(" w30")[0]
    with load_edit(out).applied(model):
        likely = model.forward(model.tokens(["w1 w2 w3"])).logits.softmax(-1)[0, target]
    assert float(likely) == rounding(model).near(document["answers"][0]["target_after"])
    rows = pq.read_table(out / "tracing.parquet").to_pylist()
    assert {row["site"] for row in rows} == {"state", "mlp", "attention"}
    chart = trace_chart(rows, "here").to_dict(validate=True)
    assert "last subject" in chart["description"] or "last" in chart["description"]
    assert (out / "figures" / "trace.svg").stat().st_size > 1000
    assert "w30" in (out / "report.html").read_text()
    assert [entry["verb"] for entry in cli("runs", "--json").document["runs"]] == ["edit"]


def test_a_compared_edit_says_what_it_did_to_the_circuit(
    cli: Cli, refused: Refused, words: tuple[object, ...], tmp_path: Path, own_home: Path
) -> None:
    assert "--counterfactual" in refused(*words, "--compare")
    out = tmp_path / "run"
    compare = (
        "--compare",
        "--counterfactual",
        "w9",
        "--circuit-method",
        "eap-ig",
        "--neighbour",
        "w5",
        "--neighbour",
        "w6",
    )
    shown = cli(*words, "--method", "ft-m", "--layer", 1, *compare, "--out", out, "--json")
    assert shown.code == 0, shown.err
    found = shown.document["comparison"]
    edges = pq.read_table(out / "edit_edges.parquet").to_pylist()
    assert found["circuit"]["edges"] == {
        state: sum(row["state"] == state for row in edges) for state in ("kept", "gone", "new")
    }
    assert {state: len(Circuit.load(out / f"{state}.circuit.json")) for state in ("before", "after")} == (
        found["circuit"]["sizes"]
    )
    ranks = {
        (row["state"], row["layer"]): row["rank"]
        for row in pq.read_table(out / "edit_lens.parquet").to_pylist()
        if (row["site"], row["object"]) == ("last", "new")
    }
    answer = shown.document["answers"][0]
    assert (ranks["before", 3], ranks["after", 3]) == (answer["rank_before"], answer["rank_after"])
    assert {row["subject"] for row in pq.read_table(out / "edit_leak.parquet").to_pylist()} == {"w2", "w5", "w6"}
    assert sum(found["writers"]["gain"].values()) == pytest.approx(found["writers"]["direct_logit"]["gain"])
    assert damaged_files(out) == []
    assert (out / "figures" / "comparison.svg").stat().st_size > 1000
    page = (out / "report.html").read_text()
    assert "What it did to the circuit" in page
    assert "of 2 neighbours say something else" in page


def test_rome_by_tracing_and_nothing_written(cli: Cli, words: tuple[object, ...], own_home: Path) -> None:
    shown = cli(*words)
    assert shown.code == 0, shown.err
    assert "undone, bit for bit" in shown.out
    assert "halves differ" in shown.out.replace("\n", " ")


def test_methods_are_listed(cli: Cli) -> None:
    assert [row["method"] for row in cli("edit", "--list", "--json").document["methods"]] == list(METHODS)


def test_bad_requests(refused: Refused, words: tuple[object, ...], cli: Cli, own_home: Path, tmp_path: Path) -> None:
    assert "not in the prompt" in refused(*words[:6], "w9", *words[7:])
    assert "no --target" in refused(*words[:7])
    assert "a method out of" in refused(*words, "--method", "rewrite")
    assert "a layer of" in refused(*words, "--layer", 99)
    said = cli(*words, "--method", "ft-l", "--layer", 0, "--json").document["answers"][0]["before"]
    assert "present answer" in refused(*words[:8], said)
