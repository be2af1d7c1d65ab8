"""`gim`, `relp` and `ceap` against their definitions and against exact effects."""

from __future__ import annotations

import pytest
import torch
from induction import InductionModel
from scipy.stats import spearmanr
from tiny_families import tiny_family
from tolerance import rounding
from torch import Tensor

from wheatstone import Experiment
from wheatstone.discovery import attribute
from wheatstone.models import GIM, RELP, BackwardRules
from wheatstone.models._interventions import Replace
from wheatstone.tasks import PromptPair

RULES = {"gim": GIM, "relp": RELP}


def gradients_at(experiment: Experiment, inputs: Tensor | None = None, rules: BackwardRules | None = None) -> Tensor:
    """[channel, batch, pos, d_model], with the input node writing what is given."""
    path = None if inputs is None else inputs[None]
    run = experiment.model.channel_gradients(experiment.encoded.clean, experiment.values_of, inputs=path, rules=rules)
    return torch.cat([*(run.at_layer(layer) for layer in range(experiment.graph.layers)), run.at_logits()])


def written_at(experiment: Experiment, inputs: Tensor) -> Tensor:
    """[node, batch, pos, d_model], by an intervention on the input node."""
    run = experiment.model.forward_with(experiment.encoded.clean, [Replace(at="input", value=inputs)], cache=True)
    assert run.nodes is not None
    return run.nodes


def of_edges(experiment: Experiment, gradients: Tensor, differences: Tensor) -> Tensor:
    """[channel, node], mean over prompts."""
    products = torch.einsum("cbsd,nbsd->cn", gradients, differences) / experiment.encoded.clean.batch
    return products * torch.from_numpy(experiment.graph.valid)


def point(experiment: Experiment, share: float) -> Tensor:
    """The input, a share of the way from its ablated to its clean value."""
    return experiment.ablated[0] + share * (experiment.clean_input - experiment.ablated[0])


@pytest.mark.parametrize("method", RULES)
def test_a_score_is_difference_times_what_the_rules_leave_at_the_channel(
    method: str, tiny_experiment: Experiment
) -> None:
    differences = written_at(tiny_experiment, tiny_experiment.clean_input) - tiny_experiment.ablated
    expected = of_edges(tiny_experiment, gradients_at(tiny_experiment, rules=RULES[method]), differences)
    got = attribute(tiny_experiment, method=method)
    rounding(tiny_experiment.model, passes=3).check(got.values, expected)
    assert got.steps == 1


@pytest.mark.parametrize("method", RULES)
def test_with_steps_it_is_the_mean_over_the_path_of_inputs(method: str, tiny_experiment: Experiment) -> None:
    experiment, steps = tiny_experiment, 2
    differences = written_at(experiment, experiment.clean_input) - experiment.ablated
    expected = sum(
        of_edges(experiment, gradients_at(experiment, point(experiment, step / steps), RULES[method]), differences)
        for step in (1, 2)
    )
    got = attribute(experiment, method=method, steps=steps)
    assert isinstance(expected, Tensor)
    rounding(experiment.model, passes=3).check(got.values, expected / steps)


def test_conductance_is_the_sum_over_steps_of_the_step_times_the_gradient_before_it(
    tiny_experiment: Experiment,
) -> None:
    check_conductance(tiny_experiment)


@pytest.mark.parametrize("case", ["phi3-longrope", "llama-dynamic", "gemma3_text-longrope"])
def test_conductance_where_rotary_tables_depend_on_the_length(case: str) -> None:
    """What prompt and counterfactual share at the beginning is then run again for each step."""
    model = tiny_family(case, torch.float64)
    pairs = [
        PromptPair(prompt=f"w3 w4 w{at}", counterfactual=f"w3 w4 w{at + 9}", answers=(" w7",), distractors=(" w5",))
        for at in (5, 6)
    ]
    experiment = Experiment(model, pairs, allow_weak=True)
    assert experiment.start == 2
    check_conductance(experiment)


def check_conductance(experiment: Experiment) -> None:
    steps = 3
    expected = torch.zeros(experiment.graph.valid.shape, dtype=torch.float64)
    for step in range(steps):
        here, there = point(experiment, step / steps), point(experiment, (step + 1) / steps)
        moved = written_at(experiment, there) - written_at(experiment, here)
        expected += of_edges(experiment, gradients_at(experiment, here), moved)
    got = attribute(experiment, method="ceap", steps=steps)
    rounding(experiment.model, passes=3).check(got.values, expected)


def test_conductances_into_the_logits_add_up_to_the_metric_s_change(tiny_experiment: Experiment) -> None:
    """Exactly in the limit of many steps, as an integral along the path; the error falls with their number."""
    experiment = tiny_experiment
    logits = experiment.graph.logits_channel
    whole = float(experiment.clean.mean() - experiment.corrupt.mean())
    errors = [
        abs(float(attribute(experiment, method="ceap", steps=steps).values[logits].sum()) - whole) for steps in (8, 64)
    ]
    assert errors[1] < errors[0] / 4
    assert errors[1] < 0.05 * abs(whole)


@pytest.mark.parametrize("method", ["gim", "relp", "ceap"])
def test_scores_do_not_depend_on_where_prompts_are_cut(method: str, tiny_experiment: Experiment) -> None:
    """Scores of parts of the prompts add up to those of the whole."""
    pairs = tiny_experiment.encoded.pairs[:1]
    whole, parts = (
        attribute(Experiment(tiny_experiment.model, pairs, positions=positions), method=method)
        for positions in (None, "each")
    )
    cut = parts.values.unflatten(1, (len(whole.graph.nodes), -1)).sum(-1)
    rounding(tiny_experiment.model, passes=3).check(cut, whole.values)


def test_on_a_trained_model_they_rank_edges_by_effect_better_than_the_gradient(induction: InductionModel) -> None:
    """Its attention is saturated, where a gradient says little: the case that the rules and the path are made for."""
    experiment = Experiment(induction.model, induction.pairs(64))
    edges = torch.from_numpy(experiment.graph.valid)
    effects = attribute(experiment, method="exact").values[edges]
    rank = {
        method: float(spearmanr(attribute(experiment, method=method).values[edges], effects).statistic)  # pyright: ignore[reportAttributeAccessIssue]
        for method in ("eap", "gim", "relp", "ceap")
    }
    assert all(rank[method] > rank["eap"] + 0.1 for method in ("gim", "relp", "ceap")), rank
    assert rank["ceap"] > 0.7
