"""The training facts of a relation under its other templates: no subject of another split among them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny import WORDS, make_tiny

from wheatstone import ResidualModel, load_task
from wheatstone.tasks import other_wordings

pytestmark = pytest.mark.usefixtures("own_home")
TEMPLATES = ("w0 {subject} w3", "{subject} w3", "w7 w7 {subject}")


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float32)


def relation(folder: Path, facts: list[tuple[str, str]], *templates: str) -> str:
    rows = [{"subject": subject, "answers": [answer]} for subject, answer in facts]
    path = folder / "words.json"
    path.write_text(json.dumps({"name": "words", "kind": "factual", "templates": templates, "facts": rows}))
    return str(path)


def test_training_subjects_only(model: ResidualModel, tmp_path: Path) -> None:
    source = relation(tmp_path, [(word, WORDS[-1 - place]) for place, word in enumerate(WORDS[:30])], *TEMPLATES)
    task = load_task(source, model, known=None, size=None)
    whole = [load_task(source, model, size=None, template=number, strict=False) for number in (1, 2)]
    pairs, notes = other_wordings(source, task, model)
    assert pairs == [*whole[0].train, *whole[1].train]
    assert notes == []
    held = {pair.prompt.split()[1] for split in ("validation", "test") for pair in task.split(split)}
    for pair in pairs:
        start, end = pair.spans["subject"]
        assert pair.prompt[start:end] not in held
    few, _ = other_wordings(source, task, model, most=1)
    assert few == [whole[0].train[0], whole[1].train[0]]


def test_a_template_that_cannot_be_asked_is_named(model: ResidualModel, tmp_path: Path) -> None:
    facts = [(word, WORDS[int(model.forward(model.tokens([f"w0 {word} w3"])).logits[0].argmax())]) for word in WORDS]
    source = relation(tmp_path, facts, "w0 {subject} w3", "{subject} " + "w1 " * 40)
    pairs, notes = other_wordings(source, load_task(source, model, size=None), model)
    assert pairs == []
    assert len(notes) == 1
    assert notes[0].startswith("template 1 is not used: ")


def test_a_task_that_is_no_relation_has_none(model: ResidualModel, tmp_path: Path) -> None:
    rows = [
        {"prompt": f"w0 w{n} w3", "counterfactual": f"w0 w{n + 1} w3", "answers": [f" w{n}"], "distractors": [" w39"]}
        for n in range(1, 8)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert other_wordings(str(path), load_task(path, model, known=None), model) == ([], [])
