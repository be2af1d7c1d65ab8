"""MIB's measures by hand, its files, and its graph of a model whose heads share keys and values."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mib_parts.areas import FRACTIONS, Rates, areas, auroc, rates
from mib_parts.check import MODELS, drawn, gaps, subject
from mib_parts.choose import greedy, top, ungrouped
from mib_parts.files import read_circuits, read_scores, write_scores
from mib_parts.measure import curves, scores
from mib_parts.prompts import mib_pairs, prompts_of
from tiny import make_tiny
from tolerance import Rounding, rounding

import wheatstone as ws
from wheatstone import CircuitError, Experiment, PromptError, ResidualModel
from wheatstone.circuits import Circuit, ModelInfo, to_eap_json
from wheatstone.models import Graph

PEERS = Path(__file__).parent / "peers"


def _loaded(name: str) -> tuple[ResidualModel, list[ws.PromptPair]]:
    return ws.load_model(str(PEERS / name)), subject(PEERS / name)[1]


@pytest.mark.parametrize("name", MODELS)
def test_mibs_own_code_finds_the_same(name: str) -> None:
    """Its results were written by `benchmarks/mib.py check --reference tests/discovery/peers`."""
    theirs = json.loads((PEERS / name / "mib.json").read_text(encoding="utf-8"))
    model, pairs = subject(PEERS / name)
    found = gaps(theirs, model, pairs, drawn(model.graph))
    assert found["edges after pruning"] == 0
    assert found["rates"] == Rounding(additions=1).near(0)
    experiment = Experiment(model, pairs, allow_weak=True)
    gap = abs(float(experiment.clean.mean() - experiment.corrupt.mean()))
    magnitude = float(experiment.clean_logits.abs().max()) / gap
    assert found["faithfulness"] == rounding(model, passes=2).near(0, magnitude=magnitude)
    assert max(found["cpr"], found["cmd"]) == rounding(model, passes=2).near(0, magnitude=magnitude * math.log(1000))


def test_areas_by_hand() -> None:
    whole = areas([1.0] * 10)
    assert (whole.cpr, whole.cmd) == (pytest.approx(0.999, rel=1e-15), 0.0)
    # 0 up to a half, then a straight line to 1: one triangle of width 0.5, and all else is missing.
    late = areas([0.0] * 9 + [1.0])
    assert (late.cpr, late.cmd) == (pytest.approx(0.25, rel=1e-15), pytest.approx(0.999 - 0.25, rel=1e-14))
    # Above 1 counts for CPR, and against CMD: 2 at a half, where both sides are triangles over .3 and .5.
    above = areas([1.0] * 8 + [2.0, 1.0])
    assert above.cpr == pytest.approx(0.999 + 0.4, rel=1e-14)
    assert above.cmd == pytest.approx(0.4, rel=1e-14)
    assert areas([1.0] * 10, log=True).cpr == pytest.approx(math.log(1000), rel=1e-14)
    assert areas([0.0] * 9 + [1.0], log=True).cpr == pytest.approx(math.log(2) / 2, rel=1e-14)


@given(st.lists(st.floats(0, 1), min_size=10, max_size=10))
def test_areas_add_up_below_1(faithfulness: list[float]) -> None:
    for log, most in ((False, 0.999), (True, math.log(1000))):
        found = areas(faithfulness, log=log)
        assert found.cpr + found.cmd == pytest.approx(most, rel=1e-13)


def test_roc_by_hand() -> None:
    truth, kept = np.array([True, True, False, False, False]), np.array([True, False, True, False, False])
    assert rates(truth, kept) == Rates(true=0.5, false=1 / 3, precision=0.5)
    assert auroc([Rates(0.5, 0.0, 1), Rates(1.0, 0.0, 1), Rates(1.0, 1.0, 0.4)]) == 1
    assert auroc([Rates(0.5, 0.5, 1), Rates(1.0, 1.0, 0.4)]) == 0.5
    assert auroc([Rates(0.0, 0.5, 0), Rates(1.0, 1.0, 0.4)]) == 0.25


def test_greedy_grows_from_the_logits() -> None:
    graph = Graph(layers=1, heads=1, kv_groups=1)
    values = torch.zeros(graph.valid.shape)
    for edge, score in {
        "input->m0": 9, "m0->logits": 3, "a0.h0->logits": 2, "input->a0.g0<v>": 5, "input->logits": 1,
        "a0.h0->m0": -4, "input->a0.h0<q>": 0.5, "input->a0.g0<k>": 0.25,
    }.items():  # fmt: skip
        values[graph.edge(*edge.split("->"))] = score
    assert graph.edges == 8
    kept = [
        {f"{graph.nodes[n]}->{graph.channels[c]}" for c, n in zip(*mask.nonzero(), strict=True)}
        for mask in greedy(graph, values)
    ]
    # The largest score, input->m0, comes second, for m0 has to be there first. One edge alone is pruned.
    assert kept[0] == set()
    assert kept[7] == {"m0->logits", "input->m0"}  # 1.6 edges of 8
    assert kept[8] == {"m0->logits", "input->m0", "a0.h0->m0", "input->a0.g0<v>"}
    assert len(kept[9]) == 8


def test_by_score_leaves_what_is_against_the_behaviour() -> None:
    graph = Graph(layers=1, heads=1, kv_groups=1)
    values = torch.zeros(graph.valid.shape)
    valid = torch.from_numpy(graph.valid)
    values[valid] = torch.tensor([1.0, -8, 2, -7, 3, 4, 5, -6])
    sizes = [int(fraction * 8) for fraction in FRACTIONS]
    for absolute in (True, False):
        found = top(graph, values, absolute=absolute)
        assert found.sum((1, 2)).tolist() == sizes
        assert not (found & ~valid).any()
    assert set(values[top(graph, values, absolute=False)[8]].tolist()) == {2.0, 3.0, 4.0, 5.0}
    assert set(values[top(graph, values, absolute=True)[8]].tolist()) == {-8.0, -7.0, -6.0, 5.0}


def test_a_key_and_value_for_every_head() -> None:
    model, pairs = _loaded("tiny-grouped")
    texts = [pair.prompt for pair in pairs]
    before, by_group = model.forward(texts).logits, ws.score_edges(model, pairs, method="eap").values
    graph = model.graph
    apart = ungrouped(model)
    layers, heads = graph.layers, graph.heads
    # MIB's graph: every sender into 3 channels of each head and an MLP, layer by layer, and into the logits.
    per_layer = [1 + layer * (heads + 1) for layer in range(layers + 1)]
    assert apart.graph.edges == sum(n * 3 * heads + n + heads for n in per_layer[:-1]) + per_layer[-1]
    rounding(model, passes=2).check(apart.forward(texts).logits, before)
    by_head = scores(apart, pairs, "eap")
    summed = torch.zeros(by_group.shape)
    for channel, name in enumerate(apart.graph.channels):
        layer, _, head = name.partition(".g")
        own = f"{layer}.g{graph.group_of(int(head[:-3]))}{head[-3:]}" if head else name
        summed[graph.channel_index[own]] += by_head[channel]
    rounding(model, passes=3).check(summed, by_group)


@pytest.mark.parametrize("ending", ["json", "pt"])
def test_a_submission_comes_back(tmp_path: Path, ending: str) -> None:
    model, pairs = _loaded("tiny-grouped")
    model = ungrouped(model)
    values = scores(model, pairs, "eap-ig")
    write_scores(tmp_path / f"importances.{ending}", model, values)
    assert torch.equal(read_scores(tmp_path / f"importances.{ending}", model), values)
    found = curves(model, pairs, values)
    assert found["score"].edges[-1] == found["size"].edges[-1] == model.graph.edges
    # The whole graph is the model.
    assert found["size"].faithfulness[-1] == rounding(model, passes=3).near(1)
    with pytest.raises(CircuitError, match="2 layers"):
        read_scores(tmp_path / f"importances.{ending}", make_tiny("gpt2", torch.float32, layers=2))


def test_nine_circuits(tmp_path: Path) -> None:
    model, pairs = _loaded("tiny-gpt2")
    masks = top(model.graph, scores(model, pairs, "eap"), absolute=True)[:-1]
    for name, mask in zip("ihgfedcba", masks, strict=True):  # largest first by name
        text = to_eap_json(Circuit.of_mask(ModelInfo.of(model), mask))
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    assert torch.equal(read_circuits(tmp_path, model), masks)
    (tmp_path / "a.json").unlink()
    with pytest.raises(CircuitError, match="9 circuits"):
        read_circuits(tmp_path, model)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "touched",))  # type: ignore[return-value]

    torch.save({"cfg": Touch(), "edges_scores": torch.zeros(1)}, tmp_path / "importances.pt")
    model, _ = _loaded("tiny-gpt2")
    with pytest.raises(CircuitError, match="expected"):
        read_scores(tmp_path / "importances.pt", model)
    assert not (tmp_path / "touched").exists()


def test_rows_of_mibs_data_sets(tmp_path: Path) -> None:
    model, _ = _loaded("tiny-gpt2")
    names = {"indirect_object": "w1", "subject": "w2", "random_c": "w3"}
    ioi = {"prompt": "w1 w2 w2", "s2_io_flip_counterfactual": {"prompt": "w1 w2 w1"}, "metadata": names}
    longer = ioi | {"metadata": names | {"random_c": "w3 w4"}}  # MIB leaves it out
    uneven = ioi | {"s2_io_flip_counterfactual": {"prompt": "w1 w2"}}
    path = tmp_path / "ioi.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in (ioi, longer, uneven)), encoding="utf-8")
    (pair,) = mib_pairs(path, model) or []
    assert (pair.prompt, pair.counterfactual) == ("w1 w2 w2", "w1 w2 w1")
    assert (pair.answers, pair.distractors) == ((" w1",), (" w2",))
    # This tokenizer puts the start token before every prompt itself.
    assert prompts_of(str(path), model, split="test", most=5) == [pair]
    labels = {"label": ["w4", "w5"]}
    choices = {"prompt": "w4 w5", "choices": labels, "answerKey": 0}
    path.write_text(
        json.dumps(choices | {"symbol_counterfactual": {"prompt": "w5 w4", "choices": labels, "answerKey": 1}}) + "\n",
        encoding="utf-8",
    )
    (pair,) = mib_pairs(path, model) or []
    assert (pair.answers, pair.distractors) == (("w4",), ("w5",))
    sum_row = {"prompt": "w1 w2", "label": "w3", "random_counterfactual": {"prompt": "w1 w4", "label": "w5"}}
    path.write_text(
        "".join(f"{json.dumps(row)}\n" for row in (sum_row, sum_row | {"random_counterfactual": None})),
        encoding="utf-8",
    )
    (pair,) = mib_pairs(path, model) or []
    assert (pair.prompt, pair.answers) == ("w1 w2", ("w3",))
    path.write_text(json.dumps(longer) + "\n", encoding="utf-8")
    with pytest.raises(PromptError, match="as many tokens"):
        mib_pairs(path, model)
    path.write_text('{"prompt": "w1"}\n', encoding="utf-8")
    assert mib_pairs(path, model) is None
