"""Numbers and files from outside are compared with a bound before anything of that size is made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import hostile_requests
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import attempt, command
from hostile_words import Verb, bases, verbs
from hypothesis import given, settings
from hypothesis import strategies as st

from wheatstone import ModelError, PromptError, RequestError, RunError
from wheatstone._bounds import SEED, Bounds
from wheatstone._json import MOST_VALUES, load_json, parse_json, read_bounded
from wheatstone._parquet import read_parquet
from wheatstone._path import below
from wheatstone.cli import main
from wheatstone.discovery import DiscoverySettings
from wheatstone.models import load_model
from wheatstone.neurons import read_concepts
from wheatstone.records import _rows as rows
from wheatstone.runs import damaged_files
from wheatstone.runs._folder import read_manifest
from wheatstone.studio._library import EXAMPLES
from wheatstone.tasks import load_task, read_pairs
from wheatstone.tasks._relation import read_relation
from wheatstone.texts import Skipped, read_documents

FUZZ = Path(__file__).parents[1] / "fuzz"
READERS: dict[str, Callable[[Path], object]] = {
    "pairs": read_pairs,
    "relation": read_relation,
    "concepts": read_concepts,
    "documents": lambda path: list(read_documents([path])),
    "manifest": lambda path: read_manifest(path.parent),
}


def is_number(parameter: Any) -> bool:
    annotation = parameter.type_descriptor.annotation
    return annotation in (int, float) or getattr(annotation, "__args__", ()) in ((int,), (float,))


NUMBERS = [(verb, one) for verb in verbs() for one in verb.parameters if is_number(one)]


def test_every_verb_is_known_to_the_generator_of_hostile_commands() -> None:
    assert {verb.words for verb in verbs()} == bases(()).keys()


@pytest.mark.parametrize(("verb", "option"), NUMBERS, ids=lambda one: "-".join(getattr(one, "words", ())) or one.name)
def test_a_number_beyond_an_option_s_range_is_refused_before_anything_is_loaded(
    verb: Verb, option: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = option.type_descriptor.parameter_info
    assert None not in (info.min, info.max), f"{verb.words} {option.opts}: give it bounds"
    monkeypatch.setattr("wheatstone.models.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    base = [word for word in bases(("--answer", "a"))[verb.words][0] if word != "--json"]
    for value in (info.min - 1, info.max + 1, 10**9 + 10**12, 2**63, 2**64, -(2**64), "nan", "inf", "-inf"):
        code, err = said(*verb.words, *base, f"{option.opts[0]}={value}")
        assert (code, err[: len("wheatstone: expected ")]) == (2, "wheatstone: expected "), err
        assert f"{option.opts[0]} from {Bounds(info.min, info.max)};" in err


def said(*words: str) -> tuple[int, str]:
    """Exit code and stderr of a command."""
    err, before = StringIO(), sys.argv
    sys.argv = ["wheatstone", *words]
    try:
        with redirect_stderr(err), pytest.raises(SystemExit) as stopped:
            main()
    finally:
        sys.argv = before
    return int(stopped.value.code or 0), err.getvalue()


@pytest.mark.parametrize("value", [float("nan"), -1, 2**32, 2**64, float("inf")])
def test_a_number_outside_its_bounds_is_refused(value: float) -> None:
    with pytest.raises(RequestError, match=r"a seed from 0 to 4,294,967,295"):
        SEED.check("a seed", value)
    if isinstance(value, int):
        with pytest.raises(RequestError, match="a seed"):
            DiscoverySettings(seed=value).check()


def test_bounds_hold_for_their_ends_and_for_none() -> None:
    for value in (0, 2**32 - 1, None):
        SEED.check("a seed", value)
    assert [Bounds(1, 3).holds(value) for value in (0, 1, 3, 4, 2.0, True, "2", None)] == [
        False,
        True,
        True,
        *[False] * 5,
    ]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["zero", "pipe", "folder", "huge", "loop", "missing", "spaces"])
def test_what_never_ends_is_refused_at_once(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    if kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(100_000_000_000)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "spaces":
        path.write_bytes(b" " * 3_000_000)
    tracemalloc.start()
    error = attempt(lambda: READERS[name](path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error is not None or name == "documents"  # which counts what it leaves out
    assert peak < 100e6, f"{peak / 1e6:.0f} MB"


def many_rows(path: Path) -> None:
    indices = pa.array([0] * 100_000, pa.int32())
    column = pa.DictionaryArray.from_arrays(indices, pa.array(["a b"]))
    table = pa.table(dict.fromkeys(("prompt", "counterfactual", "answers"), column))
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(300):
            writer.write_table(table)


def long_lists(path: Path) -> None:
    pq.write_table(pa.table({"prompt": ["a"], "counterfactual": ["b"], "answers": [[None] * 3_000_000]}), path)


def long_texts(path: Path) -> None:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), pa.array(["a" * 1_000_000]))
    pq.write_table(pa.table({"prompt": text, "counterfactual": text, "answers": text}), path)


def packed(path: Path) -> None:
    table = pa.table({"prompt": ["a" * 100_000_000], "counterfactual": ["b"], "answers": ["c"]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)


@pytest.mark.parametrize("make", [many_rows, long_lists, long_texts, packed])
def test_a_small_parquet_file_that_claims_much_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    make(path)
    assert path.stat().st_size < 3_000_000
    before = pa.total_allocated_bytes()
    with pytest.raises(PromptError, match=r"more than|rows"):
        read_pairs(path)
    with pytest.raises(ValueError, match="more than"):
        read_parquet(path)
    assert pa.total_allocated_bytes() - before < 10e6


def test_a_table_of_texts_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b", "a", None], "number": [1, 2, 3, 4], "list": [["x"], [], None, ["y", "z"]]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_parquet(tmp_path / "a.parquet").to_pylist() == table.to_pylist()
    found = read_parquet(tmp_path / "a.parquet", columns=["text"], filters=[("text", "=", "a")])
    assert found.schema.field("text").type == pa.string()
    assert found.to_pydict() == {"text": ["a", "a"]}


def test_too_many_lines_are_counted_before_one_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_READ", 3)
    line = json.dumps({"prompt": "a", "counterfactual": "b", "answers": ["c"]})
    (tmp_path / "three.jsonl").write_text("\n".join([line] * 3))
    (tmp_path / "five.jsonl").write_text("\n".join([line] * 5))
    assert len(read_pairs(tmp_path / "three.jsonl")) == 3
    with pytest.raises(PromptError, match=r"at most 3 records .* got .*five\.jsonl .* 4 lines"):
        read_pairs(tmp_path / "five.jsonl")


def test_a_document_of_too_many_values_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"more than {MOST_VALUES:,} values"):
        parse_json("[" + "[]," * MOST_VALUES + "[]]")
    assert parse_json(json.dumps([","] * 10)) == [","] * 10
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    with pytest.raises(ValueError, match="more than 2 values"):
        load_json(tmp_path / "a.json", most=2)


def test_a_folder_of_too_many_files_and_a_text_that_is_too_large_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name * 10)
    monkeypatch.setattr("wheatstone.texts._reading.LARGEST", 5)
    skipped = Skipped()
    assert list(read_documents([tmp_path], skipped)) == []
    assert sum(skipped.counts.values()) == 3
    monkeypatch.setattr("wheatstone.texts._reading.MOST_FILES", 2)
    with pytest.raises(RequestError, match="at most 2 files"):
        list(read_documents([tmp_path]))


def test_a_file_that_claims_no_size_is_not_read(tmp_path: Path) -> None:
    """Files of /proc claim none, and reading /proc/kmsg waits for ever."""
    (tmp_path / "none").write_text("")
    assert read_bounded(tmp_path / "none") == b""
    assert read_bounded(Path("/proc/self/status")) == b""


def test_everything_below_a_folder_is_listed_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert sorted(entry.name for entry in below(tmp_path, 4)) == ["a", "b", "c", "loop"]
    with pytest.raises(ValueError, match="more than 3 files and folders"):
        list(below(tmp_path, 3))
    assert list(below(tmp_path / "a" / "b" / "c", 1)) == []


def many_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "texts._reading.MOST_FILES", "runs._archive._MOST_FILES", "_disk._left_over._MOST", "cli._studio.MOST_RUNS",
    ):  # fmt: skip
        monkeypatch.setattr(f"wheatstone.{name}", 40)
    for number in range(50):
        (folder / str(number)).mkdir()


@pytest.mark.parametrize(
    "words",
    [
        ("neuron", "scan", "@", "--out", "new"),
        ("neuron", "scan", "@", "--dry-run"),
        ("runs", "export", "@", "--out", "new.zip"),
        ("doctor", "@"),
        ("studio", "--no-browser", "--runs", "@"),
    ],
    ids=" ".join,
)
def test_a_folder_that_holds_too_much_is_refused_before_anything_is_loaded(
    words: tuple[str, ...], tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wheatstone.models.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    monkeypatch.setattr("wheatstone.studio.serve", lambda *_, **__: pytest.fail("it was served"))
    folder = shutil.copytree(EXAMPLES / "a-fact", tmp_path / "run")
    many_files(folder, monkeypatch)
    code, err = said(*(str(folder) if word == "@" else word for word in words))
    assert (code, len(err.splitlines())) == (2, 1), err
    assert str(folder) in err
    assert "more" in err


def test_a_scan_does_not_read_the_folder_that_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wheatstone.models.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    for source in ("..", ".", str(tmp_path), "/"):
        code, err = said("neuron", "scan", source, "--out", "scan")
        assert (code, len(err.splitlines())) == (2, 1), err
        assert "an --out outside the folders of texts" in err


def test_only_the_files_that_a_run_notes_are_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wheatstone.runs import _folder

    run = shutil.copytree(EXAMPLES / "a-fact", tmp_path / "run")
    noted = json.loads((run / "files.json").read_text())
    (run / "other").write_text("not of the run")
    (tmp_path / "outside").write_text("")
    hashed: list[Path] = []
    monkeypatch.setattr(_folder, "_hash", lambda path: hashed.append(path) or noted[path.relative_to(run).as_posix()])
    names = ("../outside", str(tmp_path / "outside"), "", "a\0b", "x" * 300)
    (run / "files.json").write_text(json.dumps(noted | dict.fromkeys(names, "0" * 64)))
    assert damaged_files(run) == sorted(names)
    assert {path.relative_to(run).as_posix() for path in hashed} == noted.keys()


SIZES = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size", "num_attention_heads", "head_dim")
ODD: tuple[Any, ...] = (10**9, 2**62, 0, -1, None, "x", [3], 1.5)


@pytest.mark.parametrize("value", ODD, ids=str)
@pytest.mark.parametrize("name", SIZES)
def test_a_config_that_claims_another_size_than_the_weights_is_refused(
    name: str, value: object, tiny_folder: Path, own_home: Path
) -> None:
    config = json.loads((tiny_folder / "config.json").read_text())
    (tiny_folder / "config.json").write_text(json.dumps(config | {name: value}))
    error = attempt(lambda: load_model(tiny_folder))
    assert isinstance(error, ModelError) or (value is None and error is None), error


@pytest.mark.parametrize(
    "changed", [{"hidden_size": 40_000, "vocab_size": 40_000}, {"intermediate_size": 10**7}], ids=str
)
def test_a_config_of_a_much_larger_model_is_refused_before_that_is_allocated(
    changed: dict[str, int], tiny_folder: Path, own_home: Path
) -> None:
    config = json.loads((tiny_folder / "config.json").read_text())
    (tiny_folder / "config.json").write_text(json.dumps(config | changed))
    with pytest.raises(ModelError, match=r"a config that goes with the [\d,]+ numbers of the weights"):
        load_model(tiny_folder)


@pytest.mark.parametrize("value", [10**9, 0, -1, True, "9", 1.5, None])
@pytest.mark.parametrize("name", ["layers", "heads", "kv_groups", "d_model"])
def test_a_manifest_s_sizes_are_those_of_a_model(name: str, value: object, tmp_path: Path) -> None:
    manifest = json.loads((EXAMPLES / "a-fact" / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert read_manifest(tmp_path)["model"]["layers"] == 30
    manifest["model"][name] = value
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=rf"model\.{name}"):
        read_manifest(tmp_path)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS: dict[str, dict[str, Any]] = {
    "pairs": {"prompt": "a b", "counterfactual": "b b", "answers": [" c"], "distractors": ["d"], "spans": {"x": [0, 1]},
              "subject": "a", "split": "train"},
    "relation": {"name": "r", "kind": "factual", "templates": ["{subject} is"], "sources": [{"name": "s"}],
                 "facts": [{"subject": "a", "answers": ["b"]}], "reverse_templates": ["{object} of"],
                 "phrase": "the {subject}", "licence": "l"},
    "lre": {"name": "r", "prompt_templates": ["{} is"], "samples": [{"subject": "a", "object": "b"}],
            "properties": {"relation_type": "factual"}, "prompt_templates_zs": []},
    "concepts": {"text": "a b", "spans": [[0, 1, "x"], [2, 3, "y"]], "document": "d"},
}  # fmt: skip


@pytest.mark.parametrize("form", ["json", "jsonl", "columns"])
@pytest.mark.parametrize("kind", FIELDS)
@given(data=st.data())
@settings(max_examples=25)
def test_a_field_of_any_type_is_read_or_refused_in_a_line(
    kind: str, form: str, data: st.DataObject, tmp_path: Path
) -> None:
    record = dict(FIELDS[kind])
    record[data.draw(st.sampled_from([*record, "extra", ""]))] = data.draw(ANY)
    written = [record, FIELDS[kind]] if kind in ("pairs", "concepts") else record
    if form == "columns" and isinstance(written, list):
        written = {name: [row.get(name) for row in written] for name in record}
    text = "\n".join(map(json.dumps, written)) if form == "jsonl" and isinstance(written, list) else json.dumps(written)
    (tmp_path / "a.json").write_text(text)
    error = attempt(lambda: READERS["relation" if kind == "lre" else kind](tmp_path / "a.json"))
    assert error is None or str(error).encode()


@pytest.mark.parametrize("field", ["prompt", "counterfactual", "answers", "distractors", "spans", "subject", "split"])
@pytest.mark.parametrize(
    "value", [5, True, None, [[["a"]]], "", float("nan"), {"": {}}, ["a", "a"], [5, None]], ids=str
)
def test_a_task_of_any_fields_is_loaded_or_refused(
    field: str, value: object, tiny_task: tuple[Path, Path], tmp_path: Path
) -> None:
    model = load_model(tiny_task[0])
    lines = [json.loads(line) for line in tiny_task[1].read_text().splitlines()]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(line | {field: value}) for line in lines))
    attempt(lambda: load_task(tmp_path / "a.jsonl", model, known=None))


def test_hostile_requests_are_answered(tmp_path: Path, own_home: Path) -> None:
    import asyncio

    apps, run = hostile_requests.made(tmp_path)
    counts, finds = asyncio.run(hostile_requests.tried(apps, run, 250, seed=0))
    assert not finds, counts
    assert len(counts) > 5


def test_a_sample_of_hostile_commands_gives_no_traceback_and_no_hang() -> None:
    asked = [sys.executable, str(FUZZ / "hostile_commands.py"), "--cases", "100", "--seed", "21"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert command("runs", "show", "~nobody-by-this-name/x") == 2
