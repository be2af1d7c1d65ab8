"""`wheatstone lens`, `attribution` and `neuron find`: a prompt and a token, without a circuit."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import FRANCE, Cli, Refused
from tolerance import rounding

from wheatstone.models import load_model

WORDS = "w4 w2 w3"


def test_a_prompt_is_read_layer_by_layer(cli: Cli, tiny_task: tuple[Path, Path]) -> None:
    words = ("lens", WORDS, "--model", tiny_task[0], "--top", 3)
    document = cli(*words, "--json").document
    assert [row["layer"] for row in document["layers"]] == [0, 1, 2, 3]
    last = document["layers"][-1]
    assert (last["rank"], last["top"], len(last["others"])) == (1, document["answer"], 2)
    lines = cli(*words).out.splitlines()
    assert lines[0] == f"Rank and probability of {document['answer']!r}"
    assert lines[-1].split()[:2] == ["3", "1"]
    other = cli(*words, "--answer", " w9", "--json").document
    assert other["answer"] == "w9"


def test_the_terms_add_up_to_the_logit(cli: Cli, tiny_task: tuple[Path, Path]) -> None:
    words = ("attribution", WORDS, "--model", tiny_task[0], "--answer", " w7", "--distractor", " w9", "--top", 2)
    document = cli(*words, "--json").document
    model = load_model(str(tiny_task[0]))
    run = model(WORDS)
    assert sum(row["direct"] for row in document["nodes"]) == rounding(model, passes=4).near(document["total"])
    assert document["total"] == rounding(model, passes=4).near(float(run.logit(" w7") - run.logit(" w9")))
    lines = cli(*words).out.splitlines()
    assert lines[0].startswith("logit of 'w7' less that of 'w9': ")
    assert lines[-1].split()[:2] == [str(len(document["nodes"]) - 2), "others"]


@pytest.mark.parametrize(
    ("words", "got"),
    [
        (("lens", ""), "empty"),
        (("lens", WORDS, "--position", 3), "3 tokens"),
        (("lens", WORDS, "--answer", ""), "at least one token"),
        (("lens", WORDS, "--top", 41), "from 1 to 40"),
        (("attribution", WORDS, "--position", -4), "3 tokens"),
        (("attribution", WORDS, "--distractor", ""), "at least one token"),
        (("neuron", "find", "--token", "w7 w8"), "2 tokens"),
        (("neuron", "find"), "--token"),
    ],
)
def test_what_is_wrong_is_refused(
    words: tuple[object, ...], got: str, refused: Refused, tiny_task: tuple[Path, Path]
) -> None:
    assert got in refused(*words, "--model", tiny_task[0])


@pytest.mark.real_weights
@pytest.mark.usefixtures("smollm2_files")
def test_an_answer_is_read_as_it_follows_its_prompt(cli: Cli, refused: Refused) -> None:
    """Of several tokens the first is read, and the output names it; one that would merge with the prompt is refused."""
    words = ("19 + 52 =", "--answer", " 71", "--top", 1)
    shown = cli("lens", *words).out
    assert shown.startswith("Rank and probability of ' '\n")
    assert "note: ' 71' is 3 tokens; only the first, ' ', is scored" in shown
    shown = cli("attribution", *words, "--distractor", " France").out
    assert shown.startswith("logit of ' ' less that of ' France': ")
    assert "note: ' 71' is 3 tokens; only the first, ' ', is scored" in shown
    assert cli("attribution", *words, "--json").document["answer"] == " "
    assert cli("lens", "日本の首都は", "--answer", "東京", "--json").document["answer"] == "<E6 9D>"
    for verb in ("lens", "attribution"):
        line = refused(verb, "The capital of France is", "--answer", "Paris")
        assert line.endswith("inside its last word; write it with its leading space: ' Paris'")


@pytest.mark.real_weights
@pytest.mark.usefixtures("smollm2_files")
def test_on_real_weights(cli: Cli) -> None:
    """The answer's rank falls to 1, a23.h4 writes it, and the " an" neuron is found by its token."""
    layers = cli("lens", FRANCE, "--json").document["layers"]
    assert (layers[0]["rank"] > 1000, layers[-1]["rank"], layers[-1]["top"]) == (True, 1, " French")
    nodes = cli("attribution", FRANCE, "--distractor", " Japanese", "--json").document["nodes"]
    assert nodes[0]["node"] == "a23.h4"
    found = cli("neuron", "find", "--token", " an", "--json").document["neurons"]
    (an,) = (row for row in found if row["neuron"] == "m25.n1527")
    assert (an["sign"], an["rank"]) == (1, 1)
