"""The phases of recall: attribute sets from facts, knock-outs as one run at a time gives them, extraction by hand."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tolerance import rounding

from wheatstone import Experiment
from wheatstone._progress import silent
from wheatstone.lenses import Explanation, Material
from wheatstone.mechanisms import Enrichment, Extraction, Propagation, attribute_tokens, recall
from wheatstone.mechanisms._recall import RECALL, _above, subjects
from wheatstone.models import KnockOutAttention, ResidualModel


@pytest.fixture(scope="module")
def found(material: Material) -> Explanation:
    return recall(material, silent)


def test_a_window_without_a_look_is_attention_knocked_out(material: Material, found: Explanation) -> None:
    experiment = material.experiment
    encoded, model = experiment.encoded, experiment.model
    answers = encoded.answers[:, 0]
    before = experiment.clean_logits.softmax(-1)[range(3), answers]
    rows = [Propagation(*row) for row in found.tables["recall_propagation"].rows]
    assert len(rows) == 3 * 4  # layers, places
    assert all(row.first == row.final == row.layer for row in rows)  # a sixth of three layers
    spans = encoded.spans["subject"].tolist()
    for row in rows:
        keys: list[tuple[int, ...]] = []
        for length, (start, end) in zip(encoded.clean.lengths.tolist(), spans, strict=True):
            subject = set(range(start, end)) - {0}
            rest = set(range(1, length - 1)) - subject
            keys.append(tuple({"subject": subject, "relation": rest, "last": {length - 1}, "first": {0}}[row.place]))
        cut = KnockOutAttention(layer=row.layer, queries=(-1,), keys=tuple(keys))
        after = model.forward_with(encoded.clean, [cut]).logits.softmax(-1)[range(3), answers]
        assert row.change == rounding(model).near(float(((after - before) / before).mean()))
        assert row.change_low is row.change_high is None  # three prompts are too few


def test_extraction_is_the_top_token_of_a_sublayer_s_own_write(material: Material, found: Explanation) -> None:
    model, nodes = material.experiment.model, material.last_nodes
    rows = [Extraction(*row) for row in found.tables["recall_extraction"].rows]
    assert [row.sublayer for row in rows] == ["a0", "m0", "a1", "m1", "a2", "m2"]
    for row in rows:
        graph, block = model.graph, model.blocks[row.layer]
        part = graph.head_nodes(row.layer) if row.kind == "attention" else graph.mlp_nodes(row.layer)
        bias = block.output_bias if row.kind == "attention" else None
        write = nodes[part].sum(0) + (0 if bias is None else bias)
        right = model.unembed(write).argmax(-1) == material.experiment.encoded.answers[:, 0]
        assert row.rate == pytest.approx(float(right.double().mean()))


def test_words_above_others_by_hand() -> None:
    """Of four words two are known: ranked 3 and 1 they are above the others in three of four comparisons.

    Where all four are equal, each has the mean rank 1.5, and neither side is above.
    """
    ranks = torch.tensor([[[3.0, 0.0, 1.0, 2.0]], [[0.0, 2.0, 1.0, 3.0]], [[1.5] * 4]])
    above = _above(ranks, torch.tensor([10, 20, 30, 40]), [frozenset({10, 30, 99})])
    assert above.tolist() == [[0.75], [0.0], [0.5]]


def test_subjects_without_facts_have_no_enrichment(found: Explanation) -> None:
    assert found.tables["recall_enrichment"].rows == ()
    assert found.summary["enrichment"] is None


def test_prompts_that_end_in_their_subject_lack_what_it_takes(material: Material) -> None:
    pairs = [
        pair.model_copy(update={"spans": {"subject": (0, len(pair.prompt))}})
        for pair in material.experiment.encoded.pairs
    ]
    ending = dataclasses.replace(material, experiment=Experiment(material.experiment.model, pairs))
    assert RECALL.missing(material) is None
    assert "a subject before the last token in every prompt (3 of 3" in str(RECALL.missing(ending))
    assert subjects(material) == ["w2", "w7", "w11"]


@pytest.mark.real_weights
def test_on_real_weights_france_is_looked_at_where_the_mover_is(
    smollm2: ResidualModel, france_material: Material
) -> None:
    known = {word.strip().lower() for word in smollm2.decode(sorted(attribute_tokens(smollm2, "France")))}
    assert {"paris", "french", "europe"} <= known
    assert "france" not in known
    found = recall(france_material, silent)
    rows = [Propagation(*row) for row in found.tables["recall_propagation"].rows]
    worst = min((row for row in rows if row.place == "subject"), key=lambda row: row.change)
    assert worst.first <= 23 <= worst.final
    assert worst.change < -0.5
    enriched = [Enrichment(*row) for row in found.tables["recall_enrichment"].rows]
    assert len(enriched) == 31
    assert all(0 <= row.rate <= 1 for row in enriched)
    assert all(0.4 < row.above < 1 for row in enriched)
    assert all(row.above_low is None for row in enriched)  # one prompt
