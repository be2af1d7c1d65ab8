"""Adding to a head's scores is what the softmax says it is, also with windows, softcaps and other interventions."""

from __future__ import annotations

import pytest
import torch
from tiny_families import tiny_family
from tolerance import rounding

from wheatstone import RequestError, ResidualModel
from wheatstone.models import AddScore, KnockOutAttention, Tokens

IDS = [7, 3, 1, 4, 1, 5, 9, 2]
PADDED = Tokens.of([IDS, IDS[:4]])


def add(value: float | list[float], *, head: str = "a1.h2", query: int = -1, key: int = 3) -> AddScore:
    return AddScore(head=head, queries=(query,), keys=(key,), value=torch.tensor(value, dtype=torch.float64))


@pytest.mark.parametrize("case", ["llama", "gpt2", "gptj", "mistral", "gemma2", "qwen2", "gpt_neox"])
def test_weights_change_by_the_softmax_formula_in_that_row_alone(case: str) -> None:
    model, tokens = tiny_family(case, torch.float64), Tokens.of([IDS])
    before, after = (model.attention(tokens, [1], interventions=edits)[0, 0] for edits in ([], [add(-1.5, key=4)]))
    row = before[2, -1].clone()
    row[4] *= torch.tensor(-1.5).exp()
    expected = before.clone()
    expected[2, -1] = row / row.sum()
    rounding(model, dtype=torch.float32).check(after, expected)


def test_each_prompt_may_have_its_own_number(tiny64: ResidualModel) -> None:
    both = tiny64.forward_with(PADDED, [add([2.0, 0.0], query=3, key=1)]).logits
    alone = tiny64.forward_with(Tokens.of([IDS]), [add(2.0, query=3, key=1)]).logits
    plain = tiny64.forward(PADDED).logits
    rounding(tiny64).check(both[:1], alone)
    rounding(tiny64).check(both[1], plain[1])
    assert (both[0] - plain[0]).abs().max() > 1e-3


def test_what_is_added_adds_up_and_hidden_keys_stay_hidden(tiny64: ResidualModel) -> None:
    tokens = Tokens.of([IDS])
    once = tiny64.forward_with(tokens, [add(0.75)]).logits
    rounding(tiny64).check(tiny64.forward_with(tokens, [add(0.5), add(0.25)]).logits, once)
    plain = tiny64.forward(tokens).logits
    rounding(tiny64).check(tiny64.forward_with(tokens, [add(9.0, query=2, key=3)]).logits, plain)
    cut = KnockOutAttention(layer=1, queries=(-1,), keys=(3,))
    knocked = tiny64.forward_with(tokens, [cut]).logits
    rounding(tiny64).check(tiny64.forward_with(tokens, [add(9.0), cut]).logits, knocked)


def test_a_head_that_is_not_there_is_refused(tiny64: ResidualModel) -> None:
    with pytest.raises(RequestError, match=r"a head of tiny-.*, from a0.h0 to a2.h3; got 'm1'"):
        tiny64.forward_with(PADDED, [add(1.0, head="m1")])
