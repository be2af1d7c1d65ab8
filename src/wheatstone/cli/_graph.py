"""`wheatstone graph`: how a model gets from one prompt to its answer, in tokens, heads and neurons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from wheatstone._errors import RequestError
from wheatstone._text import shown
from wheatstone.cli._answers import print_answers
from wheatstone.cli._loading import load
from wheatstone.cli._new_run import ForceOption, OutOption, new_run
from wheatstone.cli._options import AllowWeakOption, DeviceOption, DtypeOption, ModelOption
from wheatstone.cli._output import JsonOption, Output
from wheatstone.cli._prompts import PromptOptions
from wheatstone.cli._settings import options_of
from wheatstone.graphs import GraphSettings

_OTHERS = 1000
"""Prompts of a task that may be counterfactuals of a prompt, at most."""


@options_of(GraphSettings, apart=("prompts", "counterfactual"))
def graph(
    *,
    out: OutOption,
    model: ModelOption = "smollm2-135m",
    prompts: PromptOptions,
    counterfactual: Annotated[
        list[str] | None,
        typer.Option(
            "--counterfactual",
            help="A prompt of the same number of tokens with another answer: the graph then explains the difference. "
            "May be repeated; edges show the first, and with --verify nodes are sought that hold under each. With "
            "--task those prompts of the task serve too that differ from the prompt in their subject alone.",
        ),
    ] = None,
    settings: GraphSettings,
    corpus: Annotated[
        Path | None,
        typer.Option("--scan", help="A scan of texts (`neuron scan`): what the strongest neurons respond to there."),
    ] = None,
    allow_weak: AllowWeakOption = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw how the model gets from the prompt's tokens to the answer, in heads and neurons, and prove what they hold.

    Needs no trained dictionaries. Edges add up under linear rules; what the kept nodes hold alone is run exactly and
    printed. Writes a run with tables, a picture and a report; of one prompt also a file for circuit-tracer's page and
    Neuronpedia.

    With --task and no prompt: the heads and neurons that all prompts of the task need, at each part of the prompt.
    They are learned on the training prompts and judged on the test prompts, whose subjects they have not seen.
    --known and --size are of such a task alone.
    """
    if not prompts.task and not (prompts.prompt and prompts.answer):
        raise RequestError(
            expected="--prompt and --answer, or --task",
            got="neither",
            do="give a prompt and the continuation to explain",
        )
    given = counterfactual or prompts.distractor
    if bool(prompts.prompt) != bool(prompts.answer) or (given and not prompts.prompt):
        raise RequestError(
            expected="--prompt with --answer", got="one without the other", do="give both, or --task alone"
        )
    others = tuple(counterfactual or ())
    settings.check(len(others) + bool(prompts.task))
    _check_used(prompts, settings, allow_weak)
    output = Output("graph", as_json)
    if prompts.task:
        with output.starting():
            from wheatstone.tasks import check_task

            check_task(prompts.task)
    with new_run(output, out, force=force) as new:
        from wheatstone.figures import graph_words
        from wheatstone.graphs import peak_bytes, run_graph, strongest_neurons, task_graph
        from wheatstone.neurons import EvidenceRow, Scan, scan_evidence
        from wheatstone.runs import Table, write_table

        scan = None if corpus is None else Scan.load(corpus)
        loaded = load(model, device, dtype, new.report)
        if scan is not None:
            scan.check(loaded)
        # The model need not know the answers of counterfactuals.
        asked = replace(prompts, known=0, size=_OTHERS) if prompts.prompt else prompts
        task = asked.load_task(loaded, settings.seed, new.report)
        said = None
        if task and not prompts.prompt:
            run = task_graph(loaded, task, settings=settings, report=new.report)
            rows = run.rows
        else:
            run = run_graph(
                loaded,
                prompts.prompt or "",
                tuple(prompts.answer or ()),
                distractors=tuple(prompts.distractor or ()),
                counterfactuals=others,
                others=task.every if task else (),
                settings=settings,
                allow_weak=allow_weak,
                report=new.report,
            )
            rows, said = run.graph.rows, run.said
        evidence = None if scan is None else scan_evidence(loaded, scan, strongest_neurons(rows))

        def write(folder: Path) -> None:
            run.save(folder)
            if evidence is not None:
                write_table(Table(EvidenceRow, evidence), folder / "evidence.parquet")

        new.save(write, task=task.to_json() if task and not prompts.prompt else None)
    summary = run.summary()
    output.document({**new.about, "peak_bytes": peak_bytes(), **summary})
    if said is not None:
        print_answers(output, said)
    for sentence in graph_words(summary):
        output.print(shown(sentence), markup=False)
    new.announce()


def _check_used(prompts: PromptOptions, settings: GraphSettings, allow_weak: bool) -> None:
    """Refuses options that would have no effect.

    Raises:
        RequestError: one is given.
    """
    if prompts.task and not prompts.prompt:
        settings.check_of_task(*(["--allow-weak"] if allow_weak else []))
    elif prompts.task and settings.ablation in ("mean", "zero"):
        raise RequestError(
            expected="--ablation counterfactual with --task",
            got=f"--ablation {settings.ablation}",
            do="leave --ablation out, or leave --task out",
        )
    elif not prompts.task:
        given = {
            "--counterfactuals": settings.counterfactuals != GraphSettings.counterfactuals,
            "--template": prompts.template is not None,
            "--skip-bad": prompts.skip_bad,
        }
        if unused := ", ".join(name for name, is_given in given.items() if is_given):
            raise RequestError(
                expected=f"--task with {unused}", got="a prompt without a task", do="leave it out, or name a task"
            )
