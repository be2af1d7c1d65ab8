"""`load_task`: from a name or a file to split, checked prompt pairs."""

from __future__ import annotations

from pathlib import Path

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone.models import ResidualModel
from wheatstone.tasks._bundled import bundled_task, facts_of
from wheatstone.tasks._known import KNOWN_RANK
from wheatstone.tasks._problems import Problem
from wheatstone.tasks._relation import read_relation
from wheatstone.tasks._source import Source
from wheatstone.tasks._task import Task, make_task


def load_task(
    source: str | Path,
    model: ResidualModel,
    *,
    seed: int = 0,
    known: int | None = KNOWN_RANK,
    template: int | str = 0,
    size: int | None = 100,
    strict: bool = True,
    report: Reporter = silent,
) -> Task:
    """Loads a task for a model.

    Subjects are divided 40 : 20 : 40 into train, validation and test. A fact's counterfactual is another fact of the
    same split, of the same token length, with another answer.

    Args:
        source: a bundled name (`facts/country_capital`), or a JSON file of a relation.
        model: whose tokenizer aligns the pairs, and whose knowledge is asked.
        seed: of splits, counterfactuals and whatever is generated.
        known: keep pairs with an answer among this many top tokens and above every distractor; None keeps all.
        template: of a relation: which of its templates, from 0, or one of your own with `{subject}`.
        size: most pairs, all splits together; None for all there are (100 of what is generated).
        strict: refuse, with a list, where a record cannot be used; otherwise leave it out and list it in `skipped`.
        report: told how far it is.

    Raises:
        RequestError: no such task or template.
        PromptError: records that cannot be used, or nothing left to ask.

    When this misleads: filtering by what the model knows makes its own Hit@k 1 by construction; what the filter left
    out is in `known`. Pairs depend on the tokenizer: two models get different counterfactuals.
    """
    problems: list[Problem] = []
    found = _source(source, template, problems)
    return make_task(found, model, problems, seed=seed, known=known, size=size, strict=strict, report=report)


def _source(source: str | Path, template: int | str, problems: list[Problem]) -> Source:
    path = Path(source)
    found = None if isinstance(source, Path) else bundled_task(source, template, problems)
    if found is not None:
        return found
    if path.is_file():
        return facts_of(read_relation(path), str(path), template, problems)
    raise RequestError(
        expected="a bundled task (facts/country_capital, ioi, …) or a file",
        got=repr(str(source)),
        do="list the bundled ones with `wheatstone tasks`",
    )
