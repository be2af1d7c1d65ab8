"""`wheatstone tasks`: the bundled tasks, and what one of them asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, no_type_check

import typer
from rich.padding import Padding
from rich.table import Column, Table

from wheatstone._bounds import ROWS, SEED
from wheatstone._errors import RequestError
from wheatstone._lists import listed
from wheatstone._text import count
from wheatstone.cli._loading import load
from wheatstone.cli._options import DeviceOption, KnownOption, SizeOption, TemplateOption, number, template_of
from wheatstone.cli._output import JsonOption, Output

tasks_app = typer.Typer(name="tasks", invoke_without_command=True)


@tasks_app.callback()
@no_type_check  # typer passes a context that is no instance of the class it wants named
def tasks(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the bundled tasks with their sizes.

    Besides these, --task takes a file: JSON of a relation (ours or LRE's), or pairs or facts as JSON, JSON Lines, a
    table (commas, semicolons or tabs) or Parquet. icl-K/RELATION gives K demonstrations.
    """
    if context.invoked_subcommand is not None:
        return
    bundled = listed("tasks")
    output = Output("tasks", as_json)
    output.document({"tasks": bundled})
    whole = _table(bundled, "what it asks")
    if output.room_beside(whole) >= 0:
        output.print(whole)
        return
    heading, *lines = output.lines_of(_table(bundled))
    output.line(heading)
    output.line("   what it asks")
    for line, about in zip(lines, bundled, strict=True):
        output.line(line)
        output.print(Padding(about["description"], (0, 0, 0, 3)))


def _table(bundled: Sequence[Mapping[str, Any]], *last: str) -> Table:
    """One line a task; with a title for it, the description comes last."""
    titles = (Column("name"), Column("kind"), Column("facts", justify="right"), Column("metric"), *map(Column, last))
    table = Table(*titles, box=None)
    for about in bundled:
        size = "generated" if about["size"] is None else f"{about['size']:,}"
        table.add_row(about["name"], about["kind"], size, about["metric"], *(about["description"] for _ in last))
    return table


@tasks_app.command()
def show(
    name: Annotated[str, typer.Argument(help="Bundled name, or a file.", metavar="NAME")],
    model: Annotated[
        str | None, typer.Option("--model", help="Make the pairs for this model, and ask it.", metavar="MODEL")
    ] = None,
    examples: Annotated[int, number("--examples", ROWS, "Pairs to print of each split.")] = 2,
    template: TemplateOption = None,
    known: KnownOption = 10,
    size: SizeOption = 100,
    seed: Annotated[int, number("--seed", SEED, "Random seed of the splits and of all that is drawn.")] = 0,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Show a task: where it comes from, its templates; with --model its pairs, and how many the model answers.

    Accuracy is the share of pairs with an answer above every distractor, before any is left out as unknown.
    """
    output = Output("tasks show", as_json)
    if model is None:
        about = next((about for about in listed("tasks") if about["name"] == name), None)
        if about is None:
            raise RequestError(
                expected="a bundled task, or a file or icl-K/RELATION with --model",
                got=repr(name),
                do="list the bundled ones with `wheatstone tasks`, or add --model",
            )
        output.document(about)
        output.print(_facts(about))
        return
    with output.starting() as report:
        from wheatstone.records import SPLITS
        from wheatstone.tasks import answered, load_task

        loaded = load(model, device, "float32", report)
        task = load_task(
            name, loaded, seed=seed, known=None, template=template_of(template), size=size, strict=False, report=report
        )
        rows = answered(loaded, [pair for split in SPLITS for pair in task.split(split)], report=report)
    n = len(rows)
    asked = {
        "pairs": n,
        "accuracy": sum(row.ahead for row in rows) / n,
        "hit_at_1": sum(row.rank <= 1 for row in rows) / n,
        "hit_at_10": sum(row.rank <= 10 for row in rows) / n,
        "known_rank": known,
        "known": sum(row.known(known) for row in rows) if known else n,
    }
    shown = {split: [pair.model_dump(mode="json") for pair in task.split(split)[:examples]] for split in SPLITS}
    output.document({**task.to_dict(), "model": loaded.id, "answered": asked, "examples": shown})
    output.print(_facts(task.to_dict()))
    output.print(
        f"\n{loaded.id} on {count(n, 'pair')}: accuracy {asked['accuracy']:.2f}, Hit@1 {asked['hit_at_1']:.2f}, "
        f"Hit@10 {asked['hit_at_10']:.2f}; {asked['known']} of {n} known"
        + (f" (an answer in the top {known} and above every distractor)" if known else " (no filter)")
    )
    for split, pairs in shown.items():
        for pair in pairs:
            output.print(f"\n{split}\n  prompt          {pair['prompt']!r}", markup=False)
            for part in ("counterfactual", "answers", "distractors"):
                output.print(f"  {part:<15} {pair[part]!r}", markup=False)
    for problem in task.skipped:
        output.print(f"left out: {problem}", markup=False)


def _facts(about: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None)
    for name, value in about.items():
        if name == "skipped" or value in (None, "", [], ()):
            continue
        text = "\n".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        table.add_row(name, text)
    return table
