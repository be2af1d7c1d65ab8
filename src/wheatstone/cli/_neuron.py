"""`wheatstone neuron`: which neurons carry an answer, what one neuron writes, which neurons belong to one token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from wheatstone._bounds import COUNT, ROWS, SEED
from wheatstone._intervals import MINIMUM, interval_note, interval_text
from wheatstone._text import count
from wheatstone.cli._answers import print_answers
from wheatstone.cli._loading import load
from wheatstone.cli._neuron_find import find
from wheatstone.cli._neuron_probe import probe
from wheatstone.cli._new_file import new_file, reserved_file
from wheatstone.cli._new_run import FiguresOption, ForceOption, OutOption, new_run
from wheatstone.cli._options import (
    AllowWeakOption,
    DeviceOption,
    DtypeOption,
    MetricOption,
    ModelOption,
    check_names,
    number,
)
from wheatstone.cli._output import JsonOption, Output
from wheatstone.cli._prompts import PromptOptions
from wheatstone.cli._scan import scan_command
from wheatstone.cli._settings import options_of

if TYPE_CHECKING:
    from wheatstone.neurons import ConfirmedRow

neuron_app = typer.Typer(
    name="neuron",
    no_args_is_help=True,
    help="Single neurons: which carry an answer, what one writes, which are about one token. A neuron is written "
    "m31.n892: neuron 892 of layer 31's MLP.",
)
_SHOWN = 12
neuron_app.command("scan")(
    scan_command(
        "neurons",
        "Read texts and keep of every neuron its moments, a histogram, its strongest examples and one of each bin.",
    )
)


@neuron_app.command()
@options_of()
def screen(
    *,
    out: OutOption,
    model: ModelOption = "smollm2-135m",
    prompts: PromptOptions,
    direction: Annotated[
        str,
        typer.Option(
            "--direction",
            help="denoising: clean activations into the counterfactual's run; noising: the other way round.",
        ),
    ] = "denoising",
    top: Annotated[int, number("--top", ROWS, "Neurons to confirm by exact runs.")] = 100,
    metric: MetricOption = None,
    allow_weak: AllowWeakOption = False,
    seed: Annotated[int, number("--seed", SEED, "Of a task's pairs.")] = 0,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    force: ForceOption = False,
    figures: FiguresOption = True,
    as_json: JsonOption = False,
) -> None:
    """Patch layers by position, screen every neuron by gradient, confirm the strongest exactly; writes a run.

    Of a task, its training pairs are used.
    """
    output = Output("neuron screen", as_json)
    with output.starting():
        pairs = prompts.pairs()
    with new_run(output, out, force=force) as new:
        from wheatstone.neurons import NeuronSettings, check_direction, run_neurons

        check_direction(direction)
        check_names(metric=metric)
        loaded = load(model, device, dtype, new.report)
        found = prompts.load_task(loaded, seed, new.report)
        settings = NeuronSettings(
            direction=direction,
            top=top,
            metric=metric or (found.metric if found else "logit_diff"),
            task=found.name if found else "",
            seed=seed,
            allow_weak=allow_weak,
        )
        run = run_neurons(loaded, found.train if found else pairs, settings, report=new.report)
        new.save(run.save, task=found and found.to_json(), figures=figures)
    rows = run.confirmed
    output.document(
        {
            **new.about,
            "direction": direction,
            **run.summary(),
            "model_answers": run.experiment.model_answers.to_dict(),
            "confirmed": [row._asdict() for row in rows],
            "recovery": [row._asdict() for row in run.recovery],
            "notes": list(run.experiment.encoded.notes),
        }
    )
    print_answers(output, run.experiment.model_answers)
    n = len(run.experiment.clean)
    measured = interval_note(n) if n < MINIMUM else f"n = {n}; {interval_note(n)}"
    output.print(_table(rows, f"{direction}, shares of the difference, {measured}"))
    output.print(
        f"\n{count(len(run.screen.neurons), 'neuron')} screened, {len(rows)} run exactly, in {output.seconds:.0f} s."
    )
    new.announce()


@neuron_app.command()
def show(
    neuron: Annotated[str, typer.Argument(help="A neuron, such as m25.n1527.", metavar="NEURON")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="As in other commands; by default the model of --run, or smollm2-135m.",
            metavar="MODEL",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="A run of `neuron screen` or `discover` on whose prompts to look at it."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option("--scan", help="A scan of texts (`neuron scan`) to show what it responds to.")
    ] = None,
    probes: Annotated[
        Path | None, typer.Option("--probes", help="A run of `neuron probe` to list the concepts that it detects.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            help="A token to compare it with, with its leading space if it has one; by default the run's answer, or "
            "the token it is most congruent with.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Page to write; NEURON.html by default.")] = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    force: Annotated[bool, typer.Option("--force", help="Replace the page if it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write one neuron's page: the tokens it writes; with --run, what it is worth and what it predicts on its prompts.

    With --scan what it responds to in running text, and whether it predicts the token there; with --probes which
    concepts it detects.
    """
    from wheatstone.checkpoints import check_layers
    from wheatstone.runs import CIRCUITS, Run

    of_run = "smollm2-135m" if run is None else str(Run.open(run, "neuron", *CIRCUITS).manifest["model"]["id"])
    name = model or of_run
    check_layers(name, [neuron])
    output = Output("neuron show", as_json)
    with output.starting() as report, reserved_file(path := _page(neuron, out), force=force):
        from wheatstone.figures import neuron_page
        from wheatstone.neurons import Scan, experiment_of, neuron_facts, token_of

        scan = None if corpus is None else Scan.load(corpus)
        if probes is not None:
            Run.open(probes, "neuron probe")
        loaded = load(name, device, dtype, report)
        which = loaded.neuron(neuron)
        facts = neuron_facts(
            loaded,
            which,
            token=None if token is None else token_of(loaded, token),
            experiment=None if run is None else experiment_of(run, loaded),
            scan=scan,
            probes=probes,
            report=report,
        )
        with new_file(path, force=force) as partial:
            partial.write_text(neuron_page(facts), encoding="utf-8")
    output.document(facts | {"page": str(path)})
    table = Table("promoted", Column("", justify="right"), "suppressed", Column("", justify="right"), box=None)
    found = facts["congruence"]["readout"]
    for up, down in zip(found["promoted"][:_SHOWN], found["suppressed"][:_SHOWN], strict=True):
        cells = (f"{up['text']!r}", f"{up['congruence']:+.2f}", f"{down['text']!r}", f"{down['congruence']:+.2f}")
        table.add_row(*cells)
    output.print(table)
    if facts["prompts"] is not None:
        for sentence in facts["prompts"]["model_answers"]["warnings"] or [facts["prompts"]["model_answers"]["summary"]]:
            output.print(sentence, markup=False)
        for kind, effects in facts["prompts"]["effects"].items():
            whole = f"its whole MLP {effects['mlp']:+.3f}"
            output.print(f"{kind}: {effects['all']:+.3f} of the difference ({whole})", markup=False)
    output.print(f"page     {path}", markup=False)


def _page(neuron: str, out: Path | None) -> Path:
    """The page to write.

    Raises:
        RequestError: it is no neuron's name.
    """
    from wheatstone.models import Neuron

    own = Path(f"{Neuron.named(neuron)}.html")
    return out or own


@neuron_app.command()
def pairs(
    model: ModelOption = "smollm2-135m",
    reading: Annotated[
        str,
        typer.Option(
            "--reading",
            help="readout: through the final norm's weight and the unembedding; embedding: times the input embedding.",
        ),
    ] = "readout",
    top: Annotated[int, number("--top", COUNT, "Pairs to list.")] = 20,
    null: Annotated[
        bool, typer.Option("--null", help="Search once more with every neuron's entries shuffled: scores by chance.")
    ] = False,
    seed: Annotated[int, number("--seed", SEED, "Of the shuffle.")] = 0,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """List the most mutually exclusive pairs: a neuron and a token that are each other's most congruent of all.

    Score: the product of both margins to the second. sign −1: it takes a negative activation to raise the token.
    """
    output = Output("neuron pairs", as_json)
    with output.starting() as report:
        from wheatstone.neurons import Congruence, exclusive_pairs

        loaded = load(model, device, dtype, report)
        congruence = Congruence(loaded, reading)
        found = exclusive_pairs(congruence, top=top, report=report)
        chance = exclusive_pairs(congruence, top=1, shuffled=seed, report=report) if null else None
    best = None if chance is None else chance.best[0].score if chance.best else 0.0
    seconds = output.seconds
    output.document(
        {
            "model": loaded.id,
            "reading": reading,
            "pairs": [pair._asdict() for pair in found.best],
            "mutual": found.mutual,
            "entries": found.entries,
            "best_of_shuffled": best,
            "seed": seed,
            "seconds": seconds,
        }
    )
    numbers = (Column(name, justify="right") for name in ("sign", "congruence", "score", "z"))
    table = Table("neuron", "token", *numbers, box=None)
    for pair in found.best:
        cells = (f"{pair.congruence:+.2f}", f"{pair.score:.2f}", f"{pair.z:.1f}")
        table.add_row(pair.neuron, f"{pair.text!r}", f"{pair.sign:+d}", *cells)
    output.print(table)
    by_chance = "" if best is None else f" With shuffled neurons the best score is {best:.2f}."
    output.print(
        f"\n{count(found.mutual, 'pair')} in all, out of {found.entries:,} entries ({seconds:.0f} s).{by_chance}"
    )


def _table(rows: tuple[ConfirmedRow, ...], title: str) -> Table:
    """The strongest neurons."""
    names = ("estimate", "exact", "95%", "last alone", "its MLP", "share of it")
    table = Table("neuron", *(Column(name, justify="right") for name in names), box=None)
    table.title = title
    for row in rows[:_SHOWN]:
        interval = interval_text((row.low, row.high), 3) or "–"
        share = "–" if row.share_of_mlp is None else f"{row.share_of_mlp:.0%}"
        cells = (f"{value:+.3f}" for value in (row.estimate, row.exact))
        table.add_row(row.neuron, *cells, interval, f"{row.exact_last:+.3f}", f"{row.mlp:+.3f}", share)
    return table


# Last, as the help lists them.
neuron_app.command()(find)
neuron_app.command()(probe)
