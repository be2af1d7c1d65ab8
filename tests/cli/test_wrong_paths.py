"""A path that is missing, a folder in place of a file, or a file in place of a folder: one line from every verb."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from commands import Cli, Refused, pair_words

import wheatstone
from wheatstone._errors import reason

PAIR = pair_words("a", "b", " c", " d")
RUNS = ("verify", "card", "explain", "runs show", "runs check", "runs add", "runs delete")
VERBS = {
    "import": ("import", "{path}", "--out", "{out}"),
    "export": ("export", "{path}", "--format", "json"),
    "runs export": ("runs", "export", "{path}", "--out", "{out}.zip"),
    "runs import": ("runs", "import", "{path}.zip", "--out", "{out}"),
    "discover --prompts": ("discover", "--prompts", "{path}", "--out", "{out}"),
    "discover --task": ("discover", "--task", "{path}", "--out", "{out}"),
    "discover --model": ("discover", *PAIR, "--model", "{path}", "--out", "{out}"),
    "path-patching": ("path-patching", "--prompts", "{path}", "--sender", "m0", "--receiver", "m1"),
    "study": ("study", "--relations", "{path}", "--out", "{out}"),
    "selectivity": ("selectivity", "{path}", "--out", "{out}"),
    "sweep": ("sweep", "--task", "{path}", "--out", "{out}"),
    "compress": ("compress", "{path}", "--out", "{out}"),
    "decompress": ("decompress", "{path}", "--out", "{out}"),
    "bits --ablate": ("bits", "some text", "--ablate", "{path}"),
    "neuron screen": ("neuron", "screen", "--prompts", "{path}", "--out", "{out}"),
    "neuron show --run": ("neuron", "show", "m1.n1", "--run", "{path}", "--out", "{out}"),
    "neuron show --scan": ("neuron", "show", "m1.n1", "--scan", "{path}", "--out", "{out}"),
    "neuron show --probes": ("neuron", "show", "m1.n1", "--probes", "{path}", "--out", "{out}"),
    "neuron probe": ("neuron", "probe", "--concept", "{path}", "--out", "{out}"),
    "head pages": ("head", "pages", "--scan", "{path}", "--out", "{out}"),
    "head show": ("head", "show", "a1.h1", "--scan", "{path}", "--out", "{out}"),
    "trace": ("trace", "--task", "{path}", "--out", "{out}"),
    "tasks show": ("tasks", "show", "{path}"),
    "models check": ("models", "check", "{path}"),
    "pull": ("pull", "{path}"),
    **{verb: (*verb.split(), "{path}") for verb in RUNS},
}
MODELS = {"discover --model", "models check"}
"""Verbs whose path is a model's."""
FILES = {"compress", "decompress", "neuron scan"}
"""Verbs that take a file of any content."""


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", ["missing", "folder", "file"])
@pytest.mark.usefixtures("own_home")
def test_every_verb_says_it_in_one_line(
    verb: str, kind: str, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if verb not in MODELS:
        monkeypatch.setattr("wheatstone.models.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    path, out = tmp_path / "given", tmp_path / "out"
    if kind == "folder":
        path.mkdir()
    elif kind == "file" and verb not in FILES:
        path.write_text("words\n")
    line = refused(*(word.replace("{path}", str(path)).replace("{out}", str(out)) for word in VERBS[verb]))
    assert "Errno" not in line
    assert "partial" not in line
    assert str(path) in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("kind", "got"),
    [("missing", "which is not there"), ("folder", "a folder without a manifest.json"), ("file", "a file")],
)
def test_what_is_not_a_run_is_named(kind: str, got: str, refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "given"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("words\n")
    assert f"got {path}, {got}; " in refused("explain", path)


def test_bits_of_a_folder_and_of_a_name_that_is_no_file(
    cli: Cli, refused: Refused, tiny_task: tuple[Path, Path]
) -> None:
    model, _ = tiny_task
    assert f"got the folder {model}; check the path" in refused("bits", model, "--model", model)
    wrong = "got w1/w2.txt, which is not there; check the path, or add --text"
    assert wrong in refused("bits", "w1/w2.txt", "--model", model)
    assert cli("bits", "w1/w2.txt", "--text", "--model", model, "--json").document["bytes"] == len("w1/w2.txt")
    assert cli("bits", "~w1 w2", "--text", "--model", model, "--json").document["bytes"] == len("~w1 w2")
    # Longer than a file's name can be.
    assert cli("bits", "w1 w2 " * 60, "--model", model, "--json").document["bytes"] == 360
    assert f"got {'w' * 200}, which is not there" in refused("bits", f"{'w' * 300}.txt", "--model", model)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "x"), "No such file or directory"),
        (PermissionError(13, "Permission denied", "x"), "Permission denied"),
        (FileNotFoundError("[Errno 2] Failed to open local file 'x'"), "Failed to open local file 'x'"),
        (OSError("[Errno -2] Name or service not known"), "Name or service not known"),
        (FileNotFoundError("No such file or directory: x"), "No such file or directory"),
        (ValueError("line one\nline two"), "line one"),
        (OSError(), "OSError"),
    ],
)
def test_a_reason_is_words(error: Exception, words: str) -> None:
    assert reason(error) == words


def test_no_message_is_made_of_an_error_of_the_system_itself() -> None:
    """`str` of an `OSError` begins with its number; `reason` leaves that out."""
    broad = {"OSError", "FileNotFoundError", "PermissionError", "IsADirectoryError", "NotADirectoryError"}
    used: list[str] = []
    for path in Path(wheatstone.__file__).parent.rglob("*.py"):
        for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(handler, ast.ExceptHandler) or handler.name is None or handler.type is None:
                continue
            if not broad & {name.id for name in ast.walk(handler.type) if isinstance(name, ast.Name)}:
                continue
            used += [f"{path}: {ast.unparse(node)}" for node in ast.walk(handler) if _is_text_of(node, handler.name)]
    assert used == []


def _is_text_of(node: ast.AST, name: str) -> bool:
    """Whether it is `str(name)` or `{name}` in an f-string."""
    value = node.value if isinstance(node, ast.FormattedValue) else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str" and node.args:
        value = node.args[0]
    return isinstance(value, ast.Name) and value.id == name
