"""What a section of an explanation is: something a run can be asked, with rows for an answer.

A section reads `Material` (the model, the prompts, the circuit) and gives an `Explanation`: tables of rows, a few
numbers that sum them up, and how they were measured. What a run lacks is known before anything is computed: every
section says what it needs, and a need says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import PromptError
from wheatstone._intervals import MINIMUM, halves_of, interval_note
from wheatstone._path import StrPath
from wheatstone._progress import Reporter
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, Experiment
from wheatstone.lenses._readout import Readout
from wheatstone.models import wide
from wheatstone.runs import Table


@dataclass(frozen=True, eq=False)
class Material(Brief):
    """What a section reads.

    Args:
        experiment: the model and the prompts that are explained, under the circuit's ablation and metric.
        circuit: that the run found.
        task: its task's name as `load_task` takes it; empty for a run of given prompts.
        about: the rest of the run's `task.json` (kind, templates …); empty for a run of given prompts.
        split: which prompts these are, in words.
        tuned_lens: file of tuned-lens weights, or None.
        subjects: of the run's relation, asked for by name; sections that ask its facts ask these first.
        seed: of null distributions and random draws.
    """

    experiment: Experiment
    circuit: Circuit
    task: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    split: str = "the prompts it was found on"
    tuned_lens: StrPath | None = None
    subjects: tuple[str, ...] = ()
    seed: int = 0

    @property
    def n(self) -> int:
        """How many prompts there are."""
        return len(self.experiment.encoded.pairs)

    @cached_property
    def halves(self) -> tuple[Material, Material] | None:
        """The prompts to choose on and those to measure on, see `halves_of`.

        None also where one half alone has nothing to explain.
        """
        halves, pairs = halves_of(self.n), self.experiment.encoded.pairs
        if halves is None:
            return None
        try:
            first, second = (
                replace(self, experiment=self.experiment.on([pairs[at] for at in half])) for half in halves
            )
        except PromptError:
            return None
        return first, second

    def first(self, most: int) -> Material:
        """The same on its first prompts, at most `most` of them."""
        return replace(self, experiment=self.experiment.on(self.experiment.encoded.pairs[:most]))

    @cached_property
    def last_nodes(self) -> Float[Tensor, "node batch d_model"]:
        """What every node writes at each clean prompt's last token."""
        return self._at_sites[0]

    @cached_property
    def subject_nodes(self) -> Float[Tensor, "node batch d_model"]:
        """What every node writes at the last token of each clean prompt's subject."""
        return self._at_sites[1]

    @cached_property
    def last_stream(self) -> Float[Tensor, "batch d_model"]:
        """The final residual stream at each clean prompt's last token."""
        return self.experiment.model.after_sublayers(self.last_nodes)[-1]

    @cached_property
    def readout(self) -> Readout:
        """The final norm at a frozen scale and the unembedding, at each clean prompt's last token."""
        return Readout.at(self.experiment.model, self.last_stream)

    @cached_property
    def has_distractors(self) -> bool:
        """Whether every prompt has one."""
        distractors = self.experiment.encoded.distractors
        return bool(distractors.shape[1] and (distractors[:, 0] >= 0).all())

    @cached_property
    def answer_directions(self) -> Float[Tensor, "batch d_model"]:
        """The direction towards each prompt's first answer and away from its first distractor.

        Away from the mean of all tokens where there are no distractors.
        """
        encoded = self.experiment.encoded
        away = (
            self.readout.directions(encoded.distractors[:, 0]) if self.has_distractors else self.readout.mean_directions
        )
        return self.readout.directions(encoded.answers[:, 0]) - away

    @cached_property
    def patterns(self) -> Float[Tensor, "layer batch head query key"]:
        """Attention weights of every head on the clean prompts."""
        return self.experiment.model.attention(self.experiment.encoded.clean)

    def answer_gap(self, logits: Float[Tensor, "batch vocab"]) -> Float[Tensor, " batch"]:
        """Logit of the first answer less that of the first distractor (or the mean of all), prompt by prompt."""
        encoded, every = self.experiment.encoded, range(self.n)
        other = logits[every, encoded.distractors[:, 0]] if self.has_distractors else logits.mean(-1)
        return logits[every, encoded.answers[:, 0]] - other

    @cached_property
    def _at_sites(self) -> tuple[Tensor, Tensor]:
        encoded = self.experiment.encoded
        nodes = self.experiment.model.forward(encoded.clean, cache=True).nodes
        assert nodes is not None
        every = range(nodes.shape[1])
        last, subject = (wide(nodes[:, every, places]) for places in (encoded.last, encoded.subject_last))
        return last, subject


@dataclass(frozen=True)
class Explanation(Brief):
    """What a section found.

    Args:
        tables: by name; a name is used by one section only.
        summary: the numbers that words are built of: a frozen dataclass of the section's, which its part of the page
            reads again (`wheatstone.runs.summary_of`).
        method: how they were measured, a sentence or two: what is counted, n, which interval.
    """

    tables: Mapping[str, Table]
    summary: Any
    method: str


Need = Callable[[Material], str | None]
"""Says what is missing, as a noun phrase, or None."""


@dataclass(frozen=True)
class Section(Brief):
    """One question that a run can be asked.

    Args:
        name: as `explain --only` takes it.
        asks: the question, in a line.
        read: what answers it.
        needs: what a run must have for it, checked in this order.
        slow: it takes minutes, and is made only when it is named.
    """

    name: str
    asks: str
    read: Callable[[Material, Reporter], Explanation]
    needs: tuple[Need, ...] = ()
    slow: bool = False

    def missing(self, material: Material) -> str | None:
        """What the run lacks for this section, or None."""
        return next(filter(None, (need(material) for need in self.needs)), None)


def several_prompts(material: Material) -> str | None:
    """Some questions are about prompts of one form, not about one prompt."""
    return None if material.n > 1 else "a second prompt"


def enough_prompts(material: Material) -> str | None:
    """What is decided by intervals needs as many prompts as an interval does."""
    return None if material.n >= MINIMUM else f"{MINIMUM} prompts, for intervals ({interval_note(material.n)})"


def distractors(material: Material) -> str | None:
    """A logit difference compares with something."""
    without = sum(not pair.distractors for pair in material.experiment.encoded.pairs)
    return None if not without else f"a distractor for every prompt ({without} of {material.n} have none)"


def spans(*names: str) -> Need:
    """Named places that every prompt must have.

    Args:
        names: such as `relation`; `last` and `subject` always exist.
    """

    def missing(material: Material) -> str | None:
        there = material.experiment.encoded.spans
        for name in names:
            lacking = material.n if name not in there else int((there[name][:, 0] < 0).sum())
            if lacking:
                return f"a span {name!r} in every prompt ({lacking} of {material.n} lack it)"
        return None

    return missing


def of_task(*prefixes: str) -> Need:
    """A run of one of certain tasks.

    Args:
        prefixes: that the task's name begins with, such as `ioi` or `facts/`.
    """

    def missing(material: Material) -> str | None:
        if material.task.startswith(prefixes):
            return None
        got = f"this is one of {material.task}" if material.task else "this is one of given prompts"
        return f"a run of a task {' or '.join(prefixes)} ({got})"

    return missing


def whole_mlps(material: Material) -> str | None:
    """Some measures ask for MLPs as one node each."""
    return "a circuit of whole MLPs (this one's are split)" if material.experiment.graph.split else None


def everywhere(material: Material) -> str | None:
    """Some measures put the circuit on prompts of other lengths."""
    return "a circuit whose edges are kept at all positions" if material.circuit.spans else None
