"""Where names end in running text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheatstone.lenses._names import name_ends


def ends(text: str) -> list[str]:
    """The names' last tokens, with words and signs as tokens."""
    tokens = re.findall(r"\s*\w+|\s*\W", text)
    return [token.strip() for token, end in zip(tokens, name_ends(tokens), strict=True) if end]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("In the spring Alice went to Paris.", ["Alice", "Paris"]),
        ("the University of New York City is", ["University", "City"]),  # "of" divides a name
        ("It rains. Alice sleeps, and so does Bob", ["Bob"]),  # what begins a sentence is not counted
        ("“Alice,” said the Cat", ["Cat"]),
        ("he said:\nWell then", []),
        ("and I saw that I'm here", []),  # a single letter
        ("mit dem Hund", ["Hund"]),
        ("город Москва и река", ["Москва"]),
        ("中国的首都是北京", []),
        ("Alice", []),
    ],
)
def test_names_are_words_with_a_capital_inside_a_sentence(text: str, names: list[str]) -> None:
    assert ends(text) == names


def test_the_last_token_of_a_name_in_pieces() -> None:
    tokens = ["the", " city", " of", " Mont", "ev", "ideo", ",", " Urug", "uay"]
    assert name_ends(tokens) == [False, False, False, False, False, True, False, False, True]


@given(st.lists(st.text(max_size=6), max_size=20))
def test_one_flag_a_token_and_none_on_an_empty_one(tokens: list[str]) -> None:
    found = name_ends(tokens)
    assert len(found) == len(tokens)
    assert all(any(sign.isalpha() for sign in token) for token, end in zip(tokens, found, strict=True) if end)
