"""`wheatstone edit`: change a fact, look at the model before and after, keep the edit as data; and its ledger."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, no_type_check

import typer
from rich.table import Column, Table

from wheatstone._bounds import EDGES, SHARE
from wheatstone._errors import check_choice
from wheatstone._lists import listed
from wheatstone.cli import _ledger
from wheatstone.cli._loading import load
from wheatstone.cli._new_run import ForceOption
from wheatstone.cli._options import AllowWeakOption, DeviceOption, DtypeOption, ModelOption, number
from wheatstone.cli._output import JsonOption, Output, page_of

edit_app = typer.Typer(name="edit", invoke_without_command=True)
edit_app.command("list")(_ledger.list_)
edit_app.command()(_ledger.add)
edit_app.command()(_ledger.undo)
edit_app.command()(_ledger.check)
edit_app.command()(_ledger.export)


@edit_app.callback()
@no_type_check  # typer passes a context that is no instance of the class it wants named
def edit(
    context: typer.Context,
    model: ModelOption = "smollm2-135m",
    prompt: _ledger.FactOption = None,
    subject: _ledger.SubjectOption = None,
    target: _ledger.TargetOption = None,
    method: Annotated[str, typer.Option("--method", help="How; `--list` shows all methods.")] = "r-rome",
    layer: _ledger.LayerOption = None,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", help="Another prompt to look at before and after; may be repeated."),
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Also trace the prompt causally, at every token, layer and site.")
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Also compare circuits, where they hold, ranks by layer, writers and neighbours."
        ),
    ] = False,
    counterfactual: Annotated[
        str | None,
        typer.Option(
            "--counterfactual",
            help="With --compare: a subject of as many tokens; by default one of the bundled relation that asks so.",
        ),
    ] = None,
    neighbour: Annotated[
        list[str] | None,
        typer.Option("--neighbour", help="With --compare: a subject beside the edited one; may be repeated."),
    ] = None,
    circuit_method: Annotated[
        str,
        typer.Option(
            "--circuit-method",
            help="With --compare: learned, on facts of the bundled relation that asks so, which takes minutes; or of "
            "this one prompt verified (a search) or a scoring method.",
        ),
    ] = "learned",
    edges: Annotated[
        int | None,
        number(
            "--edges",
            EDGES,
            "With --compare and a scoring method: take the first edges of its ranking, however much they keep.",
        ),
    ] = None,
    faithfulness: Annotated[
        float | None,
        number("--faithfulness", SHARE, "With --compare: what the circuits are to keep; 0.9 by default."),
    ] = None,
    allow_weak: AllowWeakOption = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "--save", help="Folder of the run to write, the edit in it; nothing by default."),
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the methods and end.")] = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make an edit of one fact, show what the model says before and after, and undo it.

    Weights on disk stay as they are. The edit is kept in --out as data (edit.json, edit.safetensors), to be applied
    again by `wheatstone.editing`. Many edits of one model are kept in a ledger: `edit add` and the other verbs below.
    """
    if context.invoked_subcommand is not None:
        return
    output = Output("edit", as_json)
    if show_list:
        _list(output)
        return
    request = _ledger.requested(prompt, subject, target)
    from wheatstone.checkpoints import check_layers
    from wheatstone.runs import reserved, save_run

    check_layers(model, () if layer is None else [layer])
    with output.starting() as report, nullcontext() if out is None else reserved(out, force=force):
        from wheatstone.editing import METHODS, CircuitSettings, ComparisonSettings, EditSettings, run_edit
        from wheatstone.figures import render_all

        check_choice("a method", method, METHODS, do="list them with --list")
        circuit = CircuitSettings(
            method=circuit_method, edges=edges, faithfulness=faithfulness, allow_weak=allow_weak or None
        )
        if compare:
            circuit.check()
        loaded = load(model, device, dtype, report)
        compared = ComparisonSettings(circuit, counterfactual=counterfactual, subjects=tuple(neighbour or ()))
        settings = EditSettings(
            method=method,
            layer=layer,
            trace=trace,
            also=tuple(also or ()),
            compare=compared if compare else None,
            allow_weak=allow_weak,
        )
        run = run_edit(loaded, request, settings, report=report)
        missing = run.missing if out is None else save_run(out, run.save, force=force, pictures=render_all)
    seconds = output.seconds
    page = None if out is None else page_of(out)
    run_path = None if out is None else str(out)
    about = {"run": run_path, "report": page, "seconds": seconds, "timings": run.seconds, "missing": missing}
    output.document({**about, **run.summary()})
    own = run.summary()["model_answers"]
    for sentence in [f"warning: {text}" for text in own["warnings"]] or [own["summary"]]:
        output.print(sentence, markup=False)
    numbers = (Column(title, justify="right") for title in ("p(target) before", "after"))
    table = Table("prompt", "before", "after", *numbers, box=None)
    for row in run.answers:
        cells = (row.prompt, row.said_before.strip(), row.said_after.strip())
        table.add_row(*cells, f"{row.target_before:.2g}", f"{row.target_after:.2g}")
    output.print(table)
    for note in run.edit.notes:
        output.print(note, markup=False)
    if run.comparison is not None:
        from wheatstone.figures import comparison_words

        for sentence in comparison_words(run.comparison.summary):
            output.print(sentence, markup=False)
    output.print(f"perplexity on held-out text × {run.perplexity:.3f}; undone, bit for bit ({seconds:.0f} s)")
    output.missing(missing)
    if out is not None:
        output.print(f"run      {out}" + (f"\nreport   {page}" if page else ""), markup=False)


def _list(output: Output) -> None:
    methods = listed("methods")
    output.document({"methods": methods})
    table = Table("method", "what it does", box=None)
    for each in methods:
        table.add_row(each["method"], each["summary"])
    output.print(table)
