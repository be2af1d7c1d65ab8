"""Continuations: drawn with a seed, token by token."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone.models import ResidualModel, Scale
from wheatstone.models._generate import Sampling

TEXT = "w1 w2 w3"
DRAWS = 1000


def test_every_token_is_reported_as_it_is_written(tiny64: ResidualModel) -> None:
    seen: list[tuple[int, int]] = []
    made = tiny64.generate([TEXT, "w4 w5"], new=5, written=lambda prompt, token: seen.append((prompt, token)))
    assert seen == [(prompt, token) for prompt, ids in enumerate(made.ids) for token in ids]


def test_a_seed_draws_the_same_text_and_another_draws_another(tiny64: ResidualModel) -> None:
    def text(seed: int, *, cache: bool = True) -> tuple[int, ...]:
        return tiny64.generate(TEXT, new=5, temperature=1.0, seed=seed, cache=cache).ids[0]

    assert text(3) == text(3) == text(3, cache=False)
    assert len({text(seed) for seed in range(4)}) > 1


def test_an_intervention_that_changes_nothing_changes_no_draw(tiny64: ResidualModel) -> None:
    same = [Scale(at="a1.h2", factor=1.0)]
    plain, changed = (tiny64.generate(TEXT, new=6, temperature=1.5, interventions=each).ids for each in ([], same))
    assert plain == changed


def test_tokens_are_drawn_as_often_as_the_softmax_says() -> None:
    logits: Float[Tensor, " vocab"] = torch.tensor([0.0, 1.0, 2.0, -1.0])
    temperature = 0.7
    choose = Sampling(temperature, 5).chooser()
    counts = torch.bincount(torch.tensor([choose(logits) for _ in range(DRAWS)]), minlength=len(logits))
    wanted = (logits.double() / temperature).softmax(0)
    # A share of n draws has the standard deviation sqrt(p (1 - p) / n); all four lie within five of them.
    assert (((counts / DRAWS) - wanted).abs() < 5 * (wanted * (1 - wanted) / DRAWS).sqrt()).all()


@pytest.mark.parametrize(
    "wrong", [{"temperature": -0.1}, {"temperature": 11.0}, {"temperature": float("nan")}, {"seed": -1}]
)
def test_what_is_out_of_range_is_refused(tiny64: ResidualModel, wrong: dict[str, float]) -> None:
    with pytest.raises(RequestError, match=r"a temperature from 0 to 10|a seed from 0"):
        tiny64.generate(TEXT, new=1, **wrong)  # pyright: ignore[reportArgumentType]
