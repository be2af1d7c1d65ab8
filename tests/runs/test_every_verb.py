"""A run of every verb opens, is exported, shown, checked and served: one written now and one of the earlier version."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_words import bases
from printed import wrong
from starlette.testclient import TestClient
from workspace import commands, make_workspace

from wheatstone import RunError
from wheatstone.cli import main
from wheatstone.figures import VIEWS, render_all, render_figure, report_html
from wheatstone.runs import CONTENTS, Run, catalogue_add, damaged_files, import_run
from wheatstone.studio import Library, create_app
from wheatstone.studio._library import identity

FORMERLY = Path(__file__).with_name("formerly")
"""A run of each verb as the version before this one wrote it, without its pictures."""
NOW = {
    "discover": "task-run",
    "import": "imported",
    "trace": "trace",
    "edit": "edit",
    "neuron": "neurons",
    "neuron probe": "probes",
    "scan": "scan",
    "head scan": "heads",
    "graph": "graph",
    "study": "study",
    "sweep": "sweep",
    "selectivity": "selectivity",
}
"""By verb, the folder of its run in the workspace. A new verb needs a line here and in `workspace.commands`."""
OPTIONS = {"edit": ("--trace", "--compare", "--counterfactual", "w14")}
NEW = {"head scan", "graph", "selectivity"}
"""Verbs that the earlier version did not have."""
MADE = [(verb, when) for verb in CONTENTS for when in ("now", "formerly") if when == "now" or verb not in NEW]


ELSEWHERE = {
    *[tuple(words.split()) for words in ("discover", "neuron screen", "neuron scan", "neuron probe", "head scan")],
    *[(word,) for word in ("trace", "sweep", "study", "edit", "graph", "import", "selectivity", "studio")],
    *[tuple(words.split()) for words in ("runs delete", "models remove")],
}
"""Verbs that make the workspace, serve, or delete: the tests of the command check their documents."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every verb, all of a tiny model."""
    folder = tmp_path_factory.mktemp("workspace")
    make_workspace(folder)
    for name, words in commands(folder).items():
        prints(folder, *words, *OPTIONS.get(name, ()))
    return folder


def prints(folder: Path, *words: str) -> None:
    """Runs a command in a folder; what it prints as JSON must be what the schema of its format says."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.chdir(folder)
        patch.setenv("WHEATSTONE_HOME", str(folder / "home"))
        patch.setattr(sys, "argv", ["wheatstone", *words, "--json"])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code, words
    document = json.loads(printed.getvalue())
    assert document["format"] in {f"wheatstone.{words[0]}/1", f"wheatstone.{'-'.join(words[:2])}/1"}
    assert not wrong(document)


@pytest.fixture(scope="module")
def formerly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same runs of the earlier version, unpacked."""
    folder = tmp_path_factory.mktemp("formerly")
    for verb, name in NOW.items():
        if verb in NEW:
            continue
        import_run(FORMERLY / f"{CONTENTS[verb].command.replace(' ', '-')}.zip", folder / name)
    return folder


@pytest.fixture(params=MADE, ids=lambda made: f"{made[0]}-{made[1]}".replace(" ", "-"))
def run(request: pytest.FixtureRequest) -> Run:
    """A run of one verb."""
    verb, when = request.param
    folder = request.getfixturevalue("workspace" if when == "now" else "formerly")
    return Run.open(folder / NOW[verb], verb)


@pytest.fixture
def command(own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the command in this process; gives its exit code, and its document or what it says instead."""

    def called(*words: object) -> tuple[int, Any]:
        monkeypatch.setattr(sys, "argv", ["wheatstone", *map(str, words), "--json"])
        with pytest.raises(SystemExit) as stopped:
            main()
        code, (out, err) = int(stopped.value.code or 0), capsys.readouterr()
        return code, json.loads(out) if code == 0 else err

    return called


def test_every_verb_has_a_run_and_every_view_a_verb() -> None:
    assert NOW.keys() == CONTENTS.keys()
    assert VIEWS.keys() <= CONTENTS.keys()
    assert all(verb in VIEWS for verb, contents in CONTENTS.items() if contents.figures)


def test_what_it_contains_is_what_its_verb_registered(run: Run) -> None:
    columns = run.contents.columns
    tables = {path.stem: path for path in run.path.glob("*.parquet")}
    formerly = {run.contents.formerly.get(name, name) for name in columns}
    assert tables.keys() <= columns.keys() | formerly
    assert run.has(run.contents.document)
    assert run.result == json.loads((run.path / f"{run.contents.document}.json").read_text())
    for name in run.tables:
        table = run.table(name)
        wanted = {column.removesuffix("?") for column in columns[name]}
        assert set(table.column_names) <= wanted
        assert wanted - set(table.column_names) <= {column[:-1] for column in columns[name] if column.endswith("?")}
        assert run.count(name) == table.num_rows
        assert run.first(name, 2) == run.rows(name)[:2]
    for name in run.contents.tables:
        assert name.endswith("?") or name in run.tables
    if (run.path / "figures").is_dir():
        assert {path.stem for path in (run.path / "figures").iterdir()} <= set(run.contents.figures)


def test_every_format_that_it_has_is_exported(run: Run, command: Callable[..., Any], tmp_path: Path) -> None:
    circuit, prompts = run.contents.document == "circuit", bool(run.manifest["prompts"])
    has = {
        "json": True,
        "parquet": bool(run.contents.tables),
        "svg": bool(run.contents.figures),
        "html": prompts or not circuit,
        "graphml": circuit or run.contents.document == "graph",
        "eap-json": circuit,
    }
    for format, there in has.items():
        code, said = command("export", run.path, "--format", format, "--out", tmp_path / f"file.{format}")
        if there:
            assert code == 0, said
            assert (tmp_path / f"file.{format}").stat().st_size
        else:  # refused, and told what it is instead
            assert code == 2, said
            assert f"wheatstone {run.contents.command}" in said or "imported without any" in said
            assert "Errno" not in said
    for table in run.tables:
        code, said = command("export", run.path, "--format", "parquet", "--table", table, "--out", tmp_path / table)
        assert code == 0, said
        assert pq.read_table(tmp_path / table).num_rows == run.count(table)


def test_every_figure_that_can_be_drawn_is_on_its_page(run: Run, tmp_path: Path) -> None:
    if run.contents.document == "circuit" and not run.manifest["prompts"]:
        render_figure(run.path, "circuit", tmp_path / "circuit.svg")
        return
    drawn = VIEWS[run.verb].charts(VIEWS[run.verb].read(run)) if run.verb in VIEWS else {}
    lacking = set(run.contents.figures) - set(drawn)
    assert set(drawn) <= set(run.contents.figures)
    assert not lacking or (lacking == {"interference"} and not run.count("interference"))  # one concept has none
    page = report_html(run.path)
    assert page.count("<!doctype html>") == 1
    assert page.count('src="data:image/svg+xml') >= len(drawn)


def test_it_is_shown_checked_and_listed(run: Run, command: Callable[..., Any]) -> None:
    code, shown = command("runs", "show", run.path)
    assert code == 0, shown
    assert shown["contents"]["document"] == run.contents.document
    assert shown["contents"]["tables"] == {name: run.count(name) for name in run.tables}
    assert command("runs", "check", run.path)[1]["damaged"] == []
    catalogue_add(run.path)
    assert [line["verb"] for line in command("runs")[1]["runs"]] == [run.verb]


def test_the_studio_lists_and_opens_it(run: Run, own_home: Path, tmp_path: Path) -> None:
    library = Library((run.path.parent,), examples=tmp_path / "none")
    client = TestClient(create_app(library, built=tmp_path), base_url="http://127.0.0.1")
    listed = client.get("/api/v1/runs").json()
    circuit = run.contents.document == "circuit"
    address = f"/api/v1/runs/{identity(str(run.path))}"
    (line,) = (line for line in listed["runs" if circuit else "others"] if line["path"] == str(run.path))
    assert (line["command"], line["trouble"]) == (run.contents.command, None)
    contents = client.get(f"{address}/contents").json()
    assert contents["figures"] == list(run.contents.figures)
    for table in contents["tables"]:
        answer = client.get(f"{address}/tables/{table['name']}")
        assert pa.ipc.open_stream(answer.content).read_all().num_rows == table["rows"]
    for route in ("", "/edges", "/verifications", "/portable", "/circuit.json", "/labels"):
        answer = client.get(f"{address}{route}")
        assert answer.status_code == (200 if circuit or route in ("/verifications", "/labels") else 404), route


def test_the_studio_serves_its_report(formerly: Path, own_home: Path, tmp_path: Path) -> None:
    with TestClient(create_app(Library((formerly,)), built=tmp_path), base_url="http://127.0.0.1") as client:
        answer = client.get(f"/api/v1/runs/{identity(str(formerly / 'sweep'))}/report")
        assert answer.text.startswith("<!doctype html>")
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        drawn = client.get(f"/api/v1/runs/{identity(str(formerly / 'trace'))}/figures/trace-lines.svg")
        assert drawn.text.startswith("<svg")
        assert client.get(f"/api/v1/runs/{identity(str(formerly / 'trace'))}/figures/curve.svg").status_code == 422


def test_its_pictures_are_those_that_the_command_draws(workspace: Path, tmp_path: Path) -> None:
    drawn = {path.name for path in (workspace / "trace" / "figures").iterdir()}
    assert drawn == {f"{name}.{ending}" for name in CONTENTS["trace"].figures for ending in ("svg", "png")}
    assert render_all(workspace / "sweep")[-1].name == "report.html"
    assert damaged_files(workspace / "trace") == []


OWN = {("graph", "nodes"), ("graph", "edges")}
"""Tables of the graph of one prompt: nodes and edges too, at positions and with weights, by names that others read."""


def test_a_table_s_name_has_one_meaning() -> None:
    meanings: dict[str, Any] = {}
    for verb, contents in CONTENTS.items():
        for name, columns in contents.columns.items():
            if (verb, name) in OWN:
                continue
            assert meanings.setdefault(name, columns) == columns, f"{name} of {verb}"


@pytest.mark.parametrize("spoil", ["a column of another type", "a column less", "no table", "a link out of the run"])
def test_a_spoilt_table_is_named(formerly: Path, tmp_path: Path, spoil: str) -> None:
    run = Run.open(formerly / "sweep")
    copy = tmp_path / "sweep"
    import_run(FORMERLY / "sweep.zip", copy)
    pairs = run.table("pairs")
    (copy / "pairs.parquet").unlink()
    if spoil == "a column of another type":
        at = pairs.column_names.index("edges")
        pq.write_table(pairs.set_column(at, "edges", pa.array(["many"] * pairs.num_rows)), copy / "pairs.parquet")
    elif spoil == "a column less":
        pq.write_table(pairs.drop_columns(["edges"]), copy / "pairs.parquet")
    elif spoil == "a link out of the run":
        (copy / "pairs.parquet").symlink_to(run.path / "pairs.parquet")
    with pytest.raises(RunError, match=r"pairs\.parquet"):
        Run.open(copy).rows("pairs")


def test_a_run_is_opened_without_torch(formerly: Path) -> None:
    code = f"import sys; from wheatstone.runs import Run; Run.open({str(formerly / 'trace')!r}).rows('tracing')"
    assert (
        subprocess.run([sys.executable, "-c", f"{code}; sys.exit('torch' in sys.modules)"], check=False).returncode == 0
    )


@pytest.mark.parametrize("verb", sorted(set(bases(())) - ELSEWHERE), ids=" ".join)
def test_every_verb_prints_what_its_schema_says(verb: tuple[str, ...], workspace: Path) -> None:
    """Verbs that make runs made the workspace; here are those that read it. Last, since some of them change it."""
    answers = tuple(json.loads((workspace / "answers.json").read_text()))
    words = list(bases(answers)[verb][0])
    if "--out" in words:
        out = words.index("--out") + 1
        words[out] = f"made-by-{'-'.join(verb)}{Path(words[out]).suffix}"
    prints(workspace, *verb, *words)
