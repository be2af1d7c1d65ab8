"""A folder with one sound thing of every kind that a command reads, all of a tiny random model."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1] / "tests"
PAIR = ("--prompt", "w4 w2 w3", "--counterfactual", "w14 w2 w3")
"""Options of a prompt pair of the tiny model's words; the answers are in `answers.json`."""
RUNS = (
    "run",
    "task-run",
    "neurons",
    "scan",
    "probes",
    "trace",
    "sweep",
    "study",
    "edit",
    "imported",
    "graph",
    "selectivity",
)
"""Folders of runs."""


def make_workspace(folder: Path) -> None:
    """Writes everything into a folder. Takes some half a minute.

    model        a llama of 3 layers, with config, tokenizer and safetensors
    pairs.jsonl  prompt pairs with splits; relation.json: facts; cases.json: edits; concepts.jsonl: labelled texts;
                 texts: prose
    run …        a run of each verb that makes one (see `RUNS`), and ledger, run.zip, text.whst, circuit.eap.json
    """
    if str(_TESTS) not in sys.path:
        sys.path.append(str(_TESTS))
    import pyarrow as pa
    import pyarrow.parquet as pq
    from tiny import WORDS, write_tiny_task
    from tiny_gguf import write_tiny_gguf

    model, pairs, records = write_tiny_task(folder)
    (folder / "pairs.json").write_text(json.dumps(records))
    rows = [";".join([pair.prompt, pair.counterfactual, pair.answers[0], pair.distractors[0]]) for pair in pairs]
    (folder / "pairs.csv").write_text("\n".join(["prompt;counterfactual;answers;distractors", *rows]))
    columns = {name: [str(row[name]) for row in records] for name in ("prompt", "counterfactual", "subject", "split")}
    columns |= {name: [row[name] for row in records] for name in ("answers", "distractors")}
    pq.write_table(pa.table(columns), folder / "pairs.parquet")
    write_tiny_gguf(folder / "tiny.gguf")
    (folder / "answers.json").write_text(
        json.dumps(["--answer", pairs[0].answers[0], "--distractor", pairs[0].distractors[0]])
    )
    subjects = [f"w{at}" for at in range(4, 34)]
    logits = model.forward(model.tokens([f"{subject} w2" for subject in subjects])).logits
    answers = [WORDS[int(row.argmax())] for row in logits]  # a relation that the model knows
    facts = [{"subject": one, "answers": [f" {answer}"]} for one, answer in zip(subjects, answers, strict=True)]
    relation = {"name": "steps", "kind": "factual", "templates": ["{subject} w2", "w3 {subject} w2"], "facts": facts}
    (folder / "relation.json").write_text(json.dumps(relation))
    supernodes = {"supernodes": [{"name": "the first token", "members": ["input@0"]}]}
    (folder / "supernodes.json").write_text(json.dumps(supernodes))
    samples = [{"subject": one, "object": answer} for one, answer in zip(subjects, answers, strict=True)]
    lre = {"name": "steps", "prompt_templates": ["{} w2"], "samples": samples}
    (folder / "lre.json").write_text(json.dumps(lre))
    edits = [{"prompt": f"{one} w2 w3", "subject": one, "target_new": " w7"} for one in subjects[2:4]]
    (folder / "cases.json").write_text(json.dumps(edits))
    words = [f"w{at % 40}" for at in range(400)]
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text(" ".join(words))
    lines = [
        {"text": f"w{at % 38} w{at % 7} w5 w6", "spans": [[0, 2, "even" if at % 2 else "odd"]], "document": f"d{at}"}
        for at in range(120)
    ]
    (folder / "concepts.jsonl").write_text("\n".join(map(json.dumps, lines)))


def commands(folder: Path) -> dict[str, tuple[str, ...]]:
    """For each folder or file that a verb makes, the command that makes it, in the order to run them."""
    answers = json.loads((folder / "answers.json").read_text())
    model, quick = ("--model", "model"), ("--method", "eap", "--no-figures")
    pair = (*PAIR, *answers)
    return {
        "run": ("discover", *model, *pair, *quick, "--allow-weak", "--out", "run"),
        "task-run": ("discover", *model, "--task", "pairs.jsonl", "--known", "0", *quick, "--out", "task-run"),
        "neurons": ("neuron", "screen", *model, *pair, "--top", "5", "--no-figures", "--out", "neurons"),
        "scan": ("neuron", "scan", "texts", *model, "--window", "16", "--batch", "64", "--out", "scan"),
        "heads": ("head", "scan", "texts", *model, "--window", "16", "--batch", "64", "--out", "heads"),
        "probes": ("neuron", "probe", "--concept", "concepts.jsonl", *model, "--no-figures", "--out", "probes"),
        "trace": ("trace", "--task", "relation.json", *model, "--known", "0", "--allow-weak", "--out", "trace"),
        "sweep": ("sweep", "--task", "pairs.jsonl", *model, "--known", "0", "--allow-weak", "--out", "sweep"),
        "study": ("study", "--relations", "relation.json", *model, "--train", "4", "--validation", "4", "--test", "4",
                  "--steps", "2", "--draws", "1", "--no-figures", "--allow-weak", "--out", "study"),
        "edit": ("edit", *model, "--prompt", "w4 w2 w3", "--subject", "w4", "--target", " w7", "--allow-weak",
                 "--out", "edit"),
        "graph": ("graph", *model, *pair, "--nodes", "20", "--allow-weak", "--out", "graph"),
        "ledger": ("edit", "add", "ledger", *model, "--prompt", "w4 w2 w3", "--subject", "w4", "--target", " w7",
                   "--method", "ft-m", "--layer", "1"),
        "run.zip": ("runs", "export", "run", "--out", "run.zip"),
        "circuit.eap.json": ("export", "run", "--format", "eap-json", "--out", "circuit.eap.json"),
        "imported": ("import", "circuit.eap.json", *model, "--no-figures", "--out", "imported"),
        "selectivity": ("selectivity", "run", "task-run", "--out", "selectivity"),
        "text.whst": ("compress", "texts/a.txt", *model, "--out", "text.whst"),
    }  # fmt: skip


def copy_workspace(template: Path, folder: Path, places: Path, owner: int | None) -> None:
    """A copy for one case, which it may spoil; what `places` holds is linked to."""
    shutil.copytree(template, folder, symlinks=True, dirs_exist_ok=True)
    if owner is not None:
        for path in (folder, *folder.rglob("*")):
            os.lchown(path, owner, owner)
    for path in places.iterdir():
        (folder / path.name).symlink_to(path)
