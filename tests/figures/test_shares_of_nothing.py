"""Shares are only given where they mean something: not of parts that cancel, or effects the wrong way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wheatstone.figures._attribution_part import PART
from wheatstone.figures._explained import StoredSection
from wheatstone.figures._load import RunData
from wheatstone.figures._neuron_patching import ScreenData
from wheatstone.figures._neuron_screen import found_neurons
from wheatstone.figures._recall_part import LEAST_SUBJECTS, _enriched
from wheatstone.lenses import AttributionSummary
from wheatstone.runs import Run, Section, summary_json

PROMPT = {"prompt": "a", "counterfactual": "b", "answers": [" x"], "distractors": []}


@pytest.mark.parametrize(
    ("exact", "said"),
    [
        (0.613, "m29.n1135 alone recovers 61% of the difference"),
        (-0.92, "m29.n1135, the neuron of the largest effect, moves the prediction away from the answer: −0.92 times"),
        (1.7, "m29.n1135, the neuron of the largest effect, overshoots the difference: 1.70 times the difference"),
    ],
)
def test_a_neuron_that_moves_the_other_way_recovers_nothing(exact: float, said: str) -> None:
    best = {"neuron": "m29.n1135", "exact": exact, "exact_last": exact, "mlp": 12.0, "share_of_mlp": exact / 12}
    run = ScreenData({"prompts": [PROMPT]}, {"best": best | {"held_out": False}}, [best], [], [])
    (sentence,) = found_neurons(run)
    assert sentence.startswith(said)
    assert "1,200%" not in sentence
    assert ("%" in sentence) == (0 <= exact <= 1)


def test_parts_that_cancel_are_in_logits(tmp_path: Path) -> None:
    """Heads write −789% of the answer's lead and MLPs 883%: of a lead of 0.9 logits that is −7.10 and +7.95."""
    parts = {"head": -7.1, "mlp": 7.95, "input": 0.04, "biases": 0.01}
    summary = AttributionSummary(
        difference=0.9,
        measured=0.9,
        largest_gap=0.0,
        against="the distractor",
        heads=(),
        against_heads=(),
        mlps=(),
        neurons=(),
        parts=parts,
    )
    about: dict[str, Any] = {"summary": summary_json(summary), "method": "", "n": 4, "tables": {}}
    stored = StoredSection(RunData(Run(tmp_path, {}), {}, {}), Section(tmp_path, json.loads(json.dumps(about))))
    (claim,) = PART.claims(stored)
    assert "0.90 logits above" in claim.text
    assert "heads write −7.10 of these themselves, MLPs +7.95, input and biases +0.05" in claim.text
    assert "%" not in claim.text


def enriched(*, above: float, low: float | None, layer: int, n: int) -> str:
    row = {"above": above, "above_low": low, "above_high": 0.95, "layer": layer, "n": n}
    peak = {"rate": 0.1, "other": 0.2, "rate_low": None, "rate_high": None}
    return " ".join(_enriched({"above": row, "peak": peak, "start": {"above": 0.74}}))


def test_an_enrichment_that_was_there_from_the_start_is_none() -> None:
    """74% after 18 layers and 74% before the first; and nothing is said of a single word."""
    many = LEAST_SUBJECTS
    assert enriched(above=0.74, low=0.7, layer=18, n=many).startswith("Enrichment is not seen")
    assert enriched(above=0.8, low=0.7, layer=18, n=many).startswith("Enrichment is not seen")
    assert enriched(above=0.9, low=None, layer=18, n=many).startswith("Enrichment is not seen")
    assert "most clearly after 18 layers: in 90%" in enriched(above=0.9, low=0.8, layer=18, n=many)
    assert enriched(above=1.0, low=0.9, layer=18, n=1).startswith("Whether the subject is enriched cannot be said")
