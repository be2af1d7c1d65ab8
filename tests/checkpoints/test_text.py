"""Texts as tokens and back: parity with the tokenizer's own call, and what tokens say inside a text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import KINDS, make_model, make_tokenizer
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

import wheatstone as ws
from wheatstone.checkpoints._light_tokenizer import TokenizersReading
from wheatstone.checkpoints._text import TextReader
from wheatstone.models import ResidualModel, TokenizerWarning, start_token, wrap_model

TEXTS = ("The capital of France is", " The capital", "19", "a\n b", "中国的首都是北京", "two  spaces", "x")


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> ResidualModel:
    return make_model(make_tokenizer(request.param))


@pytest.mark.parametrize("text", TEXTS)
def test_a_prompt_is_read_as_the_tokenizer_reads_it(model: ResidualModel, text: str) -> None:
    assert model.encode(text) == model.tokenizer(text)["input_ids"]
    assert model.reader.offsets(text) == model.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]


@given(text=st.text("abcehimoprst 1952.\n中京é", max_size=30))
def test_tokens_of_a_continuation_say_the_text_and_nothing_more(model: ResidualModel, text: str) -> None:
    ids = model.continuation(text)
    assert model.reader.joined(ids) == text.encode()
    assert b"".join(model.reader.bytes_of(token) for token in ids) == text.encode()


def test_each_token_keeps_its_space(model: ResidualModel) -> None:
    ids = model.encode("The capital of France is")
    assert model.decode(ids)[0] == "<s>"
    assert "".join(model.decode(ids)[1:]) == " The capital of France is"
    assert model.written(ids[1:]) == " The capital of France is"


def test_the_same_without_transformers(model: ResidualModel) -> None:
    backend: Any = model.tokenizer.backend_tokenizer
    light = TextReader("light", model.vocabulary, TokenizersReading(backend))
    for text in TEXTS:
        assert light.encode(text) == model.encode(text)
        assert light.continuation(text) == model.continuation(text)
        assert light.decode(light.encode(text)) == model.decode(model.encode(text))
        assert light.offsets(text) == model.reader.offsets(text)


def test_bytes_of_a_character_are_shown_as_bytes(model: ResidualModel) -> None:
    first, *_ = model.continuation("é")  # in no vocabulary: two bytes
    assert model.decode([first]) == ["<C3>"]
    assert model.reader.shown(first) == "bytes C3"
    assert model.written(model.continuation("é")) == "é"


def test_a_byte_level_tokenizer_that_adds_a_space() -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(BPE({letter: token for token, letter in enumerate(letters)}, []))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    model = make_model(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>"))
    assert model.reader.dummy_prefix
    assert model.decode(model.encode("ab")) == [" ", "a", "b"]
    assert model.decode(model.continuation("ab")) == ["a", "b"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_after_every_text_is_left_out_and_said_once(kind: str) -> None:
    plain, ending = make_tokenizer(kind), make_tokenizer(kind, ending=True)
    with pytest.warns(TokenizerWarning, match="'</s>' after every text; it is left out"):
        model = wrap_model(make_model(ending).module, ending, id="ending")
    for text in TEXTS:
        assert ending(text)["input_ids"][-1] == 2
        assert model.encode(text) == plain(text)["input_ids"]
    assert model.reader.offsets("The town") == plain("The town", return_offsets_mapping=True)["offset_mapping"]
    assert any("'</s>'" in note for note in model.reader.notes("The town"))


def test_a_start_token_that_is_already_there_is_not_put_before_it(model: ResidualModel) -> None:
    assert model.tokenizer("<s>The town")["input_ids"][:2] == [1, 1]
    ids = model.encode("<s>The town")
    assert ids == model.tokenizer("<s>The town")["input_ids"][1:]
    assert len(ids) == len(model.reader.offsets("<s>The town") or ())
    (note,) = model.reader.notes("<s>The town")
    assert "begins with '<s>' itself" in note
    assert model.reader.notes("The town") == []
    assert start_token(model) == 1


def test_a_token_without_an_embedding_is_refused_by_name() -> None:
    tokenizer = make_tokenizer("first")
    model = make_model(tokenizer, size=300)
    token = tokenizer.convert_tokens_to_ids("▁town")
    for read, text in ((model.encode, "town"), (model.continuation, " town")):
        with pytest.raises(ws.PromptError, match="has embeddings for, 0 to 299") as error:
            read(text)
        assert error.value.got == f"' town', token {token:,} of the tokenizer, in {text!r}"


@pytest.mark.real_weights
def test_the_bundled_model_s_tokens_say_what_its_tokenizer_decodes(smollm2: ResidualModel) -> None:
    ids = range(0, smollm2.vocabulary, 7)
    shown = [(text, smollm2.tokenizer.decode([token])) for token, text in zip(ids, smollm2.decode(ids), strict=True)]
    assert all("�" in theirs or ours == theirs for ours, theirs in shown)
    parts = [ours for ours, theirs in shown if "�" in theirs]
    assert len(set(parts)) == len(parts) > 10  # no two parts of characters look the same


def test_parts_of_characters_are_distinguished(smollm2: ResidualModel) -> None:
    assert smollm2.decode(smollm2.continuation("北")) == ["<E5 8C>", "<97>"]
