"""What a command refuses, it refuses before the model is loaded, and without leaving anything in the place."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest
from commands import Cli, Refused

from wheatstone._disk import claimed
from wheatstone.checkpoints import check_layers
from wheatstone.runs import write_hashes
from wheatstone.studio._library import EXAMPLES

PAIR = ("--prompt", "a b c", "--counterfactual", "a b d", "--answer", " x")
FACT = ("--prompt", "a b", "--subject", "a", "--target", " c")
SEEDED = {
    "discover": (*PAIR, "--out", "out"),
    "neuron screen": (*PAIR, "--out", "out"),
    "neuron probe": ("--concept", "number", "--out", "out"),
    "neuron scan": ("in.txt", "--out", "out"),
    "head scan": ("in.txt", "--out", "out"),
    "neuron pairs": (),
    "path-patching": PAIR,
    "trace": ("--task", "facts/country_capital", "--out", "out"),
    "study": ("--out", "out"),
    "sweep": ("--task", "ioi", "--out", "out"),
    "tasks show": ("ioi", "--model", "tiny"),
}
WRONG = {
    "discover": "--metric no|--ablation no|--method no|--goal no|--granularity no|--positions no|--sign no"
    "|--faithfulness 2|--stable -1|--steps -1|--ranking no|--threshold nan",
    "neuron screen": "--metric no|--direction no|--top -1",
    "neuron probe": "--reading no|--most -1|--layers x|--concept nosuch",
    "neuron scan": "--window 1|--top 0|--share 2|--share nan|--tokens 0|--batch 0|--layers x|nosuch.txt",
    "head scan": "--window 1|--top 0|--share 2|--tokens 0|--batch 0|--layers 9-3|nosuch.txt",
    "path-patching": "--metric no|--ablation no",
    "trace": "--noise -1|--draws 0|--window 0|--site no|--task nosuch",
    "study": "--relations no|--train 0|--method no|--share 3|--draws 0|--kept 3|--executor no",
    "sweep": "--method no|--faithfulness 7|--executor no|--task nosuch|--workers 0",
}


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def loads(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("wheatstone.models.load_model", loads)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text("some text")


DEEP = {
    "discover --neurons-of": ("discover", *PAIR, "--out", "out", "--neurons-of", "2"),
    "discover --experts-of": ("discover", *PAIR, "--out", "out", "--experts-of", "99"),
    "path-patching --sender": ("path-patching", *PAIR, "--sender", "a0.h1+a2.h0"),
    "path-patching --receiver": ("path-patching", *PAIR, "--receiver", "a2.h0<q>"),
    "neuron show": ("neuron", "show", "m2.n1"),
    "neuron probe": ("neuron", "probe", "--concept", "number", "--layers", "0-2", "--out", "out"),
    "neuron scan": ("neuron", "scan", "in.txt", "--layers", "2", "--out", "out"),
    "edit": ("edit", *FACT, "--layer", "2"),
}


@pytest.mark.parametrize(
    "config", [{"num_hidden_layers": 2}, {"n_layer": 2}, {"text_config": {"num_hidden_layers": 2}}]
)
@pytest.mark.parametrize("verb", DEEP)
def test_a_layer_beyond_the_last_by_the_config(
    refused: Refused, tmp_path: Path, verb: str, config: dict[str, object]
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    line = refused(*DEEP[verb], "--model", "model")
    assert line.startswith("wheatstone: expected a layer of model, from 0 to 1; got ")
    assert not (tmp_path / "out").exists()


def test_what_is_no_layer_passes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 2}')
    check_layers(str(tmp_path), [0, 1, "m1", "a1.h99", "a0.g1<v>", "m1.n70000", "logits", "input", "a", "m"])
    check_layers("org/elsewhere", [99])


@pytest.mark.parametrize("seed", ["-1", str(2**32), str(2**64)])
@pytest.mark.parametrize("verb", SEEDED)
def test_a_seed_that_nothing_can_be_drawn_with(refused: Refused, tmp_path: Path, verb: str, seed: str) -> None:
    line = refused(*verb.split(), *SEEDED[verb], "--seed", seed)
    assert line.startswith(f"wheatstone: expected --seed from 0 to {2**32 - 1:,}; got ")
    assert os.listdir(tmp_path) == ["in.txt"]


@pytest.mark.parametrize(("verb", "wrong"), [(verb, words) for verb in WRONG for words in WRONG[verb].split("|")])
def test_a_wrong_argument(refused: Refused, tmp_path: Path, verb: str, wrong: str) -> None:
    refused(*verb.split(), *SEEDED[verb], *wrong.split())
    assert os.listdir(tmp_path) == ["in.txt"]


MORE = {
    "discover": "--neurons-of -1|--experts-of -1|--neurons-of 10000|--neurons-of 3 --experts-of 3|--share 0|--share nan"
    "|--counterfactuals 0|--faithfulness 0|--method acdc --threshold 0|--threshold inf",
    "study": "--kept 0|--kept nan|--share 0|--steps 0|--batch 0|--counterfactuals 0|--threads 0",
    "sweep": "--faithfulness 0|--threads -1",
    "trace": "--noise 0|--noise inf",
    "neuron scan": "--layers 9-3|--layers -1|--layers 3-|--share 0|--share inf",
    "neuron probe": "--layers 9-3|--most 0",
    "path-patching": "--sender a0.h-1|--sender a0.h1+m|--sender logits|--receiver a0.h1|--receiver m-1|--receiver input"
    "|--through no|--sender a0.h²",
}


@pytest.mark.parametrize(("verb", "wrong"), [(verb, words) for verb in MORE for words in MORE[verb].split("|")])
def test_an_impossible_count_share_or_range(refused: Refused, tmp_path: Path, verb: str, wrong: str) -> None:
    refused(*verb.split(), *SEEDED[verb], *wrong.split())
    assert os.listdir(tmp_path) == ["in.txt"]


def test_a_probe_s_file_that_is_not_there_is_called_a_file(refused: Refused) -> None:
    line = refused("neuron", "probe", "--concept", "words.jsonl", "--out", "out")
    assert line == "wheatstone: expected a file of labelled texts; got words.jsonl, which is not there; check the path"


def test_a_neuron_s_page_takes_the_model_of_its_run(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"num_hidden_layers": 2}')
    run = shutil.copytree(EXAMPLES / "a-or-an", tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["model"]["id"] = "model"
    (run / "manifest.json").write_text(json.dumps(manifest))
    write_hashes(run)
    assert "a layer of model, from 0 to 1; got m2.n1" in refused("neuron", "show", "m2.n1", "--run", "run")


@pytest.mark.parametrize("name", ["m25.n-1", "m-1.n2", "m25", "../m1.n2", "m9999999999.n1", ""])
def test_what_is_no_neuron_s_name(refused: Refused, tmp_path: Path, name: str) -> None:
    assert "a neuron, written as layer and index" in refused("neuron", "show", "--", name)
    assert os.listdir(tmp_path) == ["in.txt"]


@pytest.mark.parametrize("name", ["a25.h-1", "a-1.h2", "a25", "../a1.h2", "a9999999999.h1", "m1", ""])
def test_what_is_no_head_s_name(refused: Refused, tmp_path: Path, name: str) -> None:
    assert "a head, written as layer and number" in refused("head", "show", "--scan", "scan", "--", name)
    assert os.listdir(tmp_path) == ["in.txt"]


def test_a_head_scan_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    refused("head", "show", "a1.h0", "--scan", "nosuch")
    assert os.listdir(tmp_path) == ["in.txt"]


def test_a_split_that_no_task_has(refused: Refused) -> None:
    assert "a split out of train" in refused("verify", EXAMPLES / "a-or-an", "--task", "ioi", "--split", "no")


@pytest.mark.parametrize("wrong", ["--layer -1", "--method no", "--compare --circuit-method no", "--compare --edges 0"])
def test_a_wrong_argument_of_an_edit(refused: Refused, tmp_path: Path, wrong: str) -> None:
    refused("edit", *FACT, "--out", "out", *wrong.split())
    assert os.listdir(tmp_path) == ["in.txt"]


@pytest.mark.parametrize(
    "wrong",
    ["--layer -1", "--method no", "--facts in.txt", "--edit none", "--prompt a --subject b --target c"],
)
def test_a_wrong_argument_of_a_ledger(refused: Refused, tmp_path: Path, wrong: str) -> None:
    refused("edit", "add", "out", *FACT, *wrong.split())
    refused("edit", "add", "in.txt", *FACT)
    refused("edit", "add", "out")
    assert os.listdir(tmp_path) == ["in.txt"]
    for verb in (
        "list out",
        "undo out 1",
        "undo out",
        "check out",
        "export out --out more",
        "export out",
        "list in.txt",
    ):
        refused("edit", *verb.split())
    assert os.listdir(tmp_path) == ["in.txt"]


WRITERS = {verb: words for verb, words in SEEDED.items() if "out" in words} | {
    "edit": (*FACT, "--out", "out"),
    "edit add": ("out", *FACT),
    "compress": ("in.txt", "--out", "out"),
    "decompress": ("in.txt", "--out", "out"),
    "bits": ("in.txt", "--out", "out"),
    "neuron show": ("m0.n0", "--out", "out"),
}


@pytest.mark.parametrize("verb", WRITERS)
def test_a_place_that_another_command_is_writing_to(cli: Cli, tmp_path: Path, verb: str) -> None:
    """The second of two commands to one place; the first is another thread of this process."""

    def claim() -> None:
        with claimed(tmp_path / "out"):
            ready.wait()
            end.wait()

    ready, end = Barrier(2), Event()
    with ThreadPoolExecutor(1) as other:
        done = other.submit(claim)
        try:
            ready.wait()
            shown = cli(*verb.split(), *WRITERS[verb])
        finally:
            end.set()
        done.result()
    assert (shown.code, shown.out) == (2, "")
    (line,) = shown.err.splitlines()
    assert f"out, where one is running (process {os.getpid()}, since 20" in line
    assert os.listdir(tmp_path) == ["in.txt"]


@pytest.mark.parametrize("name", ["verification.json", "held_out.json", "task.json"])
@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[5]", "5", "null", "", '{"n": NaN}', '{"n": 1e999}', "\ufeff{}", '{"n": 1'],
    ids=lambda text: repr(text)[:12],
)
def test_a_damaged_document_is_refused_before_the_model_is_loaded(
    name: str, text: str, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path
) -> None:
    run = shutil.copytree(EXAMPLES / "a-or-an", tmp_path / "run")
    monkeypatch.setattr("wheatstone.models.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    (run / name).write_text(text)
    write_hashes(run)
    for verb in ("verify", "explain"):
        line = refused(verb, run)
        assert name in line
        assert str(run) in line
