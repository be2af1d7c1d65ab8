"""What a refusal looks like: one line for people, one object for programs, always with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Cli, Refused

from wheatstone.cli._command import expand


@pytest.mark.parametrize(
    ("words", "kind", "got"),
    [
        (("runs", "show", "nowhere"), "RunError", "nowhere"),
        (("discover", "--model", "none", "--prompt", "a"), "RequestError", "no --counterfactual"),
        (("tasks", "show", "none"), "RequestError", "'none'"),
        (("models", "check", "no/where/here"), "ModelError", "no/where/here"),
        (("discover", "--no-such-option"), "RequestError", "No such option"),
        (("discover", "--seed", "x"), "RequestError", "--seed"),
        (("no-such-verb",), "RequestError", "no-such-verb"),
        (("runs", "show"), "RequestError", "RUN"),
        (("export", "nowhere", "--format", "svg"), "RunError", "nowhere"),
    ],
)
@pytest.mark.usefixtures("own_home")
def test_under_json_an_error_is_one_object(
    words: tuple[str, ...],
    kind: str,
    got: str,
    cli: Cli,
    refused: Refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    line = refused(*words)
    shown = cli(*words, "--json")
    assert (shown.code, shown.out) == (2, "")
    error = json.loads(shown.err)
    assert list(error) == ["format", "kind", "expected", "got", "do"]
    assert (error["format"], error["kind"]) == ("wheatstone.error/1", kind)
    assert got in error["got"]
    assert all(error.values())
    if "--no-such-option" not in words and len(words) > 1:
        assert line == f"wheatstone: expected {error['expected']}; got {error['got']}; {error['do']}"


def test_an_error_of_the_system_says_what_to_do(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1, and all three parts: here the home folder is a file."""
    (tmp_path / "home").touch()
    monkeypatch.setenv("WHEATSTONE_HOME", str(tmp_path / "home"))
    shown = cli("runs", "list", "--json")
    error = json.loads(shown.err)
    assert (shown.code, error["kind"]) == (1, "ComputationError")
    assert str(tmp_path / "home") in error["got"]
    assert error["do"]


def test_a_tilde_is_expanded_in_paths_and_nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    given = (Path("~/run"), "~/5 people", [Path("~"), Path("a~b")], None)
    assert [expand(value) for value in given] == [tmp_path / "run", "~/5 people", [tmp_path, Path("a~b")], None]


@pytest.mark.usefixtures("own_home")
def test_every_verb_expands_it(refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for words in (
        ("runs", "show", "~/none"),
        ("export", "~/none", "--format", "json"),
        ("verify", "~/none"),
        ("explain", "~/none"),
        ("import", "~/none", "--out=~/run"),
        ("neuron", "show", "m0.n1", "--model", "none", "--run=~/none"),
    ):
        assert f"{tmp_path}/none" in refused(*words) or "--run" in words[-1], words
