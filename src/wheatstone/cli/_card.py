"""`wheatstone card RUN`: how far a circuit can be trusted, line by line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from wheatstone._bounds import COUNT
from wheatstone.cards import CardSettings
from wheatstone.cli._options import DeviceOption, DtypeOption, MovedModelOption, number
from wheatstone.cli._output import JsonOption, Output
from wheatstone.cli._settings import options_of


@options_of(CardSettings, apart=("prompts",))
def card(
    *,
    run: Annotated[Path, typer.Argument(help="Folder of a run of `discover` or `import`.", metavar="RUN")],
    settings: CardSettings,
    most: Annotated[int, number("--most", COUNT, "Score at most N prompts one by one.", metavar="N")] = 100,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", help="Another task, bundled or a file, that must lose less; may be repeated.", metavar="TASK"
        ),
    ] = None,
    model: MovedModelOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Say how far a circuit can be trusted: what is supported, what is not, and what was not tested.

    Each line of the card is a claim with a verdict and its numbers: faithfulness on held-out facts, edges that recur
    when prompts are drawn again, comparison with circuits that chance gives, a second circuit without the first one's
    edges, other ablations, metrics, templates and counterfactuals. The card is printed and added to the run as
    card.json and card.html; the scores of every edge on every prompt are kept in the run's folder card.
    """
    from wheatstone.runs import CIRCUITS, Run

    Run.open_checked(run, *CIRCUITS)
    output = Output("card", as_json)
    with output.starting() as report:
        from wheatstone.cards import add_card
        from wheatstone.figures import card_page

        settings = replace(settings, prompts=most, against=tuple(against or ()))
        settings.check()
        report("starting", 1, 1)
        made, missing = add_card(run, settings, card_page, model=model, device=device, dtype=dtype, report=report)
    seconds = output.seconds
    page = run / "card.html"
    output.document(
        {"run": str(run), "page": str(page) if page.is_file() else None, **made.to_dict(), "total_seconds": seconds}
        | {"missing": missing}
    )
    for _, line in made.lines:
        output.print(f"{line.verdict.upper():<14} {line.claim}", markup=False)
        output.print(f"{'':<14} {line.why}\n", markup=False)
    output.missing(missing)
    output.print(f"page     {page}\ndata     {run / 'card.json'} ({seconds:.0f} s)", markup=False)
