"""`Task`: prompt pairs of one behaviour, split so that a proof can be held out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from wheatstone._errors import PromptError, check_choice
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.models import ResidualModel
from wheatstone.records import SPLITS, Problem, problems_in_words, refuse_problems
from wheatstone.tasks._encode import encode
from wheatstone.tasks._known import answered
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._records import Pairs
from wheatstone.tasks._source import About, Draft, Source
from wheatstone.tasks._split import split_subjects
from wheatstone.tasks.generators import Generator


@dataclass(frozen=True)
class Known:
    """How many pairs were left by the known-fact filter.

    Args:
        rank: the answer must be within this rank, and above every distractor.
        kept: pairs the model knows.
        of: pairs it was asked.
    """

    rank: int
    kept: int
    of: int

    def __str__(self) -> str:
        return f"{self.kept} of {self.of} pairs are known (an answer in the top {self.rank} and above every distractor)"


@dataclass(frozen=True)
class Task(Brief):
    """Prompt pairs of one behaviour.

    Args:
        about: name, kind, description, templates, provenance, licence, usual metric.
        train: pairs to discover a circuit on.
        validation: pairs to choose its size on.
        test: pairs to prove it on; no subject of theirs is in the other two.
        seed: of the split, the counterfactuals and all that is generated.
        known: what the known-fact filter left; None where it was not used.
        skipped: records that could not be used.
        notes: what a reader of results should know.
        files: the user's own files that it is made from, see `files_of`.
    """

    about: About
    train: tuple[PromptPair, ...]
    validation: tuple[PromptPair, ...]
    test: tuple[PromptPair, ...]
    seed: int = 0
    known: Known | None = None
    skipped: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])

    @property
    def name(self) -> str:
        """As `load_task` takes it."""
        return self.about.name

    @property
    def kind(self) -> str:
        """What sort of behaviour it is."""
        return self.about.kind

    @property
    def metric(self) -> str:
        """What it is usually measured by."""
        return self.about.metric

    @property
    def sha256(self) -> str:
        """Of all pairs in their splits."""
        digest = hashlib.sha256()
        for split in SPLITS:
            for pair in self.split(split):
                digest.update(f"{split} {pair.model_dump_json()}\n".encode())
        return digest.hexdigest()

    def split(self, name: str) -> tuple[PromptPair, ...]:
        """The pairs of `train`, `validation` or `test`; a small task may have none in one of them.

        Raises:
            RequestError: no such split.
        """
        check_choice("a split", name, SPLITS)
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    @property
    def every(self) -> tuple[PromptPair, ...]:
        """The pairs of all splits."""
        return (*self.train, *self.validation, *self.test)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: everything but the pairs, of which it has the numbers."""
        return {
            **asdict(self.about),
            "seed": self.seed,
            "splits": {split: len(self.split(split)) for split in SPLITS},
            "known": None if self.known is None else asdict(self.known),
            "skipped": [str(problem) for problem in self.skipped],
            "notes": list(self.notes),
            "files": {name: dict(file) for name, file in self.files.items()},
            "sha256": self.sha256,
        }

    def to_json(self) -> dict[str, Any]:
        """For a run's `task.json`: `to_dict` with the pairs."""
        pairs = {split: [pair.model_dump(mode="json") for pair in self.split(split)] for split in SPLITS}
        return {**self.to_dict(), "pairs": pairs}


def make_task(
    source: Source,
    model: ResidualModel,
    problems: Sequence[Problem],
    *,
    seed: int,
    known: int | None,
    size: int | None,
    strict: bool,
    notes: Sequence[str] = (),
    report: Reporter = silent,
) -> Task:
    """A task from its source; the arguments are `load_task`'s.

    Args:
        source: what makes the pairs.
        model: that they are for.
        problems: records that could not be read.
        seed: decides everything that is chosen.
        known: rank of the known-fact filter.
        size: most pairs of all splits together.
        strict: refuse where a record cannot be used.
        notes: what is known already.
        report: progress callback.
    """
    about, wrong = source.about, list(problems)
    parts = source.given if isinstance(source, Pairs) and source.given else split_subjects(source.subjects(model), seed)
    subjects = sum(len(part) for part in parts.values())
    shares = {split: len(part) / max(subjects, 1) for split, part in parts.items()}
    made: dict[str, list[PromptPair]] = {}
    for split, part in parts.items():
        most = round((100 if size is None else size) * shares[split])
        drafts = source.drafts(model, part, Random(f"{seed} {split}"), most, wrong)
        made[split] = sorted(_checked(model, drafts, wrong), key=lambda pair: _place(pair, seed))
    if strict:
        refuse_problems(wrong, about.name)
    every = [pair for split in SPLITS for pair in made[split]]
    notes = list(notes)
    if about.size is not None and len(every) + len(wrong) < about.size:
        missing = about.size - len(every) - len(wrong)
        notes.append(f"{missing} of {about.size} have no counterfactual of their token length in their split")
    if wrong:
        notes.append(f"{len(wrong)} records could not be used and were left out")
    result: Known | None = None
    if known is not None and every:
        knows = {
            pair for pair, row in zip(every, answered(model, every, report=report), strict=True) if row.known(known)
        }
        result = Known(known, len(knows), len(every))
        made = {split: [pair for pair in pairs if pair in knows] for split, pairs in made.items()}
        notes.append(str(result))
    if not any(made.values()):
        none = f"none of {subjects:,} subjects has a usable pair"
        if isinstance(source, Generator):
            none = source.why_none(model)
        raise PromptError(
            expected=f"prompts of {about.name} that {model.id} can be asked" + (" and knows" if every else ""),
            got=(str(result) if result else "; ".join([none, *notes]))
            + (f"; {problems_in_words(wrong)}" if wrong else ""),
            do="choose another task, template or model" + (", or known=None (--known 0)" if every else ""),
        )
    if size is not None:
        made = {split: pairs[: max(round(size * shares[split]), 1)] for split, pairs in made.items()}
    notes += [f"no {split} pairs are left" for split in SPLITS if not made[split]]
    train, validation, test = (tuple(made[split]) for split in SPLITS)
    return Task(about, train, validation, test, seed, result, tuple(wrong), tuple(notes))


def _place(pair: PromptPair, seed: int) -> bytes:
    """Puts pairs in an order that has nothing to do with them, so that the first few are a fair sample."""
    return hashlib.sha256(f"{seed}/{pair.prompt}".encode()).digest()


def _checked(model: ResidualModel, drafts: Sequence[Draft], problems: list[Problem]) -> list[PromptPair]:
    """The pairs that can be compared, each once; the others become problems."""
    good: dict[PromptPair, None] = {}
    for draft in drafts:
        try:
            encode(model, [draft.pair])
        except PromptError as error:
            problems.append(Problem(draft.where, str(error)))
        else:
            good[draft.pair] = None
    return list(good)
