"""Recovery by layer and position against patched nodes and interventions."""

from __future__ import annotations

import pytest
from tolerance import rounding

from wheatstone.circuits import Experiment
from wheatstone.discovery import node_scores
from wheatstone.models import Replace
from wheatstone.neurons import Patching, RecoveryRow, recovery_by_place


@pytest.fixture(scope="module")
def rows(tiny_experiment: Experiment) -> list[RecoveryRow]:
    return recovery_by_place(Patching(tiny_experiment))


def _at(rows: list[RecoveryRow], site: str, layer: int, position: int | None) -> RecoveryRow:
    (row,) = [row for row in rows if (row.site, row.layer, row.position) == (site, layer, position)]
    return row


def test_there_is_a_row_for_every_place(rows: list[RecoveryRow]) -> None:
    assert len(rows) == 3 * 3 * 6 + 2 * 3
    # Prompts of 4, 6 and 2 tokens.
    assert [_at(rows, "mlp", 0, -place).prompts for place in range(1, 7)] == [3, 3, 2, 2, 1, 1]


def test_mlps_are_as_patched_nodes(rows: list[RecoveryRow], tiny_experiment: Experiment) -> None:
    nodes = node_scores(tiny_experiment, method="exact", direction="denoising", positions=True)
    assert nodes.positions is not None
    gaps = tiny_experiment.clean - tiny_experiment.corrupt
    for layer in range(3):
        node = tiny_experiment.graph.mlp_nodes(layer).start
        whole = float(nodes.values[node].sum() / gaps.sum())
        assert _at(rows, "mlp", layer, None).recovery == rounding(tiny_experiment.model).near(whole)
        third = (nodes.positions[node, 0, 1] + nodes.positions[node, 1, 3]) / (gaps[0] + gaps[1])
        assert _at(rows, "mlp", layer, -3).recovery == rounding(tiny_experiment.model).near(float(third))


def test_attention_is_all_heads_at_once(rows: list[RecoveryRow], tiny_experiment: Experiment) -> None:
    model, encoded = tiny_experiment.model, tiny_experiment.encoded
    nodes = model.forward(encoded.clean, cache=True).nodes
    assert nodes is not None
    heads = range(model.graph.head_nodes(1).start, model.graph.head_nodes(1).stop)
    replaced = [Replace(at=model.graph.nodes[head], value=nodes[head]) for head in heads]
    values = tiny_experiment.values_of(model.forward_with(encoded.counterfactual, replaced).logits)
    expected = float(tiny_experiment.faithfulness_of(values))
    assert _at(rows, "attention", 1, None).recovery == rounding(model).near(expected)


def test_what_layer_0_reads_at_the_changed_token_is_everything(
    rows: list[RecoveryRow], tiny_experiment: Experiment
) -> None:
    # The prompts differ at one token each: third from the end, fourth from the end, first of two.
    for position, prompt in ((-3, 0), (-4, 1), (-2, 2)):
        row, other = _at(rows, "residual", 0, position), {-3: (0, 1), -4: (0, 1), -2: (0, 1, 2)}[position]
        gaps = (tiny_experiment.clean - tiny_experiment.corrupt)[list(other)]
        assert row.recovery == rounding(tiny_experiment.model).near(float(gaps[list(other).index(prompt)] / gaps.sum()))
    assert _at(rows, "residual", 0, -1).recovery == 0
