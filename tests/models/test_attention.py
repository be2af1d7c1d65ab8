from __future__ import annotations

import pytest
import torch
from tolerance import rounding
from torch import Tensor

from wheatstone import RequestError, ResidualModel
from wheatstone.models import Tokens

PROMPTS = [[3, 1, 4, 1, 5], [9, 2], [6, 5, 3]]


def transformers_attention(model: ResidualModel, ids: list[int]) -> Tensor:
    """[layer, head, query, key] as transformers gives it."""
    config = model.module.config
    before, config._attn_implementation = config._attn_implementation, "eager"
    try:
        with torch.no_grad():
            attentions = model.module(torch.tensor([ids]), output_attentions=True, use_cache=False).attentions
    finally:
        config._attn_implementation = before
    return torch.cat(attentions)


def test_patterns_are_transformers(tiny: ResidualModel) -> None:
    got = tiny.attention(Tokens.of(PROMPTS))
    assert got.shape == (3, 3, 4, 5, 5)
    for row, ids in enumerate(PROMPTS):
        length = len(ids)
        expected = transformers_attention(tiny, ids)
        rounding(tiny).check(got[:, row, :, :length, :length], expected)
        assert (got[:, row, :, length:] == 0).all()
        assert (got[:, row, :, :length, length:] == 0).all()


def test_layers_come_in_the_order_asked_for(tiny: ResidualModel) -> None:
    every = tiny.attention(Tokens.of(PROMPTS))
    assert torch.equal(tiny.attention(Tokens.of(PROMPTS), [2, 0]), every[[2, 0]])
    with pytest.raises(RequestError, match="layers from 0 to 2; got 3"):
        tiny.attention(Tokens.of(PROMPTS), [0, 3])


def test_the_attention_implementation_is_put_back(tiny: ResidualModel, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tiny.module.config._attn_implementation
    assert before == "sdpa"
    tiny.attention(Tokens.of(PROMPTS))
    assert tiny.module.config._attn_implementation == before

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(tiny.blocks[1].attention), "forward", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tiny.attention(Tokens.of(PROMPTS))
    assert tiny.module.config._attn_implementation == before
    assert all("forward" not in block.attention.__dict__ for block in tiny.blocks)


@pytest.mark.real_weights
def test_smollm2_patterns_are_transformers(smollm2: ResidualModel) -> None:
    text = "The official language of France is"
    got = smollm2.attention(smollm2.tokens([text]))[:, 0]
    rounding(smollm2).check(got, transformers_attention(smollm2, smollm2.encode(text)))
    assert got[23, 4, 5, 4] > 0.7  # The circuit's mover: from the last token it looks at France.
