"""`wheatstone verify`: on a run's own prompts and on others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import FRANCE_WORDS, JAPAN, Cli, RealRun, Refused, pair_words
from tolerance import Rounding

from wheatstone.runs import damaged_files

CONDITIONS = {"model", "circuit", "complement", "random", "empty"}
ITALY = "The official language of Italy is"


def promised(document: dict[str, Any]) -> None:
    """What verify prints at least."""
    assert {"faithfulness", "completeness", "hit_at_1", "hit_at_10", "n", "split", "ci95"} <= set(document)
    for measure in ("hit_at_1", "hit_at_10", "kl", "metric_value"):
        assert set(document[measure]) == CONDITIONS


@pytest.mark.real_weights
def test_its_own_prompts_give_the_same_result_again(own_run: Path, france_run: RealRun, cli: Cli) -> None:
    document = cli("verify", own_run, "--json").document
    assert document.pop("format") == "wheatstone.verify/1"
    promised(document)
    assert (document["n"], document["split"]) == (1, "the prompts it was found on")
    assert document["ci95"]["faithfulness"] is None
    assert same(document, france_run.document["verification"])
    assert json.loads((own_run / "verification.json").read_text()) == document
    assert damaged_files(own_run) == []


def same(found: Any, expected: Any) -> bool:
    """Equal, numbers as two runs of SmolLM2 in float32 give them."""
    if isinstance(found, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in found)
    if isinstance(found, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    rounded = Rounding(135_612, torch.float32)  # `rounding(smollm2).additions`
    return found == (rounded.near(expected) if isinstance(expected, float) else expected)


@pytest.mark.real_weights
def test_other_prompts_are_added_to_the_run(own_run: Path, cli: Cli, tmp_path: Path) -> None:
    given = cli("verify", own_run, *pair_words(ITALY, JAPAN, " Italian", " Japanese"), "--draws", 2, "--json").document
    assert given.pop("format") == "wheatstone.verify/1"
    promised(given)
    assert (given["n"], given["split"], given["random_draws"]) == (1, "given prompts", 2)
    assert [row["prompt"] for row in given["prompts"]] == [ITALY]

    file = tmp_path / "pairs.jsonl"
    records = [
        {
            "prompt": f"The official language of {country} is",
            "counterfactual": JAPAN,
            "answers": [answer],
            "distractors": [" Japanese"],
        }
        for country, answer in (
            ("Italy", " Italian"),
            ("Germany", " German"),
            ("Russia", " Russian"),
            ("Spain", " Spanish"),
        )
    ]
    file.write_text("\n".join(map(json.dumps, records)))
    shown = cli("verify", own_run, "--prompts", file)
    assert shown.code == 0
    assert "On given prompts (n = 4): faithfulness" in shown.out
    assert "random × 20" in shown.out
    swapped, first, second = json.loads((own_run / "held_out.json").read_text())
    assert swapped["split"] == "prompt and counterfactual swapped"
    assert first == given
    promised(second)
    low, high = second["ci95"]["faithfulness"]
    assert low <= second["faithfulness"] <= high
    assert damaged_files(own_run) == []
    assert "given prompts" in (own_run / "report.html").read_text()


@pytest.mark.real_weights
def test_a_circuit_that_names_nodes_the_model_lacks(own_run: Path, refused: Refused) -> None:
    circuit = json.loads((own_run / "circuit.json").read_text())
    circuit["edges"][0]["from"] = "a31.h2"
    (own_run / "circuit.json").write_text(json.dumps(circuit))
    assert "got 'a31.h2' in the edge a31.h2 -> " in refused("verify", own_run, "--json")


@pytest.mark.real_weights
def test_a_circuit_of_a_larger_model(own_run: Path, own_home: Path, tiny_folder: Path, refused: Refused) -> None:
    """With other weights it is refused; where the weights are not known, by the nodes they lack."""
    assert "the weights the circuit was found in, smollm2-135m" in refused("verify", own_run, "--model", tiny_folder)
    circuit = json.loads((own_run / "circuit.json").read_text())
    circuit["model"]["sha256"] = ""
    (own_run / "circuit.json").write_text(json.dumps(circuit))
    line = refused("verify", own_run, "--model", tiny_folder)
    assert "nodes and channels of a model with 2 layers, 2 heads and 1 KV groups" in line
    assert "use the model the circuit was found in" in line


@pytest.mark.real_weights
def test_requests_that_cannot_be_carried_out(own_run: Path, refused: Refused, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in own_run.rglob("*") if path.is_file()}
    assert "got no --counterfactual and no --answer" in refused("verify", own_run, "--prompt", ITALY)
    assert "a run folder with a manifest.json" in refused("verify", tmp_path / "none")
    assert "got both" in refused("verify", own_run, *FRANCE_WORDS, "--prompts", tmp_path / "pairs.jsonl")
    line = refused("verify", own_run, *pair_words("Italy", "The Republic of Korea", " Italian", " Korean"))
    assert "same token length" in line
    assert {path: path.read_bytes() for path in own_run.rglob("*") if path.is_file()} == before
    manifest = json.loads((own_run / "manifest.json").read_text())
    (own_run / "manifest.json").write_text(json.dumps(manifest | {"format": "wheatstone.run/9"}))
    assert "of format 'wheatstone.run/9'; make the run again" in refused("verify", own_run)


@pytest.mark.real_weights
def test_a_run_that_lost_a_file_is_one_line(own_run: Path, cli: Cli) -> None:
    shutil.rmtree(own_run / "figures")
    (own_run / "held_out.json").unlink()
    shown = cli("verify", own_run, *pair_words(ITALY, JAPAN, " Italian", " Japanese"), "--draws", 1, "--json")
    assert (shown.code, shown.out) == (2, "")
    (line,) = shown.err.splitlines()
    assert "held_out.json" in line
