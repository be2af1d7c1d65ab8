from __future__ import annotations

import math

import pytest
import torch

from wheatstone import PromptPair, RequestError, ResidualModel
from wheatstone.tasks import METRICS, Encoded, Targets, encode, gather, metric_named


@pytest.fixture
def encoded(tiny: ResidualModel) -> Encoded:
    return encode(
        tiny,
        [
            PromptPair(prompt="w1", counterfactual="w2", answers=(" w0", " w1"), distractors=(" w2",)),
            PromptPair(prompt="w3", counterfactual="w4", answers=(" w2",), distractors=(" w0", " w1")),
        ],
    )


@pytest.fixture
def logits() -> torch.Tensor:
    """Probabilities 1/10, 2/10, 3/10 and 4/10 of tokens 0 to 3, for two prompts of one circuit."""
    return torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64).log().expand(1, 2, 4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("logit_diff", [math.log((1 + 2) / 3), math.log(3 / (1 + 2))]),
        ("prob_diff", [0.1 + 0.2 - 0.3, 0.3 - 0.1 - 0.2]),
        ("kl", [sum(0.25 * math.log(2.5 / k) for k in (1, 2, 3, 4))] * 2),
    ],
)
def test_metrics_by_hand(encoded: Encoded, logits: torch.Tensor, name: str, expected: list[float]) -> None:
    uniform = torch.full((2, 4), 0.25, dtype=torch.float64).log()
    got = METRICS[name](logits, Targets(encoded, uniform))
    assert got.shape == (1, 2)
    assert got[0].tolist() == pytest.approx(expected)


def test_kl_of_the_model_with_itself_is_nothing(encoded: Encoded, logits: torch.Tensor) -> None:
    assert METRICS["kl"](logits, Targets(encoded, logits[0])).abs().max() < 1e-12


def test_a_logit_difference_ignores_what_all_logits_share(encoded: Encoded, logits: torch.Tensor) -> None:
    targets = Targets(encoded, logits[0])
    torch.testing.assert_close(METRICS["logit_diff"](logits + 7, targets), METRICS["logit_diff"](logits, targets))


def test_a_logit_difference_reads_answers_and_distractors_alone(encoded: Encoded, logits: torch.Tensor) -> None:
    ids, alone = Targets(encoded, logits[0]).answers_alone()
    assert ids.tolist() == [0, 1, 2]
    whole = METRICS["logit_diff"](logits, Targets(encoded, logits[0]))
    torch.testing.assert_close(METRICS["logit_diff"](logits[..., ids], alone), whole)
    assert [name for name, metric in METRICS.items() if metric.reads_answers_alone] == ["logit_diff"]


def test_gather_fills_padding() -> None:
    assert gather(torch.tensor([[1.0, 2.0]]), torch.tensor([[1, -1]]), -5.0).tolist() == [[2.0, -5.0]]


def test_probability_difference_needs_no_distractors(tiny: ResidualModel, logits: torch.Tensor) -> None:
    lone = encode(tiny, [PromptPair(prompt="w1", counterfactual="w2", answers=(" w3",))] * 2)
    got = metric_named("prob_diff", lone)(logits, Targets(lone, logits[0]))
    assert got[0].tolist() == pytest.approx([0.4, 0.4])
    with pytest.raises(RequestError, match="a distractor for every prompt"):
        metric_named("logit_diff", lone)


def test_an_unknown_metric_is_refused(encoded: Encoded) -> None:
    with pytest.raises(RequestError, match="logit_diff, prob_diff, kl; got 'accuracy'"):
        metric_named("accuracy", encoded)
