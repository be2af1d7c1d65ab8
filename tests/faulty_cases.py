"""The commands that write, each with a tiny model, and those that only read. A test finds any that is in neither."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tiny import WORDS, explainable_pairs, make_tiny
from tiny_gguf import write_tiny_gguf

Words = Callable[[Path], list[str]]


def words(text: str) -> Words:
    """A command; `IN` is the folder of inputs."""
    return lambda inputs: [word.replace("IN", str(inputs)) for word in shlex.split(text)]


@dataclass(frozen=True)
class Case:
    """A command to stop.

    Args:
        name: of the command, and what is special about the case.
        text: its words; `IN` is the folder of inputs.
        earlier: commands before it.
        place: run that `runs check` must find whole whenever it is there.
        results: files that are the old or the new one at any time.
        unfinished: whether the run may be work that goes on.
        again: exit codes of the same command besides 0, where what it does is done already.
    """

    name: str
    text: str
    earlier: tuple[str, ...] = ()
    place: str = ""
    results: tuple[str, ...] = ()
    unfinished: bool = False
    again: tuple[int, ...] = ()

    def words(self, inputs: Path) -> list[str]:
        return words(self.text)(inputs)

    @property
    def command(self) -> str:
        """The command's name alone."""
        first, second, *_ = self.text.split()
        grouped = first in ("runs", "neuron", "head", "edit", "models", "init") and not second.startswith("-")
        return f"{first} {second}" if grouped else first

    @property
    def before(self) -> list[Words]:
        return [words(text) for text in self.earlier]


_DISCOVER = "discover --model IN/model --task IN/pairs.jsonl --known 0 --method eap --out run"
_QUICK = f"{_DISCOVER} --no-figures"
_OTHER = "discover --model IN/model --prompts IN/prompts.jsonl --method eap --allow-weak --no-figures --out other"
_OWN = "discover --model IN/model --prompts IN/prompts.jsonl --method eap --allow-weak --out run"
_SCAN = "neuron scan IN/texts --model IN/model --window 8 --top 4 --batch 64 --layers 0-1 --out scan"
_HEADS = "head scan IN/texts --model IN/model --window 8 --top 4 --batch 64 --out heads"
_STUDY = (
    "study --relations IN/known.json --model IN/model --train 4 --validation 4 --test 6 --share 0.5 --draws 1 "
    "--method eap --allow-weak --out study"
)
_SWEEP = "sweep --task IN/pairs.jsonl --known 0 --model IN/model --allow-weak --out sweep"
_EDIT = "edit --model IN/model --prompt 'w1 w2 w3' --subject w2 --target w30 --layer 1 --out run"
_ADD = "edit add ledger --model IN/model --prompt 'w1 w2 w3' --subject w2 --target w30 --method ft-m --layer 1"
_ADD_TWO = "edit add ledger --prompt 'w4 w5' --subject w4 --target w31 --method ft-m --layer 0"
_LEDGER = ("ledger/ledger.json",)
_TRACE = "trace --model IN/model --task IN/facts.jsonl --known 0 --draws 1 --out run"
_PROBE = "neuron probe --model IN/model --concept IN/words.jsonl --layers 0 --no-figures --out run"
_SCREEN = "neuron screen --model IN/model --task IN/pairs.jsonl --known 0 --top 2 --no-figures --out run"
_IMPORT = "import graph.eap.json --model IN/model --no-figures --out imported"
_COMPRESS = "compress IN/text.txt --model IN/model --out file"
_GRAPH = (
    "graph --model IN/model --prompt 'w1 w2 w3' --counterfactual 'w1 w9 w3' --answer ' w7' --distractor ' w8' "
    "--nodes 20 --exact 2 --allow-weak --out run"
)
_EXPLAIN = "explain run --only lens"
_CARD = "card run --draws 1 --shuffles 1 --samples 4 --effects 2"
CASES = (
    Case("discover", _DISCOVER, (), place="run", again=(2,)),
    Case("discover --force", f"{_QUICK} --seed 1 --force", (_QUICK,), place="run"),
    Case("verify", "verify run --draws 1", (_OWN,), place="run"),
    Case("verify on the test split", "verify run --draws 1 --allow-weak", (_QUICK,), place="run"),
    Case("card", _CARD, (_QUICK,), place="run"),
    Case("card again", f"{_CARD} --seed 1", (_QUICK, _CARD), place="run"),
    Case("explain", _EXPLAIN, (_QUICK,), place="run"),
    Case("explain again", _EXPLAIN, (_QUICK, f"{_EXPLAIN} --only attribution"), place="run"),
    Case("graph --force", f"{_GRAPH} --force", (_GRAPH,), place="run"),
    Case("study", _STUDY, place="study", unfinished=True),
    Case("sweep", _SWEEP, place="sweep", unfinished=True),
    Case(
        "selectivity", "selectivity run other --facts 2 --out matrix", (_QUICK, _OTHER), place="matrix", unfinished=True
    ),
    Case("trace --force", f"{_TRACE} --force", (_TRACE,), place="run"),
    Case("edit --force", f"{_EDIT} --force", (_EDIT,), place="run"),
    Case("edit add", _ADD, results=_LEDGER, again=(2,)),
    Case("edit add, one more", _ADD_TWO, (_ADD,), results=_LEDGER, again=(2,)),
    Case("edit undo", "edit undo ledger 1", (_ADD, _ADD_TWO), results=_LEDGER, again=(2,)),
    Case(
        "edit export --force",
        "edit export ledger --format delta --out exported --force",
        (_ADD, "edit export ledger --out exported"),
        results=("exported/edits.json",),
    ),
    Case("neuron scan", _SCAN, place="scan", unfinished=True),
    Case("head scan", _HEADS, place="heads", unfinished=True),
    Case(
        "head show --force",
        "head show a1.h0 --scan heads --model IN/model --out page.html --force",
        (_HEADS,),
        results=("page.html",),
    ),
    Case(
        "head pages",
        "head pages --scan heads --model IN/model --out pages",
        (_HEADS,),
        results=("pages/index.html", "pages/a1.h0.html"),
    ),
    Case("neuron screen --force", f"{_SCREEN} --force", (_SCREEN,), place="run"),
    Case("neuron probe --force", f"{_PROBE} --force", (_PROBE,), place="run"),
    Case("neuron show --force", "neuron show m0.n0 --model IN/model --out page.html --force", results=("page.html",)),
    Case(
        "import --force",
        f"{_IMPORT} --force",
        (_QUICK, "export run --format eap-json --out graph.eap.json", _IMPORT),
        place="imported",
    ),
    Case("export --force", "export run --format html --out page.html --force", (_DISCOVER,), "run", ("page.html",)),
    Case("compress", _COMPRESS, results=("file",), again=(2,)),
    Case("compress --force", f"{_COMPRESS} --mixing --force", (_COMPRESS,), results=("file",)),
    Case("decompress --force", "decompress file --model IN/model --out text --force", (_COMPRESS,), results=("text",)),
    Case("bits --force", "bits IN/text.txt --model IN/model --out page.html --force", results=("page.html",)),
    Case("pull", "pull IN/tiny.gguf"),
    Case("pull --force", "pull IN/tiny.gguf --force", ("pull IN/tiny.gguf",)),
    Case("models remove", "models remove IN/tiny.gguf", ("pull IN/tiny.gguf",), again=(2,)),
    Case("init task --force", "init task --force", ("init task",), results=("task.jsonl",)),
    Case("runs export --force", "runs export run --out run.zip --force", (_QUICK,), "run", ("run.zip",)),
    Case(
        "runs import --force",
        "runs import run.tar.zst --out run --force",
        (_QUICK, "runs export run --out run.tar.zst"),
        "run",
    ),
    Case("runs add", "runs add run", (_QUICK,), "run"),
    Case("runs delete", "runs delete run", (_QUICK,), "run", again=(2,)),
    Case("runs regroup", "runs regroup run IN/supernodes.json", (_GRAPH,), "run"),
    Case("runs prune", "runs prune --older-than 0d --yes", (_QUICK,), "run"),
)
READERS = {
    "doctor": "removes what is left over, which the tests of the command look at",
    "path-patching": "prints",
    "runs list": "prints",
    "runs show": "prints",
    "runs check": "prints",
    "edit list": "prints",
    "edit check": "prints",
    "completion": "prints",
    "lens": "prints",
    "attribution": "prints",
    "models": "prints",
    "models list": "prints",
    "models check": "prints",
    "tasks": "prints",
    "tasks show": "prints",
    "runs": "prints",
    "neuron": "prints its help",
    "head": "prints its help",
    "neuron pairs": "prints",
    "neuron find": "prints",
    "init": "prints its help",
    "studio": "serves; what its jobs write is what the commands write, and its journals have tests of their own",
}
"""Commands without a case, and why."""


def make_inputs(folder: Path) -> None:
    """A tiny model, and files of every kind that the cases read."""
    model = make_tiny("llama", torch.float32)
    model.module.save_pretrained(folder / "model")
    model.tokenizer.save_pretrained(folder / "model")
    pairs = explainable_pairs(model, [(f"w{at} w2 w3", f"w{at + 10} w2 w3") for at in range(4, 10)])
    splits = ["train", "train", "validation", "test", "test", "test"]
    records: list[dict[str, Any]] = [
        {**pair.model_dump(), "subject": pair.prompt.split()[0], "split": split}
        for pair, split in zip(pairs, splits, strict=True)
    ]
    _lines(folder / "pairs.jsonl", records)
    _lines(folder / "facts.jsonl", [row | {"spans": {"subject": [0, len(row["subject"])]}} for row in records])
    names = ("prompt", "counterfactual", "answers", "distractors")
    _lines(folder / "prompts.jsonl", [{name: row[name] for name in names} for row in records])
    prompts = {word: f"w0 {word} w3" for word in WORDS}
    first = {word: int(model.forward(model.tokens([prompt])).logits[0].argmax()) for word, prompt in prompts.items()}
    facts = [{"subject": word, "answers": [WORDS[token]]} for word, token in first.items()]
    relation = {"name": "words", "kind": "factual", "templates": ["w0 {subject} w3", "{subject} w3"], "facts": facts}
    (folder / "known.json").write_text(json.dumps(relation))
    (folder / "texts").mkdir(exist_ok=True)
    for number in range(6):
        text = " ".join(f"w{(number * 7 + at * at) % 40}" for at in range(30 + number))
        (folder / "texts" / f"{number}.txt").write_text(text)
    (folder / "text.txt").write_text("w1 w2 w3 w4 w5 w1 w2 w3")
    (folder / "supernodes.json").write_text('{"supernodes": [{"name": "first", "members": ["input@0"]}]}')
    _lines(folder / "words.jsonl", [_labelled(document) for document in range(20)])
    write_tiny_gguf(folder / "tiny.gguf")


def _labelled(document: int) -> dict[str, Any]:
    """A text of words of three kinds, each labelled."""
    kinds = ["low", "middle", "high"]
    text = " ".join(random.Random(document).choices(["w4", "w9", "w14", "w19", "w24", "w29"], k=9))
    spans: list[list[object]] = []
    start = 0
    for word in text.split():
        spans.append([start, start + len(word), kinds[(int(word[1:]) - 4) // 10]])
        start += len(word) + 1
    return {"text": text, "document": f"d{document}", "spans": spans}


def _lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, records)))
