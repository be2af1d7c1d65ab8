"""Where an answer ranks among all tokens."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone.tasks._encode import Encoded
from wheatstone.tasks._metrics import gather


def answer_ranks(logits: Float[Tensor, "*many batch vocab"], encoded: Encoded) -> Int[Tensor, "*many batch"]:
    """Rank of the best-placed answer of each prompt, 1 for the top token; ties and NaN count against it."""
    best = gather(logits, encoded.answers, -torch.inf).amax(-1, keepdim=True)
    return (~(logits < best)).sum(-1)  # where the answer has no number it is last, not first


def hits(logits: Float[Tensor, "*many batch vocab"], encoded: Encoded, k: int) -> Float[Tensor, "*many batch"]:
    """Hit@k: 1.0 for each prompt with an answer among its k top tokens."""
    return (answer_ranks(logits, encoded) <= k).double()
