"""`wheatstone neuron probe`: a concept from a file as a run, the bundled list, what is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from commands import Cli, Refused

from wheatstone.figures import PROBE_FIGURES, ProbeData
from wheatstone.models import Neuron, load_model
from wheatstone.neurons import CONCEPTS, load_probe, neuron_probes
from wheatstone.runs import damaged_files
from wheatstone.runs._folder import read_manifest


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Six words of three kinds in twenty documents."""
    kinds = ["low", "middle", "high"]
    lines: list[dict[str, Any]] = [
        {
            "text": " ".join(random.Random(document).choices(["w4", "w9", "w14", "w19", "w24", "w29"], k=9)),
            "document": f"d{document}",
        }
        for document in range(20)
    ]
    for line in lines:
        start = 0
        spans: list[list[object]] = [[0, 400, "low"]] if line["document"] == "d3" else []
        for word in line["text"].split():
            spans.append([start, start + len(word), kinds[(int(word[1:]) - 4) // 10]])
            start += len(word) + 1
        line["spans"] = spans
    path = tmp_path / "words.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_concepts_of_a_file_as_a_run(
    cli: Cli, tiny_task: tuple[Path, Path], words: Path, tmp_path: Path, own_home: Path
) -> None:
    run = tmp_path / "run"
    probe = ("neuron", "probe", "--model", tiny_task[0], "--concept", words, "--out", run)
    shown = cli(*probe, "--json")
    assert shown.code == 0, shown.err
    document = shown.document
    assert {one["concept"] for one in document["concepts"]} == {"low", "middle", "high"}
    assert (document["skipped"], document["refused"]) == ({"span past its text": 1}, {})
    for one in document["concepts"]:
        assert sum(one["documents"].values()) == 20
        assert set(one["best"]) >= {"single", "ranking", "pursuit"}
        best = max(
            row["f1"] for row in pq.read_table(run / "probes.parquet").to_pylist() if row["concept"] == one["concept"]
        )
        assert best > one["always_yes_f1"]  # some probe tells one word from others
    assert sum(document["neurons_by_concepts"].values()) == 72
    manifest = read_manifest(run)
    assert (manifest["verb"], manifest["settings"]["reading"], manifest["prompts"]) == ("neuron probe", "last", [])
    assert pq.read_metadata(run / "neuron_tests.parquet").num_rows == 3 * 72
    assert pq.read_metadata(run / "interference.parquet").num_rows == 3 * 2 * 3
    single = document["concepts"][0]["best"]["single"]
    told = {row["concept"]: row for row in neuron_probes(run, Neuron.find(single["neurons"][0]) or Neuron(0, 0))}
    assert set(told) == {"low", "middle", "high"}
    assert ("single", single["f1"]) in [(row["method"], row["f1"]) for row in told[single["concept"]]["probes"]]
    used = ("neuron", "probe", "--model", tiny_task[0], "--use", run, "--concept", "low", "--text", "w4 w9 w14 w24 w29")
    read = cli(*used, "--json").document
    kept = load_probe(run, "low")
    assert (read["method"], read["layer"], read["k"], read["f1"]) == (
        kept.method,
        kept.layer,
        len(kept.neurons),
        kept.f1,
    )
    assert [one["token"] for one in read["tokens"]] == ["w4", "w9", "w14", "w24", "w29"]
    assert kept.decisions(load_model(str(tiny_task[0])), "w4 w9 w14 w24 w29").tolist() == [
        one["decision"] for one in read["tokens"]
    ]
    assert "of 5 tokens" in cli(*used).out
    for row in pq.read_table(run / "probes.parquet").to_pylist():
        assert len(row["neurons"]) == row["k"]
        kept = load_probe(run, row["concept"], method=row["method"], layer=row["layer"], k=row["k"])
        assert [f"m{row['layer']}.n{neuron}" for neuron in kept.neurons] == row["neurons"]
    page = tmp_path / "neuron.html"
    neuron = single["neurons"][0]
    shown = cli("neuron", "show", neuron, "--model", tiny_task[0], "--probes", run, "--out", page, "--json")
    assert shown.code == 0, shown.err
    assert {row["concept"]: row for row in shown.document["probes"]} == told
    assert f"single of 1: F1 {single['f1']:.2f}" in page.read_text()
    for name in PROBE_FIGURES:
        assert (run / "figures" / f"{name}.svg").stat().st_size > 1000
    page = (run / "report.html").read_text()
    assert document["concepts"][0]["best"]["single"]["neurons"][0] in page
    assert "span past its text: 1" in page
    assert damaged_files(run) == []
    assert [entry["verb"] for entry in cli("runs", "--json").document["runs"]] == ["neuron probe"]
    shown = cli(*probe, "--force", "--layers", "1", "--reading", "tokens", "--no-figures")
    assert shown.code == 0, shown.err
    assert "1 span past its text" in shown.out
    assert {row["layer"] for row in ProbeData.load(run).probes} == {1}


def test_the_bundled_concepts_are_listed(cli: Cli) -> None:
    listed = cli("neuron", "probe", "--list", "--json").document["concepts"]
    assert [one["name"] for one in listed] == list(CONCEPTS)


def test_what_is_refused(refused: Refused, tiny_task: tuple[Path, Path], words: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    probe = ("neuron", "probe", "--model", tiny_task[0], "--out", out)
    assert "no --concept" in refused(*probe)
    assert "suffix-ing" in refused(*probe, "--concept", "suffix-ung")
    assert "from 0 to 2" in refused(*probe, "--concept", words, "--layers", "1-3")
    assert "such as 20-29 or 0,5,7-9" in refused(*probe, "--concept", words, "--layers", "one")
    assert "last or tokens or mean" in refused(*probe, "--concept", words, "--reading", "max")
    assert "one file, or bundled" in refused(*probe, "--concept", words, "--concept", "number")
    assert "no --text and no one --concept" in refused(*probe, "--use", words)
    assert "a run folder" in refused(*probe, "--use", words, "--text", "w1", "--concept", "low")
    assert "where --outside is given" in refused(*probe, "--concept", "number", "--outside", "x")
    first = words.read_text().splitlines()[0]
    words.write_text(first)
    assert "share no document" in refused(*probe, "--concept", words)
    words.write_text(json.dumps({"text": "w1 w2", "spans": [[0, 2, "a"]]}))
    assert "two labels or more" in refused(*probe, "--concept", words)
    words.write_text("")
    assert "without a record" in refused(*probe, "--concept", words)
    assert not out.exists()
