"""Tiny random models that several rooms' tests share, and prompts on which they have something to explain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from wheatstone.models import ResidualModel
from wheatstone.tasks import KNOWN_RANK, PromptPair

WORDS = [f"w{index}" for index in range(40)]


class DoubleRMSNorm(torch.nn.Module):
    """llama's norm without its detour through float32, which would blur finite differences."""

    def __init__(self, norm: LlamaRMSNorm) -> None:
        super().__init__()
        self.weight, self.variance_epsilon = norm.weight, norm.variance_epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.variance_epsilon)


def make_tiny(kind: str, dtype: torch.dtype, *, layers: int = 3, heads: int = 4) -> ResidualModel:
    """A random model, every bias and norm weight random too; prompts are words w0 … w39."""
    if kind == "gpt2":
        config = GPT2Config(
            vocab_size=len(WORDS),
            n_positions=32,
            n_embd=16,
            n_layer=layers,
            n_head=heads,
            n_inner=24,
            bos_token_id=0,
            eos_token_id=0,
        )
        module = GPT2LMHeadModel(config)
    else:
        module = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(WORDS),
                hidden_size=16,
                intermediate_size=24,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                num_key_value_heads=heads // 2,
                max_position_embeddings=32,
                attention_bias=kind == "llama-biased",
                mlp_bias=kind == "llama-biased",
            )
        )
    draw = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=draw)
        norm = parameter.ndim == 1 and name.endswith("weight")
        parameter.data = (1 + 0.3 * noise if norm else 0.4 * noise).to(dtype)
    for name, part in list(module.named_modules()):
        if isinstance(part, LlamaRMSNorm) and dtype == torch.float64:
            module.set_submodule(name, DoubleRMSNorm(part))
    vocabulary = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="w0"))
    vocabulary.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=vocabulary, unk_token="w0")
    return ResidualModel(module, tokenizer, id=f"tiny-{kind}")


def explainable_pairs(model: ResidualModel, prompts: Sequence[tuple[str, str]]) -> list[PromptPair]:
    """Pairs that even a random model answers, and answers otherwise after the counterfactual.

    Answer and distractor are read off its logits; the answer is among its likeliest tokens.
    """
    pairs: list[PromptPair] = []
    for prompt, counterfactual in prompts:
        clean, corrupt = (model.forward(model.tokens([text])).logits[0] for text in (prompt, counterfactual))
        gap = torch.minimum(clean[:, None] - clean, corrupt - corrupt[:, None])
        gap[clean.argsort()[:-KNOWN_RANK]] = -torch.inf  # an answer that the model itself gives
        answer, distractor = divmod(int(gap.argmax()), len(clean))
        pairs.append(
            PromptPair(
                prompt=prompt,
                counterfactual=counterfactual,
                answers=(f" {WORDS[answer]}",),
                distractors=(f" {WORDS[distractor]}",),
            )
        )
    return pairs


def write_tiny_task(folder: Path) -> tuple[ResidualModel, list[PromptPair], list[dict[str, Any]]]:
    """Writes a tiny model (`model`) and a task of six pairs with splits on which it changes its answer (`pairs.jsonl`).

    Returns:
        The model, the pairs and the task's records.
    """
    model = make_tiny("llama", torch.float32)
    model.module.save_pretrained(folder / "model")
    model.tokenizer.save_pretrained(folder / "model")
    pairs = explainable_pairs(model, [(f"w{at} w2 w3", f"w{at + 10} w2 w3") for at in range(4, 10)])
    splits = ["train", "train", "validation", "test", "test", "test"]
    records = [
        {**pair.model_dump(), "subject": pair.prompt.split()[0], "split": split}
        for pair, split in zip(pairs, splits, strict=True)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, records)))
    return model, pairs, records
