"""What changing nodes does to the next token."""

from __future__ import annotations

import pytest
import torch
from prompts import FRANCE
from tolerance import rounding

from wheatstone._errors import PromptError, RequestError
from wheatstone.circuits import Experiment
from wheatstone.lenses import NodeChange, next_token_change, node_interventions
from wheatstone.models import ResidualModel


def _probabilities(model: ResidualModel, text: str) -> torch.Tensor:
    return model.forward(model.tokens([text])).logits[0].softmax(-1)


def test_writing_once_as_much_changes_nothing(tiny_experiment: Experiment) -> None:
    pair = tiny_experiment.encoded.pairs[0]
    found = next_token_change(tiny_experiment.model, pair, [NodeChange("m1", "scale", 1.0)])
    assert found.kl == rounding(tiny_experiment.model).near(0)
    assert all(row.before == pytest.approx(row.after) for row in found.tokens)


def test_writing_nothing_is_writing_no_times_as_much(tiny_experiment: Experiment) -> None:
    pair = tiny_experiment.encoded.pairs[0]
    ablated, scaled = (
        next_token_change(tiny_experiment.model, pair, [NodeChange("a1.h2", how, 0.0)]) for how in ("ablate", "scale")
    )
    assert ablated == scaled
    assert ablated.kl > 0


def test_a_patched_input_is_the_counterfactual(tiny_experiment: Experiment) -> None:
    model, pair = tiny_experiment.model, tiny_experiment.encoded.pairs[0]
    found = next_token_change(model, pair, [NodeChange("input", "patch")])
    clean, other = _probabilities(model, pair.prompt), _probabilities(model, pair.counterfactual)
    for row in found.tokens:
        (token,) = model.continuation(row.token)
        assert row.before == pytest.approx(float(clean[token]))
        assert row.after == pytest.approx(float(other[token]))
    assert found.kl == pytest.approx(float((clean * (clean / other).log()).sum()))
    assert [(row.token, row.role) for row in found.tokens[:2]] == [
        (pair.answers[0].strip(), "answer"),
        (pair.distractors[0].strip(), "distractor"),
    ]


def test_a_change_at_one_place_leaves_what_comes_before_it(tiny_experiment: Experiment) -> None:
    model, pair = tiny_experiment.model, tiny_experiment.encoded.pairs[0]
    everywhere, last = (
        next_token_change(model, pair, [NodeChange("m0", "ablate", positions=places)]).kl for places in (None, (3,))
    )
    assert 0 < last != everywhere


def test_only_a_patch_needs_a_counterfactual(tiny_experiment: Experiment) -> None:
    model, pair = tiny_experiment.model, tiny_experiment.encoded.pairs[0]
    without = pair.model_copy(update={"counterfactual": pair.prompt, "distractors": ()})
    ablate = [NodeChange("m1", "ablate")]
    assert next_token_change(model, without, ablate).kl == next_token_change(model, pair, ablate).kl
    with pytest.raises(PromptError, match="a counterfactual that differs from its prompt"):
        next_token_change(model, without, [NodeChange("m1", "patch")])
    long = pair.model_copy(update={"prompt": " ".join([pair.prompt] * (model.context + 1))})
    with pytest.raises(PromptError, match="the context of"):
        next_token_change(model, long, ablate)


def test_an_unknown_node_is_named(tiny_experiment: Experiment) -> None:
    with pytest.raises(RequestError, match=r"'a9\.h9'"):
        next_token_change(tiny_experiment.model, tiny_experiment.encoded.pairs[0], [NodeChange("a9.h9", "ablate")])


@pytest.mark.real_weights
def test_without_its_head_the_language_of_france_is_less_french(smollm2: ResidualModel) -> None:
    answer = next_token_change(smollm2, FRANCE, [NodeChange("a23.h4", "ablate")]).tokens[0]
    assert answer.token == " French"
    assert answer.after < answer.before


def test_a_neuron_is_changed_at_its_activation(tiny_experiment: Experiment) -> None:
    """Patched at all neurons of a layer, its MLP writes what it writes on the counterfactual."""
    model, pair = tiny_experiment.model, tiny_experiment.encoded.pairs[0]
    neurons = [NodeChange(f"m1.n{index}", "patch") for index in range(model.blocks[1].neurons)]
    by_neuron, by_node = (next_token_change(model, pair, each) for each in (neurons, [NodeChange("m1", "patch")]))
    assert by_neuron.kl > 0
    for one, other in zip(by_neuron.tokens, by_node.tokens, strict=True):
        assert one.logit_after == rounding(model).near(other.logit_after)
    with pytest.raises(RequestError, match=r"m1\.n99999"):
        next_token_change(model, pair, [NodeChange("m1.n99999", "ablate")])


def test_a_patched_prompt_is_continued_as_it_is_patched(tiny_experiment: Experiment) -> None:
    """The first token written is the first choice of the changed run; later steps have no counterfactual."""
    model, pair = tiny_experiment.model, tiny_experiment.encoded.pairs[0]
    changes = [NodeChange("input", "patch")]
    made = model.generate(pair.prompt, new=3, interventions=node_interventions(model, pair, changes))
    assert made.ids[0][0] == int(_probabilities(model, pair.counterfactual).argmax())
    assert len(made.ids[0]) >= 1
