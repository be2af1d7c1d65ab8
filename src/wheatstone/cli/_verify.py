"""`wheatstone verify RUN`: re-scores a run's circuit and adds the result to the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wheatstone._bounds import COUNT, DRAWS
from wheatstone._errors import RequestError, check_choice
from wheatstone.cli._loading import load
from wheatstone.cli._options import (
    AllowWeakOption,
    DeviceOption,
    DtypeOption,
    MovedModelOption,
    SeedOption,
    number,
)
from wheatstone.cli._output import JsonOption, Output
from wheatstone.cli._prompts import PromptOptions, task_split
from wheatstone.cli._settings import options_of
from wheatstone.cli._tables import second_path_note, verification_table


@options_of(apart=("skip_bad",))
def verify(
    *,
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    prompts: PromptOptions,
    split: Annotated[
        str | None, typer.Option("--split", help="Of the run's task or of --task: train, validation or test (default).")
    ] = None,
    model: MovedModelOption = None,
    allow_weak: AllowWeakOption = False,
    counterfactuals: Annotated[
        int | None,
        number("--counterfactuals", COUNT, "Of a task: most counterfactuals of a prompt; as in the run by default."),
    ] = None,
    draws: Annotated[int, number("--draws", DRAWS, "Size-matched random circuits.")] = 20,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Run a circuit again, on its own prompts or on others, beside complement, random circuits and nothing.

    The run of a task is scored on the task's test split. Otherwise, without prompts, a circuit is scored on those it
    was found on. The result is printed and added to the run.
    """
    from wheatstone.records import SPLITS
    from wheatstone.runs import CIRCUITS, Run

    opened = Run.open_checked(run, *CIRCUITS)
    manifest = opened.manifest
    given, task = prompts.given, prompts.task
    if given and (task or split):
        raise RequestError(expected="either prompts or a task's split", got="both", do="leave one of them out")
    others = prompts.pairs() if given else None
    if not given and not task and (split or opened.has("task")):
        others = task_split(opened, split or "test")
    if not given and not task and others is None and not manifest["prompts"]:
        raise RequestError(
            expected="prompts to score the circuit on",
            got=f"{run}, a circuit that was imported without any",
            do="give --prompt, --counterfactual and --answer, or --prompts or --task",
        )
    if task:
        check_choice("a split", split, SPLITS)
    output = Output("verify", as_json)
    with output.starting() as report:
        from wheatstone.circuits import Circuit, same_weights
        from wheatstone.figures import report_html
        from wheatstone.studies import add_verification
        from wheatstone.verification import verify as verified

        if others or task:
            opened.document("held_out")  # a lost one is refused before the work, not after it
        circuit = Circuit.load(opened.path)
        loaded = load(model or manifest["model"]["id"], device, dtype, report)
        same_weights(loaded, circuit)
        found = prompts.load_task(loaded, seed, report)
        if found:
            others = list(found.split(split or "test"))
            if not others:
                raise RequestError(
                    expected=f"{split or 'test'} pairs of {found.name}",
                    got="none",
                    do="choose another --split or --size",
                )
            words = f"{split or 'test'} of {found.name}"
        elif given:
            words = "given prompts"
        else:
            words = "the prompts it was found on" if others is None else split or "test"
        pairs = circuit.examples if others is None else others
        several = counterfactuals or manifest["settings"].get("counterfactuals", 1)
        # The run's own prompts were accepted when it was made; only other prompts are refused.
        meant = allow_weak or (others is None and manifest["settings"].get("allow_weak"))
        result = verified(
            loaded,
            circuit,
            pairs,
            counterfactuals=1 if given or others is None else several,
            draws=draws,
            seed=seed,
            split=words,
            allow_weak=True if meant else None if others is None else False,
            report=report,
        )
        missing = add_verification(run, result, report_html, own=others is None)
    output.document(result.to_dict())
    for warning in result.warnings:
        output.print(f"warning: {warning}", markup=False)
    output.print(verification_table(result))
    for note in second_path_note([result]):
        output.print(note)
    output.missing(missing)
