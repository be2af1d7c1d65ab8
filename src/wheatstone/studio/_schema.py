"""What the API says, typed: the OpenAPI schema and the web app's TypeScript types are made from this."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class RunSummary(_Frozen):
    """A run's line in the list."""

    id: str
    title: str
    command: str = Field(description="that made it, such as `neuron screen`; empty where it cannot be read")
    model: str
    created: str = Field(description="ISO 8601, UTC")
    answer: str = Field(default="", description="of its first prompt")
    method: str = Field(default="", description="of the search")
    n: int | None = Field(default=None, description="prompts")
    edges: int | None = Field(default=None, description="of its circuit")
    faithfulness: float | None = Field(default=None, description="of its circuit, on the prompts it was found on")
    held_out: float | None = Field(default=None, description="the same on others: its test split where there is one")
    example: bool = Field(description="shipped with Wheatstone; read-only")
    path: str
    trouble: str | None = Field(default=None, description="why it cannot be opened")


class RunList(_Frozen):
    """All runs, the user's own first."""

    runs: list[RunSummary] = Field(description="those with a circuit")
    others: list[RunSummary] = Field(description="those without: their report, tables and figures can be opened")
    problems: list[str] = Field(description="what could not be read")


class Prompt(_Frozen):
    """A prompt pair with its tokens."""

    prompt: str
    counterfactual: str
    answers: list[str]
    distractors: list[str]
    tokens: list[str]
    counterfactual_tokens: list[str]
    last: int = Field(description="position of the last token")
    subject_last: int = Field(description="position of the subject's last token")


class Model(_Frozen):
    """The model a run is about."""

    id: str
    title: str = Field("", description="what the weights are where `id` does not say it, such as a quantised file")
    family: str
    sha256: str
    layers: int
    heads: int
    kv_groups: int
    dtype: str = ""


class Span(_Frozen):
    """A part of the prompts that edges are distinguished by."""

    name: str
    positions: list[int]


class Evaluation(_Frozen):
    """The circuit alone, on the prompts it was found on. Metric values in the metric's unit."""

    clean: float
    corrupt: float
    circuit: float
    faithfulness: float
    edges: int
    total_edges: int


class TableInfo(_Frozen):
    """A table of the run, to be fetched as Arrow."""

    name: str
    rows: int
    section: str | None = Field(default=None, description="the section of `explain` that made it")
    method: str | None = Field(default=None, description="how it was measured")
    n: int | None = Field(default=None, description="prompts it was measured on")


class Missing(_Frozen):
    """What the run does not hold, and the command that would make it."""

    what: str
    command: str
    section: str = Field(default="", description="of `explain`, where it would make it")


class Contents(_Frozen):
    """What a run of any verb contains."""

    id: str
    title: str
    command: str = Field(description="that made it, such as `neuron screen`")
    created: str = Field(description="ISO 8601, UTC")
    model: str
    path: str
    tables: list[TableInfo]
    figures: list[str] = Field(description="that can be drawn of it, if it has what they show")
    missing: list[Missing]


class ScoredToken(_Frozen):
    """The token by which a continuation is scored: its first."""

    text: str = Field(description="the continuation as it was given")
    tokens: int = Field(description="of the continuation")
    token: str = Field(description="the first of them")
    id: int
    rank: int = Field(description="among all tokens; 1 is the likeliest")
    probability: float


class ModelAnswer(_Frozen):
    """What the model itself says after one prompt."""

    prompt: str
    answer: ScoredToken = Field(description="the best-placed answer")
    distractor: ScoredToken | None = Field(description="the best-placed distractor")
    first: ScoredToken = Field(description="the model's first choice")
    clean: float | None = Field(description="the metric of the model")
    ablated: float | None = Field(description="the metric with everything ablated")
    weak: bool = Field(description="whether the model itself does not give the answer")


class ModelAnswers(_Frozen):
    """What the model itself says, and how far it is an answer."""

    n: int = Field(description="prompts")
    summary: str
    warnings: list[str]
    rule: str = Field(description="when a prompt is not weak")
    weak: int = Field(description="prompts whose answer the model itself does not give")
    needs_allow_weak: bool = Field(description="whether a discovery is refused unless weak answers are allowed")
    metric: str
    unit: str
    prompts: list[ModelAnswer]


class Run(_Frozen):
    """A run, without its edges and tables."""

    id: str
    title: str
    example: bool
    path: str
    created: str
    model: Model
    settings: dict[str, JsonValue]
    metric: str
    unit: str = Field(description="of the metric")
    score_sign: int = Field(description="1 where a positive score supports the behaviour; -1 where a negative one does")
    effect_words: str = Field(description="what an exact effect is")
    seed: int
    versions: dict[str, str]
    prompts: list[Prompt]
    notes: list[str]
    model_answers: ModelAnswers | None = Field(default=None, description="null in runs of earlier versions")
    evaluations: int = Field(description="circuits that were run to find it")
    timings: dict[str, float] = Field(description="seconds")
    evaluation: Evaluation | None
    spans: list[Span] = Field(description="empty where positions were not distinguished")
    tables: list[TableInfo]
    missing: list[Missing]
    test_pairs: int = Field(description="in its task's test split")
    figures: list[str]


Interval = tuple[float, float]


class ByCondition(_Frozen):
    """A mean over prompts under each condition."""

    model: float
    circuit: float
    complement: float
    random: float
    empty: float


class IntervalByCondition(_Frozen):
    """95% intervals; none for fewer than four prompts."""

    model: Interval | None = None
    circuit: Interval | None = None
    complement: Interval | None = None
    random: Interval | None = None
    empty: Interval | None = None


class Intervals(_Frozen):
    """95% intervals over prompts; none for fewer than four."""

    faithfulness: Interval | None = None
    completeness: Interval | None = None
    metric_value: IntervalByCondition = IntervalByCondition()
    kl: IntervalByCondition = IntervalByCondition()
    hit_at_1: IntervalByCondition = IntervalByCondition()
    hit_at_10: IntervalByCondition = IntervalByCondition()


class Reading(_Frozen):
    """One prompt under one condition."""

    rank: int = Field(description="of the best-placed answer; 1 is the top token")
    probability: float
    top: str


class PromptReadings(_Frozen):
    """One prompt under every condition; `random` shows the first draw."""

    prompt: str
    answer: str
    model: Reading
    circuit: Reading
    complement: Reading
    random: Reading
    empty: Reading


class VerificationResult(_Frozen):
    """How the circuit holds on some prompts."""

    n: int
    split: str
    ablation: str
    metric: str
    faithfulness: float
    completeness: float
    metric_value: ByCondition
    kl: ByCondition
    hit_at_1: ByCondition
    hit_at_10: ByCondition
    ci95: Intervals
    random_draws: int
    prompts: list[PromptReadings]


Node = Annotated[
    str,
    Field(
        pattern=r"^((a\d{1,4}\.h\d{1,4}|m\d{1,4}(\.[ne]\d{1,7})?|input)(@\d{1,6})?|(E|\d{1,4})_\d{1,9}_\d{1,6})$",
        description="`a23.h4`; of a graph in neurons with its position, `m29.n392@5`, or as another tool has it",
    ),
]
Short = Annotated[str, Field(min_length=1, max_length=80)]
Name = Annotated[str, Field(pattern=r"^[^<>@|*\s]([^<>@|*]*[^<>@|*\s])?$", max_length=60)]
"""Of a supernode; the signs that names of nodes and addresses of views are made with are not in it."""


class _Written(_Frozen):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(_Written):
    """What a person calls a node."""

    node: Node
    text: Short


class Supernode(_Written):
    """Nodes that are drawn as one."""

    name: Name
    members: list[Node] = Field(min_length=2, max_length=500)


class NamedView(_Written):
    """A view of the run, to come back to."""

    name: Short
    query: str = Field(max_length=4000, description="the address behind its question mark, without the run")


class Labels(_Written):
    """What a person wrote on a run's map. A node has one label at most, and is in one supernode at most."""

    format: Literal["wheatstone.labels/1"] = "wheatstone.labels/1"
    labels: list[Label] = Field(default=[], max_length=2000)
    supernodes: list[Supernode] = Field(default=[], max_length=200)
    views: list[NamedView] = Field(default=[], max_length=200)

    @model_validator(mode="after")
    def _each_once(self) -> Labels:
        for what, names in {
            "label of a node": [label.node for label in self.labels],
            "supernode": [supernode.name for supernode in self.supernodes],
            "member of supernodes": [node for supernode in self.supernodes for node in supernode.members],
            "view": [view.name for view in self.views],
        }.items():
            if twice := next((name for name, times in Counter(names).items() if times > 1), None):
                raise ValueError(f"each {what} once; {twice} is there twice")
        return self


class CurvePoint(_Frozen):
    """A circuit of a size, run."""

    size: int
    kind: str = Field(description="ranking: the strongest edges; random; …")
    faithfulness: float


class Portable(_Frozen):
    """A circuit with all that is drawn of it, for a page that has no server: columns of edges, sorted by |score|."""

    title: str
    about: str = Field(description="where it comes from, in a sentence")
    model: Model
    prompts: list[Prompt]
    spans: list[Span]
    metric: str
    unit: str
    score_sign: int = Field(description="1 where a positive score supports the behaviour; -1 where a negative one does")
    effect_words: str = Field(description="what an exact effect is")
    sender: list[str]
    receiver: list[str]
    score: list[float]
    effect: list[float | None] = Field(description="exact; null where it was not measured")
    removed_with: list[str | None] = Field(description="what its effect was measured on; null where it was alone")
    circuit: list[bool]
    rank: list[int]
    total: int = Field(description="edges of the model")
    weight: float = Field(description="Σ |score| over all of them")
    curve: list[CurvePoint]
    faithfulness: float | None = Field(description="of the circuit; null where it was not measured")
    n: int = Field(description="prompts it was measured on")
    interval: Interval | None
    labels: Labels = Labels()


class Sentence(_Frozen):
    """What a section of the explanation found, in a sentence."""

    section: str
    text: str
    lead: bool = Field(description="whether it is one of the few that say how the model gets to the answer")


class About(_Frozen):
    """The server."""

    version: str
    folders: list[str] = Field(description="folders of runs besides the catalogue")
    trouble: str = Field("", description="what keeps jobs from being saved or done; empty where nothing does")


class Problem(_Frozen):
    """An error (RFC 9457): what was expected, what was got, what to do."""

    title: str
    status: int
    detail: str
    expected: str = ""
    got: str = ""
    do: str = ""
