"""Every verb that reads text, on a model whose tokenizer puts a space before a text."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from commands import Cli, Refused, pair_words
from sentencepiece import CAPITALS, SUBJECTS, relation_file, save, taught
from tolerance import rounding

from wheatstone.models import ResidualModel
from wheatstone.runs._folder import read_json
from wheatstone.studio._jobs_schema import Draft
from wheatstone.studio._tokens import draft_tokens

FRANCE, JAPAN = "The capital of France is", "The capital of Japan is"
WORDS = pair_words(FRANCE, JAPAN, " Paris", " Tokyo")
TOKENS = ["<s>", " The", " capital", " of", " France", " is"]


@pytest.fixture(scope="module", params=["first", "legacy"])
def model(request: pytest.FixtureRequest) -> ResidualModel:
    return taught(request.param)


@pytest.fixture(scope="module")
def folder(model: ResidualModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(model, tmp_path_factory.mktemp("pieces") / "model")


@pytest.fixture(scope="module")
def capitals(folder: Path) -> Path:
    return relation_file(folder.parent / "capitals.json")


@pytest.fixture
def done(cli: Cli, folder: Path, own_home: Path) -> Any:
    """Runs a verb on the model; it must succeed. Gives its document."""

    def run(*words: object) -> Any:
        shown = cli(*words, "--model", folder, "--json")
        assert shown.code == 0, shown.err
        return shown.document

    return run


def test_discover_and_what_is_made_of_its_run(done: Any, cli: Cli, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done("discover", *WORDS, "--out", run, "--faithfulness", 0.5)
    (prompt,) = read_json(run, "manifest.json")["prompts"]
    assert prompt["tokens"] == TOKENS
    assert prompt["counterfactual_tokens"] == [*TOKENS[:4], " Japan", " is"]
    assert read_json(run, "manifest.json")["notes"] == []
    for words in (
        ("verify", run, "--draws", 2),
        ("explain", run, "--only", "lens", "--only", "attribution", "--only", "attention"),
        ("export", run, "--format", "svg", "--out", tmp_path / "circuit.svg"),
        ("export", run, "--format", "graphml", "--out", tmp_path / "circuit.graphml"),
        ("verify", run, *pair_words("The capital of Spain is", JAPAN, " Madrid", " Tokyo"), "--draws", 2),
    ):
        shown = cli(*words, "--json")
        assert shown.code == 0, shown.err
    worth = done("bits", f"{FRANCE} Paris", "--ablate", run)
    assert [row["token"] for row in worth["tokens"]] == [*TOKENS[1:], " Paris"]


def test_path_patching(done: Any) -> None:
    assert done("path-patching", *WORDS, "--sender", "m0", "--receiver", "m1")


def test_a_prompt_is_read_without_a_circuit(done: Any, refused: Refused, folder: Path, tmp_path: Path) -> None:
    assert done("lens", FRANCE, "--answer", " Paris")["answer"] == " Paris"
    assert done("lens", FRANCE)["layers"][-1]["rank"] == 1
    found = done("attribution", FRANCE, "--answer", " Paris", "--distractor", " Tokyo")
    assert (found["answer"], found["distractor"]) == (" Paris", " Tokyo")
    assert done("neuron", "find", "--token", " Paris")["neurons"]
    for verb in ("lens", "attribution"):
        line = refused(verb, FRANCE, "--answer", "Paris", "--model", folder)
        assert line.endswith("write it with its leading space: ' Paris'")
    drawn = tmp_path / "graph"
    done("graph", *WORDS, "--nodes", 20, "--out", drawn)
    assert read_json(drawn, "graph.json")["tokens"] == TOKENS


def test_tasks_of_a_file(done: Any, capitals: Path) -> None:
    document = done("tasks", "show", capitals, "--known", 1, "--examples", 3)
    assert document["answered"]["pairs"] == document["answered"]["known"] == len(SUBJECTS)
    assert document["skipped"] == []
    (pair, *_) = document["examples"]["train"]
    assert pair["answers"][0].strip() in CAPITALS
    assert pair["answers"][0].startswith(" ")


def test_discover_a_task(done: Any, capitals: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done("discover", "--task", capitals, "--size", 12, "--out", run, "--faithfulness", 0.5, "--no-figures")
    assert read_json(run, "manifest.json")["prompts"][0]["tokens"][:2] == TOKENS[:2]


def test_study(done: Any, capitals: Path, tmp_path: Path) -> None:
    few = ("--train", 4, "--validation", 4, "--test", 4, "--method", "eap-ig", "--draws", 1, "--share", 1.0)
    (row,) = done("study", "--relations", capitals, *few, "--out", tmp_path / "study", "--no-figures")["relations"]
    assert row["test"]["hit_at_10"]["model"] == 1


def test_sweep(done: Any, capitals: Path, tmp_path: Path) -> None:
    document = done("sweep", "--task", capitals, "--size", 4, "--faithfulness", 0.5, "--out", tmp_path / "sweep")
    assert document["failed"] == {}
    assert document["pairs"] >= 4


def test_neurons(done: Any, tmp_path: Path) -> None:
    run, page = tmp_path / "screen", tmp_path / "page.html"
    done("neuron", "screen", *WORDS, "--top", 4, "--out", run)
    shown = done("neuron", "show", "m1.n3", "--run", run, "--token", " Paris", "--out", page)
    assert shown["token"]["text"] == " Paris"
    assert "·Paris" in page.read_text(encoding="utf-8")
    pairs = done("neuron", "pairs", "--top", 3)["pairs"]
    assert len(pairs) == 3


def test_a_scan_reads_documents_as_prompts_are_read(done: Any, model: ResidualModel, tmp_path: Path) -> None:
    text = tmp_path / "texts.txt"
    text.write_text(f"{FRANCE} Paris", encoding="utf-8")
    scan, page = tmp_path / "scan", tmp_path / "page.html"
    done("neuron", "scan", text, "--window", 16, "--out", scan)
    facts = done("neuron", "show", "m1.n3", "--scan", scan, "--out", page)
    assert facts["corpus"]["examples"][0]["tokens"] == [*TOKENS, " Paris"]


def test_probes(done: Any, tmp_path: Path) -> None:
    lines: list[dict[str, object]] = []
    for number, (subject, capital) in enumerate(zip(SUBJECTS, CAPITALS, strict=True)):
        text = f"The capital of {subject} is {capital}"
        start = len("The capital of ")
        spans = [[start, start + len(subject), "land"], [len(text) - len(capital), len(text), "town"]]
        lines.append({"text": text, "document": f"d{number}", "spans": spans})
    file, run = tmp_path / "lands.jsonl", tmp_path / "probes"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    document = done("neuron", "probe", "--concept", file, "--out", run, "--no-figures")
    assert [one["concept"] for one in document["concepts"]] == ["land"]  # of two labels, one against the other
    assert (document["skipped"], document["refused"]) == ({}, {})


def test_edit(done: Any, tmp_path: Path) -> None:
    words = ("--prompt", FRANCE, "--subject", "France", "--target", "Tokyo", "--method", "r-rome", "--layer", 0)
    document = done("edit", *words, "--also", JAPAN, "--trace", "--out", tmp_path / "edit")
    (own, other) = document["answers"]
    assert own["before"] == " Paris"
    assert own["target_after"] > 1.5 * own["target_before"]
    assert own["said_before"].startswith(" Paris")
    assert other["before"] == " Tokyo"


def test_trace(done: Any, capitals: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    run = tmp_path / "trace"
    done("trace", "--task", capitals, "--size", 4, "--draws", 1, "--out", run)
    rows = pq.read_table(run / "prompts.parquet").to_pylist()
    assert {row["answer"].strip() for row in rows} <= set(CAPITALS)
    assert all(row["answer"].startswith(" ") for row in rows)


def test_compression(done: Any, tmp_path: Path) -> None:
    text = f"{FRANCE} Paris. {JAPAN} Tokyo."
    source, code, back = (tmp_path / name for name in ("text", "code", "back"))
    source.write_text(text, encoding="utf-8")
    done("compress", source, "--out", code)
    done("decompress", code, "--out", back)
    assert back.read_text(encoding="utf-8") == text
    found = done("bits", source)
    assert (found["start_token"], found["start_token_id"], found["bytes_escaped"]) == ("<s>", 1, 0)
    assert {"bits", "tokens", "bytes"} <= set(found)
    assert found["bytes"] == len(text)


def test_the_model_is_checked(done: Any, cli: Cli, folder: Path) -> None:
    shown = cli("models", "check", folder, "--json")
    assert shown.code == 0, shown.err


def test_the_form_shows_the_tokens_that_the_run_has(folder: Path) -> None:
    pair = {"prompt": FRANCE, "counterfactual": JAPAN, "answer": " Paris", "distractor": " Tokyo"}
    seen = draft_tokens(Draft.model_validate({"model": str(folder), **pair}))
    assert seen.problems == ()
    assert list(seen.prompt) == TOKENS
    assert (seen.answer, seen.distractor) == ((" Paris",), (" Tokyo",))
    glued = draft_tokens(Draft.model_validate({"model": str(folder), **pair, "answer": "Paris"}))
    assert [(one.field, one.do) for one in glued.problems] == [("answer", "write it with its leading space: ' Paris'")]


def test_a_prompt_that_ends_in_a_space_is_refused_in_one_line(
    refused: Refused, folder: Path, own_home: Path, tmp_path: Path
) -> None:
    words = pair_words(f"{FRANCE} ", f"{JAPAN} ", "Paris", "Tokyo")
    line = refused("discover", "--model", folder, *words, "--out", tmp_path / "run")
    assert line.endswith("end the prompt after 'capital of France is' and write the answer as ' Paris'")
    words = ("--prompt", f"{FRANCE} ", "--subject", "France", "--target", "Tokyo")
    line = refused("edit", "--model", folder, *words)
    assert line.endswith("end the prompt after 'capital of France is' and write the answer as ' Tokyo'")


def test_numbers_that_begin_with_the_same_space_can_be_asked_after_it(
    refused: Refused, done: Any, folder: Path, tmp_path: Path
) -> None:
    words = pair_words(FRANCE, JAPAN, " 13", " 23")  # the space before a number is a token of its own
    line = refused("discover", "--model", folder, *words, "--out", tmp_path / "run")
    assert line.endswith("both begin with ' '; choose another distractor, or end both prompts with ' '")
    words = pair_words(f"{FRANCE} ", f"{JAPAN} ", "13", "23")
    done("discover", *words, "--allow-weak", "--dry-run", "--out", tmp_path / "run")


def test_a_start_token_typed_by_hand_is_noted(done: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = pair_words(f"<s>{FRANCE}", f"<s>{JAPAN}", " Paris", " Tokyo")
    done("discover", *words, "--out", run, "--faithfulness", 0.5, "--no-figures")
    assert read_json(run, "manifest.json")["prompts"][0]["tokens"].count("<s>") == 1
    (note,) = read_json(run, "manifest.json")["notes"]
    assert "begins with '<s>' itself" in note


def test_bits_of_a_text_are_what_the_lanes_code(model: ResidualModel) -> None:
    from wheatstone.compression import Chunking, bits, compress

    text = " ".join(f"The capital of {s} is {c}" for s, c in zip(SUBJECTS, CAPITALS, strict=True))
    chunking, source = Chunking(32, 8, 1, 4096, 4096), io.BytesIO(text.encode())
    done = compress(model, source, io.BytesIO(), mixing=False, general=False, exact=True, chunking=chunking)
    found = bits(model, text, window=32, overlap=8)
    assert found.escaped == 0
    assert len(found.tokens) > 4 * 32
    assert done.ideal_bits == rounding(model).near(found.total)
