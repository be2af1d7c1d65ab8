"""`wheatstone explain RUN`: what each part of a run's circuit does, in words, numbers and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wheatstone._bounds import COUNT, SEED
from wheatstone.cli._options import DeviceOption, DtypeOption, MovedModelOption, number
from wheatstone.cli._output import JsonOption, Output


def explain(
    run: Annotated[Path, typer.Argument(help="Folder of a run of `discover`.", metavar="RUN")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            help="A section to make, such as lens or roles; may be repeated; a name that does not exist lists all. By "
            "default every section that this run supports, except those that take minutes; the others are listed with "
            "what is missing.",
            metavar="SECTION",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="Of a task's run: read train, validation, test or all (default) of its prompts."),
    ] = None,
    most: Annotated[int | None, number("--most", COUNT, "Read at most N prompts.", metavar="N")] = None,
    subject: Annotated[
        list[str] | None,
        typer.Option(
            "--subject",
            help="A subject of the run's relation, such as Malaysia; may be repeated. The sections wrong, "
            "demonstrations and hops ask its fact first and say how it came out.",
            metavar="NAME",
        ),
    ] = None,
    tuned_lens: Annotated[
        Path | None,
        typer.Option("--tuned-lens", help="safetensors file of tuned-lens weights of this model, read beside."),
    ] = None,
    model: MovedModelOption = None,
    seed: Annotated[int, number("--seed", SEED, "Seed of null distributions and random heads.")] = 0,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Say how the model gets from the prompt to the answer, and write it to explain.html.

    Each section reads the run's model and prompts and leaves its rows (Parquet), its numbers (JSON) and its pictures in
    the run's folder `explain`.
    """
    from wheatstone.runs import CIRCUITS, Run

    answers = Run.open_checked(run, *CIRCUITS).manifest.get("model_answers")
    output = Output("explain", as_json)
    with output.starting() as report:
        from wheatstone.figures import claims_of, render_explanation
        from wheatstone.studies import ExplainSettings, add_explanation

        settings = ExplainSettings(tuple(only or ()), split, most, tuned_lens, seed, tuple(subject or ()))
        report("starting", 1, 1)
        found = add_explanation(
            run, settings, render_explanation, model=model, device=device, dtype=dtype, report=report
        )
    missing = {name: section["missing"] for name, section in found.items() if "missing" in section}
    unasked = [name for name, section in found.items() if "unasked" in section]
    seconds = output.seconds
    output.document(
        {
            "run": str(run),
            "page": str(run / "explain.html"),
            "seconds": seconds,
            "model_answers": answers,
            "sections": {name: section for name, section in found.items() if "summary" in section},
            "missing": missing,
            "unasked": unasked,
        }
    )
    for warning in answers["warnings"] if answers else ():
        output.print(f"warning: {warning}", markup=False)
    for _, claim in claims_of(run):
        output.print(claim.text, markup=False)
    for name, what in missing.items():
        output.print(f"not shown: {name}, because the run lacks {what}", markup=False)
    for name, section in found.items():
        output.missing({f"{figure} of {name}": why for figure, why in section.get("undrawn", {}).items()})
    for name in unasked:
        output.print(f"not shown: {name}, because it takes minutes; ask for it with --only {name}", markup=False)
    output.print(f"\npage     {run / 'explain.html'}\nrows     {run / 'explain'} ({seconds:.0f} s)", markup=False)
