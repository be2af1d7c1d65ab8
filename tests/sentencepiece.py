"""Tiny tokenizers that put a space before a text, as SentencePiece does, and a tiny random llama that reads by one.

Each is trained here on a few sentences; none is downloaded. All have `<s>`, bytes for unknown characters, and a decoder
that drops the first space of a text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram
from tokenizers.trainers import BpeTrainer, UnigramTrainer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from wheatstone.models import ResidualModel

KINDS = ("first", "always", "legacy", "unigram")
"""`prepend_scheme` of Metaspace; the older normalizer that prepends ▁; a unigram model."""
_CAPITALS = {
    "France": "Paris", "Japan": "Tokyo", "Spain": "Madrid", "Peru": "Lima", "Chile": "Santiago", "Egypt": "Cairo",
    "Kenya": "Nairobi", "Cuba": "Havana", "Italy": "Rome", "Greece": "Athens", "Norway": "Oslo", "Poland": "Warsaw",
    "Russia": "Moscow", "China": "Beijing", "Qatar": "Doha", "Ghana": "Accra", "Iraq": "Baghdad", "Iran": "Tehran",
    "Nepal": "Kathmandu", "Syria": "Damascus", "Turkey": "Ankara", "Austria": "Vienna", "Latvia": "Riga",
    "Ireland": "Dublin",
}  # fmt: skip
SUBJECTS, CAPITALS = tuple(_CAPITALS), tuple(_CAPITALS.values())
TEMPLATES = ("The capital of {subject} is", "In {subject} the capital is called")
_FACTS = [
    template.replace("{subject}", subject) + " " + capital
    for template in TEMPLATES
    for subject, capital in zip(SUBJECTS, CAPITALS, strict=True)
]
_SENTENCES = [
    *_FACTS * 2,
    "the capital city is a city",
    "The town of Paris is called a town",
    "中国 的 首都 是 北京",
    "日本 的 首都 是 东京",
]
_STEPS = 80
_SPECIAL = ["<unk>", "<s>", "</s>"]
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_SPACE = "▁"


def make_tokenizer(kind: str, *, ending: bool = False, words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer of one of `KINDS`.

    Args:
        kind: which.
        ending: put `</s>` after every text, as `add_eos_token` does.
        words: more that are one token each after a space; a unigram model takes none.
    """
    tokenizer = Tokenizer(_unigram() if kind == "unigram" else _bpe(words))
    if kind == "legacy":
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)]  # pyright: ignore[reportArgumentType]
        )
    else:
        scheme: Any = "first" if kind == "first" else "always"
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=kind == "unigram")
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(_SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens(_SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if ending else "<s> $A",
        pair="<s> $A $B",
        special_tokens=[("<s>", 1), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )


def make_model(
    tokenizer: PreTrainedTokenizerFast, *, id: str = "tiny-pieces", size: int | None = None
) -> ResidualModel:
    """A random llama with an embedding for each token of a tokenizer, or for the first `size` of them."""
    config = LlamaConfig(
        vocab_size=len(tokenizer) if size is None else size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
    )
    module = LlamaForCausalLM(config)
    draw = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=draw)
        norm = parameter.ndim == 1 and name.endswith("weight")
        parameter.data = 1 + 0.3 * noise if norm else 0.4 * noise
    return ResidualModel(module, tokenizer, id=id)


def taught(kind: str) -> ResidualModel:
    """A llama that has learnt the capitals by heart."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(kind)
    model = make_model(tokenizer)
    config: Any = model.module.config
    module = LlamaForCausalLM(config)
    rows = [tokenizer(sentence)["input_ids"] for sentence in _FACTS]
    batch = torch.tensor([[*row, *[2] * (max(map(len, rows)) - len(row))] for row in rows])
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(_STEPS):
        loss = module(batch, labels=batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return ResidualModel(module, tokenizer, id="taught")


def save(model: ResidualModel, folder: Path) -> Path:
    """Writes a model as a checkpoint."""
    model.module.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


def relation_file(path: Path) -> Path:
    """The capitals as a relation's file."""
    facts = [{"subject": s, "answers": [c]} for s, c in zip(SUBJECTS, CAPITALS, strict=True)]
    path.write_text(
        json.dumps({"name": "capitals", "kind": "factual", "templates": list(TEMPLATES), "facts": facts}),
        encoding="utf-8",
    )
    return path


def _bpe(words: Sequence[str]) -> BPE:
    trained = Tokenizer(BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    size = 600 + sum(map(len, words))
    trained.train_from_iterator([*_SENTENCES, *words], BpeTrainer(vocab_size=size, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    pieces = sorted({*model["vocab"], *"0123456789.,-\"'abcdefghijklmnopqrstuvwxyz"} - set(_BYTES))
    vocabulary = {piece: token for token, piece in enumerate([*_SPECIAL, *_BYTES, *pieces])}
    merges = [tuple(merge) for merge in model["merges"]]
    return BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)


@cache  # which pieces it learns is not the same every time
def _unigram() -> Unigram:
    trained = Tokenizer(Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = UnigramTrainer(vocab_size=160, show_progress=False, unk_token="<unk>", special_tokens=["<unk>"])
    trained.train_from_iterator(_SENTENCES, trainer)
    pieces: list[tuple[str, float]] = [tuple(row) for row in json.loads(trained.to_str())["model"]["vocab"]]
    learnt = {piece: score for piece, score in pieces if piece not in _SPECIAL}
    learnt |= {letter: -9.0 for letter in "0123456789.,-\"'abcdefghijklmnopqrstuvwxyz" if letter not in learnt}
    rows = [(name, 0.0) for name in _SPECIAL] + [(name, -20.0) for name in _BYTES] + list(learnt.items())
    return Unigram(rows, unk_id=0, byte_fallback=True)
