"""`wheatstone export`: every format, from the run alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
from commands import Cli, RealRun, Refused

from wheatstone import Circuit
from wheatstone.models import load_model

pytestmark = pytest.mark.real_weights
GRAPHML = "{http://graphml.graphdrawing.org/xmlns}"


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """No format may need the model."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("export loaded a model")

    monkeypatch.setattr(f"{load_model.__module__}.load_checkpoint", refuse)


@pytest.mark.usefixtures("no_model")
def test_every_format(france_run: RealRun, cli: Cli, tmp_path: Path) -> None:
    run, circuit = france_run.folder, Circuit.load(france_run.folder / "circuit.json")

    def exported(format: str, *words: str) -> Path:
        path = tmp_path / f"file.{'-'.join((format, *words))}"
        shown = cli("export", run, "--format", format, "--out", path, *words, "--json")
        assert shown.document == {
            "format": "wheatstone.export/1",
            "run": str(run),
            "exported": format,
            "file": str(path),
        }
        return path

    assert exported("json").read_bytes() == (run / "circuit.json").read_bytes()
    assert pq.read_table(exported("parquet")).num_rows == 70651
    for figure in ("circuit", "curve", "answer", "attention"):
        assert ElementTree.parse(exported("svg", "--figure", figure)).getroot().tag.endswith("svg")
    assert exported("png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert exported("html").read_text().startswith("<!doctype html>")

    graph = ElementTree.parse(exported("graphml")).getroot().find(f"{GRAPHML}graph")
    assert graph is not None
    nodes = {node.get("id") for node in graph.findall(f"{GRAPHML}node")}
    edges = graph.findall(f"{GRAPHML}edge")
    assert len(edges) == len(circuit)
    assert {edge.get("source") for edge in edges} | {edge.get("target") for edge in edges} == nodes
    channels = [edge.findtext(f"{GRAPHML}data[@key='channel']") for edge in edges]
    assert [(edge.get("source"), channel) for edge, channel in zip(edges, channels, strict=True)] == list(circuit.edges)
    assert circuit.effects is not None
    assert [float(edge.findtext(f"{GRAPHML}data[@key='effect']") or "nan") for edge in edges] == list(circuit.effects)

    document = json.loads(exported("eap-json").read_text())
    shape = {"n_layers": 30, "n_heads": 9, "d_model": 576, "parallel_attn_mlp": False}
    assert document["cfg"] == shape | {"model_name": "smollm2-135m"}
    # A KV group is three heads in EAP-IG's graph.
    grouped = sum(".g" in edge.receiver for edge in circuit.edges)
    assert len(document["edges"]) == len(circuit) + 2 * grouped
    assert document["edges"]["input->m0"]["in_graph"] is True
    assert {name for name, node in document["nodes"].items() if node["in_graph"]} == {*circuit.nodes, "logits"}
    assert {"m0->a23.h3<v>", "m0->a23.h4<v>", "m0->a23.h5<v>"} <= set(document["edges"])


@pytest.mark.usefixtures("no_model")
def test_by_default_the_file_lies_beside_the_run(own_run: Path, cli: Cli, refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "france.circuit.eap.json"
    shown = cli("export", own_run, "--format", "eap-json")
    assert shown.code == 0
    assert path.name in shown.out.replace("\n", "")
    written = path.read_bytes()
    assert f"{path}, which exists; choose another --out or use --force" in refused(
        "export", own_run, "--format", "eap-json"
    )
    path.write_text("mine")
    assert cli("export", own_run, "--format", "eap-json", "--force").code == 0
    assert path.read_bytes() == written
    assert cli("export", own_run, "--format", "svg", "--figure", "curve").code == 0
    assert sorted(os.listdir(tmp_path)) == ["france", "france.circuit.eap.json", "france.curve.svg"]


def test_requests_that_cannot_be_carried_out(own_run: Path, cli: Cli, refused: Refused, tmp_path: Path) -> None:
    assert "a format out of json, parquet, svg, png, html, graphml, eap-json; got 'pdf'" in refused(
        "export", own_run, "--format", "pdf"
    )
    assert "a figure out of circuit, " in refused("export", own_run, "--format", "svg", "--figure", "heat")
    assert "an existing folder; got " in refused("export", own_run, "--format", "svg", "--out", tmp_path / "no" / "f")
    assert "a run folder with a manifest.json" in refused("export", tmp_path, "--format", "svg")
    (own_run / "edges.parquet").unlink()
    shown = cli("export", own_run, "--format", "parquet", "--json")
    assert (shown.code, shown.out) == (2, "")
    assert "edges.parquet" in shown.err
    circuit = own_run / "circuit.json"
    circuit.write_text(circuit.read_text().replace("wheatstone.circuit/1", "wheatstone.circuit/9"))
    assert "of format 'wheatstone.circuit/9'" in refused("export", own_run, "--format", "graphml")
    assert os.listdir(tmp_path) == ["france"]


def test_the_format_decides_whatever_the_file_is_called(own_run: Path, cli: Cli, tmp_path: Path) -> None:
    assert cli("export", own_run, "--format", "png", "--out", tmp_path / "picture").code == 0
    assert (tmp_path / "picture").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_table_by_its_name(own_run: Path, cli: Cli, refused: Refused, tmp_path: Path) -> None:
    assert cli("export", own_run, "--format", "parquet", "--table", "curve").code == 0
    assert pq.read_table(tmp_path / "france.curve.parquet").equals(pq.read_table(own_run / "curve.parquet"))
    assert "a table out of edges, curve, trace" in refused("export", own_run, "--format", "parquet", "--table", "none")
