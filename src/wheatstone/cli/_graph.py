"""`wheatstone graph`: how a model gets from one prompt to its answer, in tokens, heads and neurons."""

from __future__ import annotations

from typing import Annotated

import typer

from wheatstone._errors import RequestError
from wheatstone._text import shown
from wheatstone.cli._answers import print_answers
from wheatstone.cli._loading import load
from wheatstone.cli._new_run import ForceOption, OutOption, new_run
from wheatstone.cli._options import (
    AllowWeakOption,
    AnswerOption,
    DeviceOption,
    DistractorOption,
    DtypeOption,
    ModelOption,
    PromptOption,
)
from wheatstone.cli._output import JsonOption, Output
from wheatstone.cli._settings import options_of
from wheatstone.graphs import GraphSettings


@options_of(GraphSettings)
def graph(
    *,
    out: OutOption,
    model: ModelOption = "smollm2-135m",
    prompt: PromptOption = None,
    answer: AnswerOption = None,
    counterfactual: Annotated[
        list[str] | None,
        typer.Option(
            "--counterfactual",
            help="A prompt of the same number of tokens with another answer: the graph then explains the difference. "
            "May be repeated; edges show the first, and with --verify the graph holds under each.",
        ),
    ] = None,
    distractor: DistractorOption = None,
    settings: GraphSettings,
    allow_weak: AllowWeakOption = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw how the model gets from the prompt's tokens to the answer, in heads and neurons, and prove what they hold.

    Needs no trained dictionaries. Edges add up under linear rules; what the kept nodes hold alone is run exactly and
    printed. Writes a run with tables, a picture, a report, and a file for circuit-tracer's page and Neuronpedia.
    """
    if not prompt or not answer:
        raise RequestError(
            expected="--prompt and --answer", got="not both", do="give a prompt and the continuation to explain"
        )
    output = Output("graph", as_json)
    with new_run(output, out, force=force) as new:
        from wheatstone.figures import graph_words
        from wheatstone.graphs import peak_bytes, run_graph

        others = tuple(counterfactual or ())
        settings.check(len(others))
        loaded = load(model, device, dtype, new.report)
        run = run_graph(
            loaded,
            prompt,
            tuple(answer),
            distractors=tuple(distractor or ()),
            counterfactuals=others,
            settings=settings,
            allow_weak=allow_weak,
            report=new.report,
        )
        new.save(run.save)
    summary = run.summary()
    output.document({**new.about, "peak_bytes": peak_bytes(), **summary})
    print_answers(output, run.said)
    for sentence in graph_words(summary):
        output.print(shown(sentence), markup=False)
    new.announce()
