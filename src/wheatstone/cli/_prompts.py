"""The prompts a verb was given: one pair in options, or many in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wheatstone._errors import PromptError, RequestError
from wheatstone.cli._options import template_of

if TYPE_CHECKING:
    from wheatstone._progress import Reporter
    from wheatstone.models import ResidualModel
    from wheatstone.runs import Run
    from wheatstone.tasks import PromptPair, Task


def named_task(
    task: str | None,
    model: ResidualModel,
    *,
    seed: int,
    known: int,
    size: int,
    template: str | None = None,
    skip_bad: bool = False,
    report: Reporter,
) -> Task | None:
    """The task that a verb was given, by its options; None where prompts were given instead."""
    if not task:
        return None
    from wheatstone.tasks import load_task

    return load_task(
        task,
        model,
        seed=seed,
        known=known or None,
        template=template_of(template),
        size=size,
        strict=not skip_bad,
        report=report,
    )


def pairs_of(
    task: str | None,
    prompt: str | None,
    counterfactual: str | None,
    answers: list[str] | None,
    distractors: list[str] | None,
    file: Path | None,
) -> list[PromptPair]:
    """The prompt pairs of the options `--prompt … --distractor`, or of a file of records.

    None where a task was named instead.

    Raises:
        PromptError: a record is not one.
        RequestError: some of the options are missing, or two ways are used.
    """
    if task:
        if any((prompt, counterfactual, answers, distractors, file)):
            raise RequestError(expected="either --task or prompts", got="both", do="leave one of them out")
        from wheatstone.tasks import check_task

        check_task(task)
        return []
    given = [prompt, counterfactual, answers]
    if file is not None:
        if any(given):
            raise RequestError(
                expected="either --prompts or --prompt, --counterfactual and --answer",
                got="both",
                do="leave one of them out",
            )
        from wheatstone.tasks import read_pairs

        return read_pairs(file)
    if not all(given):
        names = ("--prompt", "--counterfactual", "--answer")
        missing = [name for name, value in zip(names, given, strict=True) if not value]
        raise RequestError(
            expected="--prompt, --counterfactual and --answer",
            got=f"no {' and no '.join(missing)}",
            do="give all three, or a file of pairs with --prompts",
        )
    from pydantic import ValidationError

    from wheatstone.tasks import PromptPair

    try:
        return [
            PromptPair(
                prompt=prompt or "",
                counterfactual=counterfactual or "",
                answers=tuple(answers or ()),
                distractors=tuple(distractors or ()),
            )
        ]
    except ValidationError as error:
        raise PromptError(expected="texts that are not empty", got="an empty one", do="write a prompt") from error


def check_split(split: str) -> None:
    """Refuses an unknown split before any model is loaded.

    Raises:
        RequestError: no task has a split of this name.
    """
    from wheatstone.records import SPLITS

    if split not in SPLITS:
        raise RequestError(expected=f"a split out of {', '.join(SPLITS)}", got=repr(split), do="choose one of these")


def task_split(run: Run, split: str) -> list[PromptPair]:
    """A split of the task that a run was made from, as the run keeps it.

    Raises:
        RequestError: the run was not made from a task, or has no such split, or it is empty.
    """
    from wheatstone.runs import sound
    from wheatstone.tasks import PromptPair

    check_split(split)
    if not run.has("task"):
        raise RequestError(
            expected="a run of a task, which has splits",
            got=f"{run.path}, a run of given prompts",
            do="leave --split out",
        )
    with sound(run.path):
        pairs = [PromptPair.model_validate(pair) for pair in run.document("task")["pairs"][split]]
    if not pairs:
        raise RequestError(
            expected=f"{split} pairs", got=f"{run.path}, whose task has none", do="choose another --split"
        )
    return pairs
