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

WORDS = 400
"""Of the vocabulary: w0, w1, …"""
SHAPES = {
    "tiny": (4, 4, 2, 16, 256, WORDS),
    "Llama-3.2-1B's": (16, 32, 8, 64, 8192, 128256),
    "Llama-3.1-8B's": (32, 32, 8, 128, 14336, 128256),
}
"""Layers, heads, key and value heads, width of a head, neurons of a layer, vocabulary."""


def random_model(layers: int, heads: int, width: int = 64) -> ResidualModel:
    """A random llama whose heads are 16 wide each, with a vocabulary of words."""
    return shaped_model(layers, heads, max(1, heads // 2), 16, 4 * width, WORDS, width=width)


def shaped_model(
    layers: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    mlp: int,
    vocabulary: int,
    *,
    width: int | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> ResidualModel:
    """A llama of a given shape with random weights, made where it is used.

    Args:
        layers: of the model.
        heads: of a layer.
        kv_heads: key and value heads of a layer.
        head_dim: width of a head.
        mlp: neurons of a layer.
        vocabulary: rows of the unembedding; only the first `WORDS` are words.
        width: of the residual stream; all heads side by side by default.
        device: where the weights are.
        dtype: their precision.
    """
    torch.manual_seed(0)
    width = heads * head_dim if width is None else width
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        head_dim=head_dim,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        initializer_range=0.15 * (64 / width) ** 0.5,  # logits of about the same size at every width
    )
    words = Tokenizer(WordLevel({f"w{index}": index for index in range(WORDS)}, unk_token="w0"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0")
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            module = LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)
    return ResidualModel(module, tokenizer, id=f"random-{layers}-{heads}")


def random_pairs(model: ResidualModel, count: int, tokens: int = 6) -> list[PromptPair]:
    """Pairs on which even a random model changes its answer: answer and distractor are read off its logits."""
    draw, found = random.Random(0), list[PromptPair]()
    for _ in range(count):
        words = [f"w{draw.randrange(1, WORDS)}" for _ in range(tokens)]
        prompt, other = " ".join(words), " ".join([f"w{draw.randrange(1, WORDS)}", *words[1:]])
        clean, corrupt = (model.forward(model.tokens([text])).logits[0, :WORDS].float() for text in (prompt, other))
        gap = torch.minimum(clean[:, None] - clean, corrupt - corrupt[:, None])
        answer, distractor = (f" w{index}" for index in divmod(int(gap.argmax()), WORDS))
        found.append(PromptPair(prompt=prompt, counterfactual=other, answers=(answer,), distractors=(distractor,)))
    return found
