"""Direct logit attribution of a run adds up to the difference of logits that it explains."""

from __future__ import annotations

import pytest
import torch
from tiny_families import tiny_family
from tolerance import rounding

from wheatstone import RequestError, ResidualModel, logit_attribution


@pytest.mark.parametrize("case", ["llama", "gpt2", "gpt_neox", "granite", "cohere", "olmo2"])
def test_terms_add_up_to_the_difference_of_logits(case: str) -> None:
    model = tiny_family(case, torch.float64)
    run = model(["w3 w1 w4 w1", "w9 w2"])
    found = logit_attribution(run, "w7", "w5")
    expected = run.logit("w7") - run.logit("w5")
    magnitude = float(found.direct.abs().sum(0).max())
    rounding(model, passes=4).check(found.direct.sum(0), expected, magnitude=magnitude)


def test_against_the_mean_and_at_another_position(tiny64: ResidualModel) -> None:
    run = tiny64("w3 w1 w4 w1")
    found = logit_attribution(run, "w7", position=1)
    logits = run.last(1)
    magnitude = float(found.direct.abs().sum())
    expected = run.logit("w7", position=1) - logits.mean(-1)
    rounding(tiny64, passes=4).check(found.direct.sum(0), expected, magnitude=magnitude)


def test_it_shows_its_strongest_terms_first(tiny64: ResidualModel) -> None:
    found = logit_attribution(tiny64("w3 w1 w4 w1"), "w7", "w5")
    shares = [abs(row.direct) for row in found.rows]
    assert shares == sorted(shares, reverse=True)
    assert repr(found).splitlines()[2].split()[1] == found.rows[0].node
    with pytest.raises(RequestError, match="run the model with cache=True"):
        logit_attribution(tiny64("w3", cache=False), "w7")


def test_a_token_without_a_text_of_its_own_is_named_by_its_id(tiny64: ResidualModel) -> None:
    run = tiny64("w3 w1 w4 w1")
    answer, other = (tiny64.continuation(word)[0] for word in ("w7", "w5"))
    by_text, by_id = logit_attribution(run, "w7", "w5"), logit_attribution(run, answer, other)
    assert torch.equal(by_text.direct, by_id.direct)
    assert by_id.what == "logit of {!r} less that of {!r}".format(*tiny64.decode([answer, other]))
