"""Direct effects add up to the logit difference, and what a head takes from each position to its direct effect."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from materials import material_of
from tiny_families import FAMILY_CONFIGS, tiny_family
from tolerance import rounding

from wheatstone import Experiment, PromptPair
from wheatstone._progress import silent
from wheatstone.lenses import (
    Material,
    NeuronAttribution,
    NodeAttribution,
    SpanAttention,
    TokenAttention,
    VocabularyPush,
    attention,
    attribution,
    direct_effects,
    head_writes,
    vocabulary,
)

_ROUTED = ("mixtral", "olmoe", "qwen3_moe")
"""Their experts run in single precision only."""
_CAPPED = ("gemma2", "gemma3_text")
"""Their logits are capped, so that no sum of parts is exact."""


def of_family(case: str) -> Material:
    """Two prompts with the answer and distractor that their logits tell apart most."""
    model = tiny_family(case, torch.float32 if case in _ROUTED else torch.float64)
    pairs: list[PromptPair] = []
    for prompt, other in (("w1 w2 w3 w4", "w1 w9 w3 w4"), ("w5 w6 w7 w8 w9 w10", "w5 w6 w17 w8 w9 w10")):
        clean, corrupt = (model.forward(model.tokens([text])).logits[0] for text in (prompt, other))
        answer, distractor = divmod(
            int(torch.minimum(clean[:, None] - clean, corrupt - corrupt[:, None]).argmax()), len(clean)
        )
        right, wrong = (f" w{answer}",), (f" w{distractor}",)
        pairs.append(PromptPair(prompt=prompt, counterfactual=other, answers=right, distractors=wrong))
    return material_of(Experiment(model, pairs))


@pytest.mark.parametrize("case", FAMILY_CONFIGS)
def test_terms_add_up_in_every_family(case: str) -> None:
    material = of_family(case)
    graph, effects = material.experiment.graph, direct_effects(material)
    measured = material.answer_gap(material.experiment.clean_logits)
    exact = rounding(material.experiment.model)
    if case in _CAPPED:
        torch.testing.assert_close(effects.sum(0), measured, rtol=0.1, atol=0.1)  # what the cap bends
    else:
        exact.check(effects.sum(0), measured)
    heads = [(layer, head) for layer in range(graph.layers) for head in range(graph.heads)]
    direct = torch.stack([effects[graph.head_nodes(layer)][head] for layer, head in heads])
    # By attention patterns, which transformers computes in float32.
    through_attention = rounding(material.experiment.model, dtype=torch.float32)
    through_attention.check(head_writes(material, heads).toward.sum(-1), direct)


def test_a_node_s_direct_effect_is_what_the_logits_lose_with_the_norm_held(material: Material) -> None:
    """By the model's own norm and unembedding: the stream without the node, rescaled to the norm's old size."""
    model, stream = material.experiment.model, material.last_stream
    without = stream - material.last_nodes[3]
    centred = without - without.mean(-1, keepdim=True) if model.family.norm_kind == "layer" else without
    whole = stream - stream.mean(-1, keepdim=True) if model.family.norm_kind == "layer" else stream
    ratio = centred.norm(dim=-1) / whole.norm(dim=-1)
    zero = model.unembed(torch.zeros_like(stream))
    held = (model.unembed(without) - zero) * ratio[:, None] + zero
    lost = material.answer_gap(model.unembed(stream)) - material.answer_gap(held)
    # The norm adds its epsilon under the root, which rescaling leaves out.
    torch.testing.assert_close(direct_effects(material)[3], lost, rtol=1e-4, atol=1e-5)


def test_neurons_share_their_mlp_s_term(material: Material) -> None:
    """Split into its neurons, an MLP is the sum of them and its bias."""
    rows = [NeuronAttribution(*row) for row in attribution(material, silent).tables["attribution_neurons"].rows]
    split = material.experiment.model.split({2: "neurons"})
    parts = dataclasses.replace(material, experiment=Experiment(split, material.experiment.encoded.pairs))
    effects = direct_effects(parts).mean(1)
    for row in rows:
        if row.layer == 2:
            node = split.graph.node_index[row.neuron]
            assert row.direct == rounding(material.experiment.model).near(float(effects[node]))
    assert [abs(row.direct) for row in rows] == sorted((abs(row.direct) for row in rows), reverse=True)


def test_rows_say_what_was_measured(material: Material) -> None:
    found = attribution(material, silent)
    rows = [NodeAttribution(*row) for row in found.tables["attribution_nodes"].rows]
    assert {row.node for row in rows} == {*material.experiment.graph.nodes, "biases"}
    assert sum(row.share for row in rows) == rounding(material.experiment.model).near(1)
    assert sum(row.direct for row in rows) == rounding(material.experiment.model).near(found.summary.measured)
    assert {(row.direct_low, row.direct_high) for row in rows} == {(None, None)}  # three prompts are too few


def test_ends_hold_the_mean_of_enough_prompts(several: Material) -> None:
    rows = [NodeAttribution(*row) for row in attribution(several, silent).tables["attribution_nodes"].rows]
    known = [row for row in rows if row.direct_low is not None and row.direct_high is not None]
    assert {row.node for row in known} >= {"a0.h0", "m2"}
    assert all((row.direct_low or 0) < row.direct < (row.direct_high or 0) for row in known)


def test_without_distractors_the_answer_stands_against_the_mean_of_all(material: Material) -> None:
    pairs = [pair.model_copy(update={"distractors": ()}) for pair in material.experiment.encoded.pairs]
    alone = dataclasses.replace(material, experiment=Experiment(material.experiment.model, pairs, metric="prob_diff"))
    logits = alone.experiment.clean_logits
    expected = logits[range(3), alone.experiment.encoded.answers[:, 0]] - logits.mean(-1)
    rounding(material.experiment.model).check(direct_effects(alone).sum(0), expected)
    assert attribution(alone, silent).summary.against == "the mean of all logits"


def test_attention_rows_add_up(material: Material) -> None:
    found = attention(material, silent)
    tokens = [TokenAttention(*row) for row in found.tables["attention_tokens"].rows]
    spans = [SpanAttention(*row) for row in found.tables["attention_spans"].rows]
    for head in {row.head for row in tokens}:
        ours = [row for row in tokens if row.head == head]
        assert sum(row.weight for row in ours) == pytest.approx(3)  # prompts
        last = [row for row in ours if row.key == material.experiment.encoded.last.tolist()[row.prompt]]
        (span,) = (row for row in spans if (row.head, row.span) == (head, "last"))
        assert span.weight == pytest.approx(sum(row.weight for row in last) / 3)
        assert span.toward == pytest.approx(sum(row.toward for row in last) / 3)


def test_what_a_write_promotes_is_what_its_share_of_the_logits_is_largest_for(material: Material) -> None:
    found, model = vocabulary(material, silent), material.experiment.model
    rows = [VocabularyPush(*row) for row in found.tables["vocabulary"].rows]
    for row in rows[:20]:
        write = material.last_nodes[material.experiment.graph.node_index[row.node]]
        logits = material.readout.logits(write)[row.prompt]
        order = logits.argsort(descending=row.side == "promotes")
        assert row.token == model.decode([int(order[row.place - 1])])[0]
        assert row.push == pytest.approx(float(logits[order[row.place - 1]] - logits.mean()))


@pytest.mark.real_weights
def test_on_real_weights_the_mover_writes_french_from_france(france_material: Material) -> None:
    direct = {row[0]: row[3] for row in attribution(france_material, silent).tables["attribution_nodes"].rows}
    assert max(direct, key=lambda name: direct[name]) == "a23.h4"
    assert sum(direct.values()) == rounding(france_material.experiment.model).near(
        float(france_material.experiment.clean.mean())
    )
    most = attention(france_material, silent).summary.heads["a23.h4"]
    assert most.span == "subject"
    assert most.weight > 0.5
