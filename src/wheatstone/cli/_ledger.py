"""`wheatstone edit list`, `add`, `undo`, `check` and `export`: the ledger of a model's edits."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from wheatstone._bounds import COUNT, LAYER
from wheatstone._errors import PromptError, RequestError, check_choice
from wheatstone._text import count
from wheatstone.cli._options import DeviceOption, number
from wheatstone.cli._output import JsonOption, Output

if TYPE_CHECKING:
    from wheatstone._progress import Reporter
    from wheatstone.editing import EditRequest, Ledger
    from wheatstone.models import ResidualModel

FactOption = Annotated[str | None, typer.Option("--prompt", help="What asks for the fact.")]
SubjectOption = Annotated[
    str | None, typer.Option("--subject", help="Whom the fact is about, as it is written in the prompt.")
]
TargetOption = Annotated[str | None, typer.Option("--target", help="What the model is to say instead.")]
LayerOption = Annotated[
    int | None,
    number("--layer", LAYER, "Where to write, from 0; by default where causal tracing of the prompt peaks."),
]
LedgerArgument = Annotated[Path, typer.Argument(help="Folder of the ledger.", metavar="LEDGER")]
LedgerModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="The ledger's model, where it has another name now; of a new ledger, smollm2-135m.",
        metavar="MODEL",
    ),
]


def list_(ledger: LedgerArgument, as_json: JsonOption = False) -> None:
    """List the edits of a ledger in their order."""
    output = Output("edit list", as_json)
    with output.starting():
        from rich.table import Table

        from wheatstone.editing import open_ledger

        opened = open_ledger(ledger)
    output.document({"ledger": str(ledger), **_about(opened)})
    if not opened.entries:
        output.print(f"an empty ledger of {opened.model_id}")
        return
    table = Table("edit", "method", "request", "weights", box=None)
    for entry in opened.entries:
        said = "\n".join(map(str, entry.edit.requests))
        table.add_row(str(entry.number), entry.edit.method, said, "\n".join(entry.edit.deltas))
    output.print(table)


def add(
    ledger: LedgerArgument,
    prompt: FactOption = None,
    subject: SubjectOption = None,
    target: TargetOption = None,
    facts: Annotated[
        Path | None,
        typer.Option("--facts", help="Instead: a file of facts, as CounterFact, zsRE or KnowEdit have them."),
    ] = None,
    made: Annotated[
        Path | None, typer.Option("--edit", help="Instead: an edit made before, such as the folder of a run.")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="How; `edit --list` shows all methods.")] = "r-rome",
    layer: LayerOption = None,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="With --facts: one edit of all facts, by a method that takes several.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Undo an edit that says something else about the same fact.")
    ] = False,
    model: LedgerModelOption = None,
    device: DeviceOption = "cpu",
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="Of a new ledger: float32, float64, bfloat16 or float16; float32 by default."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an edit on top of a ledger's and add it. A ledger begins with its first edit.

    The model's own files stay as they are. With --facts, every edit is in the ledger before the next one is begun, and
    the same command continues after an interruption.
    """
    output = Output("edit add", as_json)
    with output.progress() as report, ExitStack() as claimed:
        report("starting", 0, None)
        from wheatstone.editing import (
            METHODS,
            add_edits,
            add_made,
            is_ledger,
            load_edit,
            open_ledger,
            read_cases,
            reserved_ledger,
        )

        sources = {"--prompt": prompt is not None, "--facts": facts is not None, "--edit": made is not None}
        if sum(sources.values()) != 1:
            given = " and ".join(name for name, one in sources.items() if one) or "none of them"
            raise RequestError(expected="--prompt, --facts or --edit", got=given, do="give one of them")
        check_choice("a method", method, METHODS, do="list them with `wheatstone edit --list`")
        requests: list[EditRequest] = []
        if facts is not None:
            requests = [case.request for case in read_cases(facts)]
        elif made is None:
            requests = [requested(prompt, subject, target)]
        edit = None if made is None else load_edit(made)
        claimed.enter_context(reserved_ledger(ledger))
        there = open_ledger(ledger) if is_ledger(ledger) else None
        if there is not None and len(requests) == 1 and not replace:
            there.check_new(requests)
        loaded = _load(there, model, device, dtype, report)
        report("starting", 1, 1)
        before = 0 if there is None else len(there)
        if edit is not None:
            changed = add_made(ledger, loaded, edit)
            numbers, replaced, known = (changed.entries[-1].number,), (), ()
        else:
            added = add_edits(
                ledger, loaded, requests, method, layer=layer, at_once=at_once, replace=replace, report=report
            )
            changed, numbers, replaced, known = added.ledger, added.numbers, added.replaced, added.known
    skipped = [request.model_dump() for request in known]
    about = {"added": list(numbers), "replaced": list(replaced), "known": skipped, "seconds": output.seconds}
    output.document({"ledger": str(ledger), **about, **_about(changed)})
    for one in numbers:
        entry = changed.entry(one)
        for request in entry.edit.requests:
            output.print(f"edit {one}   {request} ({entry.edit.method})", markup=False)
    if replaced:
        output.print(f"replaced edit {', '.join(map(str, replaced))}")
    if known:
        output.print(f"{len(known)} known already, skipped")
    output.print(f"{count(before, 'edit')} before, {len(changed):,} now ({output.seconds:.0f} s)")


def undo(
    ledger: LedgerArgument,
    numbers: Annotated[
        list[int] | None,
        typer.Argument(
            help="Numbers of edits, as `edit list` shows them.",
            metavar="[NUMBER]...",
            min=COUNT.least,
            max=COUNT.most,
        ),
    ] = None,
    damaged: Annotated[bool, typer.Option("--damaged", help="Also take out edits whose files are damaged.")] = False,
    model: LedgerModelOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Take edits out of a ledger. The weights are then those of a ledger that never held them, bit for bit."""
    output = Output("edit undo", as_json)
    with output.progress() as report:
        report("starting", 0, None)
        from wheatstone.editing import open_ledger, open_sound, undo_edits

        if not numbers and not damaged:
            raise RequestError(
                expected="the number of an edit, or --damaged",
                got="neither",
                do="list them with `wheatstone edit list`",
            )
        there = open_sound(ledger)[0] if damaged else open_ledger(ledger)
        loaded = _load(there, model, device, None, report)
        report("starting", 1, 1)
        changed, undone = undo_edits(ledger, loaded, numbers or (), damaged=damaged)
    output.document({"ledger": str(ledger), "undone": list(undone), **_about(changed)})
    output.print(f"undone edit {', '.join(map(str, undone)) or 'none'}; {len(changed)} left", markup=False)


def check(
    ledger: LedgerArgument,
    files_only: Annotated[bool, typer.Option("--files-only", help="Check files alone; load no model.")] = False,
    model: LedgerModelOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Check that a ledger's files are as they were written, that its weights have the hashes it names, and which
    targets the edited model says. Exit code 1 if a file or a weight is not as it should be."""
    output = Output("edit check", as_json)
    wrong, about = list[str](), dict[str, Any](said=None)
    with output.starting() as report:
        from wheatstone.editing import changed_weights, damaged_edits, open_ledger, said_targets

        damaged = damaged_edits(ledger)
        if not damaged:
            opened = open_ledger(ledger)
            about |= _about(opened)
            if not files_only:
                loaded = _load(opened, model, device, None, report)
                wrong = changed_weights(opened, loaded)
                about["said"] = {str(one): said for one, said in said_targets(opened, loaded).items()}
    output.document({"ledger": str(ledger), "damaged": damaged, "changed_weights": wrong, **about})
    for line in damaged:
        output.print(f"damaged: {line}", markup=False)
    for name in wrong:
        output.print(f"other bits than the ledger names: {name}", markup=False)
    if about["said"]:
        every = [said for row in about["said"].values() for said in row]
        output.print(f"{sum(every)} of {len(every)} targets are what the model says with all edits")
    if damaged or wrong:
        raise typer.Exit(1)
    output.print("sound: every file and every weight has the hash that the ledger names" if not files_only else "sound")


def export(
    ledger: LedgerArgument,
    out: Annotated[Path, typer.Option("--out", help="New folder to write.")],
    format_: Annotated[
        Literal["checkpoint", "delta"],
        typer.Option(
            "--format",
            help="checkpoint, as transformers loads it; or delta: a LoRA adapter, as peft loads it, where all changes "
            "are of low rank, and otherwise the difference of each weight.",
        ),
    ] = "checkpoint",
    model: LedgerModelOption = None,
    device: DeviceOption = "cpu",
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is already in --out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the edited model, or what the edits add to it, for other tools."""
    output = Output("edit export", as_json)
    with output.progress() as report:
        report("starting", 0, None)
        from wheatstone.editing import check_export, export_checkpoint, export_delta, open_ledger

        opened = open_ledger(ledger)
        check_export(opened, out, force=force)
        loaded = _load(opened, model, device, None, report)
        report("starting", 1, 1)
        kind = "checkpoint"
        if format_ == "checkpoint":
            export_checkpoint(opened, loaded, out, force=force)
        else:
            kind = export_delta(opened, loaded, out, force=force)
    output.document({"ledger": str(ledger), "out": str(out), "kind": kind, **_about(opened)})
    what = {"checkpoint": "checkpoint", "lora": "LoRA adapter (peft)", "deltas": "difference of each weight"}[kind]
    output.print(f"{what} of {count(len(opened), 'edit')}   {out}", markup=False)


def _load(ledger: Ledger | None, model: str | None, device: str, dtype: str | None, report: Reporter) -> ResidualModel:
    """A ledger's model, checked; or that of a new ledger."""
    from wheatstone.models import load_model

    if ledger is not None and dtype not in (None, ledger.precision):
        raise RequestError(
            expected=f"--dtype {ledger.precision}, the ledger's",
            got=repr(dtype)[:200],
            do="leave it out, or begin another ledger in that precision",
        )
    name = model or ("smollm2-135m" if ledger is None else ledger.model_id)
    precision = dtype or ("float32" if ledger is None else ledger.precision)
    loaded = load_model(name, device=device, dtype=precision, report=report)
    if ledger is not None:
        ledger.check_model(loaded)
    return loaded


def requested(prompt: str | None, subject: str | None, target: str | None) -> EditRequest:
    """What `--prompt`, `--subject` and `--target` ask for.

    Raises:
        RequestError: one of them is missing.
        PromptError: the subject is not in the prompt, or a text is empty.
    """
    given = {"--prompt": prompt, "--subject": subject, "--target": target}
    if not (prompt and subject and target):
        missing = " and no ".join(name for name, value in given.items() if not value)
        raise RequestError(expected="--prompt, --subject and --target", got=f"no {missing}", do="give all three")
    from pydantic import ValidationError

    from wheatstone.editing import EditRequest

    try:
        return EditRequest(prompt=prompt, subject=subject, target=target)
    except ValidationError as error:
        raise PromptError(
            expected="a prompt with its subject in it, and a target",
            got=error.errors()[0]["msg"].removeprefix("Value error, "),
            do="write the subject as it is there",
        ) from error


def _about(ledger: Ledger) -> dict[str, Any]:
    """What every document of a ledger says."""
    return {
        "model": {"id": ledger.model_id, "sha256": ledger.model_sha256, "precision": ledger.precision},
        "edits": [
            {
                "number": entry.number,
                "method": entry.edit.method,
                "requests": [request.model_dump() for request in entry.edit.requests],
                "weights": list(entry.edit.deltas),
                "sha256": entry.edit.sha256,
                "notes": list(entry.edit.notes),
            }
            for entry in ledger.entries
        ],
        "weights": dict(ledger.weights),
    }
