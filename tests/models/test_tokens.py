from __future__ import annotations

import torch

from wheatstone.models import Tokens


def test_prompts_are_padded_on_the_right() -> None:
    tokens = Tokens.of([[5, 6], [7, 8, 9]])
    assert tokens.ids.tolist() == [[5, 6, 0], [7, 8, 9]]
    assert tokens.lengths.tolist() == [2, 3]
    assert (tokens.batch, tokens.width) == (2, 3)


def test_repeat_puts_whole_batches_one_after_another() -> None:
    tokens = Tokens.of([[5], [7]]).repeat(2)
    assert torch.equal(tokens.ids, torch.tensor([[5], [7], [5], [7]]))
    assert tokens.lengths.tolist() == [1, 1, 1, 1]
