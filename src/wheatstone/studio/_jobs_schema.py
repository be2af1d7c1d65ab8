"""Requests and their answers: the jobs' part of the API's schema."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wheatstone._bounds import SEED, TEMPERATURE
from wheatstone.studio._schema import Interval, ModelAnswers, Problem, _Frozen

LONGEST = 5_000
"""Characters of a prompt. A prompt of 5,000 is some 1,200 tokens; the command line takes longer ones."""
Prompt = Annotated[str, Field(min_length=1, max_length=LONGEST)]
ModelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern=r"^[\w./\\:@ -]+$",
        description="a bundled name, a Hugging Face id, a folder or a .gguf file",
    ),
]
RunName = Annotated[str, Field(min_length=1, max_length=100, description="of the list of runs")]


class Pair(_Frozen):
    """A prompt, one that differs from it in what matters, and what each should be continued with."""

    prompt: Prompt
    counterfactual: Prompt
    answer: Annotated[
        str, Field(min_length=1, max_length=200, description="with its leading space, where the writing has one")
    ]
    distractor: Annotated[str, Field(max_length=200, description="wrong; usually the counterfactual's answer")] = ""


class _Search(_Frozen):
    """What a discovery is about, and how it searches: the same for what is asked before it."""

    model: ModelName = "smollm2-135m"
    pair: Pair | None = None
    pairs: Annotated[tuple[Pair, ...], Field(max_length=200, description="several, explained together")] = ()
    task: Annotated[
        str, Field(max_length=100, pattern=r"^[a-z0-9_+-]*(/[a-z0-9_+-]+)?$", description="a bundled task by its name")
    ] = ""
    faithfulness: Annotated[float, Field(gt=0, le=1, description="share of the metric's change to keep")] = 0.9
    method: Literal["", "verified", "re-ranked", "eap-ig", "eap"] = Field(
        default="verified", description="empty: learned for a task that has enough prompts, else verified"
    )
    positions: Literal["", "each", "spans"] = Field(default="", description="whether to tell edges apart by token")
    metric: Literal["", "logit_diff", "prob_diff", "kl"] = Field(default="", description="empty: the task's own")
    ablation: Literal["counterfactual", "mean", "zero"] = "counterfactual"
    goal: Literal["sufficient", "complete"] = "sufficient"
    allow_weak: bool = Field(
        default=False,
        description="continue where the model itself does not give the answer, or ablation changes little",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> _Search:
        if sum(map(bool, (self.pair, self.pairs, self.task))) != 1:
            raise ValueError("give one of pair, pairs and task")
        return self

    @property
    def about(self) -> str:
        """What it is about, as a title."""
        if self.task:
            return self.task
        first, *others = [self.pair] if self.pair else self.pairs
        return f"{first.prompt[:200]} →{first.answer}" + (f" and {len(others)} more" if others else "")


class Discover(_Search):
    """A new run: the circuit of a pair, of several or of a task, proved and explained."""

    verb: Literal["discover"] = "discover"


class Import(_Frozen):
    """A new run out of a file that was sent: a circuit of EAP-IG, a circuit.json, or an attribution graph."""

    verb: Literal["import"] = "import"
    file: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of what was sent")]
    name: Annotated[str, Field(min_length=1, max_length=200, description="what the run is called by")]
    model: ModelName | Literal[""] = Field(default="", description="of a circuit; an attribution graph needs none")


class Ask(_Search):
    """What the model itself says, as a discovery checks it first, and what the discovery would take. Makes nothing."""

    verb: Literal["ask"] = "ask"
    cost: bool = Field(default=False, description="also expect the time, for which first stages of the search are run")


class Verify(_Frozen):
    """A run's circuit once more; the result is added to the run."""

    verb: Literal["verify"] = "verify"
    run: RunName
    on: Literal["own", "test", "given"] = Field(
        default="own", description="its own prompts, its task's test split, or `pair`"
    )
    pair: Pair | None = None
    allow_weak: bool = Field(default=False, description="of `pair`, as in a discovery")


class Explain(_Frozen):
    """What parts of a run's circuit do; added to the run."""

    verb: Literal["explain"] = "explain"
    run: RunName
    only: Annotated[
        tuple[Annotated[str, Field(max_length=40)], ...],
        Field(max_length=12, description="sections; empty for all that are quick"),
    ] = ()


class Change(_Frozen):
    """What is done to one node as the model runs."""

    node: Annotated[
        str, Field(max_length=60, description="`a23.h4`, `m17`, `m29.n392`; `a23.h4@5` at one part of the prompt")
    ]
    how: Literal["ablate", "scale", "patch"] = Field(
        description="write nothing; write `factor` times as much; write what it writes on the counterfactual"
    )
    factor: Annotated[float, Field(ge=-100, le=100)] = 1.0


Changes = Annotated[list[Change], Field(min_length=1, max_length=500)]


class Intervene(_Frozen):
    """The next token of one of a run's prompts, with some nodes changed. Adds nothing to the run."""

    verb: Literal["intervene"] = "intervene"
    run: RunName
    prompt: Annotated[int, Field(ge=0, description="which of the run's")] = 0
    changes: Changes


class Generate(_Frozen):
    """A continuation of one of a run's prompts, next to the one with some nodes changed. Adds nothing to the run."""

    verb: Literal["generate"] = "generate"
    run: RunName
    prompt: Annotated[int, Field(ge=0, description="which of the run's")] = 0
    changes: Changes
    tokens: Annotated[int, Field(ge=1, le=200, description="to write, at most")] = 30
    temperature: Annotated[float, Field(ge=TEMPERATURE.least, le=TEMPERATURE.most, description="0: greedy")] = 0.0
    seed: Annotated[int, Field(ge=SEED.least, le=SEED.most, description="of the draws, the same for both texts")] = 0


class Measure(_Frozen):
    """Some nodes of a run's circuit together, alone and left out. Adds nothing to the run."""

    verb: Literal["measure"] = "measure"
    run: RunName
    nodes: Annotated[list[Annotated[str, Field(max_length=60)]], Field(min_length=1, max_length=500)]
    on: Literal["own", "test"] = Field(default="own", description="the run's own prompts, or its task's test split")


class Look(_Frozen):
    """Why a head looks where it looks, on one of a run's prompts. Adds nothing to the run."""

    verb: Literal["look"] = "look"
    run: RunName
    head: Annotated[str, Field(max_length=40, description="such as `a23.h4`")]
    prompt: Annotated[int, Field(ge=0, description="which of the run's")] = 0
    query: Annotated[int, Field(ge=-1, description="position that looks; -1 is the last")] = -1


class LookUp(_Frozen):
    """What a corpus scan, which is the run, holds of one neuron. Adds nothing to the run."""

    verb: Literal["neuron"] = "neuron"
    run: RunName
    neuron: Annotated[str, Field(max_length=40, pattern=r"^m\d{1,4}\.n\d{1,7}$", description="such as `m29.n392`")]
    value: Annotated[float, Field(ge=-1e6, le=1e6, description="its activation on the prompt")] = 0.0


Question = Ask | Intervene | Generate | Measure | Look | LookUp
"""Jobs that add nothing to any run: their last event holds the result."""
JobRequest = Annotated[Discover | Import | Verify | Explain | Question, Field(discriminator="verb")]
JobState = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]


class TokenChange(_Frozen):
    """One next token, before and after."""

    token: str
    role: Literal["", "answer", "distractor"] = ""
    before: float = Field(description="probability")
    after: float
    logit_before: float
    logit_after: float


class Changed(_Frozen):
    """What interventions did to the next token of one prompt."""

    prompt: str
    tokens: list[TokenChange] = Field(description="answers, distractors, and the likeliest before and after")
    kl: float = Field(description="KL(before ‖ after), nats")


class Generated(_Frozen):
    """A continuation as the model writes it, and with nodes changed, as far as they are written."""

    prompt: str
    original: tuple[str, ...] = Field(description="tokens")
    changed: tuple[str, ...]


With = Literal["model", "alone", "without"]
"""The whole model, the selected nodes alone, the model without them."""


class Measured(_Frozen):
    """What was measured of some nodes together."""

    nodes: tuple[str, ...]
    edges: int = Field(description="of the circuit that join them, the input and the logits")
    n: int = Field(description="prompts")
    split: str
    alone: float = Field(description="faithfulness of these edges alone")
    alone_interval: Interval | None
    lost: float = Field(description="share of the metric that is lost when the nodes are ablated in the model")
    lost_interval: Interval | None
    probability: dict[With, float] = Field(description="of the answer, mean")
    top: dict[With, str] = Field(description="next token of the first prompt")


class SenderAdds(_Frozen):
    """What one sender adds to an attention score."""

    sender: str
    value: float = Field(description="logits of the softmax")


class PairAdds(_Frozen):
    """What one pair of senders adds to an attention score."""

    query_sender: str
    key_sender: str
    value: float = Field(description="logits of the softmax")


class Looked(_Frozen):
    """Where a head looks from one position, and the senders of the difference between its two best scores."""

    head: str
    query: int
    key: int = Field(description="position of the largest weight")
    weight: float
    runner_up: int | None = Field(description="position of the next largest weight; none where it sees one token")
    runner_up_weight: float | None
    difference: float = Field(description="score less the runner-up's, or the score where there is no runner-up")
    through_query: tuple[SenderAdds, ...] = Field(description="all senders, strongest first")
    through_key: tuple[SenderAdds, ...]
    pairs: tuple[PairAdds, ...] = Field(description="strongest first")
    dominated_by_bias: bool
    removed: float = Field(description="attention weight without the score's three strongest pairs, in an exact run")


class Passage(_Frozen):
    """A place in running text."""

    text: str = Field(description="the tokens around it, the one at the place in brackets")
    activation: float


class CalibratedBin(_Frozen):
    """What the model predicts where a neuron's activation is between two values."""

    low: float
    high: float
    corpus: int = Field(description="positions of the scan in the bin")
    places: int = Field(description="of them, read again")
    probability: float = Field(description="of the token, mean")


class InText(_Frozen):
    """What a corpus scan holds of one neuron."""

    neuron: str
    value: float = Field(description="its activation on the prompt")
    below: float = Field(
        description="share of the scan's positions at which it is lower; half of those in the same bin"
    )
    mean: float
    deviation: float
    least: float
    most: float
    passages: tuple[Passage, ...] = Field(description="where it is strongest, at the end where it is on the prompt")
    counted: int = Field(description="positions")
    edges: tuple[float, ...] = Field(description="between the bins of the histogram")
    counts: tuple[int, ...] = Field(description="positions in each bin: one more than edges")
    token: str = Field(description="that it is most congruent with, whose probability is compared")
    base: float | None = Field(description="probability of the token over the whole scan")
    calibration: tuple[CalibratedBin, ...]


class Cost(_Frozen):
    """What a discovery would take."""

    prompts: int
    tokens: int = Field(description="of all prompts, padding included")
    edges: int = Field(description="of the model")
    needed: int = Field(description="most bytes beside the weights")
    free: int = Field(description="bytes")
    seconds: Interval | None = Field(description="half and twice what is expected; none where it was not estimated")


class JobEvent(_Frozen):
    """One thing that happened to a job."""

    id: int = Field(description="from 1, without gaps")
    at: str = Field(description="ISO 8601, UTC")
    state: JobState
    stage: str = Field(default="", description="what is being done")
    done: float = 0
    total: float | None = Field(default=None, description="of this stage; none where it is not known")
    problem: Problem | None = Field(default=None, description="why it failed")
    run: str | None = Field(default=None, description="the run that was made or added to")
    left: float | None = Field(default=None, description="seconds of this stage, at the rate so far")
    changed: Changed | None = None
    generated: Generated | None = None
    measured: Measured | None = None
    looked: Looked | None = None
    in_text: InText | None = None
    answers: ModelAnswers | None = Field(default=None, description="what the model itself says")
    cost: Cost | None = None


class Job(_Frozen):
    """A job and how far it is."""

    id: str
    title: str
    created: str
    request: JobRequest
    ahead: int = Field(description="jobs that come before it")
    last: JobEvent


class JobList(_Frozen):
    """All jobs that are kept, the newest first."""

    jobs: list[Job]
    folder: str = Field(description="where new runs go")


class Draft(_Frozen):
    """A pair as it is being typed; what is empty is not judged."""

    model: ModelName = "smollm2-135m"
    prompt: Annotated[str, Field(max_length=LONGEST)] = ""
    counterfactual: Annotated[str, Field(max_length=LONGEST)] = ""
    answer: Annotated[str, Field(max_length=200)] = ""
    distractor: Annotated[str, Field(max_length=200)] = ""


class DraftProblem(_Frozen):
    """What is wrong with a draft, and where."""

    field: Literal["model", "prompt", "counterfactual", "answer", "distractor"]
    said: str
    do: str


class DraftTokens(_Frozen):
    """A draft in tokens, with what would be refused."""

    here: bool = Field(description="whether the model's tokenizer is on this machine; otherwise nothing is known yet")
    prompt: tuple[str, ...] = ()
    counterfactual: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    distractor: tuple[str, ...] = ()
    problems: tuple[DraftProblem, ...] = ()
    notes: tuple[str, ...] = ()
