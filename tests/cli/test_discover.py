"""`wheatstone discover`: a real run, wrong requests, interruption."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
from commands import FRANCE, FRANCE_WORDS, JAPAN, MAIN, Cli, RealRun, Refused, pair_words
from tolerance import rounding

from wheatstone import Circuit
from wheatstone.checkpoints._cache import ModelFiles
from wheatstone.discovery import Discovery
from wheatstone.models import load_model
from wheatstone.runs import damaged_files


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "run"


# --- the main job


@pytest.mark.real_weights
def test_a_real_run(france_run: RealRun) -> None:
    document = france_run.document
    assert 0.9 <= document["evaluation"]["faithfulness"] <= 1.1
    assert document["evaluation"]["edges"] == len(document["edges"]) <= 15
    assert document["evaluation"]["total_edges"] == 70651
    assert document["evaluations"] <= 1000
    verification = document["verification"]
    assert verification["hit_at_1"] == {"model": 1, "circuit": 1, "complement": 0, "random": 0, "empty": 0}
    assert verification["random_draws"] >= 20
    assert document["held_out"][0]["split"] == "prompt and counterfactual swapped"
    assert Path(document["report"]).read_text().startswith("<!doctype html>")
    assert len(list((france_run.folder / "figures").iterdir())) == 8
    assert damaged_files(france_run.folder) == []
    assert f"{len(document['edges'])} of 70,651 edges" in france_run.human
    assert "Each edge is necessary" in france_run.human
    said = " ".join(france_run.human.split())
    assert said.count("does not rule out a second path") == 1
    assert "The ranking alone needs at most " in said  # sizes between those that were run may meet the goal too


@pytest.mark.real_weights
def test_two_processes_find_the_same_circuit_to_the_byte(
    france_run: RealRun, france_found: Discovery, tmp_path: Path
) -> None:
    france_found.circuit.save(tmp_path / "circuit.json")
    assert (tmp_path / "circuit.json").read_bytes() == (france_run.folder / "circuit.json").read_bytes()


def tiny_words(folder: Path) -> list[object]:
    """A random model, which ranks its answer 12th of 32 tokens."""
    return ["--model", folder, *pair_words("a a b", "b b b", " a", " c"), "--faithfulness", 0.7, "--allow-weak"]


def test_the_same_seed_writes_the_same_bytes(own_home: Path, tiny_folder: Path, cli: Cli, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    document = cli("discover", *tiny_words(tiny_folder), "--out", first, "--no-figures", "--json").document
    assert document["report"] is None
    shown = cli("discover", *tiny_words(tiny_folder), "--out", second, "--no-figures", "--seed", 0)
    assert shown.code == 0
    assert "Each edge is necessary" in shown.out
    same = ("circuit.json", "verification.json", "held_out.json", "edges.parquet", "curve.parquet", "trace.parquet")
    for name in same:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert {entry["path"] for entry in cli("runs", "list", "--json").document["runs"]} == {str(first), str(second)}


@pytest.mark.usefixtures("own_home")
def test_edges_told_apart_by_position(tiny_folder: Path, cli: Cli, out: Path) -> None:
    """Down to what is read from heads, which are the same wherever in the prompt."""
    words = (*tiny_words(tiny_folder), "--faithfulness", 1.0, "--positions", "each", "--no-figures")
    shown = cli("discover", *words, "--out", out, "--json")
    assert shown.code == 0, shown.err
    assert any(".h" in edge["from"] for edge in shown.document["edges"])
    edges = json.loads((out / "circuit.json").read_text())["edges"]
    assert {tuple(edge["positions"]) for edge in edges} <= {(0,), (1,), (2,)}
    assert not any("@" in edge["from"] for edge in edges)


def test_prompts_of_a_file(own_home: Path, tiny_folder: Path, cli: Cli, refused: Refused, tmp_path: Path) -> None:
    file, out = tmp_path / "pairs.jsonl", tmp_path / "run"
    records = [
        {"prompt": "a a b", "counterfactual": "b b b", "answers": [" a"], "distractors": [" c"]},
        {"prompt": "a c b", "counterfactual": "b b b", "answers": [" a"], "distractors": [" c"]},
    ]
    file.write_text("\n".join(map(json.dumps, records)) + "\n\n")
    words = ("--model", tiny_folder, "--faithfulness", 0.5, "--no-figures", "--allow-weak", "--out", out)
    document = cli("discover", *words, "--prompts", file, "--json").document
    assert document["verification"]["n"] == 2
    assert [(one["n"], one["pairs"]) for one in document["held_out"]] == [(1, 2)]  # one prompt, two counterfactuals
    assert [pair.prompt for pair in Circuit.load(out / "circuit.json").examples] == ["a a b", "a c b"]

    words = ("--model", tiny_folder, "--out", tmp_path / "other")
    assert "got both" in refused("discover", *words, "--prompts", file, "--prompt", "a b c")
    file.write_text('{"prompt": "a b c"}\n')
    assert "the column 'prompt': neither a counterfactual nor a subject" in refused(
        "discover", *words, "--prompts", file
    )
    file.write_text("\n")
    assert "which has no record" in refused("discover", *words, "--prompts", file)
    file.write_bytes(b"\xff\xfe")
    assert "save it as UTF-8" in refused("discover", *words, "--prompts", file)
    assert "No such file" in refused("discover", *words, "--prompts", tmp_path / "none.jsonl")
    assert not (tmp_path / "other").exists()


# --- wrong requests: exit code 2, one line, nothing written

WRONG_ON_SMOLLM2 = {
    "lengths": (
        pair_words(FRANCE, "The official language of the Netherlands is", " French", " Dutch"),
        r"same token length; got 6 tokens ['The', ' official', ' language', ' of', ' France', ' is'] and 7 tokens "
        r"['The', ' official', ' language', ' of', ' the', ' Netherlands', ' is']; reword one of them",
    ),
    "same first token": (
        pair_words(FRANCE, JAPAN, " French", " French-speaking"),
        "differ in their first token; got ' French' and ' French-speaking', which both begin with ' French'; choose "
        "another distractor, or end both prompts with ' French'",
    ),
    "no leading space": (
        pair_words(FRANCE, JAPAN, "French", " Japanese"),
        "got 'French' after ",
    ),
    "nothing to explain": (
        pair_words(FRANCE, "The spoken language of France is", " French", " Japanese"),
        "so there is nothing to explain; choose a counterfactual with another answer",
    ),
    "too long": (
        pair_words("France " * 9000, "Japan " * 9000, " French", " Japanese"),
        "prompts of at most 8192 tokens, the context of smollm2-135m; got ",
    ),
}


@pytest.mark.real_weights
@pytest.mark.parametrize("case", WRONG_ON_SMOLLM2)
def test_prompts_that_cannot_be_used(refused: Refused, out: Path, case: str) -> None:
    words, message = WRONG_ON_SMOLLM2[case]
    line = refused("discover", *words, "--out", out, "--json")
    assert message in line
    if case == "no leading space":
        assert line.endswith("write it with its leading space: ' French'")
    if case == "nothing to explain":
        assert "logit_diff 9." in line
        assert "ablated" in line
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--faithfulness", "0"), "a faithfulness above 0 and at most 1; got 0.0"),
        (("--faithfulness", "1.5"), "--faithfulness from 0 to 1; got"),
        (("--faithfulness", "nan"), "--faithfulness from 0 to 1; got"),
        (("--model", "smollm3"), "a bundled name (smollm2-135m), a Hugging Face id"),
        (("--model", "none.gguf"), "'none.gguf', which is none of these"),
        (("--dtype", "int4"), "a dtype out of float32, "),
        (("--device", "abacus"), "a device this machine has (cpu"),
        (("--revision", "main"), "a revision only with a Hugging Face id"),
    ],
)
def test_options_that_cannot_be_used(refused: Refused, out: Path, words: tuple[str, str], message: str) -> None:
    assert message in refused("discover", *FRANCE_WORDS, *words, "--out", out)
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "guess"), "a method out of"),
        (("--method", "acdc"), "a threshold for acdc"),
        (("--method", "acdc", "--threshold", "0"), "a threshold above 0"),
        (("--threshold", "0.1"), "a threshold for acdc, and for no other method"),
        (("--goal", "small"), "a goal out of sufficient, complete; got 'small'"),
        (("--granularity", "layers"), "a granularity out of channels, heads, groups; got 'layers'"),
        (("--stable", "1"), "at least 2 bootstrap samples"),
        (("--steps", "0"), "--steps from 1 to 10,000; got"),
        (("--ablation", "noise"), "an ablation out of counterfactual, mean, zero; got 'noise'"),
        (("--metric", "accuracy"), "a metric out of logit_diff, prob_diff, kl; got 'accuracy'"),
    ],
)
def test_settings_there_are_not(
    own_home: Path, tiny_folder: Path, refused: Refused, out: Path, words: tuple[str, str], message: str
) -> None:
    assert message in refused("discover", *tiny_words(tiny_folder), *words, "--out", out)
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("words", "missing"),
    [((), "no --prompt and no --counterfactual and no --answer"), (FRANCE_WORDS[:4], "no --answer")],
)
def test_missing_prompts(refused: Refused, out: Path, words: tuple[str, ...], missing: str) -> None:
    assert f"got {missing}; give all three" in refused("discover", *words, "--out", out)
    assert "texts that are not empty" in refused("discover", *FRANCE_WORDS, "--distractor", "", "--out", out)


@pytest.mark.parametrize("words", [["discover", *FRANCE_WORDS], ["discover", "--seed", "x"], ["discover", "--colour"]])
def test_words_the_parser_refuses(cli: Cli, words: list[str]) -> None:
    shown = cli(*words)
    assert (shown.code, shown.out, len(shown.err.splitlines())) == (2, "", 1)
    assert shown.err.startswith("wheatstone: ")


def test_missing_words_are_noticed_before_torch_is_loaded(tmp_path: Path) -> None:
    code = "import sys, wheatstone.cli as cli\ntry: cli.main()\nfinally: print('torch' in sys.modules)"
    words = ["discover", "--out", str(tmp_path / "run"), "--prompt", "x"]
    done = subprocess.run([MAIN[0], "-c", code, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_corrupt_cache_file_is_named_with_the_way_to_mend_it(
    own_home: Path, tiny_gguf: Path, cli: Cli, refused: Refused, out: Path
) -> None:
    pulled = cli("pull", tiny_gguf, "--json")
    weights = Path(pulled.document["folder"]) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    line = refused("discover", "--model", tiny_gguf, *pair_words("a", "b", "c", "d"), "--out", out)
    assert str(weights.name) in line
    assert f"wheatstone pull {tiny_gguf} --force" in line
    assert not out.parent.exists()


@pytest.mark.parametrize("force", [False, True])
def test_an_occupied_folder(refused: Refused, tmp_path: Path, force: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    words = ["--force"] if force else []
    line = refused("discover", *FRANCE_WORDS, "--out", tmp_path, *words)
    assert line.endswith("which holds something that is not a run; choose another --out")
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_run_is_replaced_only_by_force(
    own_home: Path, tiny_folder: Path, cli: Cli, refused: Refused, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text("{}")
    line = refused("discover", *tiny_words(tiny_folder), "--out", run)
    assert "which already holds a run; choose another --out, or replace the run with --force" in line
    assert (run / "manifest.json").read_text() == "{}"
    assert cli("discover", *tiny_words(tiny_folder), "--out", run, "--no-figures", "--force").code == 0
    assert json.loads((run / "manifest.json").read_text())["seed"] == 0


# --- midway


def test_a_failure_midway_is_one_line_and_leaves_nothing(
    own_home: Path, tiny_folder: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    shown = cli("discover", *tiny_words(tiny_folder), "--out", tmp_path / "out" / "run", "--json")
    assert (shown.code, shown.out) == (1, "")
    (line,) = shown.err.splitlines()
    error = json.loads(line)
    assert error["got"].endswith("No space left on device")
    assert error["do"].startswith("free some space or choose another --out")
    assert not (tmp_path / "out").exists()
    assert cli("runs", "list", "--json").document["runs"] == []


def interrupted_at(stage: bytes, out: Path) -> tuple[int, bytes, bytes]:
    """Exit code and both streams of a discovery that gets Ctrl-C when its progress display names a stage."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*MAIN, "discover", *FRANCE_WORDS, "--out", str(out), "--json"],
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(follower)
    seen = b""
    while stage not in seen:
        seen += os.read(leader, 4096)
    process.send_signal(signal.SIGINT)
    while chunk := read_rest(leader):
        seen += chunk
    os.close(leader)
    stdout, _ = process.communicate(timeout=60)
    return process.returncode, stdout, seen


@pytest.mark.real_weights
def test_ctrl_c_in_the_search_leaves_nothing(tmp_path: Path, smollm2_files: ModelFiles) -> None:
    code, stdout, seen = interrupted_at(b"pruning", tmp_path / "run")
    assert (code, stdout) == (130, b"")
    assert b"wheatstone: interrupted; nothing unfinished was left behind" in seen
    assert b"Traceback" not in seen
    assert os.listdir(tmp_path) == []


@pytest.mark.real_weights
def test_ctrl_c_in_a_side_result_keeps_the_circuit(
    own_home: Path, tmp_path: Path, smollm2_files: ModelFiles, cli: Cli
) -> None:
    """The size curve is the longest of them."""
    own_home.mkdir()
    (own_home / "models").symlink_to(smollm2_files.folder.parent)
    run = tmp_path / "run"
    code, stdout, seen = interrupted_at(b"size curve", run)
    assert (code, stdout) == (130, b"")
    assert b"with the circuit and its proof; not made: size curve, answer by layer" in seen
    assert b"Traceback" not in seen
    assert sorted(os.listdir(tmp_path)) == ["home", "run"]
    assert damaged_files(run) == []
    found = Circuit.load(run / "circuit.json")
    assert found.evaluation is not None
    assert found.evaluation.faithfulness >= 0.9
    assert cli("runs", "show", run).code == 0
    assert cli("export", run, "--format", "html", "--out", tmp_path / "page.html").code == 0
    assert cli("verify", run, "--draws", 1).code == 0


def read_rest(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux: the other end is closed
        return b""


def test_an_mlp_in_its_neurons(own_home: Path, tiny_folder: Path, cli: Cli, refused: Refused, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("discover", *tiny_words(tiny_folder), "--faithfulness", 0.99, "--out", out, "--no-figures")
    document = cli(*words, "--neurons-of", 1, "--json").document
    assert any(edge["from"].startswith("m1.n") for edge in document["edges"])
    model = json.loads((out / "circuit.json").read_text())["model"]
    assert model["split"] == [{"layer": 1, "into": "neurons", "parts": 24}]
    again = cli("verify", out, "--json").document
    assert again["faithfulness"] == rounding(load_model(tiny_folder)).near(document["evaluation"]["faithfulness"])
    assert "from 0 to 1; got 2" in refused(*words, "--force", "--neurons-of", 2)
    assert "a dense MLP" in refused(*words, "--force", "--neurons-of", 0, "--experts-of", 1)
