"""`wheatstone path-patching`: the library's effects, as a table and as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Cli, Refused, pair_words

from wheatstone import Experiment, PromptPair, load_model
from wheatstone.discovery import path_patching

PAIR = PromptPair(prompt="a a b", counterfactual="b b b", answers=(" a",), distractors=(" c",))


def words(folder: Path) -> list[object]:
    return ["path-patching", "--model", folder, *pair_words("a a b", "b b b", " a", " c"), "--allow-weak"]


@pytest.mark.usefixtures("own_home")
def test_it_shows_what_the_library_finds(tiny_folder: Path, cli: Cli) -> None:
    chosen = ("--sender", "m0", "--sender", "a0.h0+a0.h1", "--receiver", "a1.h0<q>", "--receiver", "m1")
    document = cli(*words(tiny_folder), *chosen, "--through", "direct", "--json").document
    expected = path_patching(
        Experiment(load_model(str(tiny_folder)), [PAIR]),
        ["m0", ("a0.h0", "a0.h1")],
        ["a1.h0<q>", "m1"],
        through="direct",
    )
    assert [row["sender"] for row in document["effects"]] == list(expected.senders) == ["m0", "a0.h0+a0.h1"]
    assert [row["by_prompt"] for row in document["effects"]] == expected.values.tolist()
    assert (document["receivers"], document["through"], document["n"]) == (["a1.h0<q>", "m1"], "direct", 1)
    assert document["clean"] > document["corrupt"]


@pytest.mark.usefixtures("own_home")
def test_by_default_every_node_before_the_logits(tiny_folder: Path, cli: Cli) -> None:
    shown = cli(*words(tiny_folder))
    assert shown.code == 0
    assert "Paths to logits, mlps (n = 1)" in shown.out
    assert {line.split()[0] for line in shown.out.splitlines()[2:]} >= {"input", "a0.h0", "m0", "a1.h1", "m1"}


@pytest.mark.usefixtures("own_home")
def test_what_it_refuses(tiny_folder: Path, refused: Refused) -> None:
    assert "a0.h9<q>" in refused(*words(tiny_folder), "--receiver", "a0.h9<q>")
    assert "comes before a0.h0<q>" in refused(*words(tiny_folder), "--sender", "m1", "--receiver", "a0.h0<q>")
    assert "mlps, direct" in refused(*words(tiny_folder), "--through", "heads")
    assert "leave one of them out" in refused(*words(tiny_folder), "--task", "ioi")
