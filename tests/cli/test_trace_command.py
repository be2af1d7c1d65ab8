"""`wheatstone trace`: a task's facts traced as a run that says how; what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import Cli, Refused
from tolerance import rounding

from wheatstone.figures import trace_chart, trace_lines_chart
from wheatstone.models import load_model
from wheatstone.runs import damaged_files
from wheatstone.runs._folder import read_json, read_manifest


@pytest.fixture
def words(tiny_task: tuple[Path, Path], tmp_path: Path) -> tuple[object, ...]:
    """Six prompts of the tiny model, each beginning with its subject, marked."""
    rows = [json.loads(line) for line in tiny_task[1].read_text().splitlines()]
    marked = [row | {"spans": {"subject": [0, len(row["subject"])]}} for row in rows]
    task = tmp_path / "facts.jsonl"
    task.write_text("\n".join(map(json.dumps, marked)))
    return ("trace", "--model", tiny_task[0], "--task", task, "--known", 0, "--out", tmp_path / "run")


def test_a_trace_is_a_run(cli: Cli, words: tuple[object, ...], own_home: Path) -> None:
    shown = cli(*words, "--draws", 1, "--json")
    assert shown.code == 0, shown.err
    out, document = Path(shown.document["run"]), shown.document
    assert document["n"] == 6
    assert damaged_files(out) == []
    manifest = read_manifest(out)
    assert manifest["verb"] == "trace"
    assert manifest["settings"]["draws"] == 1
    assert manifest["settings"]["window"] == 1
    assert [row["subject"] for row in manifest["prompts"]] == [row["prompt"].split()[0] for row in manifest["prompts"]]
    rows = pq.read_table(out / "tracing.parquet").to_pylist()
    assert {(row["site"], row["role"]) for row in rows} == {
        (site, role) for site in ("state", "mlp", "attention") for role in ("last subject", "first after", "last")
    }
    assert all(row["n"] == 6 and row["low"] <= row["effect"] <= row["high"] for row in rows)
    prompts = pq.read_table(out / "prompts.parquet").to_pylist()
    lost = sum(row["clean"] - row["blurred"] for row in prompts) / 6
    assert document["clean"]["probability"] - document["blurred"]["probability"] == pytest.approx(lost)
    last = next(row for row in rows if (row["site"], row["role"], row["layer"]) == ("state", "last", 2))
    effects = [row["effect"] for row in pq.read_table(out / "effects.parquet").to_pylist() if row["layer"] == 2]
    assert len(effects) == 6 * 9
    model = load_model(words[2])  # pyright: ignore[reportArgumentType]
    assert last["effect"] == rounding(model).near(lost)  # the last state is all there is to the answer
    logits = model.forward(model.tokens([row["prompt"] for row in prompts])).logits
    assert logits.softmax(-1).amax(-1).tolist() == rounding(model).near([row["clean"] for row in prompts])
    summary = read_json(out, "summary.json")
    assert summary["layer_to_edit"] in (1, 2)
    assert (out / "figures" / "trace.png").stat().st_size > 1000
    trace_chart(rows, "here").to_dict(validate=True)
    drawn = trace_lines_chart(rows, "here", summary).to_dict(validate=True)
    assert "At the last token, residual stream: most in layer" in drawn["description"]
    assert "Causal tracing of" in (out / "report.html").read_text()
    assert [entry["verb"] for entry in cli("runs", "--json").document["runs"]] == ["trace"]


def test_what_cannot_be_traced_is_refused_before_anything_is_run(
    refused: Refused, words: tuple[object, ...], tiny_task: tuple[Path, Path], tmp_path: Path, own_home: Path
) -> None:
    assert "no --task" in refused(*words[:3], *words[7:])
    assert "a bundled task" in refused(*words[:4], "facts of old", *words[5:])
    assert "noise above 0" in refused(*words, "--noise", 0)
    assert "--noise from 0 to 1,000" in refused(*words, "--noise", "nan")
    assert "--draws from 1 to 10,000" in refused(*words, "--draws", 0)
    assert "a window of 1 to 3 layers" in refused(*words, "--window", 4)
    assert "sites out of state, mlp, attention" in refused(*words, "--site", "head")
    assert "with a span `subject`" in refused(*words[:4], tiny_task[1], *words[5:])
    assert not (tmp_path / "run").exists()
