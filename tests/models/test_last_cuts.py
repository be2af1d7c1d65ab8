"""Cutting the last token's attention is what `KnockOutAttention` does there, in every family."""

from __future__ import annotations

import pytest
import torch
from tiny_families import FAMILY_CONFIGS, tiny_family
from tolerance import rounding

from wheatstone import RequestError, ResidualModel
from wheatstone.models import KnockOutAttention

TEXTS = ["w1 w2 w3 w4 w5 w6 w7", "w8 w9 w10 w11", "w12 w13 w14 w15 w16"]


@pytest.mark.parametrize("case", FAMILY_CONFIGS)
def test_it_is_knock_out_attention_at_the_last_token(case: str) -> None:
    model = tiny_family(case)
    tokens = model.tokens(TEXTS)
    cuts = torch.zeros(4, 3, 3, tokens.width, dtype=torch.bool)
    cuts[1, 1, :, 1] = True
    cuts[2, 1:, :, :2] = True
    cuts[3, 0, 0, 6] = cuts[3, 0, 1, 3] = cuts[3, 0, 2, 4] = True
    found = model.last_cut_logits(tokens, cuts)
    ways = [
        [],
        [KnockOutAttention(layer=1, queries=(-1,), keys=(1,))],
        [KnockOutAttention(layer=layer, queries=(-1,), keys=(0, 1)) for layer in (1, 2)],
        [KnockOutAttention(layer=0, queries=(-1,), keys=(-1,))],
    ]
    for logits, cut in zip(found, ways, strict=True):
        rounding(model).check(logits, model.forward_with(tokens, cut).logits)
    assert not torch.allclose(found[0], found[1], atol=1e-3)


def test_pieces_and_progress(tiny: ResidualModel, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, told = tiny.tokens(TEXTS), list[int]()
    cuts = torch.zeros(3, 3, 3, tokens.width, dtype=torch.bool)
    cuts[1, 2, :, 0] = cuts[2, 0, :, 1] = True
    whole = tiny.last_cut_logits(tokens, cuts)
    monkeypatch.setattr("wheatstone.models._last_cuts._ROWS", 3)
    rounding(tiny).check(tiny.last_cut_logits(tokens, cuts, done=told.append), whole)
    assert told == [1, 2, 3]


def test_a_key_must_be_left(tiny: ResidualModel) -> None:
    with pytest.raises(RequestError, match="at least one key left for every query"):
        tiny.last_cut_logits(tiny.tokens(["w1 w2"]), torch.ones(1, 3, 1, 2, dtype=torch.bool))
