"""The token that a text begins after: the tokenizer's own, then measured."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from exact import BOS, EOS, exact_model
from sentencepiece import KINDS, make_model, make_tokenizer
from transformers import PreTrainedTokenizerFast

from wheatstone.models import ResidualModel, start_token


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", [False, True])
def test_the_token_that_the_tokenizer_puts_before_a_text(kind: str, ending: bool) -> None:
    assert start_token(make_model(make_tokenizer(kind, ending=ending))) == 1


def like(named: dict[str, str], *, cheaper: int | None = None) -> ResidualModel:
    """A model of bytes whose tokenizer puts nothing before a text; after one token, texts may cost less."""
    model = exact_model()
    module: Any = model.module
    for name, weight in module.named_parameters():
        if "ln_" not in name:
            torch.nn.init.zeros_(weight)
    if cheaper is not None:  # after this token the model expects the byte that every opening begins with nearby
        module.transformer.wte.weight.data[cheaper, 0] = 1.0
        module.lm_head.weight.data[:BOS, 0] = 2.0
        module.lm_head.weight.data[BOS:, 0] = -2.0
    backend = model.tokenizer.backend_tokenizer
    return ResidualModel(module, PreTrainedTokenizerFast(tokenizer_object=backend, **named), id="like")


def test_the_named_start_token_and_not_the_end_token() -> None:
    assert start_token(like({"bos_token": "<s>", "eos_token": "</s>"})) == BOS


def test_the_end_token_where_it_is_the_only_one_named() -> None:
    assert start_token(like({"eos_token": "</s>"})) == EOS


def test_a_little_cheaper_is_not_enough_to_leave_the_named_start_token() -> None:
    assert start_token(like({"bos_token": "<s>", "eos_token": "</s>"}, cheaper=EOS)) == BOS


def test_without_a_named_start_token_the_cheapest_is_taken() -> None:
    names = {"eos_token": "<s>", "pad_token": "</s>"}
    assert start_token(like(names, cheaper=EOS)) == EOS
    assert start_token(like(names, cheaper=BOS)) == BOS


@pytest.mark.real_weights
def test_the_bundled_chat_model_begins_after_endoftext(smollm2: ResidualModel) -> None:
    assert smollm2.tokenizer.bos_token == "<|im_start|>"
    assert smollm2.tokenizer.eos_token == "<|im_end|>"
    assert smollm2.tokenizer.convert_ids_to_tokens(start_token(smollm2)) == "<|endoftext|>"
