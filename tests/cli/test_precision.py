"""Every verb that takes `--dtype`, in every precision: it ends well, its numbers are finite, and nothing is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Cli, pair_words
from tiny import explainable_pairs

from wheatstone.discovery import DiscoverySettings
from wheatstone.models import load_model
from wheatstone.runs import Run, damaged_files, new_run
from wheatstone.runs._folder import read_json
from wheatstone.studies import run_discovery
from wheatstone.tasks import PromptPair

DTYPES = ("float64", "float32", "bfloat16", "float16")
pytestmark = [
    pytest.mark.usefixtures("own_home"),
    pytest.mark.filterwarnings("ignore::wheatstone.models._load.PrecisionWarning"),
]


@pytest.fixture(scope="module")
def pairs(tiny_task: tuple[Path, Path]) -> list[PromptPair]:
    """The three prompts out of twelve on which the logit difference changes most: enough for any precision."""
    model = load_model(tiny_task[0])
    texts = [(f"w{at} w2 w3 w{at + 1}", f"w{at + 12} w2 w3 w{at + 1}") for at in range(4, 16)]
    found = explainable_pairs(model, texts)

    def gap(pair: PromptPair) -> float:
        logits = model.forward(model.tokens([pair.prompt, pair.counterfactual])).logits
        answer, distractor = (model.continuation(texts[0])[0] for texts in (pair.answers, pair.distractors))
        return float((logits[:, answer] - logits[:, distractor]).abs().min())

    return sorted(found, key=gap)[-3:]


@pytest.fixture(scope="module")
def runs(
    tiny_task: tuple[Path, Path], pairs: list[PromptPair], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A discovery in a precision, made once."""
    made: dict[str, Path] = {}

    def run(dtype: str) -> Path:
        if dtype not in made:
            made[dtype] = tmp_path_factory.mktemp(dtype) / "run"
            found = run_discovery(
                load_model(tiny_task[0], dtype=dtype), pairs, DiscoverySettings(method="eap-ig", ablation="zero")
            )
            with new_run(made[dtype]) as folder:
                found.save(folder)
        return made[dtype]

    return run


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_discovery_is_the_one_of_the_same_weights_in_float64(
    runs: Callable[[str], Path], tiny_task: tuple[Path, Path], dtype: str
) -> None:
    """Logits of the whole model, read back from the run.

    A logit is a sum over the 16 entries of the stream, which is a sum of 1 + 3 · (4 heads + 1 MLP) writes. Each
    addition rounds by half an epsilon of its size, at most the largest logit's; three layers pass on what each rounded.
    """
    exact, rounded = (read_json(runs(name), "verification.json") for name in ("float64", dtype))
    largest = max(abs(value) for value in exact["metric_value"].values())
    additions = 3 * (16 + 1 + 3 * (4 + 1))
    tolerance = torch.finfo(getattr(torch, dtype)).eps * additions * largest
    if dtype == "float64":  # the file has six decimals of float32's range
        tolerance = 1e-6
    assert rounded["metric_value"]["model"] == pytest.approx(exact["metric_value"]["model"], abs=tolerance)
    manifest = read_json(runs(dtype), "manifest.json")
    assert manifest["model"]["dtype"] == dtype
    assert damaged_files(runs(dtype)) == []
    assert set(Run.open(runs(dtype)).missing) <= {"prompt and counterfactual swapped"}  # which zero ablation may refuse


@pytest.fixture(scope="module")
def relation(tiny_task: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Facts that the tiny model holds: its own first choice after each subject."""
    model, subjects = load_model(tiny_task[0]), [f"w{at}" for at in range(4, 40)]
    logits = model.forward(model.tokens([f"w0 {subject} w3" for subject in subjects])).logits
    answers = model.decode(logits.argmax(-1).tolist())
    facts = [{"subject": subject, "answers": [answer]} for subject, answer in zip(subjects, answers, strict=True)]
    file = tmp_path_factory.mktemp("relation") / "words.json"
    file.write_text(json.dumps({"name": "words", "kind": "factual", "templates": ["w0 {subject} w3"], "facts": facts}))
    return file


def words_of(
    verb: str, model: Path, pairs: list[PromptPair], run: Path, task: Path, relation: Path, out: Path
) -> list[object]:
    """A verb with what it needs, on small prompts."""
    first = pairs[0]
    pair = pair_words(first.prompt, first.counterfactual, first.answers[0], first.distractors[0])
    text = out.parent / "text.txt"
    text.write_text(" ".join(f"w{(at * at) % 40}" for at in range(20)))
    concepts = out.parent / "concepts.jsonl"
    labels = [
        {"text": f"w{at % 9} w{at % 7}", "document": str(at), "spans": [[0, 2, f"c{at % 2}"]]} for at in range(60)
    ]
    concepts.write_text("\n".join(map(json.dumps, labels)))
    known = ("--model", model)
    few = ["--train", 4, "--validation", 4, "--test", 4, "--share", 0.5, "--draws", 1, "--steps", 2]
    words: dict[str, list[object]] = {
        "discover": ["discover", *known, *pair, "--out", out, "--method", "re-ranked"],
        "discover spans": ["discover", *known, *pair, "--out", out, "--positions", "spans", "--no-figures"],
        "discover kl": ["discover", *known, *pair, "--out", out, "--metric", "kl", "--method", "eap", "--no-figures"],
        "verify": ["verify", run],
        "explain": ["explain", run],
        "path-patching": ["path-patching", *known, *pair],
        "neuron screen": ["neuron", "screen", *known, *pair, "--out", out, "--no-figures"],
        "neuron show": ["neuron", "show", "m1.n3", *known, "--run", run, "--out", out.with_suffix(".html")],
        "neuron scan": ["neuron", "scan", text, *known, "--window", 8, "--out", out],
        "head scan": ["head", "scan", text, *known, "--window", 8, "--out", out],
        "neuron probe": ["neuron", "probe", *known, "--concept", concepts, "--out", out, "--no-figures"],
        "trace": ["trace", *known, "--task", task, "--known", 0, "--draws", 1, "--out", out],
        "edit": [
            "edit",
            *known,
            "--prompt",
            "w4 w2 w3",
            "--subject",
            "w4",
            "--target",
            "w9",
            "--method",
            "ft-l",
        ],
        "edit add": [
            *("edit", "add", out, *known, "--prompt", "w4 w2 w3", "--subject", "w4", "--target", "w9"),
            *("--method", "ft-l", "--layer", 1),
        ],
        "sweep": ["sweep", *known, "--task", task, "--known", 0, "--size", 3, "--out", out],
        "study": ["study", *known, "--relations", relation, *few, "--out", out],
        "study re-ranked": ["study", *known, "--relations", relation, *few, "--out", out, "--method", "re-ranked"],
        "neuron pairs": ["neuron", "pairs", *known, "--null"],
        "neuron pairs embedding": ["neuron", "pairs", *known, "--reading", "embedding"],
        "bits": ["bits", text, *known],
        "bits --ablate": ["bits", text, *known, "--ablate", run],
        "models check": ["models", "check", model],
        "lens": ["lens", first.prompt, *known],
        "attribution": ["attribution", first.prompt, *known],
        "neuron find": ["neuron", "find", "--token", first.answers[0], *known],
        "graph": ["graph", *known, *pair, "--nodes", 20, "--allow-weak", "--out", out],
        "graph mean": [
            *("graph", *known, *pair, "--nodes", 20, "--allow-weak", "--ablation", "mean", "--out", out),
        ],
        "graph --task": [
            *("graph", *known, "--task", task, "--known", 0, "--nodes", 20, "--steps", 5),
            *("--out", out),
        ],
        "import": ["import", run / "circuit.json", "--out", out],
        "card": ["card", run, "--draws", 1, "--samples", 10, "--shuffles", 1],
    }
    return words[verb]


VERBS = (
    "discover",
    "discover spans",
    "discover kl",
    "verify",
    "explain",
    "path-patching",
    "neuron screen",
    "neuron show",
    "neuron scan",
    "head scan",
    "neuron probe",
    "trace",
    "edit",
    "edit add",
    "sweep",
    "study",
    "study re-ranked",
    "neuron pairs",
    "neuron pairs embedding",
    "bits",
    "bits --ablate",
    "models check",
    "lens",
    "attribution",
    "neuron find",
    "graph",
    "graph mean",
    "graph --task",
    "import",
    "card",
)


@pytest.mark.parametrize(
    ("verb", "dtype"),
    [(verb, dtype) for verb in VERBS for dtype in DTYPES if dtype.endswith("16") or verb in ("verify", "explain")],
)
def test_a_verb_in_a_precision(
    cli: Cli,
    runs: Callable[[str], Path],
    pairs: list[PromptPair],
    tiny_task: tuple[Path, Path],
    relation: Path,
    tmp_path: Path,
    verb: str,
    dtype: str,
) -> None:
    task = tmp_path / "task.jsonl"
    rows = [json.loads(line) for line in tiny_task[1].read_text().splitlines()]
    task.write_text("\n".join(json.dumps(row | {"spans": {"subject": [0, len(row["subject"])]}}) for row in rows))
    words = words_of(verb, tiny_task[0], pairs, runs(dtype), task, relation, tmp_path / "out")
    shown = cli(*words, "--dtype", dtype, "--json")
    assert shown.code == 0, shown.err
    document = shown.document
    json.dumps(document, allow_nan=False)
    assert unexpected(document.get("missing", {})) == {}
    assert unexpected(document.get("failed", {})) == {}


def unexpected(missing: dict[str, Any]) -> dict[str, Any]:
    """What is missing although these prompts have what it needs: anything that failed rather than was refused."""
    return {name: why for name, why in missing.items() if "Error: " in str(why) or "NaN" in str(why)}


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_text_comes_back_from_any_precision(
    cli: Cli, tiny_task: tuple[Path, Path], tmp_path: Path, dtype: str
) -> None:
    text, packed, back = tmp_path / "text.txt", tmp_path / "text.wz", tmp_path / "back.txt"
    text.write_text(" ".join(f"w{(at * at) % 40}" for at in range(20)))
    model = ("--model", tiny_task[0], "--dtype", dtype)
    assert cli("compress", text, "--out", packed, *model).code == 0
    assert cli("decompress", packed, "--out", back, *model).code == 0
    assert back.read_text() == text.read_text()
