from __future__ import annotations

import pickle
import re

import pytest

from wheatstone import _errors
from wheatstone._errors import RequestError, WheatstoneError, check_choice


def _tree(kind: type[WheatstoneError]) -> set[type[WheatstoneError]]:
    return {kind}.union(*(_tree(child) for child in kind.__subclasses__()))


def _drawn() -> dict[str, str | None]:
    """Each name in the docstring's drawing, with the name it hangs from."""
    parents: dict[str, str | None] = {}
    path: list[tuple[int, str]] = []
    for line in (_errors.__doc__ or "").splitlines():
        if found := re.search(r"\w+Error\b", line):
            path = [(column, name) for column, name in path if column < found.start()]
            parents[found[0]] = path[-1][1] if path else None
            path.append((found.start(), found[0]))
    return parents


def test_the_tree_drawn_is_the_tree_that_stands() -> None:
    stands = {kind.__name__: kind.__base__.__name__ for kind in _tree(WheatstoneError) if kind.__base__}
    assert _drawn() == {**stands, "WheatstoneError": None}


@pytest.mark.parametrize("kind", sorted(_tree(WheatstoneError), key=str))
def test_errors_survive_pickling_and_say_three_things_in_one_line(kind: type[WheatstoneError]) -> None:
    error = kind(expected="an apple", got="a pear", do="pick again")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == "expected an apple; got a pear; pick again"
    assert "\n" not in str(error)


def test_exit_codes() -> None:
    assert WheatstoneError.exit_code == 1
    assert _errors.ComputationError.exit_code == 1
    assert {kind.exit_code for kind in _tree(_errors.RequestError)} == {2}


def test_a_choice_is_one_of_those_that_are_known() -> None:
    known = {"eap": 1, "gim": 2}
    check_choice("a method", "eap", known)
    check_choice("a method", None, known)
    with pytest.raises(RequestError) as refused:
        check_choice("a method", "guess" * 100, known, do="list them")
    assert (refused.value.expected, refused.value.do) == ("a method out of eap, gim", "list them")
    assert len(refused.value.got) == 200
