"""A summary is read as it was stored: with its classes, with defaults for what is new, and nothing of another type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from wheatstone.runs import summary_json, summary_of


class Head(NamedTuple):
    name: str
    effect: float | None
    later: int = 0


@dataclass(frozen=True)
class Found:
    n: int
    share: float
    best: Head
    classes: Mapping[str, tuple[Head, ...]]
    names: tuple[str, ...]
    most: Head | None
    held_out: bool = False
    notes: Mapping[str, str] = field(default_factory=dict[str, str])


FOUND = Found(3, 0.5, Head("a0.h1", None), {"mover": (Head("a1.h0", 2.0, 4),), "none": ()}, ("x", "y"), None)


def stored() -> dict[str, Any]:
    return json.loads(json.dumps(summary_json(FOUND), allow_nan=False))


def test_it_comes_back_as_it_was() -> None:
    assert stored()["classes"]["mover"] == [{"name": "a1.h0", "effect": 2.0, "later": 4}]
    assert summary_of(Found, stored()) == FOUND


def test_a_summary_of_an_earlier_version_has_defaults_and_may_hold_more() -> None:
    old: dict[str, Any] = {**stored(), "gone": 1}
    del old["held_out"], old["notes"], old["best"]["later"]
    assert summary_of(Found, old) == FOUND


def test_what_is_missing_or_of_another_type_is_an_error() -> None:
    old = stored()
    del old["share"]
    with pytest.raises(KeyError, match="share"):
        summary_of(Found, old)
    for name, value in (("n", "3"), ("n", 1.5), ("names", [1]), ("best", {"name": None, "effect": 1.0})):
        with pytest.raises(TypeError, match="expected, got"):
            summary_of(Found, stored() | {name: value})
