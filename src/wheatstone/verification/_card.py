"""The card of a circuit: what is claimed of it, what was measured, and whether the numbers support the claim.

The same values are computed, written as `card.json`, and read again for the page. Every line has a claim, a verdict and
the reason of the verdict; there is no overall score. A line that could not be measured is *not tested*, and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from wheatstone._view import Brief, Tabular

if TYPE_CHECKING:
    import pyarrow as pa

Verdict = Literal["supported", "not supported", "not tested"]
SUPPORTED: Verdict = "supported"
NOT_SUPPORTED: Verdict = "not supported"
NOT_TESTED: Verdict = "not tested"
VERDICTS = (SUPPORTED, NOT_SUPPORTED, NOT_TESTED)
LINES = ("held_out", "core", "null", "second", "specification", "selectivity")
"""The lines of a card, in order."""


NOTHING = 0.005
"""A share below it is written as 0%, and nothing is divided by it."""


def percents(share: float) -> str:
    """A share in words: `81%`, `−3%`, never `−0%`."""
    text = f"{share:.0%}"
    return "0%" if text == "-0%" else text.replace("-", "−")


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval.

    Args:
        value: the number.
        low: lower end of the interval; None where there is none.
        high: upper end.
        n: independent units behind it, usually facts.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 1


def words_of(share: Estimate) -> str:
    """A share with its interval: `81% (70% to 92%)`."""
    if share.low is None or share.high is None:
        return percents(share.value)
    return f"{percents(share.value)} ({percents(share.low)} to {percents(share.high)})"


@dataclass(frozen=True)
class Line:
    """One line of a card.

    Args:
        claim: what a user would like to say of the circuit.
        verdict: whether the numbers support it.
        why: the reason, in sentences built from the numbers.
    """

    claim: str
    verdict: Verdict
    why: str


@dataclass(frozen=True)
class HeldOutLine(Line):
    """Whether the circuit keeps the behaviour on facts that it was not found on.

    Args:
        least: share that must be kept of a fact, on average.
        kept: mean share kept of a fact, with a confidence sequence: valid however long one looked.
        bound: how its interval was made.
        facts: that were measured until the question was decided, or until there were no more.
        available: facts of the test split.
        left_out: measured facts on which the model itself does not change its answer, so that no share exists.
        faithfulness: (circuit − empty) / (model − empty) of the means, with an interval that is valid only for a number
            of facts that was fixed before.
    """

    least: float | None = None
    kept: Estimate | None = None
    bound: str = ""
    facts: int = 0
    available: int = 0
    left_out: int = 0
    faithfulness: Estimate | None = None


@dataclass(frozen=True)
class EdgeRow:
    """An edge of the circuit.

    Args:
        sender: who writes.
        receiver: who reads.
        decision: `in`, `out` or `undecided`, by its inclusion.
        inclusion: share of bootstrap samples that keep it.
        sign: share of prompts on which its score has the sign of its mean.
        score: its mean score, in the metric's units.
        effect: exact share of the behaviour that is lost when it alone is removed from the circuit; None where it was
            not measured.
    """

    sender: str
    receiver: str
    decision: Literal["in", "out", "undecided"]
    inclusion: float
    sign: float
    score: float
    effect: Estimate | None = None


@dataclass(frozen=True)
class CoreLine(Line, Brief):
    """Whether the same edges come back when the prompts are drawn again.

    Args:
        method: that scored edges prompt by prompt.
        prompts: how many were scored.
        samples: bootstrap samples.
        size: edges that each sample keeps.
        decisions: edges of the circuit that are in, out and undecided.
        recurring: edges of the whole graph that are in.
        expected_by_chance: upper bound of how many of these chance is expected to give.
        overlap: mean Jaccard overlap of two samples' edges.
        half_edges: mean Jaccard overlap of what is in on one half of the prompts and on the other.
        half_nodes: likewise of nodes.
        circuit: faithfulness of the whole circuit, on the prompts that `measured_on` names.
        core: faithfulness of the circuit's edges that are in, alone.
        measured_on: prompts of these two numbers, in words.
        edges: the circuit's edges of the strongest scores.
        listed: file with every edge of the graph.
    """

    method: str = ""
    prompts: int = 0
    samples: int = 0
    size: int = 0
    decisions: Mapping[str, int] = field(default_factory=dict[str, int])
    recurring: int = 0
    expected_by_chance: float | None = None
    overlap: float | None = None
    half_edges: float | None = None
    half_nodes: float | None = None
    circuit: Estimate | None = None
    core: Estimate | None = None
    measured_on: str = ""
    edges: tuple[EdgeRow, ...] = ()
    listed: str = ""


@dataclass(frozen=True)
class NullRow:
    """Circuits that chance gives.

    Args:
        name: what they are.
        draws: how many.
        kept: their mean faithfulness.
        shared: mean share of the circuit's own edges in them.
        against: faithfulness that they are compared with: the circuit's, or that of the same scoring on true answers.
        specificity: `against` divided by `kept`; None where `kept` may be 0 or is about 0, or was not measured.
        missing: why there are none; empty where there are.
    """

    name: str
    draws: int = 0
    kept: Estimate | None = None
    shared: float | None = None
    against: Estimate | None = None
    specificity: Estimate | None = None
    missing: str = ""


@dataclass(frozen=True)
class NullLine(Line, Brief):
    """Whether chance does the same.

    Args:
        least: specificity that is asked for.
        size: edges of the circuits that are ranked by scores on true and on shuffled answers.
        rows: circuits that chance gives.
        measured_on: prompts of the numbers, in words.
    """

    least: float | None = None
    size: int = 0
    rows: tuple[NullRow, ...] = ()
    measured_on: str = ""


@dataclass(frozen=True)
class BackupRow:
    """A head that may take over.

    Args:
        head: its name.
        intact: share of the behaviour that the whole model loses without what the head writes directly to the logits.
        ablated: likewise of the model whose circuit is ablated.
        growth: the difference of the two.
    """

    head: str
    intact: float
    ablated: float
    growth: Estimate


@dataclass(frozen=True)
class SecondLine(Line, Brief):
    """Whether other edges can do the same.

    Args:
        goal: share of the behaviour that the second circuit had to keep on the prompts it was searched on.
        largest: edges of the largest circuit that was tried.
        first: edges that the same scoring needs for the goal when it may use every edge; None where it fails.
        edges: edges of the second circuit; None where none was found.
        spared: edges of the circuit that the second one may use too, because the whole model loses most of the
            behaviour without any one of them.
        nodes_shared: Jaccard overlap of the nodes of the two circuits.
        faithfulness: of the second circuit, on the prompts that `measured_on` names.
        without_first: what the model without the circuit's edges keeps; spared edges are left in, here and below.
        without_second: what the model without the second circuit's edges keeps.
        without_both: what it keeps without either.
        measured_on: in words.
        backups: heads whose direct effect grows most when the circuit is ablated.
    """

    goal: float | None = None
    largest: int = 0
    first: int | None = None
    edges: int | None = None
    spared: tuple[str, ...] = ()
    nodes_shared: float | None = None
    faithfulness: Estimate | None = None
    without_first: Estimate | None = None
    without_second: Estimate | None = None
    without_both: Estimate | None = None
    measured_on: str = ""
    backups: tuple[BackupRow, ...] = ()


@dataclass(frozen=True)
class SpecificationRow:
    """The circuit under another specification.

    Args:
        ablation: what edges outside the circuit carry.
        metric: what is measured.
        kept: faithfulness.
        random: mean faithfulness of circuits whose heads have changed places; None where there are none.
        missing: why it could not be measured.
        asked: what is different about the prompts; empty where nothing is.
    """

    ablation: str
    metric: str
    kept: Estimate | None = None
    random: float | None = None
    missing: str = ""
    asked: str = ""


@dataclass(frozen=True)
class SpecificationLine(Line, Brief):
    """Whether the claim depends on how it is measured.

    Args:
        least: share that must be kept.
        rows: the specifications, the circuit's own first.
        measured_on: in words.
    """

    least: float | None = None
    rows: tuple[SpecificationRow, ...] = ()
    measured_on: str = ""


@dataclass(frozen=True)
class SelectivityRow:
    """What another task loses without the circuit.

    Args:
        task: its name.
        lost: share of the behaviour that is lost when the circuit is ablated.
        missing: why it could not be measured.
    """

    task: str
    lost: Estimate | None = None
    missing: str = ""


@dataclass(frozen=True)
class SelectivityLine(Line, Brief):
    """Whether the circuit is about this behaviour.

    Args:
        own: what the circuit's own behaviour loses without it.
        rows: other tasks.
    """

    own: Estimate | None = None
    rows: tuple[SelectivityRow, ...] = ()


@dataclass(frozen=True, repr=False)
class Card(Tabular):
    """How far a circuit can be trusted.

    Args:
        edges: of the circuit.
        total_edges: of the graph.
        goal: what the circuit was found for: `sufficient`, `complete` or `both-ways`.
        held_out: does it hold on facts that it was not found on?
        core: do the same edges come back?
        null: does chance do the same?
        second: can other edges do the same?
        specification: does the claim depend on how it is measured?
        selectivity: is it about this behaviour?
        seed: of everything that was drawn.
        seconds: time of each stage.
    """

    edges: int
    total_edges: int
    goal: str
    held_out: HeldOutLine
    core: CoreLine
    null: NullLine
    second: SecondLine
    specification: SpecificationLine
    selectivity: SelectivityLine
    seed: int
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def lines(self) -> tuple[tuple[str, Line], ...]:
        """The lines by name, in order."""
        return tuple((name, getattr(self, name)) for name in LINES)

    def to_arrow(self) -> pa.Table:
        """The lines as an Arrow table: line, verdict, claim, why."""
        import pyarrow as pa

        names = ("verdict", "claim", "why")
        rows = [{"line": line} | {name: getattr(found, name) for name in names} for line, found in self.lines]
        return pa.Table.from_pylist(rows)

    def _title(self) -> str:
        return f"Card of a circuit of {self.edges:,} of {self.total_edges:,} edges"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: object) -> Card:
        """Reads what `to_dict` gives.

        Raises:
            ValueError: a field is missing or of another type.
        """
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(document)
