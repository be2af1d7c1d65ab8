"""Compiled programs: the weights are tracr's, the truth is the program's, and the search finds it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from compiled_programs import PROGRAMS, CompiledProgram, compiled_program, tokenizer_of
from ground_truth import Agreement, agreement
from tolerance import rounding
from tracr_model import TRACR, TracrConfig, TracrModel

from wheatstone import PromptError
from wheatstone.cards import CardSettings, make_card
from wheatstone.checkpoints.families import FAMILIES
from wheatstone.circuits import Circuit, Experiment, ModelInfo, manifest_of
from wheatstone.discovery import DiscoverySettings, discover_in
from wheatstone.models import check_parity, wrap_model
from wheatstone.runs import new_run, write_json
from wheatstone.verification import shuffled_answers

BY_HAND = {
    # The last query is the first position whatever the tokens are: length, and what is made of it, are constants.
    "reverse": {"input->a3.g0<v>", "a3.h0->logits"},
    "frac_prevs": {"input->m0", "m0->a1.g0<v>", "a1.h0->logits"},
    # width(select(tokens, tokens, <)) in the first layer; its keys beside the tokens' values in the second.
    "sort_unique": {
        "input->a0.h0<q>",
        "input->a0.g0<k>",
        "a0.h0->m0",
        "m0->a1.g0<k>",
        "input->a1.g0<v>",
        "a1.h0->logits",
    },
    "histogram": {"input->a0.h0<q>", "input->a0.g0<k>", "a0.h0->m0", "m0->logits"},
    # K-composition: the first layer moves each token one on, the second looks for the last token there.
    "induction": {"input->a0.g0<v>", "a0.h0->a1.g0<k>", "input->a1.h0<q>", "input->a1.g0<v>", "a1.h0->logits"},
    "equally_frequent": {
        "input->a0.h0<q>",
        "input->a0.g0<k>",
        "a0.h0->m0",
        "m0->a1.h0<q>",
        "m0->a1.g0<k>",
        "a1.h0->m1",
        "m1->logits",
    },
    "two_back": {
        "input->a0.g0<v>",
        "input->a0.g1<v>",
        "a0.h0->m0",
        "a0.h1->m0",
        "m0->m1",
        "input->m1",
        "m1->logits",
    },
}


@pytest.fixture(autouse=True)
def family() -> Generator[None]:
    """Compiled programs are a family only here: the README lists those that everyone has."""
    before = FAMILIES.copy()
    FAMILIES[TRACR.name] = TRACR
    yield
    FAMILIES.clear()
    FAMILIES.update(before)


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> CompiledProgram:
    return compiled_program(request.param)


def test_every_program_is_here() -> None:
    assert set(PROGRAMS) == set(BY_HAND)


def test_the_true_edges_are_those_that_one_reads_off_the_program(program: CompiledProgram) -> None:
    assert program.edges == BY_HAND[program.name]
    assert program.edges <= program.wired


def test_the_model_answers_as_tracr_s_own_forward_pass_does(program: CompiledProgram) -> None:
    model = program.model
    prompts = [text for pair in program.pairs for text in (pair.prompt, pair.counterfactual)]
    tokens = model.tokens(prompts)
    recorded = model.forward(tokens, all_positions=True).logits
    rounding(model).check(recorded, program.answers.flatten(0, 1))
    assert all(parity.passed for parity in check_parity(model, prompts[:8]))


def test_models_of_the_compiled_kind_pass_the_gate() -> None:
    """Held against random weights: compiled heads ignore most of what the gate turns round, or look ahead."""
    torch.manual_seed(0)
    module = TracrModel(TracrConfig())
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    wrap_model(module, tokenizer_of([f"w{index}" for index in range(8)]), id="random")


def test_the_true_edges_carry_the_whole_answer_and_each_of_them_matters(program: CompiledProgram) -> None:
    experiment = Experiment(program.model, program.pairs)
    truth = program.truth
    edges = truth.nonzero()
    without = truth.repeat(len(edges), 1, 1)
    without[torch.arange(len(edges)), edges[:, 0], edges[:, 1]] = False
    whole, *fewer = experiment.faithfulness(torch.cat([truth[None], without]))
    assert whole == rounding(experiment.model).near(1)
    assert max(fewer) < 0.95


def test_verified_search_finds_the_true_edges(program: CompiledProgram) -> None:
    found = discover_in(Experiment(program.model, program.pairs), DiscoverySettings(faithfulness=1.0), curve=False)
    assert {str(edge) for edge in found.circuit} == program.edges


def test_agreement_with_the_truth_by_hand() -> None:
    """Ranked: true, (true and other at once), other. AUROC: of 4 comparisons 3 won, one tied with half a point."""
    truth, kept = np.array([True, True, False, False]), np.array([True, False, True, False])
    found = agreement(truth, kept, np.array([3.0, 1.0, 1.0, 0.0]))
    assert found == Agreement(edges=2, precision=0.5, recall=0.5, auroc=3.5 / 4, auprc=(1 + 2 / 3) / 2)


@pytest.mark.parametrize("method", ["exact", "eap-ig"])
def test_the_core_of_a_card_is_the_truth(program: CompiledProgram, tmp_path: Path, method: str) -> None:
    """By exact effects every true edge is in, and no other edge of the graph is. By gradients none that is in is false,
    but a staircase hides what comes before it: see docs/results/ground-truth.md."""
    model, pairs = program.model, program.pairs[:16]
    with new_run(tmp_path / "run") as run:
        manifest = manifest_of(Experiment(model, pairs), "discover", {"method": method}, seed=0, seconds={})
        write_json(run / "manifest.json", manifest)
        Circuit.of_mask(ModelInfo.of(model), program.truth, examples=pairs).save(run / "circuit.json")
    card = make_card(tmp_path / "run", tmp_path, CardSettings(samples=20, draws=1, shuffles=1, effects=0), model=model)
    rows = pq.read_table(tmp_path / "edges.parquet").to_pylist()
    core = {f"{row['sender']}->{row['receiver']}" for row in rows if row["decision"] == "in"}
    assert core <= program.edges
    if method == "exact":
        assert core == program.edges
        assert card.core.core is not None
        assert card.core.core.value == rounding(model).near(1)


def test_shuffled_answers_leave_nothing_to_explain(program: CompiledProgram) -> None:
    shuffled = shuffled_answers(program.pairs, 0)
    if shuffled is not None:  # else most prompts share their answers
        with pytest.raises(PromptError, match="expected a counterfactual that changes"):
            Experiment(program.model, shuffled)
