"""Whether an answer continues its prompt, in scripts with spaces and without; and how two texts are joined."""

from __future__ import annotations

import pytest
from sentencepiece import make_model, make_tokenizer
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

import wheatstone as ws
from wheatstone.models import ResidualModel, joined
from wheatstone.models._continuation import boundary_notes, continued, scored_note
from wheatstone.models._scripts import splits_a_word


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        ("The capital of France is", "Paris", " Paris"),
        ("The capital of France is", " Paris", " Paris"),
        ("The capital of France is ", " Paris", "Paris"),
        ("中国的首都是", "北京", "北京"),
        ("中国的首都是", " 北京", " 北京"),
        ("法国的首都是", "Paris", "Paris"),
        ("The capital of China is", "北京", " 北京"),
        ("答案：", "北京", "北京"),
        ("フランスの首都は", "パリ", "パリ"),
        ("เมืองหลวงของไทยคือ", "กรุงเทพ", "กรุงเทพ"),
        ("ປະເທດລາວ", "ວຽງຈັນ", "ວຽງຈັນ"),
        ("រាជធានី", "ភ្នំពេញ", "ភ្នំពេញ"),
        ("프랑스의 수도는", "파리", " 파리"),
        ("Столица Франции —", "Париж", " Париж"),
        ("the capital—", "Paris", "Paris"),
        ("Capital -", "Paris", " Paris"),
        ("It is -", "4", "4"),
        ("2 +", "2", " 2"),
        ("2+", "2", "2"),
        ("Jean-", "Paul", "Paul"),
        ("中国的人口是14", "亿", "亿"),
        ("中国的首都叫“北京”", "或", "或"),
        ("首都是……", "北京", "北京"),
        ("The number 14", "亿", " 亿"),
        ("中国的首都是Beijing", "市", " 市"),
        ("Столица Франции", "Париж", " Париж"),
        ("عاصمة فرنسا هي", "باريس", " باريس"),
        ("The war began in 19", "52", "52"),
        ("In 1990 people", "52", " 52"),
        ('He said "', "Paris", "Paris"),
        ('He said "no" and', "Paris", " Paris"),
        ("It costs $", "5", "5"),
        ("2+2=", "4", "4"),
        ("2 + 2 =", "4", " 4"),
        ("Q: France\nA:", "Paris", " Paris"),
        ("line\n", "Paris", "Paris"),
        ("", "Paris", "Paris"),
    ],
)
def test_a_continuation_is_joined_as_it_is_written(before: str, text: str, expected: str) -> None:
    assert joined(before, text) == expected
    assert joined(before, joined(before, text)) == expected


@pytest.mark.parametrize(
    ("before", "text", "inside"),
    [
        ("It is", "Paris", True),
        ("Это", "Париж", True),
        ("这是", "北京", False),
        ("서울", "은", False),
        ("It is", " Paris", False),
        ("in 19", "52", False),
        ("It is", "5", False),
    ],
)
def test_only_letters_of_scripts_with_spaces_are_inside_a_word(before: str, text: str, inside: bool) -> None:
    assert splits_a_word(before, text) is inside


@pytest.fixture(scope="module", params=["first", "always", "legacy"])
def pieces(request: pytest.FixtureRequest) -> ResidualModel:
    return make_model(make_tokenizer(request.param))


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("The capital of France is", " Paris"),
        ("中国的首都是", "北京"),
        ("The year was 19", "52"),
        ("The year was 1", "9"),
        ('the town of "', "Paris"),
    ],
)
def test_an_answer_has_the_tokens_it_has_in_the_text(pieces: ResidualModel, prompt: str, answer: str) -> None:
    tokens = continued(pieces, prompt, answer)
    assert pieces.tokenizer(prompt + answer)["input_ids"] == [*pieces.tokenizer(prompt)["input_ids"], *tokens]
    assert pieces.written(tokens) == answer


def test_a_prompt_that_ends_in_a_space_shows_both_readings_and_the_way_out(pieces: ResidualModel) -> None:
    with pytest.raises(ws.PromptError) as error:
        continued(pieces, "The capital of France is ", "Paris")
    assert "[' of', ' France', ' is', ' '] alone, [' of', ' France', ' is', ' Paris'] together" in error.value.got
    assert error.value.do == "end the prompt after 'capital of France is' and write the answer as ' Paris'"
    assert "\n" not in str(error.value)
    assert boundary_notes("The capital is ", " Paris") == [
        "the prompt ends in ' ' and the answer ' Paris' begins with a space: two in a row"
    ]
    assert boundary_notes("The capital is", " Paris") == []


def test_digits_that_merge_are_not_told_to_take_a_space() -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: token for token, letter in enumerate([*letters, "19", "195"])}
    backend = Tokenizer(BPE(vocabulary, [("1", "9"), ("19", "5")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    model = make_model(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>"))
    assert model.decode(continued(model, "in 18", "52")) == ["5", "2"]
    with pytest.raises(ws.PromptError) as error:
        continued(model, "in 19", "52")
    assert "['i', 'n', ' ', '19'] alone, ['i', 'n', ' ', '195', '2'] together" in error.value.got
    assert error.value.do == "end the prompt after 'in ' and write the answer as '1952'"


def test_the_note_on_a_part_of_a_character_names_its_bytes(pieces: ResidualModel) -> None:
    assert scored_note(pieces, "é", continued(pieces, "the town ", "é")) == (
        "'é' is 2 tokens; only the first, bytes C3, is scored"
    )
    assert scored_note(pieces, " Paris", continued(pieces, "The capital of France is", " Paris")) is None


@pytest.mark.real_weights
def test_chinese_on_the_bundled_model(smollm2: ResidualModel) -> None:
    tokens = continued(smollm2, "中国的首都是", "北京")
    assert smollm2.written(tokens) == "北京"
    assert scored_note(smollm2, "北京", tokens) == "'北京' is 4 tokens; only the first, bytes E5 8C, is scored"
    assert smollm2.written(continued(smollm2, "The year was 19", "52")) == "52"
