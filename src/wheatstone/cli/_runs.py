"""`wheatstone runs`: the catalogue of runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, no_type_check

import typer

from wheatstone._bounds import ROWS
from wheatstone._errors import RequestError, RunError
from wheatstone._text import count, shown
from wheatstone.cli._options import number
from wheatstone.cli._output import JsonOption, Output
from wheatstone.cli._runs_archive import export, import_
from wheatstone.cli._runs_prune import prune
from wheatstone.cli._runs_regroup import regroup

if TYPE_CHECKING:
    from wheatstone.runs import Run

_HEADS = 8
runs_app = typer.Typer(name="runs", invoke_without_command=True)
RunArgument = Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")]
LimitOption = Annotated[
    int | None,
    number("--limit", ROWS, "Newest runs shown; 0 for all. By default 50, and all with --json."),
]
_SHOWN = 50


@runs_app.callback()
@no_type_check  # typer passes a context that is no instance of the class it wants named
def runs(context: typer.Context, limit: LimitOption = None, as_json: JsonOption = False) -> None:
    """List the runs there are: what they are about, their circuit's size and faithfulness."""
    if context.invoked_subcommand is None:
        list_(limit, as_json)


@runs_app.command("list")
def list_(limit: LimitOption = None, as_json: JsonOption = False) -> None:
    """List the runs, newest first."""
    from wheatstone.runs import catalogue_entries, catalogue_size, command_of

    output = Output("runs", as_json)
    most = (0 if as_json else _SHOWN) if limit is None else limit
    entries = catalogue_entries(most or None)
    if as_json:
        output.document({"runs": [{**vars(entry), "exists": entry.exists} for entry in entries]})
        return
    if not entries:
        output.print("no runs yet; make one with `wheatstone discover`")
        return
    below_here = _below_here()
    rows = [
        _Row(
            entry.created[:16].replace("T", " "),
            command_of(entry.verb),
            entry.task,
            entry.model,
            "" if entry.edges is None else f"{entry.edges:,}",
            "" if entry.faithfulness is None else f"{entry.faithfulness:.3f}",
            entry.path.removeprefix(below_here) + ("" if entry.exists else " (gone)"),
        )
        for entry in entries
    ]
    _print_rows(output, rows)
    if (hidden := catalogue_size() - len(entries)) > 0:
        output.print(f"and {hidden:,} older; --limit 0 shows all")


class _Row(NamedTuple):
    """One run in the list."""

    made: str
    by: str
    about: str
    model: str
    edges: str
    faithful: str
    folder: str


def _print_rows(output: Output, rows: list[_Row]) -> None:
    """One line a run; where that is wider than the terminal, two: its model and folder are below the rest."""
    from rich.table import Column, Table
    from rich.text import Text

    def table(*titles: str, last: int = sys.maxsize) -> Table:
        right = {"edges", "faithful"}
        columns = (Column(title, justify="right" if title in right else "left", no_wrap=True) for title in titles)
        made = Table(*columns, box=None)
        for row in rows:
            cells = [Text(shown(getattr(row, title))) for title in titles]
            cells[-1].truncate(last, overflow="ellipsis")
            made.add_row(*cells)
        return made

    whole = table(*_Row._fields)
    if output.room_beside(whole) >= 0:
        output.print(whole)
        return
    left = ("made", "by", "edges", "faithful")
    heading, *lines = output.lines_of(table(*left, "about", last=output.room_beside(table(*left)) - 2))
    output.line(heading)
    output.line("   model  folder")
    for line, row in zip(lines, rows, strict=True):
        output.line(line)
        output.line(f"   {row.model}  {row.folder}")


def _below_here() -> str:
    """How paths beneath this folder begin; a command here need not say that part. Nothing where the folder is gone."""
    try:
        return os.path.join(os.getcwd(), "")
    except FileNotFoundError:
        return ""


@runs_app.command()
def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """Show how a run was made and what it found; of unfinished work, how far it is and how to go on."""
    from wheatstone.checkpoints import shown_name
    from wheatstone.executors import work_begun
    from wheatstone.runs import Run, sound

    output = Output("runs show", as_json)
    if not (run / "manifest.json").is_file() and (begun := work_begun(run)):
        _show_work(run, begun, output)
        return
    opened = Run.open(run)
    with sound(run):
        evaluation = _result_of(opened)
        manifest, contents = dict(opened.manifest), opened.contents
        tables = {name: opened.count(name) for name in opened.tables}
        figures = [name for name in contents.figures if (run / "figures" / f"{name}.svg").is_file()]
        facts = {
            "made": f"{manifest['created']} by wheatstone {contents.command}",
            "model": f"{shown_name(manifest['model'])}, weights {manifest['model']['sha256'][:12]}…",
            **_prompt_of(manifest),
            **{name: str(value) for name, value in opened.settings.items() if value not in (None, "", [])},
            "seed": str(manifest["seed"]),
            "circuits run": str(manifest["evaluations"]),
            "seconds": ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in manifest["timings"].items()),
            **{f"result: {name}": f"{value}" for name, value in (evaluation or {}).items()},
            "result in": f"{contents.document}.json",
            "tables": ", ".join(f"{name} ({rows:,})" for name, rows in tables.items()) or "none",
            "figures": ", ".join(figures) or "none",
            **{f"not made: {name}": reason for name, reason in opened.missing.items()},
        }
    about = {"document": contents.document, "tables": tables, "figures": figures}
    output.document({"manifest": manifest, "evaluation": evaluation, "contents": about})
    output.table(facts)


def _prompt_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The first prompt pair of a run, and how many more it has."""
    pairs = manifest.get("prompts") or []
    if not pairs:
        return {}
    more = f" and {count(len(pairs) - 1, 'more prompt')}" if len(pairs) > 1 else ""
    answers = {name: ", ".join(map(repr, pairs[0].get(name) or ())) for name in ("answers", "distractors")}
    facts = {"prompt": f"{pairs[0]['prompt']!r}{more}"}
    if (other := pairs[0].get("counterfactual")) is not None:
        facts["counterfactual"] = repr(other)
    return facts | {name: texts for name, texts in answers.items() if texts}


def _result_of(run: Run) -> dict[str, Any] | None:
    """A run's result in a few numbers."""
    if run.verb != "sweep":
        return run.evaluation or None
    found = run.result
    return {
        "pairs": found["pairs"],
        "failed": len(found["failed"]),
        **{f"{size} {name}": found[name][size] for name in ("edges", "faithfulness") for size in found[name]},
        "heads": ", ".join(f"{row['node']} {row['share']:.0%}" for row in found["heads"][:_HEADS]),
    }


def _show_work(run: Path, begun: dict[str, Any], output: Output) -> None:
    from wheatstone.executors import shards_done
    from wheatstone.runs import command_of, sound

    with sound(run):
        shards = shards_done(run)
        done, total = shards or (None, None)
        identity, verb = begun["identity"], command_of(begun["verb"])
        finished = (run / "files.json").is_file()
        state = "finished" if finished else "unfinished"
        what = "pages of heads" if begun["verb"] == "pages" else f"a {begun['verb']}"
        facts = {
            state: what + (f", {done:,} of {total:,} done" if shards else ""),
            "model": f"{identity['model']['id']} ({identity['model']['sha256'][:12]}…)",
            **{name: str(value) for name, value in identity["settings"].items()},
            **({} if finished else {"to go on": f"the command it began with: wheatstone {verb} … --out {run}"}),
        }
    output.document({state: begun["verb"], "identity": identity, "done": done, "total": total})
    output.table(facts)


@runs_app.command()
def add(run: RunArgument, as_json: JsonOption = False) -> None:
    """List a run that is not listed, such as one copied from another machine."""
    from wheatstone.runs import catalogue_add

    entry = catalogue_add(run)
    output = Output("runs add", as_json)
    output.document(vars(entry))
    output.print(f"listed {entry.path}", markup=False)


@runs_app.command()
def delete(run: RunArgument, as_json: JsonOption = False) -> None:
    """Delete a run's folder and its line in the list. A folder that is not a run is left alone."""
    from wheatstone.runs import delete_run

    delete_run(run)
    output = Output("runs delete", as_json)
    output.document({"deleted": str(run)})
    output.print(f"deleted {run}", markup=False)


@runs_app.command()
def check(
    run: Annotated[Path | None, typer.Argument(help="Folder of the run.", metavar="[RUN]")] = None,
    every: Annotated[bool, typer.Option("--all", help="Check every run that is listed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that every file of a run, or of all listed runs, is as it was written. Exit code 1 if not.

    Of unfinished work, what is done is checked; the same command makes again what is damaged.
    """
    from wheatstone.executors import work_begun
    from wheatstone.runs import Run, damaged_files

    if (run is None) != every:
        raise RequestError(expected="RUN or --all", got="both" if every else "neither", do="give one of them")
    output = Output("runs check", as_json)
    if run is None:
        _check_all(output)
        return
    ended = (run / "files.json").is_file()  # of a run, or of the pages of heads, which are none
    unfinished = None if ended or (run / "manifest.json").is_file() else work_begun(run)
    if unfinished:
        from wheatstone.executors import damaged_shards, shards_done  # loads torch

        damaged = damaged_shards(run) if shards_done(run) else []
        output.print(f"unfinished: a {unfinished['verb']}; the same command continues it", markup=False)
    else:
        if not ended or not work_begun(run):
            Run.open(run)
        damaged = damaged_files(run)
    about = {"unfinished": unfinished["verb"]} if unfinished else {}
    output.document({"run": str(run), "damaged": damaged, **about})
    output.print(_damage(damaged), markup=False)
    if damaged:
        raise typer.Exit(1)


def _check_all(output: Output) -> None:
    """Checks what is listed; a run whose folder is gone is named, and is no damage."""
    from wheatstone.runs import Run, catalogue_entries, damaged_files

    entries = catalogue_entries()
    checked: list[dict[str, Any]] = []
    with output.progress() as report:
        for done, entry in enumerate(entries, 1):
            run, damaged = Path(entry.path), list[str]()
            if entry.exists:
                try:
                    Run.open(run)
                except RunError:
                    damaged = ["manifest.json"]
                damaged = sorted({*damaged, *damaged_files(run)})
            checked.append({"run": entry.path, "exists": entry.exists, "damaged": damaged})
            report("check", done, len(entries))
    output.document({"runs": checked})
    for line in checked:
        if not line["exists"]:
            output.print(f"{line['run']}: gone", markup=False)
        elif line["damaged"]:
            output.print(f"{line['run']}: {_damage(line['damaged'])}", markup=False)
    damaged_runs = sum(bool(line["damaged"]) for line in checked)
    there = sum(line["exists"] for line in checked)
    output.print(f"{count(there, 'run')} checked, {damaged_runs:,} damaged, {len(checked) - there:,} gone")
    if damaged_runs:
        raise typer.Exit(1)


def _damage(names: list[str]) -> str:
    return f"damaged or missing: {', '.join(names)}" if names else "every file is as it was written"


# Last, as the help lists them.
runs_app.command()(export)
runs_app.command("import")(import_)
runs_app.command()(prune)
runs_app.command()(regroup)
