"""Every public function that takes a path takes it as text and as an object, and does the same with both."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import pkgutil
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import explainable_pairs, make_tiny

import wheatstone
from wheatstone import WheatstoneError
from wheatstone._path import StrPath
from wheatstone._progress import silent
from wheatstone.cards import read_card
from wheatstone.cards._empty import empty_card
from wheatstone.checkpoints import resolve_model
from wheatstone.circuits import Circuit, open_foreign
from wheatstone.discovery import DiscoverySettings
from wheatstone.editing import (
    Edit,
    EditRequest,
    Ledger,
    add_edits,
    add_made,
    check_export,
    damaged_edits,
    export_checkpoint,
    export_delta,
    is_ledger,
    load_edit,
    open_ledger,
    open_sound,
    read_cases,
    reserved_ledger,
    save_edit,
    save_ledger,
    undo_edits,
)
from wheatstone.executors import alone_in, damaged_shards, finished, shard_cost, shards_done, work_begun
from wheatstone.figures import (
    FIGURES,
    ProbeData,
    RunData,
    ScreenData,
    card_page,
    claims_of,
    render,
    render_all,
    render_explanation,
    render_figure,
    report_html,
)
from wheatstone.graphs import own_supernodes
from wheatstone.lenses import AttentionRow, TunedLens
from wheatstone.models import ResidualModel, load_model
from wheatstone.neurons import (
    Scan,
    ScanSettings,
    experiment_of,
    load_probe,
    neuron_probes,
    read_concepts,
    shard_path,
    whole,
)
from wheatstone.records import content_of
from wheatstone.runs import (
    Run,
    Table,
    add_file,
    add_pictures,
    add_text,
    catalogue_add,
    catalogue_remove,
    changed_run,
    check_free,
    clear_partial,
    damaged_files,
    delete_run,
    draw,
    entry_of,
    export_run,
    import_run,
    listed,
    new_part,
    new_run,
    note_missing,
    part_reserved,
    read_json,
    read_manifest,
    reserved,
    save_run,
    sound,
    unlisted_runs,
    write_hashes,
    write_json,
    write_table,
)
from wheatstone.studies import run_discovery, study_so_far
from wheatstone.studio import Library, create_app, show
from wheatstone.studio._library import EXAMPLES
from wheatstone.tasks import check_task, load_facts, load_task, read_pairs, relation_named, sha256_of_task
from wheatstone.texts import check_sources, read_documents

PACKAGES = [
    "wheatstone",
    *(
        f"wheatstone.{part.name}"
        for part in pkgutil.iter_modules(wheatstone.__path__)
        if part.ispkg and not part.name.startswith("_")
    ),
]
HOLDS_WHAT_LOAD_READ = {
    "Activations",
    "CachedModel",
    "Content",
    "HeadCorpus",
    "ModelFiles",
    "ProbeData",
    "Run",
    "RunData",
    "Section",
    "Scan",
    "ScreenData",
}
"""Values that are made by a function which takes a path; their field is an object."""
GIVEN_BY_US = {
    "Shard.run",
    "draw(pictures)",
    "add_card(page)",
    "add_explanation(page)",
    "add_verification(page)",
    "write_discovery(last)",
    "save_run(write)",
    "save_run(pictures)",
    "add_pictures(pictures)",
    "run_selectivity(pictures)",
    "run_sweep(pictures)",
    "run_head_pages(write)",
    "run_study(pictures)",
    "Subject(write)",
}
"""What a caller implements: it is given a `Path`."""


def _doors() -> dict[str, Any]:
    """Every public name of every package, with the methods of public classes."""
    found: dict[str, Any] = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        names = [name.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names]
        for name in {name for name in names if name and not name.startswith("_")}:
            value = getattr(module, name)
            found[name] = value
            if inspect.isclass(value):
                methods = {part: getattr(value, part) for part in vars(value) if not part.startswith("_")}
                found |= {f"{name}.{part}": method for part, method in methods.items() if callable(method)}
    return found


def _paths() -> dict[str, dict[str, str]]:
    """By public name, the parameters that are paths, with their annotations."""
    found: dict[str, dict[str, str]] = {}
    for name, value in _doors().items():
        if not callable(value) or isinstance(value, type(StrPath)):
            continue
        try:
            parameters = inspect.signature(value).parameters.values()
        except (TypeError, ValueError):
            continue
        words = {each.name: str(each.annotation) for each in parameters if re.search(r"Path\b", str(each.annotation))}
        if words and name not in HOLDS_WHAT_LOAD_READ and name not in GIVEN_BY_US:
            found[name] = {part: word for part, word in words.items() if f"{name}({part})" not in GIVEN_BY_US}
    return {name: parts for name, parts in found.items() if parts}


PATHS = _paths()


def test_there_is_one_alias() -> None:
    assert len(PATHS) > 50
    other = {name: parts for name, parts in PATHS.items() if any("StrPath" not in word for word in parts.values())}
    assert other == {}


def _card_page(run: StrPath) -> int:
    return len(card_page(run, _in(run, "card"), empty_card(Circuit.load(_in(run, "circuit.json")), 0), ABOUT_CARD))


def _edit(folder: StrPath) -> Any:
    edit = Edit(
        method="lora",
        requests=(),
        settings={},
        model_id="tiny",
        model_sha256="",
        before={},
        deltas={},
        keys={},
        notes=(),
    )
    save_edit(edit, folder)
    return load_edit(folder)


def _empty_ledger(model: ResidualModel, folder: StrPath) -> Any:
    save_ledger(Ledger.of(model), folder)
    return is_ledger(folder), len(open_ledger(folder)), open_sound(folder)[1], damaged_edits(folder)


def _used(manager: Any) -> Any:
    with manager as inside:
        return inside is not None


def _written(path: StrPath) -> int:
    with whole(path) as partial:
        partial.write_text("all of it", encoding="utf-8")
    return Path(path).stat().st_size


def _finished(out: StrPath) -> list[str]:
    with alone_in(out, "scan"), finished(out) as folder:
        (folder / "manifest.json").touch()
    return sorted(path.name for path in Path(out).iterdir())


def _packed(run: StrPath) -> Any:
    archive, out = f"{os.fspath(run)}.zip", f"{os.fspath(run)}-unpacked"
    export_run(run, archive if isinstance(run, str) else Path(archive))
    import_run(archive if isinstance(run, str) else Path(archive), out if isinstance(run, str) else Path(out))
    return sorted(path.name for path in Path(out).iterdir())


def _new(run: StrPath, tail: str) -> StrPath:
    """A path next to a run, of the same type."""
    path = f"{os.fspath(run)}-{tail}"
    return path if isinstance(run, str) else Path(path)


def _in(run: StrPath, tail: str) -> StrPath:
    path = os.path.join(os.fspath(run), tail)
    return path if isinstance(run, str) else Path(path)


FACT = EditRequest(prompt="w4 w2 w3", subject="w4", target="w7")
ABOUT_CARD = {"created": "", "wheatstone": "", "settings": {}}


CALLS: dict[str, Callable[[StrPath, ResidualModel], Any]] = {
    "Circuit.load": lambda run, _: Circuit.load(_in(run, "circuit.json")),
    "Circuit.save": lambda run, _: Circuit.load(_in(run, "circuit.json")).save(_new(run, "circuit.json")),
    "Library": lambda run, _: len(Library((_in(run, ".."),), examples=run).runs().runs),
    "ProbeData.load": lambda run, _: ProbeData.load(run),
    "Run.decisions": lambda run, _: Run.open(run).decisions(_in(run, "card")),
    "Run.open": lambda run, _: Run.open(run).title,
    "Run.sections": lambda run, _: [*Run.open(run).sections(_in(run, "explain"))],
    "Run.open_checked": lambda run, _: Run.open_checked(run).tables,
    "RunData.load": lambda run, _: RunData.load(run).faithfulness,
    "Scan.load": lambda run, _: Scan.load(run),
    "ScanSettings.check_values": lambda run, _: ScanSettings(texts=("bundled/english",)).check_values(run),
    "ScreenData.load": lambda run, _: ScreenData.load(run),
    "TunedLens.load": lambda run, model: TunedLens.load(_in(run, "none.safetensors"), model),
    "add_file": lambda run, _: add_file(run, "more.json", {}),
    "add_text": lambda run, _: add_text(run, "more.txt", ""),
    "add_pictures": lambda run, _: add_pictures(run, lambda folder: None),
    "add_edits": lambda run, model: add_edits(run, model, FACT),
    "add_made": lambda run, model: add_made(run, model, _edit(_new(run, "edit"))),
    "alone_in": lambda run, _: _used(alone_in(_new(run, "scan"), "scan")),
    "catalogue_add": lambda run, _: catalogue_add(run).edges,
    "catalogue_remove": lambda run, _: catalogue_remove(run),
    "check_export": lambda run, model: check_export(Ledger.of(model), _new(run, "exported")),
    "check_free": lambda run, _: check_free(run, force=False),
    "check_sources": lambda run, _: check_sources([_in(run, "files.json")]),
    "check_task": lambda run, _: check_task(_in(run, "circuit.json")),
    "card_page": lambda run, _: _card_page(run),
    "claims_of": lambda run, _: [name for name, _ in claims_of(run, _in(run, "explain"))],
    "clear_partial": lambda run, _: clear_partial(run),
    "content_of": lambda run, _: content_of(_in(run, "files.json")).form,
    "create_app": lambda run, _: len(create_app(built=run).routes),
    "damaged_edits": lambda run, _: damaged_edits(run),
    "damaged_files": lambda run, _: damaged_files(run),
    "damaged_shards": lambda run, _: damaged_shards(run),
    "draw": lambda run, _: draw(run, lambda folder: folder),
    "delete_run": lambda run, _: delete_run(run),
    "entry_of": lambda run, _: entry_of(run).edges,
    "experiment_of": lambda run, model: experiment_of(run, model),
    "export_checkpoint": lambda run, model: export_checkpoint(Ledger.of(model), model, _new(run, "exported")),
    "export_delta": lambda run, model: export_delta(Ledger.of(model), model, _new(run, "exported")),
    "export_run": lambda run, _: _packed(run),
    "finished": lambda run, _: _finished(_new(run, "resumed")),
    "import_run": lambda run, _: _packed(run),
    "is_ledger": lambda run, _: is_ledger(run),
    "listed": lambda run, _: listed(run),
    "load_edit": lambda run, _: load_edit(run),
    "load_model": lambda run, _: load_model(run),
    "load_facts": lambda run, model: load_facts(_in(run, "circuit.json"), model),
    "load_task": lambda run, model: load_task(_in(run, "circuit.json"), model),
    "load_probe": lambda run, _: load_probe(run, "country"),
    "neuron_probes": lambda run, _: neuron_probes(run, wheatstone.models.Neuron(0, 1)),
    "new_part": lambda run, _: _used(new_part(_new(run, "part"), "explain")),
    "new_run": lambda run, _: _used(new_run(_new(run, "run"))),
    "note_missing": lambda run, _: note_missing(run, {"lens": "no room"}),
    "open_foreign": lambda run, _: open_foreign(_in(run, "circuit.json"))[0].name,
    "open_ledger": lambda run, _: open_ledger(run),
    "open_model": lambda run, _: wheatstone.models.open_model(run, revision=None, device="cpu", dtype="float32"),
    "open_sound": lambda run, _: open_sound(run),
    "read_card": lambda run, _: read_card(run),
    "read_cases": lambda run, _: read_cases(_in(run, "files.json")),
    "read_concepts": lambda run, _: read_concepts(_in(run, "files.json")),
    "read_documents": lambda run, _: [document.name for document in read_documents([_in(run, "files.json")])],
    "read_pairs": lambda run, _: read_pairs(_in(run, "circuit.json")),
    "relation_named": lambda run, _: relation_named(_in(run, "circuit.json")),
    "render": lambda run, _: render(FIGURES["circuit"](RunData.load(run)), _new(run, "circuit.svg")),
    "render_all": lambda run, _: sorted(path.name for path in render_all(run)),
    "render_explanation": lambda run, _: len(render_explanation(run, _in(run, "explain"))),
    "render_figure": lambda run, _: render_figure(run, "circuit", _new(run, "figure.svg")),
    "report_html": lambda run, _: len(report_html(run)),
    "reserved": lambda run, _: _used(reserved(_new(run, "reserved"))),
    "resolve_model": lambda run, _: resolve_model(_in(run, "none"), revision=None, report=silent),
    "own_supernodes": lambda run, _: own_supernodes(run, _in(run, "circuit.json")),
    "reserved_ledger": lambda run, _: _used(reserved_ledger(_new(run, "ledger"))),
    "save_edit": lambda run, _: _edit(_new(run, "edit")),
    "save_ledger": lambda run, model: _empty_ledger(model, _new(run, "ledger")),
    "save_run": lambda run, _: save_run(_new(run, "saved"), lambda folder: None),
    "sha256_of_task": lambda run, _: sha256_of_task(_in(run, "circuit.json")),
    "shard_cost": lambda run, _: shard_cost(run),
    "shards_done": lambda run, _: shards_done(run),
    "show": lambda run, _: type(show(run)),
    "sound": lambda run, _: _used(sound(run)),
    "study_so_far": lambda run, _: study_so_far(run),
    "undo_edits": lambda run, model: undo_edits(run, model, [1]),
    "work_begun": lambda run, _: work_begun(run),
    "unlisted_runs": lambda run, _: len(unlisted_runs(_in(run, ".."))),
    "write_hashes": lambda run, _: write_hashes(run),
    "part_reserved": lambda run, _: _used(part_reserved(run, "explain")),
    "changed_run": lambda run, _: _used(changed_run(run)),
    "read_json": lambda run, _: read_json(run, "verification.json"),
    "read_manifest": lambda run, _: read_manifest(run)["verb"],
    "shard_path": lambda run, _: shard_path(run, "windows", 1).name,
    "whole": lambda run, _: _written(_new(run, "table")),
    "write_table": lambda run, _: write_table(Table(AttentionRow, ()), _new(run, "table.parquet")),
    "write_json": lambda run, _: write_json(_new(run, "more.json"), {}),
}
"""A call of each, on a finished run. What a run of `discover` lacks is refused, in the same words for both."""
SETTINGS = {
    "ScanSettings": "texts",
    "StudySettings": "relations",
    "SweepSettings": "tasks",
    "SelectivitySettings": "runs",
}
"""Settings with a tuple of names and paths."""
LONG = {
    *(
        "DiscoveryRun.save",
        "EditRun.save",
        "ForeignGraph.save",
        "GraphRun.save",
        "ImportedRun.save",
        "NeuronRun.save",
        "ProbeRun.save",
        "TaskGraph.save",
    ),
    "TraceRun.save",
    *("add_card", "make_card"),
    *("ExplainSettings", "Material", "add_explanation", "add_verification", "explain_run", "neuron_facts"),
    *(
        "run_head_pages",
        "write_head_pages",
        "run_scan",
        "run_shards",
        "open_resumable",
        "some_done",
        "run_selectivity",
        "run_study",
        "run_sweep",
        "write_discovery",
    ),
    *SETTINGS,
}
"""What takes minutes, or a run of every verb: these are read instead of called, but for a discovery's save."""


def test_every_path_is_called_or_read() -> None:
    assert PATHS.keys() == CALLS.keys() | LONG


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float32)


def _outcome(call: Callable[[], Any], folder: Path) -> tuple[str, Any]:
    """What a call gives, without the name of its own folder."""
    try:
        result = call()
    except WheatstoneError as error:
        return type(error).__name__, str(error).replace(str(folder), "")
    return "result", repr(result).replace(str(folder), "") if isinstance(result, list | str | dict) else str(
        type(result)
    )


@pytest.mark.parametrize("name", CALLS)
def test_text_and_object_do_the_same(
    name: str, model: ResidualModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[tuple[str, Any]] = []
    for kind in (str, Path):
        folder = tmp_path / kind.__name__
        monkeypatch.setenv("WHEATSTONE_HOME", str(folder / "home"))
        run = shutil.copytree(EXAMPLES / "a-fact", folder / "run")
        outcomes.append(_outcome(lambda run=run, kind=kind: CALLS[name](kind(run), model), folder))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("name", sorted(LONG - {"ExplainSettings", "Material"} - SETTINGS.keys()))
def test_long_ones_turn_text_into_a_path_first(name: str) -> None:
    source = inspect.getsource(_doors()[name])
    for part in PATHS[name]:
        assert f"{part} = Path({part})" in source or f"{part} = None if {part} is None else Path({part})" in source


@pytest.mark.parametrize(("name", "field"), SETTINGS.items())
def test_settings_of_texts_and_of_objects_are_the_same(
    name: str, field: str, model: ResidualModel, tmp_path: Path
) -> None:
    """A folder that was begun with one continues with the other."""
    file = tmp_path / "colours.json"
    file.write_text("{}")
    make = _doors()[name]
    by_text, by_path = make(**{field: (str(file),)}), make(**{field: (file,)})
    assert by_text == by_path
    assert json.dumps(by_path.identity(model)) == json.dumps(by_text.identity(model))
    if name != "ScanSettings":
        by_path.check()


def test_a_discovery_is_saved_under_a_text(model: ResidualModel, tmp_path: Path) -> None:
    (pair,) = explainable_pairs(model, [("w4 w2 w3", "w14 w2 w3")])
    found = run_discovery(model, [pair], DiscoverySettings(method="eap"))
    found.save(str(tmp_path))
    assert RunData.load(str(tmp_path)).faithfulness == found.verification.faithfulness
