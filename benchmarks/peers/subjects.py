"""What is measured on: random weights saved as plain folders that every peer can load, and prompt pairs for them.

`pairs.json` beside the weights has the prompts as text and as token ids. Answer and distractor of a pair are read off
the random model's own logits, so that the counterfactual does change its answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

import wheatstone as ws

WORDS = 64
SMOLLM2: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0},
}
GPT2: dict[str, Any] = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
TINY_GPT2: dict[str, Any] = {"vocab_size": WORDS + 2, "n_positions": 32, "n_embd": 16, "n_layer": 3, "n_head": 4}
TINY: dict[str, Any] = {
    "vocab_size": WORDS + 2,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@dataclass(frozen=True)
class Subject:
    """A model folder with its prompts.

    Args:
        name: also the folder's name; it may not contain `llama`, by which transformer-lens guesses an architecture.
        short: in a column of a table.
        about: what it is, for the text.
        prompts: how many pairs.
        tokens: of each prompt, with the one that begins every text.
        spread: standard deviation of the weights; 0 leaves them as transformers draws them.
    """

    name: str
    short: str
    about: str
    prompts: int = 4
    tokens: int = 13
    spread: float = 0.0

    def module(self) -> PreTrainedModel:
        """The random model."""
        torch.manual_seed(0)
        if "gpt2" in self.name:
            # n_ctx: no longer in transformers, but in the published file, and transformer-lens 3.8 reads it.
            shape = GPT2 if self.name.startswith("shape") else TINY_GPT2
            module: PreTrainedModel = GPT2LMHeadModel(
                GPT2Config(**shape, n_ctx=shape["n_positions"], bos_token_id=WORDS, eos_token_id=WORDS)
            )
        else:
            shape = (SMOLLM2 if self.name.startswith("shape") else TINY) | {"max_position_embeddings": 512}
            if self.name.endswith("-mha"):
                shape["num_key_value_heads"] = shape["num_attention_heads"]
            module = LlamaForCausalLM(LlamaConfig(**shape, bos_token_id=WORDS, eos_token_id=WORDS))
        for name, parameter in module.named_parameters():
            if self.spread:
                norm = parameter.ndim == 1 and name.endswith("weight")
                parameter.data.normal_(1.0 if norm else 0.0, self.spread)
        return module.eval()


SUBJECTS = (
    Subject("shape", "SmolLM2's shape", "30 layers, 9 heads, 3 KV groups, 134 million weights, pairs of 13 tokens"),
    Subject("shape-mha", "SmolLM2's, 9 groups", "9 KV groups, as transformer-lens 4 refuses grouped-query attention"),
    Subject("shape-gpt2-8", "GPT-2's shape", "12 layers, 12 heads, 124 million weights, pairs of 12 tokens", 8, 12),
    Subject("shape-gpt2-32", "GPT-2's shape", "the same with more pairs", 32, 12),
    Subject("tiny-grouped", "tiny-grouped", "3 layers, 4 heads, 2 KV groups, rotary", spread=0.4),
    Subject("tiny-gpt2", "tiny-gpt2", "3 layers, 4 heads, gpt2", spread=0.4),
)


def subject_of(name: str) -> Subject:
    """A subject by its name."""
    return next(subject for subject in SUBJECTS if subject.name == name)


def folder(root: Path, name: str) -> Path:
    """The folder of a subject, made at the first call."""
    place = root / "subjects" / name
    if (place / "pairs.json").exists():
        return place
    subject = subject_of(name)
    subject.module().save_pretrained(place)
    _tokenizer().save_pretrained(place)
    _write_pairs(place, ws.load_model(str(place)), _random_pairs(ws.load_model(str(place)), subject))
    return place


def france(root: Path) -> Path:
    """SmolLM2-135M-Instruct (Q4_1) as a plain folder with one pair, the official language of France."""
    place = root / "subjects" / "france"
    if not (place / "pairs.json").exists():
        model = ws.load_model("smollm2-135m")
        model.module.save_pretrained(place)
        model.tokenizer.save_pretrained(place)
        pair = ws.PromptPair(
            prompt="The official language of France is",
            counterfactual="The official language of Japan is",
            answers=(" French",),
            distractors=(" Japanese",),
        )
        _write_pairs(place, model, [pair])
    return place


def _tokenizer() -> PreTrainedTokenizerFast:
    words = {f"w{index}": index for index in range(WORDS)} | {"<s>": WORDS, "<pad>": WORDS + 1}
    tokenizer = Tokenizer(WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", WORDS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="w0", bos_token="<s>", eos_token="<s>", pad_token="<pad>"
    )


def _random_pairs(model: ws.ResidualModel, subject: Subject) -> list[ws.PromptPair]:
    draw = torch.Generator().manual_seed(1)
    pairs: list[ws.PromptPair] = []
    for _ in range(subject.prompts):
        ids = torch.randint(WORDS, (subject.tokens - 1,), generator=draw).tolist()
        other = list(ids)
        other[2] = (other[2] + 7) % WORDS
        texts = [" ".join(f"w{index}" for index in prompt) for prompt in (ids, other)]
        clean, corrupt = (model.forward(model.tokens([text])).logits[0, :WORDS] for text in texts)
        gap = torch.minimum(clean[:, None] - clean, corrupt - corrupt[:, None])
        answer, distractor = divmod(int(gap.argmax()), WORDS)
        pairs.append(
            ws.PromptPair(
                prompt=texts[0], counterfactual=texts[1], answers=(f" w{answer}",), distractors=(f" w{distractor}",)
            )
        )
    return pairs


def _write_pairs(place: Path, model: ws.ResidualModel, pairs: list[ws.PromptPair]) -> None:
    rows = [
        {
            "clean": pair.prompt,
            "corrupt": pair.counterfactual,
            "answer": pair.answers[0],
            "distractor": pair.distractors[0],
            "clean_ids": model.encode(pair.prompt),
            "corrupt_ids": model.encode(pair.counterfactual),
            "answer_id": model.continuation(pair.answers[0])[0],
            "distractor_id": model.continuation(pair.distractors[0])[0],
        }
        for pair in pairs
    ]
    (place / "pairs.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
