"""The prompts a verb was given: one pair in options, many in a file, or a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheatstone._errors import PromptError, RequestError, check_choice
from wheatstone.cli._options import (
    AnswerOption,
    CounterfactualOption,
    DistractorOption,
    KnownOption,
    PromptOption,
    PromptsOption,
    SizeOption,
    SkipBadOption,
    TaskOption,
    TemplateOption,
    template_of,
)

if TYPE_CHECKING:
    from wheatstone._progress import Reporter
    from wheatstone.models import ResidualModel
    from wheatstone.runs import Run
    from wheatstone.tasks import PromptPair, Task


@dataclass(frozen=True)
class PromptOptions:
    """The prompts that a verb is given: one pair in options, a file of pairs, or a task."""

    prompt: PromptOption = None
    counterfactual: CounterfactualOption = None
    answer: AnswerOption = None
    distractor: DistractorOption = None
    prompts: PromptsOption = None
    task: TaskOption = None
    template: TemplateOption = None
    known: KnownOption = 10
    size: SizeOption = 50
    skip_bad: SkipBadOption = False

    @property
    def given(self) -> bool:
        """Whether prompts are given, rather than a task or nothing."""
        return any((self.prompt, self.counterfactual, self.answer, self.distractor, self.prompts))

    def load_task(self, model: ResidualModel, seed: int, report: Reporter) -> Task | None:
        """The task; None where none was named."""
        if not self.task:
            return None
        from wheatstone.tasks import load_task

        return load_task(
            self.task,
            model,
            seed=seed,
            known=self.known or None,
            template=template_of(self.template),
            size=self.size,
            strict=not self.skip_bad,
            report=report,
        )

    def pairs(self) -> list[PromptPair]:
        """The prompt pairs that are given; none where a task is named instead.

        Raises:
            PromptError: a record is not one.
            RequestError: some of the options are missing, or two ways are used.
        """
        if self.task:
            if self.given:
                raise RequestError(expected="either --task or prompts", got="both", do="leave one of them out")
            from wheatstone.tasks import check_task

            check_task(self.task)
            return []
        given = {"--prompt": self.prompt, "--counterfactual": self.counterfactual, "--answer": self.answer}
        if self.prompts is not None:
            if any(given.values()):
                raise RequestError(
                    expected="either --prompts or --prompt, --counterfactual and --answer",
                    got="both",
                    do="leave one of them out",
                )
            from wheatstone.tasks import read_pairs

            return read_pairs(self.prompts)
        if not (self.prompt and self.counterfactual and self.answer):
            raise RequestError(
                expected="--prompt, --counterfactual and --answer",
                got=f"no {' and no '.join(name for name, value in given.items() if not value)}",
                do="give all three, or a file of pairs with --prompts",
            )
        from pydantic import ValidationError

        from wheatstone.tasks import PromptPair

        try:
            return [
                PromptPair(
                    prompt=self.prompt,
                    counterfactual=self.counterfactual,
                    answers=tuple(self.answer),
                    distractors=tuple(self.distractor or ()),
                )
            ]
        except ValidationError as error:
            raise PromptError(expected="texts that are not empty", got="an empty one", do="write a prompt") from error


def task_split(run: Run, split: str) -> list[PromptPair]:
    """A split of the task that a run was made from, as the run keeps it.

    Raises:
        RequestError: the run was not made from a task, or has no such split, or it is empty.
    """
    from wheatstone.records import SPLITS
    from wheatstone.runs import sound
    from wheatstone.tasks import PromptPair

    check_choice("a split", split, SPLITS)
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
