"""`wheatstone edit add`, `list`, `undo`, `check`, `export`: a ledger from its first edit to a checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import Cli, Refused
from transformers import AutoModelForCausalLM

from wheatstone.editing import METHODS, open_ledger
from wheatstone.models import load_model

QUICK = ("--method", "ft-m", "--layer", 1)
FIRST = ("--prompt", "w1 w2 w3", "--subject", "w2", "--target", "w30")
SECOND = ("--prompt", "w4 w5", "--subject", "w5", "--target", "w31")


@pytest.fixture
def ledger(cli: Cli, tiny_task: tuple[Path, Path], tmp_path: Path, own_home: Path) -> Path:
    """A ledger of two edits of the tiny model."""
    folder = tmp_path / "ledger"
    for words in ((*FIRST, "--model", tiny_task[0]), SECOND):
        shown = cli("edit", "add", folder, *words, *QUICK)
        assert shown.code == 0, shown.err
    return folder


def test_from_the_first_edit_to_a_checkpoint(cli: Cli, ledger: Path, tmp_path: Path) -> None:
    listed = cli("edit", "list", ledger, "--json").document
    assert [(row["number"], row["method"]) for row in listed["edits"]] == [(1, "ft-m"), (2, "ft-m")]
    assert "w1 w2 w3 → w30" in cli("edit", "list", ledger).out
    checked = cli("edit", "check", ledger, "--json").document
    assert (checked["damaged"], checked["changed_weights"]) == ([], [])
    assert checked["said"].keys() == {"1", "2"}
    exported = cli("edit", "export", ledger, "--out", tmp_path / "edited", "--json").document
    assert exported["kind"] == "checkpoint"
    theirs: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "edited")
    ours = load_model(listed["model"]["id"])
    tokens = ours.tokens(["w1 w2 w3"])
    with open_ledger(ledger).applied(ours):
        assert theirs(tokens.ids).logits.equal(ours.module(tokens.ids).logits)
    again = load_model(tmp_path / "edited")  # the checkpoint is a model like any other, and not the ledger's
    assert again.sha256 != ours.sha256
    assert cli("edit", "export", ledger, "--format", "delta", "--out", tmp_path / "delta").code == 0
    undone = cli("edit", "undo", ledger, 1, "--json").document
    assert (undone["undone"], [row["number"] for row in undone["edits"]]) == ([1], [2])
    assert cli("edit", "check", ledger, "--files-only").out == "sound\n"


def test_the_verb_itself_is_as_it_was(cli: Cli, refused: Refused, tiny_task: tuple[Path, Path], own_home: Path) -> None:
    assert [row["method"] for row in cli("edit", "--list", "--json").document["methods"]] == list(METHODS)
    document = cli("edit", "--model", tiny_task[0], *FIRST, *QUICK, "--json").document
    assert document["method"] == "ft-m"
    assert document["undone"]
    assert "no --target" in refused("edit", *FIRST[:4])
    assert "see `wheatstone edit --help`" in refused("edit", "nonsense")


def test_bad_requests(cli: Cli, refused: Refused, ledger: Path, tiny_task: tuple[Path, Path], tmp_path: Path) -> None:
    """What people get wrong, each refused in one line, the ledger as it was."""
    files = {path: path.read_bytes() for path in ledger.rglob("*") if path.is_file()}
    other = tmp_path / "other"
    shutil.copytree(tiny_task[0], other)
    load_model(other).module.save_pretrained(other)  # the same weights under another name are the same model
    assert cli("edit", "check", ledger, "--model", other).code == 0
    changed: Any = load_model(other).module
    changed.get_input_embeddings().weight.data += 1
    changed.save_pretrained(other)
    assert "the ledger's model" in refused(
        "edit", "add", ledger, *FIRST[:5], "w9", "--model", other, "--replace", *QUICK
    )
    for verb in ("check", "undo", "export"):
        more = {"check": (), "undo": (1,), "export": ("--out", tmp_path / "out")}[verb]
        assert "the ledger's model" in refused("edit", verb, ledger, *more, "--model", other)
    assert "bfloat16" in refused("edit", "add", ledger, *SECOND[:5], "w9", "--dtype", "bfloat16", "--replace", *QUICK)
    assert "not in the ledger yet" in refused("edit", "add", ledger, *FIRST, *QUICK)
    assert "undo edit 1 first, or replace it with --replace" in refused("edit", "add", ledger, *FIRST[:5], "w9", *QUICK)
    long = ("--prompt", "w7 w8", "--subject", "w8", "--target")
    assert "a target of one token" in refused("edit", "add", ledger, *long, "w9 w10", "--method", "ft-l", "--layer", 1)
    assert "at most 16 tokens" in refused("edit", "add", ledger, *long, "w9 " * 17, *QUICK)
    assert "the number of an edit" in refused("edit", "undo", ledger, 7)
    assert "give one of them" in refused("edit", "add", ledger, *FIRST, "--facts", tiny_task[1])
    assert "something else" in refused("edit", "add", tiny_task[0], *FIRST, *QUICK)
    assert {path: path.read_bytes() for path in ledger.rglob("*") if path.is_file()} == files


def test_an_empty_ledger_exported(cli: Cli, refused: Refused, ledger: Path, tmp_path: Path) -> None:
    assert cli("edit", "undo", ledger, 1, 2).code == 0
    assert cli("edit", "list", ledger).out.startswith("an empty ledger")
    assert cli("edit", "check", ledger).code == 0
    assert "an empty one" in refused("edit", "export", ledger, "--out", tmp_path / "out", "--json")
    assert not (tmp_path / "out").exists()


def test_a_file_of_facts_continues_where_it_was(
    cli: Cli, refused: Refused, tiny_task: tuple[Path, Path], tmp_path: Path, own_home: Path
) -> None:
    facts = [
        {"prompt": "w1 w2 w3", "subject": "w2", "target_new": "w30"},
        {"prompt": "w4 w5", "subject": "w5", "target_new": "w31"},
        {"prompt": "w7 w8", "subject": "w8", "target_new": "w9 w10"},
    ]
    (tmp_path / "two.json").write_text(json.dumps(facts[:2]))
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    words = ("edit", "add", tmp_path / "ledger", "--model", tiny_task[0], *QUICK, "--json", "--facts")
    assert cli(*words, tmp_path / "two.json").document["added"] == [1, 2]
    done = cli(*words, tmp_path / "facts.json").document
    assert (done["added"], len(done["known"])) == ([3], 2)
    together = ("edit", "add", tmp_path / "one", "--model", tiny_task[0], *QUICK, "--facts", tmp_path / "facts.json")
    assert cli(*together, "--at-once").code == 0
    (entry,) = open_ledger(tmp_path / "one").entries
    assert len(entry.edit.requests) == 3
    assert "one request at a time" in refused(
        *("edit", "add", tmp_path / "three", "--model", tiny_task[0], "--facts", tmp_path / "facts.json"),
        *("--method", "rome", "--layer", 1, "--at-once"),
    )
    assert not (tmp_path / "three").exists()


def test_a_run_s_edit_is_added(cli: Cli, tiny_task: tuple[Path, Path], tmp_path: Path, own_home: Path) -> None:
    run = tmp_path / "run"
    assert cli("edit", "--model", tiny_task[0], *FIRST, *QUICK, "--out", run).code == 0
    added = cli("edit", "add", tmp_path / "ledger", "--edit", run, "--model", tiny_task[0], "--json")
    assert added.document["added"] == [1]


def test_damage_ends_with_exit_code_1(cli: Cli, refused: Refused, ledger: Path, tmp_path: Path) -> None:
    tensors = ledger / "edits" / "1" / "edit.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"!")
    shown = cli("edit", "check", ledger, "--json")
    assert (shown.code, shown.document["damaged"]) == (1, ["edits/1/edit.safetensors: changed"])
    assert "edit undo --damaged" in refused("edit", "export", ledger, "--out", tmp_path / "out")
    assert cli("edit", "undo", ledger, "--damaged", "--json").document["undone"] == [1]
    stored = json.loads((ledger / "ledger.json").read_text())
    name = next(iter(stored["weights"]))
    stored["weights"][name] = "0" * 64
    (ledger / "ledger.json").write_text(json.dumps(stored))
    shown = cli("edit", "check", ledger)
    assert (shown.code, f"other bits than the ledger names: {name}" in shown.out) == (1, True)
