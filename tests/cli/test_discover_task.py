"""`wheatstone discover --task`: learned on training prompts, sized on validation, judged on test prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from commands import Cli, Refused, pair_words
from tiny import WORDS, make_tiny

from wheatstone import load_model
from wheatstone.runs import damaged_files

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A random model of the words w0 … w39."""
    model = make_tiny("llama", torch.float32)
    place = tmp_path / "words"
    model.module.save_pretrained(place)
    model.tokenizer.save_pretrained(place)
    return place


@pytest.fixture
def relation(folder: Path, tmp_path: Path) -> Path:
    """Facts that the model happens to hold: its own first choice after each subject."""
    model = load_model(folder)
    firsts = [WORDS[int(model.forward(model.tokens([f"w0 {word} w3"])).logits[0].argmax())] for word in WORDS]
    facts = [{"subject": word, "answers": [first]} for word, first in zip(WORDS, firsts, strict=True)]
    path = tmp_path / "words.json"
    path.write_text(json.dumps({"name": "words", "kind": "factual", "templates": ["w0 {subject} w3"], "facts": facts}))
    return path


def test_the_held_out_numbers_come_first(folder: Path, relation: Path, cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("discover", "--model", folder, "--task", relation, "--out", out, "--no-figures")
    shown = cli(*words, "--json")
    assert shown.code == 0, shown.err
    document = shown.document
    assert document["method"] == "learned"
    test, train = document["test"], document["train"]
    keys = list(document)
    assert keys.index("test") < keys.index("train") < keys.index("curve") < keys.index("verification")
    manifest = json.loads((out / "manifest.json").read_text())
    assert train["n"] == len(manifest["prompts"])
    assert test["n"] < test["pairs"] <= 4 * test["n"]
    assert test["hit_at_10"]["model"] == 1  # what the model knows is what it was asked
    gained = (test["hit_at_10"]["circuit"] - test["hit_at_10"]["empty"]) / (1 - test["hit_at_10"]["empty"])
    assert test["gain_kept"] == pytest.approx(gained)
    curve = document["curve"]
    assert [point["share"] for point in curve] == [0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1]
    assert json.loads((out / "by_share.json").read_text()) == curve
    edges = document["evaluation"]["edges"]
    assert edges <= max(1, int(0.03 * document["evaluation"]["total_edges"]))
    assert damaged_files(out) == []
    said = " ".join(cli(*words, "--force").out.split())
    assert said.index("test prompts that they were not found on") < said.index("they were found on")
    assert said.index("On test") < said.index("On the prompts it was found on")


def test_verify_judges_as_discover_did(folder: Path, relation: Path, cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    held = cli("discover", "--model", folder, "--task", relation, "--out", out, "--no-figures", "--json").document
    first = next(row for row in held["held_out"] if row["split"] == "test")
    again = cli("verify", out, "--json").document
    assert {**again, "format": None} == {**first, "format": None}
    one = cli("verify", out, "--counterfactuals", 1, "--json").document
    assert (one["n"], one["pairs"], one["random_draws"]) == (first["n"], first["n"], 20)
    assert first["random_draws"] == 20 * first["n"] // first["pairs"]


def test_another_method_is_judged_the_same_way(folder: Path, relation: Path, cli: Cli, tmp_path: Path) -> None:
    words = ("--task", relation, "--method", "eap-ig", "--faithfulness", "0.5", "--no-figures", "--json")
    document = cli("discover", "--model", folder, "--out", tmp_path / "run", *words).document
    assert document["method"] == "eap-ig"
    assert document["test"]["n"] > 0
    assert len(document["curve"]) == 7


def test_a_pair_is_verified_and_cannot_be_learned(folder: Path, cli: Cli, refused: Refused, tmp_path: Path) -> None:
    pair = pair_words("w1 w2 w3", "w1 w9 w3", " w5", " w6")
    words = ("discover", "--model", folder, *pair, "--allow-weak", "--no-figures", "--json")
    document = cli(*words, "--out", tmp_path / "pair").document
    assert document["method"] == "verified"
    assert "test" not in document
    assert "--task" in refused(*words, "--method", "learned", "--out", tmp_path / "learned")
    assert not (tmp_path / "learned").exists()


def test_a_pair_is_proven_both_ways(folder: Path, cli: Cli, refused: Refused, tmp_path: Path) -> None:
    words = ("--model", folder, "--allow-weak", "--both-ways", "--faithfulness", "0.7", "--no-figures", "--out")
    pair = pair_words("w1 w2 w3", "w1 w9 w3", " w5", " w6")
    document = cli("discover", *pair, *words, tmp_path / "run", "--json").document
    swapped = next(row for row in document["held_out"] if "swapped" in row["split"])
    assert 0.7 <= document["verification"]["faithfulness"] <= 1.3
    assert 0.7 <= swapped["faithfulness"] <= 1.3
    assert json.loads((tmp_path / "run" / "circuit.json").read_text())["goal"] == "both-ways"
    assert document["by_size"] == []
    assert damaged_files(tmp_path / "run") == []
    said = " ".join(cli("discover", *pair, *words, tmp_path / "run", "--force").out.split())
    assert "proven both ways" in said
    assert "faithfulness lost in the worse direction" in said
    page = cli("export", tmp_path / "run", "--format", "html", "--out", tmp_path / "page.html")
    assert page.code == 0, page.err
    assert "--distractor" in refused("discover", *pair[:-2], *words, tmp_path / "none", "--metric", "kl")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--share", "0"), "--share 0"),
        (("--counterfactuals", "0"), "--counterfactuals from 1"),
        (("--method", "learned", "--ablation", "mean"), "mean ablation"),
        (("--method", "learned", "--goal", "complete"), "complete"),
        (("--method", "learned", "--both-ways"), "--both-ways"),
    ],
)
def test_options_that_cannot_be_used(
    folder: Path, relation: Path, refused: Refused, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "run"
    assert said in refused("discover", "--model", folder, "--task", relation, "--out", out, *words)


def test_other_ablations_keep_the_verified_search(folder: Path, relation: Path, cli: Cli, tmp_path: Path) -> None:
    words = ("--task", relation, "--ablation", "mean", "--allow-weak", "--no-figures", "--json")
    document = cli("discover", "--model", folder, "--out", tmp_path / "run", *words).document
    assert document["method"] == "verified"
