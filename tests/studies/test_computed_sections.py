"""Sections about tasks and errors on a tiny model: what they compute is stored, read again and shown."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from materials import indirect_pairs, material_of
from tiny import WORDS, explainable_pairs, make_tiny

from wheatstone import Experiment, ResidualModel
from wheatstone._progress import silent
from wheatstone.figures._explained import StoredSection
from wheatstone.figures._load import RunData
from wheatstone.figures._parts import PARTS
from wheatstone.figures._report import Picture
from wheatstone.lenses import Explanation, Material
from wheatstone.mechanisms import DemonstrationsSummary, IoiSummary, WrongSummary
from wheatstone.runs import Run, Section, summary_json, summary_of, write_table
from wheatstone.studies import SECTIONS


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float32)


@pytest.fixture(scope="module")
def relation(model: ResidualModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A relation whose facts the model gets right (its own first choice) and wrong (its second), in turn."""
    facts: list[dict[str, Any]] = []
    for at in range(4, 34):
        first = model.forward(model.tokens([f"w0 w{at} w3"])).logits[0].topk(2).indices.tolist()
        facts.append({"subject": f"w{at}", "answers": [WORDS[first[at % 2]]]})
    about = {"name": "tiny", "kind": "factual", "templates": ["w0 {subject} w3"], "facts": facts}
    path = tmp_path_factory.mktemp("relation") / "tiny.json"
    path.write_text(json.dumps(about))
    return path


def of_relation(model: ResidualModel, relation: Path) -> Material:
    pairs = explainable_pairs(model, [(f"w0 w{at} w3", f"w0 w{at + 10} w3") for at in range(4, 8)])
    asked = [pair.model_copy(update={"spans": {"subject": (3, 5)}}) for pair in pairs]
    return material_of(Experiment(model, asked), task=str(relation), about={"seed": 0}, subjects=("w6",))


def shown(folder: Path, name: str, found: Explanation, n: int) -> list[str]:
    """What the page says of a section, after it was stored; every picture is drawn."""
    for table, rows in found.tables.items():
        write_table(rows, folder / f"{table}.parquet")
    about = {"summary": summary_json(found.summary), "n": n, "tables": dict.fromkeys(found.tables, 0)}
    about = json.loads(json.dumps(about, allow_nan=False))
    assert summary_of(type(found.summary), about["summary"]) == found.summary
    stored = StoredSection(RunData(Run(folder, {}), {}, {}), Section(folder, about))
    for exhibit in PARTS[name].exhibits(stored):
        assert Picture.of(exhibit.chart).svg.startswith("<svg")
    claims = PARTS[name].claims(stored)
    assert {claim.table for claim in claims} <= found.tables.keys()
    return [claim.text for claim in claims]


def test_wrong_facts(model: ResidualModel, relation: Path, tmp_path: Path) -> None:
    material = of_relation(model, relation)
    assert SECTIONS["wrong"].missing(material) is None
    found = SECTIONS["wrong"].read(material, silent)
    assert isinstance(found.summary, WrongSummary)
    said = shown(tmp_path, "wrong", found, material.n)
    verdicts = found.summary.verdicts
    assert verdicts is not None
    assert sum(verdicts.values()) == found.summary.asked == len(found.tables["asked_facts"].rows)
    assert said[0].startswith("w6, asked for by name: the model writes ")
    assert f"the model gets {verdicts['right']} right and {verdicts['wrong']} wrong" in said[1]


def test_heads_of_indirect_objects(model: ResidualModel, tmp_path: Path) -> None:
    material = material_of(Experiment(model, indirect_pairs(), allow_weak=True))
    assert SECTIONS["ioi"].missing(material) is None
    found = SECTIONS["ioi"].read(material, silent)
    assert isinstance(found.summary, IoiSummary)
    said = shown(tmp_path, "ioi", found, material.n)
    absent = [role for role, heads in found.summary.classes.items() if not heads]
    assert any(f"no {', no '.join(absent)} heads" in text for text in said)


def test_demonstrations(model: ResidualModel, relation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model's answer hardly depends on the subject, which is accepted here."""
    monkeypatch.setattr("wheatstone.mechanisms._in_context.Experiment", partial(Experiment, allow_weak=True))
    material = of_relation(model, relation)
    assert SECTIONS["demonstrations"].missing(material) is None
    found = SECTIONS["demonstrations"].read(material, silent)
    assert isinstance(found.summary, DemonstrationsSummary)
    said = shown(tmp_path, "demonstrations", found, material.n)
    assert said[0].startswith("w6, asked for by name: with demonstrations the model begins ")
    assert f"({found.summary.task}, asked as " in said[1]
