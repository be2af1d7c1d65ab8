"""Hostile command lines: every option and argument of every verb, each with values that nobody should give."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from workspace import PAIR

NUMBERS = (
    "0", "-1", "2", "1000000000", "9223372036854775807", "9223372036854775808", "18446744073709551616",
    "-9223372036854775809", "nan", "inf", "-inf", "1e400", "1e-320", "", "abc", "0x10", "²", "٣", "9" * 5000,
)  # fmt: skip
TEXTS = (
    "", " ", "\udcff", "a" * 100_000, "\u2028", "[/red]", "--", "-1", "²", "/dev/zero", "../../etc/passwd",
    "\x1b[31m", "{subject}{subject}", "m0.n1000000000000000000000", "a0.h99999999999<q>", "0-1000000000000",
    "999999999999w", "facts/country_capital",
    "icl-1000000000/country_capital", "two-hop/a+b+c", "cpu:99999999999999999999",
    "x" * 300, "nan", "9" * 5000, "http://[", "pairs.jsonl", "relation.json", "lre.json", "run", "model",
    "all", "1,2,3", ",", "+", "²-3", "٣",
)  # fmt: skip
PLACES = (
    "/", "", ".", "..", "/dev/zero", "/dev/full", "/dev/stdin", "/proc/self/mem", "/proc/nothing/there", "pipe",
    "loop", "dangling", "model", "pairs.jsonl", "pairs.jsonl/below", "missing/parent/x", "x" * 300, "\udcff", "huge",
    "~nobody-by-this-name/x", "locked/x", "empty", "texts", "task-run", "a\x1bb", "n" * 5000,
    "/".join(["d" * 200] * 30), "run/manifest.json", "run/edges.parquet", "text.whst", "run.zip", "many.parquet",
    "deep.json", "long.jsonl", "rows.parquet", "ledger", "ledger/ledger.json",
)  # fmt: skip
"""Words for paths; `make_places` makes those that have to be there."""


@dataclass(frozen=True)
class Verb:
    """A verb and its options, as the command has them.

    Args:
        words: that name it, such as `("neuron", "scan")`.
        parameters: of typer, of the verb.
    """

    words: tuple[str, ...]
    parameters: tuple[Any, ...]


def verbs() -> list[Verb]:
    """Every verb, found by walking the command."""
    from wheatstone.cli._app import app_of

    return list(_walk(typer.main.get_command(app_of()), ()))


def _walk(command: Any, words: tuple[str, ...]) -> Iterator[Verb]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from _walk(inner, (*words, name))
    if words and (not hasattr(command, "commands") or command.invoke_without_command):
        yield Verb(words, tuple(command.params))


def bases(answers: tuple[str, ...]) -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    """Sound words after each verb, to which one hostile option or argument is added. A new verb needs a line here."""
    model, out, pair = ("--model", "model"), ("--out", "out"), (*PAIR, *answers, "--allow-weak")
    task, quick = ("--task", "pairs.jsonl", "--known", "0", "--allow-weak"), ("--method", "eap", "--no-figures")
    study = (
        "--train",
        "4",
        "--validation",
        "4",
        "--test",
        "4",
        "--steps",
        "2",
        "--no-figures",
        "--allow-weak",
        "--draws",
        "1",
    )
    return {
        ("discover",): [(*model, *pair, *quick, *out), (*model, *task, *quick, *out), (*model, *quick, *out)],
        ("verify",): [("run",), ("task-run",), ("run", *PAIR, *answers)],
        ("card",): [
            ("run", "--samples", "2", "--draws", "1", "--shuffles", "1", "--effects", "1"),
            ("task-run", "--samples", "2", "--draws", "1", "--shuffles", "1", "--effects", "1"),
        ],
        ("explain",): [("run", "--only", "lens"), ("task-run",)],
        ("graph",): [
            (*model, *pair, *out, "--nodes", "20"),
            (*model, *pair, *out, "--nodes", "20", "--verify", "--steps", "2"),
            (*model, "--task", "pairs.jsonl", "--known", "0", *out, "--nodes", "20", "--steps", "2"),
        ],
        ("lens",): [("w4 w2 w3", *model), ("w4 w2 w3", *model, *answers[:2])],
        ("attribution",): [("w4 w2 w3", *model, *answers)],
        ("path-patching",): [(*model, *pair), (*model, *task), model],
        ("study",): [(*model, *out, "--relations", "relation.json", *study)],
        ("sweep",): [(*model, *out, *task)],
        ("selectivity",): [("run", "task-run", *out, "--facts", "1", "--no-figures")],
        ("trace",): [(*model, *out, "--task", "relation.json", "--known", "0", "--allow-weak")],
        ("edit",): [
            (*model, "--prompt", "w4 w2 w3", "--subject", "w4", "--target", " w7", "--allow-weak", *out),
            (*model, "--prompt", "w4 w2 w3", "--subject", "w4", "--target", " w7", "--allow-weak", "--compare",
             "--counterfactual", "w14"),
        ],
        ("edit", "list"): [("ledger",)],
        ("edit", "add"): [
            ("ledger", "--prompt", "w5 w2 w3", "--subject", "w5", "--target", " w7", "--method", "ft-m",
             "--layer", "1"),
            ("new", *model, "--facts", "cases.json", "--method", "ft-m", "--layer", "1"),
            ("new", *model, "--edit", "edit"),
        ],
        ("edit", "undo"): [("ledger", "1")],
        ("edit", "check"): [("ledger",)],
        ("edit", "export"): [("ledger", *out), ("ledger", *out, "--format", "delta")],
        ("studio",): [("--no-browser", "--port", "0", "--json")],
        ("export",): [("run", "--format", "graphml", "--out", "out.xml"), ("run", "--format", "svg", "--out", "o.svg")],
        ("import",): [("circuit.eap.json", *model, *out, "--no-figures")],
        ("pull",): [("model",)],
        ("compress",): [("texts/a.txt", *model, *out)],
        ("decompress",): [("text.whst", *model, *out)],
        ("bits",): [("w1 w2 w3", *model), ("w1 w2 w3", *model, "--ablate", "run")],
        ("runs", "list"): [()],
        ("runs", "show"): [("run",)],
        ("runs", "add"): [("run",)],
        ("runs", "delete"): [("run",)],
        ("runs", "check"): [("run",)],
        ("runs", "export"): [("run", "--out", "out.zip")],
        ("runs", "import"): [("run.zip", *out)],
        ("runs", "regroup"): [("graph", "supernodes.json")],
        ("runs", "prune"): [("--dry-run",)],
        ("runs",): [()],
        ("models", "check"): [("model",)],
        ("models", "list"): [()],
        ("models", "remove"): [("nothing",)],
        ("models",): [()],
        ("init", "task"): [out],
        ("tasks", "show"): [("relation.json", *model, "--known", "0")],
        ("tasks",): [()],
        ("neuron", "scan"): [("texts", *model, *out, "--window", "16", "--batch", "64")],
        ("head", "scan"): [("texts", *model, *out, "--window", "16", "--batch", "64")],
        ("head", "pages"): [(*model, *out, "--scan", "heads")],
        ("head", "show"): [("a1.h0", *model, "--scan", "heads", "--out", "page.html")],
        ("neuron", "screen"): [
            (*model, *pair, *out, "--top", "2", "--no-figures"), (*model, *task, *out, "--no-figures")
        ],
        ("neuron", "show"): [
            ("m1.n3", *model, "--out", "page.html"), ("m1.n3", *model, "--scan", "scan", "--run", "run")
        ],
        ("completion",): [("bash",)],
        ("doctor",): [(), (".", "--clear")],
        ("neuron", "pairs"): [model],
        ("neuron", "find"): [("--token", "w7", *model)],
        ("neuron", "probe"): [("--concept", "concepts.jsonl", *model, *out, "--no-figures")],
    }  # fmt: skip


def hostile_lines(answers: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every verb, with every option and every argument at every hostile value of its kind."""
    sound = bases(answers)
    for verb in verbs():
        for base in sound[verb.words]:
            for parameter in verb.parameters:
                for value in values_of(parameter):
                    yield (*verb.words, *_with(base, parameter, value))


def values_of(parameter: Any) -> tuple[str, ...]:
    """Hostile values for an option or an argument, by its type."""
    kind = str(parameter.type_descriptor.annotation)
    if "bool" in kind:
        return ()
    if "int" in kind or "float" in kind:
        return NUMBERS
    return PLACES if "Path" in kind else (*TEXTS, *PLACES)


def _with(base: tuple[str, ...], parameter: Any, value: str) -> tuple[str, ...]:
    """The words with an option at a value, or with a value in place of the first argument."""
    if parameter.param_type_name == "option":
        return (*base, f"{parameter.opts[0]}={value}")
    rest = base[1:] if base and not base[0].startswith("-") else base
    return (*rest, "--", value)


def make_places(folder: Path) -> None:
    """What `PLACES` names: a pipe, links, a sparse file of 100 GB, small files that claim to be large."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "empty").mkdir()
    (folder / "locked").mkdir(mode=0o555)
    with (folder / "huge").open("wb") as file:
        file.truncate(100_000_000_000)
    (folder / "deep.json").write_text('{"a":' * 100_000)
    with (folder / "long.jsonl").open("w") as file:
        for _ in range(3):
            file.write(" " * 5_000_000 + "\n")
    column = pa.array(["w4 w2"]).dictionary_encode()
    many = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), column.dictionary)
    names = ("prompt", "counterfactual", "answers")
    schema = pa.schema([(name, many.type) for name in names])
    with pq.ParquetWriter(folder / "many.parquet", schema) as writer:
        table = pa.table([many] * 3, schema=schema)
        for _ in range(30):
            writer.write_table(table, row_group_size=1_000_000)
    pq.write_table(
        pa.table({"prompt": ["w4"], "counterfactual": ["w5"], "answers": [[["w6"]]]}), folder / "rows.parquet"
    )
