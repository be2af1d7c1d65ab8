"""Head classes of indirect object identification: bars, names, and what is patched into what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from materials import indirect_pairs
from tiny import make_tiny
from tolerance import rounding

from wheatstone import Experiment, PromptError, RequestError, ResidualModel
from wheatstone.discovery import path_patching
from wheatstone.mechanisms import IOI_CLASSES, ioi_heads
from wheatstone.mechanisms._ioi import chance_bars, channel_of
from wheatstone.mechanisms._ioi_names import three_other_names
from wheatstone.models import Graph
from wheatstone.tasks import load_task

PAIRS = indirect_pairs()
OTHERS = [PAIRS[0], PAIRS[1], PAIRS[2], PAIRS[4]]


def test_strong_and_even_effects_stand_out_and_one_of_changing_sign_does_not() -> None:
    even, changing, weak = np.full(12, 2.0), np.array([5.0, -5.0] * 6), np.full(12, 0.5)
    bars, over = chance_bars(np.stack([weak, even, changing]), seed=0)
    assert over.tolist() == [False, False, False]  # the changing row's bar is above the others
    bars, over = chance_bars(np.stack([weak, even]), seed=0)
    assert over.tolist() == [True, True]
    # Twelve signs of one size: |sum| reaches 8 of 12 with chance 0.039, so the 95th percentile is 6 of 12.
    assert bars.tolist() == [0.25, 1.0]


@given(st.integers(0, 1000))
def test_noise_rarely_stands_out_and_order_does_not_matter(seed: int) -> None:
    effects = np.random.default_rng(seed).normal(size=(6, 10)) + np.array([9, 0, 0, 3, 0, 0])[:, None]
    bars, over = chance_bars(effects, seed=0)
    back, over_back = chance_bars(effects[::-1], seed=0)
    assert over[0]
    assert over.tolist() == over_back[::-1].tolist()
    assert bars.tolist() == pytest.approx(back[::-1].tolist())
    by_size = np.abs(effects.mean(1)).argsort()[::-1]
    assert (np.diff(bars[by_size]) <= 1e-12).all()


def test_counterfactuals_name_three_others(tiny: ResidualModel) -> None:
    names = {f"w{number}" for number in (1, 2, 3, 14, 5, 16, 17, 8, 9)}
    for before, pair in zip(PAIRS, three_other_names(tiny, PAIRS, seed=0), strict=True):
        ours, theirs = before.prompt.split(), pair.counterfactual.split()
        assert (pair.prompt, pair.answers) == (before.prompt, before.answers)
        assert [theirs[place] for place in (1, 3, 5)] == [ours[place] for place in (1, 3, 5)]
        drawn = {theirs[place] for place in (0, 2, 4)}
        assert len(drawn) == 3
        assert drawn <= names - {ours[0], ours[2]}


def test_keys_and_values_are_the_groups() -> None:
    graph = Graph(layers=2, heads=4, kv_groups=2)
    assert [channel_of(graph, "a1.h3", kind) for kind in "qkv"] == ["a1.h3<q>", "a1.g1<k>", "a1.g1<v>"]


def test_rows_are_path_effects_and_attention() -> None:
    model = make_tiny("llama", torch.float32)
    experiment = Experiment(model, three_other_names(model, PAIRS, seed=0))
    found = ioi_heads(model, PAIRS)
    rows = [row for row in found.rows if row.step == "logits"]
    effects = path_patching(experiment, [row.head for row in rows]).values.double()
    assert [row.effect for row in rows] == rounding(model).near(effects.mean(1).tolist())
    assert found.receivers["logits"] == ("logits",)
    assert found.clean == pytest.approx(float(experiment.clean.mean()))
    attention = model.attention(experiment.encoded.clean)
    # The first token of a prompt is no place: attention rests on it, unless every place is there.
    places = {"IO": 0, "S1": 2, "S1+1": 3, "S2": 4}
    for row in rows:
        seen = attention[int(row.head[1]), :, int(row.head[-1]), 5].mean(0)
        assert row.attention == rounding(model).near(float(seen[places[row.site]]))
        assert row.attention == rounding(model).near(float(seen[list(places.values())].max()))
    assert {row.role for row in found.rows} <= {"", *IOI_CLASSES}
    assert found.held_n == 0
    assert all(row.held_effect is None for row in found.rows)


def test_effects_are_measured_again_on_other_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_tiny("llama", torch.float32)
    monkeypatch.setattr(
        "wheatstone.mechanisms._ioi.chance_bars", lambda effects, seed: (0 * effects[:, 0], effects[:, 0] > -9)
    )
    found = ioi_heads(model, PAIRS, held_out=OTHERS)
    others = Experiment(model, three_other_names(model, OTHERS, seed=0))
    rows = [row for row in found.rows if row.step == "logits"]
    effects = path_patching(others, [row.head for row in rows]).values.double()
    assert [row.held_effect for row in rows] == rounding(model, passes=2).near(effects.mean(1).tolist())
    assert (found.n, found.held_n, {row.held_n for row in rows}) == (5, 4, {4})


def test_prompts_that_lack_something_are_refused(tiny: ResidualModel) -> None:
    with pytest.raises(RequestError, match="4 prompts or more, for intervals"):
        ioi_heads(tiny, PAIRS[:3])
    with pytest.raises(RequestError, match="without S1, S2"):
        ioi_heads(tiny, [PAIRS[0].model_copy(update={"spans": {"IO": (0, 2)}}), *PAIRS[1:]])
    with pytest.raises(PromptError, match="2 names to draw from"):
        ioi_heads(tiny, PAIRS[:2] * 2)


@pytest.mark.real_weights
def test_smollm2_moves_names(smollm2: ResidualModel) -> None:
    pairs = three_other_names(smollm2, load_task("ioi", smollm2, size=20, known=None).test, seed=0)
    experiment = Experiment(smollm2, pairs)
    mover, negative = path_patching(experiment, ["a23.h2", "a24.h4"]).values.mean(1).tolist()
    assert mover > 0.3
    assert negative < -0.8
    every, encoded = torch.arange(len(pairs)), experiment.encoded
    names, last = encoded.span("IO")[:, 0], encoded.last
    attention = smollm2.attention(encoded.clean, [23, 24])
    assert attention[0, every, 1, last, names].mean() > 0.4
    assert attention[1, every, 4, last, names].mean() > 0.6
