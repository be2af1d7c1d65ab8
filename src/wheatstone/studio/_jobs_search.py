"""What a discovery is about, and its settings, as the command line makes them; in the worker's process alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter
from wheatstone.discovery import LEARNED, DiscoverySettings
from wheatstone.models import ResidualModel
from wheatstone.studies import expected_seconds, plan_discovery, settings_for
from wheatstone.studio._jobs_schema import Ask, Cost, Discover, Pair
from wheatstone.studio._schema import ModelAnswers
from wheatstone.tasks import PromptPair, Task, bundled_tasks, load_task, other_wordings


@dataclass(frozen=True, eq=False)
class Search:
    """What is searched.

    Args:
        model: the model.
        settings: of the search.
        pairs: prompts to explain.
        task: the task that they are the training split of.
        wordings: the prompts in other words, for the method `learned`.
    """

    model: ResidualModel
    settings: DiscoverySettings
    pairs: Sequence[PromptPair]
    task: Task | None = None
    wordings: Sequence[PromptPair] = ()

    @property
    def splits(self) -> dict[str, Any]:
        """What `write_discovery` takes of a task."""
        if self.task is None:
            return {}
        files = {"task.json": self.task.to_json()}
        return {"validation": self.task.validation, "test": self.task.test, "wordings": self.wordings, "files": files}


def search_of(asked: Discover | Ask, load: Callable[[str], ResidualModel], report: Reporter) -> Search:
    """What a request is about.

    Raises:
        RequestError: settings that do not go together.
        PromptError: the prompts cannot be compared.
    """
    settings = DiscoverySettings(
        faithfulness=asked.faithfulness,
        method=asked.method or "verified",
        positions=asked.positions or None,
        ablation=asked.ablation,
        goal=asked.goal,
        metric=asked.metric or "logit_diff",
        allow_weak=asked.allow_weak,
    )
    settings.check()
    if asked.task and asked.task not in {task.name for task in bundled_tasks()}:  # a request names no file
        raise RequestError(expected="a bundled task", got=repr(asked.task), do="choose one of `wheatstone tasks`")
    model = load(asked.model)
    if not asked.task:
        pairs = [asked.pair] if asked.pair else asked.pairs
        return Search(model, settings, [prompt_pair(pair) for pair in pairs])
    task = load_task(asked.task, model, report=report)
    settings = replace(settings, metric=asked.metric or task.metric, task=task.name)
    settings = settings_for(settings, task, chosen=bool(asked.method))
    settings.check()
    wordings: list[PromptPair] = []
    if settings.method == LEARNED:
        wordings, unused = other_wordings(asked.task, task, model, most=len(task.train), seed=settings.seed)
        task = replace(task, notes=(*task.notes, *unused))
    return Search(model, settings, task.train, task, wordings)


def asked_of(search: Search, *, cost: bool, report: Reporter) -> tuple[ModelAnswers, Cost]:
    """What the model itself says, and what the discovery would take; with `cost` also how long."""
    plan = plan_discovery(search.model, search.pairs, search.settings)
    plan.check()
    experiment = replace(search.settings, allow_weak=True).experiment(search.model, search.pairs)
    took = None
    if cost:
        held = (len(search.task.validation), len(search.task.test)) if search.task else (0, 0)
        took = expected_seconds(experiment, search.settings, validation=held[0], test=held[1], report=report)
    return ModelAnswers.model_validate(experiment.model_answers.to_dict()), Cost(
        prompts=plan.prompts,
        tokens=plan.tokens,
        edges=plan.edges,
        needed=plan.needed,
        free=plan.free,
        seconds=None if took is None else (took / 2, 2 * took),
    )


def prompt_pair(pair: Pair) -> PromptPair:
    """A pair of a request."""
    return PromptPair(
        prompt=pair.prompt,
        counterfactual=pair.counterfactual,
        answers=(pair.answer,),
        distractors=(pair.distractor,) if pair.distractor else (),
    )
