"""A circuit's card: on a tiny task, on a model with a planted circuit, and where lines cannot be measured."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from planted import planted_pair
from tiny import explainable_pairs, make_tiny
from tolerance import rounding

from wheatstone import Experiment, ModelError, ResidualModel, RunError
from wheatstone.cards import CardSettings, add_card, make_card, read_card
from wheatstone.circuits import Circuit, ModelInfo
from wheatstone.discovery import DiscoverySettings, scores_by_prompt
from wheatstone.figures import card_page, report_html
from wheatstone.figures._load import RunData
from wheatstone.runs import add_file, damaged_files, new_run
from wheatstone.studies import run_discovery
from wheatstone.tasks import PromptPair
from wheatstone.verification import EXCHANGED, LINES, NOT_TESTED, SHUFFLED, SUPPORTED, percents

QUICK = CardSettings(samples=20, draws=3, shuffles=1, effects=4)


def write_run(out: Path, model: ResidualModel, pairs: list[PromptPair], test: list[PromptPair] | None = None) -> Path:
    """A run of a discovery, of a task where there are test pairs."""
    with new_run(out) as made:
        run_discovery(model, pairs, DiscoverySettings(method="eap-ig", allow_weak=True)).save(made)
        if test is not None:
            splits = {"train": pairs, "validation": [], "test": test}
            dumped = {name: [pair.model_dump() for pair in of] for name, of in splits.items()}
            add_file(made, "task.json", {"name": "tiny", "pairs": dumped})
    return out


@pytest.fixture(scope="module")
def tiny_model() -> ResidualModel:
    return make_tiny("llama", torch.float32)


@pytest.fixture(scope="module")
def pairs(tiny_model: ResidualModel) -> list[PromptPair]:
    return explainable_pairs(tiny_model, [(f"w{at} w2 w3", f"w{at + 10} w2 w3") for at in range(4, 24)])


@pytest.fixture(scope="module")
def task_run(tiny_model: ResidualModel, pairs: list[PromptPair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("card") / "task", tiny_model, pairs[:10], pairs[10:])


def test_every_line_has_a_verdict_and_a_reason(
    task_run: Path, tiny_model: ResidualModel, pairs: list[PromptPair]
) -> None:
    card, missing = add_card(task_run, QUICK, card_page, model=tiny_model)
    assert missing == {}
    assert [name for name, _ in card.lines] == list(LINES)
    assert all(line.why and line.claim for _, line in card.lines)
    assert card.held_out.verdict != NOT_TESTED
    assert card.held_out.kept is not None
    assert card.held_out.kept.low is not None
    assert card.held_out.kept.low <= card.held_out.kept.value <= (card.held_out.kept.high or 0)
    assert card.held_out.facts <= card.held_out.available == 10
    assert sum(card.core.decisions.values()) == card.edges
    # Measured on the same facts, the copies with heads exchanged keep the same in both lines.
    copies = next(row for row in card.null.rows if row.name == "heads exchanged")
    assert copies.draws == QUICK.draws
    assert copies.kept is not None
    near = rounding(tiny_model)
    experiment = Experiment(tiny_model, pairs[10:], allow_weak=True)
    scale = float(experiment.clean_logits.abs().max() / (experiment.clean - experiment.corrupt).mean().abs())
    assert card.specification.rows[0].random == near.near(copies.kept.value, magnitude=scale)
    keep = Circuit.load(task_run).mask()
    whole = experiment.clean - experiment.corrupt
    kept = float((experiment.values(keep[None])[0] - experiment.corrupt).mean() / whole.mean())
    assert card.core.circuit is not None
    assert card.core.circuit.value == near.near(kept, magnitude=scale)
    assert card.held_out.faithfulness is not None
    assert f"as in the other lines, it keeps {percents(card.held_out.faithfulness.value)}" in card.held_out.why
    assert card.core.half_edges is not None
    document = json.loads((task_run / "card.json").read_text())
    assert document["format"] == "wheatstone.card/1"
    assert read_card(task_run)[0] == card
    page = (task_run / "card.html").read_text()
    for _, line in card.lines:
        assert line.claim in page
    assert damaged_files(task_run) == []
    # The map of the card and the lists of reports from now on say of every edge what the table says.
    table = pq.read_table(task_run / "card" / "edges.parquet").to_pylist()
    decided = {(row["sender"], row["receiver"]): row["decision"] for row in table}
    data = RunData.load(task_run)
    assert [edge.decision for edge in data.edges] == [
        decided[edge.sender.name, edge.receiver.name] for edge in data.edges
    ]
    assert Counter(edge.decision for edge in data.edges) == Counter(card.core.decisions)
    assert "when prompts are drawn again" in page
    listed = re.findall(r"<td>(in|out|undecided)</td></tr>", report_html(task_run))
    assert Counter(listed) == Counter(card.core.decisions)


def test_scores_of_every_prompt_are_kept_and_read_again(
    task_run: Path, tiny_model: ResidualModel, pairs: list[PromptPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = add_card(task_run, QUICK, card_page, model=tiny_model)
    table = pq.read_table(task_run / "card" / "prompt_scores.parquet")
    assert table.num_rows == tiny_model.graph.edges
    assert table.column_names == ["sender", "receiver", *map(str, range(10))]
    made = scores_by_prompt(Experiment(tiny_model, pairs[:10])).values
    rounding(tiny_model, passes=3).check(torch.tensor(table.column("3").to_pylist()).to(made), made[3])
    edges = pq.read_table(task_run / "card" / "edges.parquet").to_pylist()
    kept = {f"{row['sender']}->{row['receiver']}" for row in edges if row["circuit"]}
    assert kept == {str(edge) for edge in Circuit.load(task_run / "circuit.json")}
    assert {row["decision"] for row in edges} <= {"in", "out", "undecided"}

    scored: list[int] = []
    monkeypatch.setattr(
        "wheatstone.cards._lines.scores_by_prompt",
        lambda *args, **more: scored.append(len(args[1])) or scores_by_prompt(*args, **more),
    )
    again, _ = add_card(task_run, QUICK, card_page, model=tiny_model)
    assert scored == [10]  # the shuffled answers only
    assert replace(again, seconds={}) == replace(first, seconds={})


def test_the_core_of_a_planted_circuit_is_the_truth(tmp_path: Path) -> None:
    """One way leads from the word to the answer: both its edges recur on every prompt, carry everything, and no other
    circuit does."""
    model, _ = planted_pair()
    pairs = explainable_pairs(model, [(f"w1 w{at} w3 w4", f"w1 w{at + 10} w3 w4") for at in range(5, 25)])
    run = write_run(tmp_path / "planted", model, pairs[:10], pairs[10:])
    card = make_card(run, tmp_path, QUICK, model=model)
    assert {str(edge) for edge in Circuit.load(run / "circuit.json")} == {"input->a1.g1<v>", "a1.h2->logits"}
    assert [(row.decision, row.inclusion) for row in card.core.edges] == [("in", 1.0)] * 2
    assert card.core.recurring == 2
    assert (card.core.half_edges, card.core.verdict) == (1.0, SUPPORTED)
    assert card.core.core is not None
    experiment = Experiment(model, pairs[10:], allow_weak=True)
    scale = float(experiment.clean_logits.abs().max() / (experiment.clean - experiment.corrupt).mean().abs())
    assert card.core.core.value == rounding(model).near(1, magnitude=scale)
    assert card.held_out.verdict == SUPPORTED
    assert (card.second.verdict, card.second.edges) == (SUPPORTED, None)
    assert len(card.second.spared) == 2
    assert card.second.without_first is not None
    assert card.second.without_first.value == rounding(model).near(0, magnitude=scale)
    by_name = {row.name: row for row in card.null.rows}
    exchanged = by_name[EXCHANGED].kept
    assert exchanged is not None
    assert exchanged.value < 0.8


def test_one_prompt_says_which_lines_need_more(
    tmp_path: Path, tiny_model: ResidualModel, pairs: list[PromptPair]
) -> None:
    run = write_run(tmp_path / "one", tiny_model, pairs[:1])
    card = make_card(run, tmp_path, QUICK, model=tiny_model)
    assert {name: line.verdict for name, line in card.lines if name != "second"} == dict.fromkeys(
        (name for name in LINES if name != "second"), NOT_TESTED
    )
    assert "no held-out facts" in card.held_out.why
    assert "One prompt gives no samples" in card.core.why
    assert "one prompt has no other prompt's answers" in card.null.why
    assert card.null.rows[0].kept is not None
    assert card.null.rows[0].kept.low is None


def test_shuffled_answers_that_coincide_are_not_tested(
    tmp_path: Path, tiny_model: ResidualModel, pairs: list[PromptPair]
) -> None:
    same = [pair.model_copy(update={"answers": pairs[0].answers}) for pair in pairs[:6]]
    run = write_run(tmp_path / "same", tiny_model, same)
    card = make_card(run, tmp_path, QUICK, model=tiny_model)
    row = next(row for row in card.null.rows if row.name == SHUFFLED)
    assert row.kept is None
    assert "shuffled answers coincide" in row.missing


def test_a_circuit_without_prompts_says_so_on_every_line(
    tmp_path: Path, task_run: Path, tiny_model: ResidualModel
) -> None:
    with new_run(tmp_path / "bare") as made:
        for file in ("manifest.json", "circuit.json"):
            (made / file).write_bytes((task_run / file).read_bytes())
        circuit = Circuit.load(made / "circuit.json")
        bare = Circuit.of_mask(ModelInfo.of(tiny_model), circuit.mask())
        bare.save(made / "circuit.json")
    card = make_card(tmp_path / "bare", tmp_path)  # no model is loaded
    assert {line.verdict for _, line in card.lines} == {NOT_TESTED}
    assert all("imported without prompts" in line.why for _, line in card.lines)


def test_on_another_model_every_line_says_so_but_a_measured_card_is_kept(
    tiny_model: ResidualModel, pairs: list[PromptPair], tmp_path: Path
) -> None:
    own, other = (copy(tiny_model) for _ in range(2))
    own.sha256, other.sha256 = "a" * 64, "b" * 64
    run = write_run(tmp_path / "run", own, pairs[:1])
    card, _ = add_card(run, QUICK, card_page, model=other)
    assert {line.verdict for _, line in card.lines} == {NOT_TESTED}
    assert all("a" * 12 in line.why and "b" * 12 in line.why and "--model" in line.why for _, line in card.lines)
    assert read_card(run)[0].core.why == card.core.why
    add_card(run, QUICK, card_page, model=own)
    before = (run / "card.json").read_bytes()
    with pytest.raises(ModelError, match="b" * 12):
        add_card(run, QUICK, card_page, model=other)
    assert (run / "card.json").read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda document: document.pop("core"), "card"),
        (lambda document: document.update(format="wheatstone.card/9"), "format 'wheatstone.card/9'"),
        (lambda document: document["core"].update(verdict="perhaps"), "card"),
        (lambda document: document.update(edges="many"), "card"),
    ],
)
def test_a_damaged_card_is_refused_in_a_line(
    task_run: Path, tiny_model: ResidualModel, spoil: Callable[[dict[str, Any]], object], said: str
) -> None:
    add_card(task_run, QUICK, card_page, model=tiny_model)
    document = json.loads((task_run / "card.json").read_text())
    spoil(document)
    (task_run / "card.json").write_text(json.dumps(document))
    with pytest.raises(RunError, match=said):
        read_card(task_run)
