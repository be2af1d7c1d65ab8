"""Prompts that the model itself does not answer: refused before the work by every verb, or said in the headline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from commands import FRANCE, JAPAN, Cli, RealRun, Refused, pair_words

from wheatstone import Experiment
from wheatstone.checkpoints._cache import ModelFiles
from wheatstone.models import load_model
from wheatstone.runs._folder import read_json, read_manifest
from wheatstone.tasks import load_task

pytestmark = pytest.mark.usefixtures("own_home")
RULE = "expected prompts that the model itself answers"
MEANING = "explains a preference between two tokens, not an answer"
Pairs = list[dict[str, Any]]


@pytest.fixture
def model(tiny_task: tuple[Path, Path]) -> Path:
    return tiny_task[0]


@pytest.fixture
def pairs(tiny_task: tuple[Path, Path]) -> Pairs:
    """Six pairs that the model answers."""
    names = ("prompt", "counterfactual", "answers", "distractors")
    return [{name: json.loads(line)[name] for name in names} for line in tiny_task[1].read_text().splitlines()]


def exchanged(pair: dict[str, Any]) -> dict[str, Any]:
    """With the distractor, which the model finds less likely, as its answer."""
    return {**pair, "answers": pair["distractors"], "distractors": pair["answers"]}


def words(pair: dict[str, Any]) -> list[str]:
    return pair_words(pair["prompt"], pair["counterfactual"], pair["answers"][0], pair["distractors"][0])


def written(folder: Path, rows: Pairs) -> Path:
    file = folder / "prompts.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def unwrapped(text: str) -> str:
    """Without the terminal's line breaks."""
    return " ".join(text.split())


QUICK = ("--method", "eap", "--faithfulness", 0.5)


def test_verbs_that_take_prompts_refuse_a_weak_answer_before_the_work(
    model: Path, pairs: Pairs, refused: Refused, cli: Cli, tmp_path: Path
) -> None:
    weak, out = words(exchanged(pairs[0])), tmp_path / "new" / "run"
    for verb in (("discover", "--out", out), ("neuron", "screen", "--out", out), ("path-patching",)):
        line = refused(*verb, "--model", model, *weak)
        assert RULE in line
        assert "the model itself prefers the distractor" in line
        assert "while its first choice is" in line
        assert line.endswith("allow weak answers (--allow-weak)")
    assert not out.parent.exists()
    made = tmp_path / "run"
    assert cli("discover", "--model", model, *words(pairs[0]), *QUICK, "--no-figures", "--out", made).code == 0
    assert RULE in refused("verify", made, *weak)
    assert cli("verify", made, *weak, "--allow-weak", "--draws", 1).out.startswith("warning: The model itself prefers")


def test_the_headlines_of_a_run_that_was_allowed_say_so(model: Path, pairs: Pairs, cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    asked = ("discover", "--model", model, *words(exchanged(pairs[0])), *QUICK, "--allow-weak", "--out", out)
    shown = cli(*asked, "--json")
    assert shown.code == 0, shown.err
    answers = shown.document["model_answers"]
    assert (answers["n"], answers["weak"], answers["needs_allow_weak"]) == (1, 1, True)
    assert MEANING in answers["warnings"][0]
    assert "ablated" in answers["warnings"][1]  # the answer comes back as everything is ablated
    (row,) = answers["prompts"]
    logits = load_model(str(model)).forward(load_model(str(model)).tokens([row["prompt"]])).logits[0]
    token = int(row["answer"]["text"].strip()[1:])
    assert (row["answer"]["id"], row["answer"]["rank"]) == (token, 1 + int((logits > logits[token]).sum()))
    assert shown.err.split("\n")[0].startswith("warning: The model itself prefers")
    manifest = read_manifest(out)
    assert manifest["model_answers"] == answers
    assert manifest["settings"]["allow_weak"] is True
    page = (out / "report.html").read_text()
    assert page.index('class="warning"') < page.index("What was found")
    assert [entry["task"] for entry in cli("runs", "--json").document["runs"]] == [f"{row['prompt']} (weak answer)"]
    # What reads the run goes on, and says it too.
    assert cli("verify", out, "--draws", 1).out.startswith("warning: The model itself prefers")
    assert "preference between two tokens" in unwrapped(cli("explain", out, "--only", "lens").out)
    assert '<p class="warning"' in (out / "explain.html").read_text()
    facts = cli("neuron", "show", "m1.n0", "--model", model, "--run", out, "--out", tmp_path / "n.html", "--json")
    assert facts.document["prompts"]["model_answers"]["weak"] == 1
    assert '<p class="warning"' in (tmp_path / "n.html").read_text()


def test_a_run_that_the_model_answers_says_its_rank_and_bears_no_warning(
    model: Path, pairs: Pairs, cli: Cli, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shown = cli("discover", "--model", model, *words(pairs[0]), *QUICK, "--out", out)
    assert shown.out.startswith(f'The model itself ranks "{pairs[0]["answers"][0]}" ')
    page = (out / "report.html").read_text()
    assert '<p class="warning"' not in page
    assert "The model itself ranks" in page
    assert "(weak answer)" not in cli("runs").out


def test_of_several_prompts_most_must_be_weak(
    model: Path, pairs: Pairs, cli: Cli, refused: Refused, tmp_path: Path
) -> None:
    file = written(tmp_path, [*pairs[:3], exchanged(pairs[3])])
    out = tmp_path / "run"
    asked = ("--model", model, "--prompts", file, "--metric", "prob_diff")
    shown = cli("neuron", "screen", *asked, "--top", 1, "--no-figures", "--out", out)
    assert shown.code == 0, shown.err
    assert "does not give the answer on 1 of 4 prompts" in unwrapped(shown.out)
    assert f"weak: after {pairs[3]['prompt']!r}" in shown.out
    assert read_manifest(out)["model_answers"]["needs_allow_weak"] is False
    file = written(tmp_path, [pairs[0], *map(exchanged, pairs[1:4])])
    assert "on 3 of 4 prompts" in refused("neuron", "screen", *asked, "--out", tmp_path / "other")


# --- the dry run


def test_a_dry_run_shows_the_scored_tokens_and_refuses_what_a_run_refuses(
    model: Path, pairs: Pairs, cli: Cli, tmp_path: Path
) -> None:
    asked = ("discover", "--model", model, "--dry-run")
    shown = cli(*asked, *words(pairs[0]), "--json")
    assert shown.code == 0, shown.err
    (row,) = shown.document["model_answers"]["prompts"]
    assert row["answer"]["rank"] <= 10
    assert row["clean"] > row["ablated"]
    assert shown.document["fits"]
    assert "What the model itself says" in shown.err
    assert f"id {row['answer']['id']}" in shown.err
    weak = cli(*asked, *words(exchanged(pairs[0])), "--json")
    assert (weak.code, weak.document["model_answers"]["weak"]) == (2, 1)
    assert RULE.removeprefix("expected ") in json.loads(weak.err.splitlines()[-1])["expected"]
    assert cli(*asked, *words(exchanged(pairs[0])), "--allow-weak").code == 0
    assert not list(tmp_path.glob("run*"))


WRONG = [
    (("--metric", "accuracy"), "a metric out of logit_diff, prob_diff, kl; got 'accuracy'"),
    (("--ablation", "noise"), "an ablation out of"),
    (("--goal", "small"), "a goal out of"),
    (("--granularity", "layers"), "a granularity out of"),
    (("--positions", "some"), "positions out of spans, each; got 'some'"),
    (("--method", "guess"), "a method out of"),
    (("--ranking", "guess"), "a method out of"),
    (("--steps", "0"), "--steps from 1 to 10,000"),
    (("--method", "acdc", "--threshold", "0.1", "--sign", "plus"), "a sign out of abs, signed; got 'plus'"),
    (("--method", "acdc"), "a threshold for acdc"),
    (("--faithfulness", "2"), "--faithfulness from 0 to 1"),
    (("--stable", "3"), "at least 2 prompts and 2 samples"),
    (("--positions", "each", "--ranking", "exact"), "a method that tells edges apart by position"),
    (("--neurons-of", "99"), "99"),
]


@pytest.mark.parametrize(("option", "message"), WRONG)
def test_every_option_is_checked_alike_with_and_without_dry_run(
    model: Path, pairs: Pairs, refused: Refused, tmp_path: Path, option: tuple[str, ...], message: str
) -> None:
    asked = ("discover", "--model", model, *words(pairs[0]), *option)
    dry, real = refused(*asked, "--dry-run"), refused(*asked, "--out", tmp_path / "new" / "run")
    assert message in dry
    assert dry == real
    assert not (tmp_path / "new").exists()


def test_a_metric_that_needs_a_distractor_is_refused_by_a_dry_run_too(
    model: Path, pairs: Pairs, refused: Refused
) -> None:
    bare = words(pairs[0])[:-2]
    assert "a distractor for every prompt" in refused("discover", "--model", model, *bare, "--dry-run")


# --- other verbs


def test_a_trace_of_answers_that_the_model_does_not_give(
    model: Path, pairs: Pairs, cli: Cli, refused: Refused, tmp_path: Path
) -> None:
    rows = [{**exchanged(pair), "spans": {"subject": [0, len(pair["prompt"].split()[0])]}} for pair in pairs]
    asked = ("trace", "--model", model, "--task", written(tmp_path, rows), "--known", 0, "--draws", 1)
    out = tmp_path / "run"
    assert "on 6 of 6 prompts" in refused(*asked, "--out", out)
    shown = cli(*asked, "--site", "state", "--allow-weak", "--out", out, "--json")
    assert shown.code == 0, shown.err
    assert shown.document["model_answers"]["weak"] == 6
    assert '<p class="warning"' in (out / "report.html").read_text()


def test_an_edit_shows_where_the_model_puts_the_target(model: Path, cli: Cli, refused: Refused, tmp_path: Path) -> None:
    loaded = load_model(str(model))
    logits = loaded.forward(loaded.tokens(["w1 w2 w3"])).logits[0]
    first, other = int(logits.argmax()), int(logits.argsort()[5])
    asked = ("edit", "--model", model, "--prompt", "w1 w2 w3", "--subject", "w2", "--method", "ft-m", "--layer", 1)
    shown = cli(*asked, "--target", f"w{other}", "--out", tmp_path / "run", "--json")
    assert shown.code == 0, shown.err
    answers = shown.document["model_answers"]
    assert answers["prompts"][0]["answer"]["rank"] == int((logits >= logits[other]).sum())
    assert answers["prompts"][0]["first"]["id"] == first
    assert answers["warnings"] == []
    assert answers["summary"] in unwrapped(shown.err)
    line = refused(*asked, "--target", f"w{first} w{other}")
    assert "is not the model's first choice already" in line
    assert "scored by its first token" in line
    assert cli(*asked, "--target", f"w{first} w{other}", "--allow-weak").out.startswith("warning: ")


def test_a_sweep_lists_what_the_model_does_not_answer(model: Path, pairs: Pairs, cli: Cli, tmp_path: Path) -> None:
    file = written(tmp_path, [*pairs[:4], exchanged(pairs[4]), exchanged(pairs[5])])
    asked = ("sweep", "--model", model, "--task", file, "--known", 0, "--faithfulness", 0.5)
    document = cli(*asked, "--out", tmp_path / "few", "--json").document
    assert (document["pairs"], document["weak"], len(document["failed"])) == (4, 0, 2)
    assert all("prompts that the model itself answers" in why for why in document["failed"].values())
    shown = cli(*asked, "--allow-weak", "--out", tmp_path / "all", "--json")
    assert (shown.document["pairs"], shown.document["weak"]) == (6, 2)
    assert "on 2 of 6 pairs" in unwrapped(shown.err)
    rows = pq.read_table(tmp_path / "all" / "pairs.parquet").to_pylist()
    assert sum(row["weak"] for row in rows) == 2
    assert all(row["rank"] > 0 and 0 < row["probability"] < 1 and row["first"] for row in rows)


def test_a_study_leaves_out_what_changes_too_little(model: Path, cli: Cli, refused: Refused, tmp_path: Path) -> None:
    """The answers are those of one rank in the model, the first for which half of the metric is kept without them."""
    loaded, template = load_model(str(model)), "w0 {subject} w3"
    subjects = [f"w{at}" for at in range(4, 40)]
    ranked = loaded.forward(loaded.tokens([template.replace("{subject}", word) for word in subjects])).logits
    file = tmp_path / "words.json"

    def relation(rank: int) -> Path:
        answers = [loaded.decode([int(token)])[0] for token in ranked.argsort(descending=True)[:, rank]]
        facts = [{"subject": one, "answers": [other]} for one, other in zip(subjects, answers, strict=True)]
        file.write_text(json.dumps({"name": "words", "kind": "factual", "templates": [template], "facts": facts}))
        return file

    def kept(rank: int) -> float:
        task = load_task(relation(rank), loaded, size=None, strict=False)
        experiment = Experiment(loaded, task.train[:4], allow_weak=True)
        return float(experiment.corrupt.mean() / experiment.clean.mean())

    rank = next(rank for rank in range(10) if 0.5 < kept(rank) < 1)
    few = ("--train", 4, "--validation", 4, "--test", 4, "--share", 0.5, "--draws", 1, "--method", "eap-ig")
    asked = ("study", "--relations", relation(rank), "--model", model, *few, "--no-figures")
    line = refused(*asked, "--out", tmp_path / "refused")
    assert "a counterfactual that changes the answer (at least halves logit_diff)" in line
    assert "--allow-weak" in line
    document = cli(*asked, "--allow-weak", "--out", tmp_path / "study", "--json").document
    (row,) = document["relations"]
    assert (row["relation"], document["failed"]) == ("words", {})
    assert document["settings"]["allow_weak"] is True
    assert "began with" in refused(*asked, "--out", tmp_path / "study")  # another study, not the rest of this one


# --- on SmolLM2


@pytest.mark.real_weights
def test_a_french_circuit_is_headed_by_what_the_model_says(france_run: RealRun) -> None:
    assert 'The model itself ranks " French" 1st (p = 0.39)' in unwrapped(france_run.human)
    assert read_json(france_run.folder, "manifest.json")["model_answers"]["warnings"] == []


@pytest.mark.real_weights
def test_klingon_is_refused_and_a_dry_run_shows_its_rank(
    own_home: Path, smollm2_files: ModelFiles, cli: Cli, refused: Refused, tmp_path: Path
) -> None:
    own_home.mkdir(exist_ok=True)
    (own_home / "models").symlink_to(smollm2_files.folder.parent)
    klingon = pair_words(FRANCE, JAPAN, " Klingon", " Japanese")
    line = refused("discover", *klingon, "--out", tmp_path / "run")
    assert 'the model itself ranks " Klingon" (scored by its first token' in line
    assert 'while its first choice is " French" (p = 0.39)' in line
    shown = cli("discover", *klingon, "--dry-run", "--json")
    assert shown.code == 2
    (row,) = shown.document["model_answers"]["prompts"]
    assert 150 <= row["answer"]["rank"] <= 180
    assert row["answer"]["probability"] == pytest.approx(0.00032, rel=0.05)
