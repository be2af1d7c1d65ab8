"""`wheatstone discover`: a circuit for a prompt pair; writes a run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wheatstone._bounds import LAYER
from wheatstone._errors import ComputationError, RequestError
from wheatstone._side import PICTURES
from wheatstone.cli._answers import print_answers, print_table
from wheatstone.cli._discovered import document, shown_parts
from wheatstone.cli._loading import load
from wheatstone.cli._new_run import FiguresOption, ForceOption
from wheatstone.cli._options import (
    AllowWeakOption,
    DeviceOption,
    DtypeOption,
    MetricOption,
    ModelOption,
    SeedOption,
    number,
)
from wheatstone.cli._output import JsonOption, Output, page_of
from wheatstone.cli._prompts import PromptOptions
from wheatstone.cli._settings import options_of
from wheatstone.discovery import LEARNED, DiscoverySettings

if TYPE_CHECKING:
    from wheatstone._progress import Reporter
    from wheatstone.models import ResidualModel
    from wheatstone.studies import DiscoveryRun, Plan
    from wheatstone.tasks import PromptPair


@options_of(DiscoverySettings)
def discover(
    *,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run to write.")] = None,
    model: ModelOption = "smollm2-135m",
    prompts: PromptOptions,
    settings: DiscoverySettings,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            help="learned (of a task: a ranking learned on many counterfactuals, the size chosen on its validation "
            "prompts); verified (search with exact runs, every edge necessary on these prompts); re-ranked (without "
            "the proof); acdc; or a scoring method (eap-ig, eap, gim, relp, ceap, exact …), whose smallest "
            "sufficient ranking is taken as it is. By default learned for a task with enough prompts, and verified for "
            "a pair.",
        ),
    ] = None,
    metric: MetricOption = None,
    neurons_of: Annotated[
        list[int] | None,
        number("--neurons-of", LAYER, "Layer whose MLP is split into its neurons; may be repeated.", metavar="LAYER"),
    ] = None,
    experts_of: Annotated[
        list[int] | None,
        number(
            "--experts-of", LAYER, "Layer whose routed MLP is split into its experts; may be repeated.", metavar="LAYER"
        ),
    ] = None,
    allow_weak: AllowWeakOption = False,
    revision: Annotated[str | None, typer.Option("--revision", help="Of a Hugging Face model.")] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    force: ForceOption = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check the request as a real run does, show the answers' ranks in the model, and estimate memory and "
            "time. Writes nothing.",
        ),
    ] = False,
    force_memory: Annotated[
        bool, typer.Option("--force-memory", help="Go on where the estimate says that memory will not do.")
    ] = False,
    figures: FiguresOption = True,
    as_json: JsonOption = False,
) -> None:
    """Find a small circuit that alone gives the model's answer, prove it, and write it down as a run.

    A task's circuit is found on its training split, its size chosen on the validation split, and judged on the test
    split, whose subjects it has not seen. Judge it by the test numbers, which come first.
    The run holds the circuit, every edge's score, the size-faithfulness curve, the verification, the answer's rank
    by layer, attention, figures and report.html.
    """
    from wheatstone.checkpoints import check_layers

    check_layers(model, (*(neurons_of or ()), *(experts_of or ())))
    output = Output("discover", as_json)
    with output.starting():
        pairs = prompts.pairs()
    from wheatstone.runs import Run, check_free, reserved

    if out is None and not dry_run:
        raise RequestError(expected="a folder for the run", got="no --out", do="give one, or use --dry-run")
    if out is not None and dry_run:
        check_free(out, force=force)
    if both := set(neurons_of or ()) & set(experts_of or ()):
        raise RequestError(
            expected="each layer split into its neurons or its experts",
            got=f"layer {min(both)} under --neurons-of and --experts-of",
            do="leave one of them out",
        )
    place = nullcontext() if dry_run or out is None else reserved(out, force=force)
    with output.starting() as report, place:
        from wheatstone.figures import render_all
        from wheatstone.models import MlpParts
        from wheatstone.studies import plan_discovery, settings_for, write_discovery
        from wheatstone.tasks import other_wordings

        settings = replace(
            settings,
            method=method or settings.method,
            metric=metric or settings.metric,
            seed=seed,
            allow_weak=allow_weak,
        )
        settings.check()
        loaded = load(model, device, dtype, report, revision=revision)
        asked: tuple[tuple[list[int] | None, MlpParts], ...] = ((neurons_of, "neurons"), (experts_of, "experts"))
        loaded = loaded.split({layer: into for layers, into in asked for layer in layers or ()})
        found = prompts.load_task(loaded, seed, report)
        if found:
            settings = replace(settings, metric=metric or found.metric, task=found.name)
            settings = settings_for(settings, found, chosen=method is not None)
            settings.check()
        wordings: list[PromptPair] = []
        if prompts.task and found and settings.method == LEARNED:
            wordings, unused = other_wordings(prompts.task, found, loaded, most=len(found.train), seed=seed)
            found = replace(found, notes=(*found.notes, *unused))
        pairs = found.train if found else pairs
        plan = plan_discovery(loaded, pairs, settings)
        if dry_run or out is None:
            splits = (len(found.validation), len(found.test)) if found else (0, 0)
            _dry_run(output, plan, settings, loaded, pairs, splits, force_memory=force_memory, report=report)
            return
        if not force_memory:
            plan.check()
        proven: list[DiscoveryRun] = []
        try:
            run, missing = write_discovery(
                out,
                loaded,
                pairs,
                settings,
                validation=found.validation if found else (),
                wordings=wordings,
                test=found.test if found else (),
                files={"task.json": found.to_json()} if found else {},
                last={PICTURES: lambda folder: render_all(folder, report)} if figures else {},
                force=force,
                proven=proven.append,
                report=report,
            )
        except BaseException as error:
            if not proven:
                raise
            kept = f"kept {out} with the circuit and its proof; not made: {', '.join(Run.open(out).missing)}"
            if isinstance(error, ComputationError):
                raise ComputationError(expected=error.expected, got=error.got, do=f"free some space; {kept}") from error
            output.stderr.print(kept, markup=False, highlight=False)
            raise
    report_file = page_of(out)
    seconds = output.seconds
    about = {"run": str(out), "report": report_file, "seconds": seconds, "missing": missing}
    output.document(document(run) | about | ({"task": found.to_dict()} if found else {}))
    print_answers(output, run.experiment.model_answers)
    for part in shown_parts(run, seconds):
        output.print(part)
    for note in found.notes if found else ():
        output.print(f"note: {note}", markup=False)
    for problem in found.skipped if found else ():
        output.print(f"left out: {problem}", markup=False)
    output.missing(missing)
    if report_file:
        output.print(f"report   {report_file}\npictures {out / 'figures'}")


def _dry_run(
    output: Output,
    plan: Plan,
    settings: DiscoverySettings,
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    splits: tuple[int, int],
    *,
    force_memory: bool,
    report: Reporter,
) -> None:
    """Shows what a run would take and what the model itself says, then refuses what a real run would refuse."""
    experiment = None
    if plan.fits or force_memory:
        from wheatstone.studies import expected_seconds

        experiment = replace(settings, allow_weak=True).experiment(model, pairs)
        validation, test = splits
        took = expected_seconds(experiment, settings, validation=validation, test=test, report=report)
        plan = replace(plan, seconds=None if took is None else (took / 2, 2 * took))
    answers = None if experiment is None else experiment.model_answers
    output.document(plan.to_dict() | {"model_answers": None if answers is None else answers.to_dict()})
    if answers is not None:
        print_table(output, answers)
        print_answers(output, answers)
        output.print()
    output.print(plan.text())
    if experiment is None:
        plan.check()
    else:
        experiment.check_weak(settings.allow_weak)
