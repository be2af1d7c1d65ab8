"""A model in which one way leads from a changed word to the answer."""

from __future__ import annotations

import torch
from tiny import make_tiny

from wheatstone import PromptPair, ResidualModel


def planted_pair() -> tuple[ResidualModel, PromptPair]:
    """The way leads through the value of head 2 of layer 1 and what that head writes.

    No query looks at anything in particular, and nothing else writes.
    """
    model = make_tiny("llama", torch.float64)
    module = model.module
    for name, weights in module.named_parameters():
        if any(part in name for part in ("o_proj", "down_proj", "q_proj")):
            kept = weights.data[..., 8:12].clone()
            weights.data.zero_()
            if "layers.1.self_attn.o_proj.weight" in name:
                weights.data[..., 8:12] = 20 * kept
    alone = ResidualModel(module, model.tokenizer, id="planted")
    clean, other = (alone.forward(alone.tokens([text])).logits[0] for text in ("w1 w2 w3 w4", "w1 w9 w3 w4"))
    answer, distractor = int((clean - other).argmax()), int((clean - other).argmin())
    pair = PromptPair(
        prompt="w1 w2 w3 w4", counterfactual="w1 w9 w3 w4", answers=(f" w{answer}",), distractors=(f" w{distractor}",)
    )
    return alone, pair
