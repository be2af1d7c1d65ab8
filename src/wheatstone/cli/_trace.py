"""`wheatstone trace`: where the model recalls the facts of a task, by causal tracing."""

from __future__ import annotations

from typing import Annotated

import typer

from wheatstone._bounds import COUNT, LAYERS, NOISE, SEED
from wheatstone._errors import RequestError
from wheatstone.cli._answers import print_answers
from wheatstone.cli._loading import load
from wheatstone.cli._new_run import ForceOption, OutOption, new_run
from wheatstone.cli._options import (
    AllowWeakOption,
    DeviceOption,
    DtypeOption,
    KnownOption,
    ModelOption,
    SizeOption,
    SkipBadOption,
    TaskOption,
    TemplateOption,
    number,
)
from wheatstone.cli._output import JsonOption, Output
from wheatstone.cli._prompts import PromptOptions


def trace(
    out: OutOption,
    task: TaskOption = None,
    model: ModelOption = "smollm2-135m",
    template: TemplateOption = None,
    known: KnownOption = 1,
    size: SizeOption = 12,
    skip_bad: SkipBadOption = False,
    site: Annotated[
        list[str] | None,
        typer.Option(
            "--site",
            help="What to put back: state (the residual stream), mlp or attention; may be repeated, all by default.",
        ),
    ] = None,
    noise: Annotated[
        float, number("--noise", NOISE, "On the subject's embeddings, in their standard deviations.")
    ] = 3.0,
    draws: Annotated[int, number("--draws", COUNT, "Of the noise, over which effects are averaged.")] = 2,
    window: Annotated[
        int | None,
        number("--window", LAYERS, "Layers whose MLPs or attention go back together; a fifth by default."),
    ] = None,
    allow_weak: AllowWeakOption = False,
    seed: Annotated[int, number("--seed", SEED, "Of the choice of facts and the noise.")] = 0,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Blur the subject, put back what the model had at one place, and see how far its answer returns.

    Every token from the subject on, every layer, over the facts of a task that the model knows; with intervals over
    facts. Writes a run with tables, heat maps and a report. A fact takes about 20 seconds of one core on SmolLM2-135M.
    """
    if not task:
        raise RequestError(
            expected="a task to trace", got="no --task", do="give one such as --task facts/country_capital"
        )
    output = Output("trace", as_json)
    with new_run(output, out, force=force) as new:
        from wheatstone.editing import SITES, TracingSettings, chosen_sites, run_trace
        from wheatstone.figures import trace_words
        from wheatstone.tasks import check_task

        settings = TracingSettings(noise=noise, draws=draws, window=window, seed=seed)
        check_task(task)
        chosen_sites(site or SITES)
        settings.check(None)
        loaded = load(model, device, dtype, new.report)
        settings.check(loaded.graph.layers)
        facts = PromptOptions(task=task, template=template, known=known, size=size, skip_bad=skip_bad)
        found = facts.load_task(loaded, seed, new.report)
        assert found is not None
        run = run_trace(loaded, found, settings, sites=site or SITES, allow_weak=allow_weak, report=new.report)
        new.save(run.save)
    summary = run.summary()
    output.document({**new.about, "model": loaded.id, **summary})
    print_answers(output, run.answers)
    for sentence in trace_words(summary):
        output.print(sentence, markup=False)
    new.announce()
