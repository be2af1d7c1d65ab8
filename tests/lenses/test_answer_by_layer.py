"""The lens ends in what the model (or circuit) answers, and starts from what the input says."""

from __future__ import annotations

import pytest
import torch
from tolerance import rounding
from torch import Tensor

from wheatstone import Experiment
from wheatstone.discovery._scores import attribute
from wheatstone.lenses import LensRow, answer_by_layer


def some_circuit(experiment: Experiment) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    valid = torch.from_numpy(experiment.graph.valid)
    return valid & (torch.rand(valid.shape, generator=draw) < 0.6)


def assert_reads(experiment: Experiment, row: LensRow, logits: Tensor) -> None:
    tokens = experiment.encoded.answers if row.kind == "answer" else experiment.encoded.distractors
    token = int(tokens[row.prompt, 0])
    assert row.token == experiment.model.decode([token])[0]
    assert row.rank == int((logits >= logits[token]).sum())
    kept = rounding(experiment.model, dtype=torch.float32)  # rows are kept in float32
    assert row.probability == kept.near(float(logits.softmax(-1)[token]))


def test_the_last_layer_is_the_answer(tiny_experiment: Experiment) -> None:
    experiment, keep = tiny_experiment, some_circuit(tiny_experiment)
    rows = answer_by_layer(experiment, keep)
    answers = {"model": experiment.clean_logits, "circuit": experiment.logits(keep[None])[0]}
    everywhere = experiment.model.forward(experiment.encoded.clean, all_positions=True).logits
    last = [row for row in rows if row.layer == 3]
    assert len(last) == 2 * 2 * 3 * 2  # runs, sites, prompts, kinds
    for row in last:
        if row.site == "last":
            assert_reads(experiment, row, answers[row.run][row.prompt])
        elif row.run == "model":
            assert_reads(experiment, row, everywhere[row.prompt, row.position])


def test_middle_layers_are_hidden_states_through_the_final_norm(tiny_experiment: Experiment) -> None:
    experiment, model = tiny_experiment, tiny_experiment.model
    gpt2 = model.family.name == "gpt2"
    norm = model.module.get_submodule("transformer.ln_f" if gpt2 else "model.norm")
    for row in answer_by_layer(experiment):
        if row.layer < 3:
            ids = experiment.encoded.clean.ids[row.prompt : row.prompt + 1]
            states = model.module(ids, output_hidden_states=True, use_cache=False).hidden_states
            logits = model.module.get_submodule("lm_head")(norm(states[row.layer][0, row.position]))
            assert_reads(experiment, row, logits)


def test_the_whole_graph_reads_as_the_model_and_the_empty_circuit_as_the_counterfactual(
    tiny_experiment: Experiment,
) -> None:
    experiment = tiny_experiment
    whole = torch.from_numpy(experiment.graph.valid)
    rows = answer_by_layer(experiment, whole)
    half = len(rows) // 2
    for ours, theirs in zip(rows[:half], rows[half:], strict=True):
        assert ours._replace(run="circuit", probability=0) == theirs._replace(probability=0)
        assert ours.probability == rounding(experiment.model).near(theirs.probability)
    other = experiment.model.forward(experiment.encoded.counterfactual, all_positions=True).logits
    for row in answer_by_layer(experiment, torch.zeros_like(whole)):
        if row.run == "circuit" and row.layer == 3:
            assert_reads(experiment, row, other[row.prompt, row.position])


def test_sites_are_the_last_token_and_where_the_prompts_differ(tiny_experiment: Experiment) -> None:
    sites = {(row.prompt, row.site): row.position for row in answer_by_layer(tiny_experiment)}
    assert sites == {
        (0, "last"): 3,
        (0, "subject"): 1,
        (1, "last"): 5,
        (1, "subject"): 2,
        (2, "last"): 1,
        (2, "subject"): 0,
    }


def test_prompts_without_distractors_have_no_such_rows(tiny_experiment: Experiment) -> None:
    pair = tiny_experiment.encoded.pairs[0].model_copy(update={"distractors": ()})
    rows = answer_by_layer(Experiment(tiny_experiment.model, [pair], metric="kl"))
    assert {row.kind for row in rows} == {"answer"}


@pytest.mark.real_weights
def test_french_rises_where_the_mover_writes_and_is_first_at_the_end(france: Experiment) -> None:
    keep = attribute(france).top([300])[0]
    rows = answer_by_layer(france, keep)
    final = [row for row in rows if row.layer == 30 and row.site == "last" and row.kind == "answer"]
    for row, logits in zip(final, (france.clean_logits, france.logits(keep[None])[0]), strict=True):
        assert_reads(france, row, logits[0])
    for run in ("model", "circuit"):
        ranks = [row.rank for row in rows if (row.run, row.site, row.kind) == (run, "last", "answer")]
        assert len(ranks) == 31
        assert min(ranks[14:24]) > 1000  # the lens sees no French before …
        assert ranks[24] < ranks[23] / 3  # … a23.h4, the mover, writes it
        assert ranks.index(1) == 30
