"""Random models of any shape, and prompt pairs on which they change their answer."""

from __future__ import annotations

import random

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from wheatstone import PromptPair
from wheatstone.models import ResidualModel


def random_model(layers: int, heads: int, width: int = 64) -> ResidualModel:
    """A random llama whose heads are 16 wide each, with a vocabulary of words."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=width,
        head_dim=16,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        initializer_range=0.15,
    )
    words = Tokenizer(WordLevel({f"w{index}": index for index in range(400)}, unk_token="w0"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0")
    return ResidualModel(LlamaForCausalLM(config).eval(), tokenizer, id=f"random-{layers}-{heads}")


def random_pairs(model: ResidualModel, count: int, tokens: int = 6) -> list[PromptPair]:
    """Pairs on which even a random model changes its answer: answer and distractor are read off its logits."""
    draw, found = random.Random(0), list[PromptPair]()
    for _ in range(count):
        words = [f"w{draw.randrange(1, 400)}" for _ in range(tokens)]
        prompt, other = " ".join(words), " ".join([f"w{draw.randrange(1, 400)}", *words[1:]])
        clean, corrupt = (model.forward(model.tokens([text])).logits[0] for text in (prompt, other))
        gap = torch.minimum(clean[:, None] - clean, corrupt - corrupt[:, None])
        answer, distractor = (f" w{index}" for index in divmod(int(gap.argmax()), 400))
        found.append(PromptPair(prompt=prompt, counterfactual=other, answers=(answer,), distractors=(distractor,)))
    return found
