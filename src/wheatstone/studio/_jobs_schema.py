"""Requests and their answers: the jobs' part of the API's schema."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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


class Discover(_Frozen):
    """A new run: the circuit of a pair, proved and explained."""

    verb: Literal["discover"] = "discover"
    model: ModelName = "smollm2-135m"
    pair: Pair
    faithfulness: Annotated[float, Field(gt=0, le=1, description="share of the metric's change to keep")] = 0.9
    method: Literal["verified", "re-ranked", "eap-ig", "eap"] = "verified"
    positions: Literal["", "each"] = Field(default="", description="whether to tell edges apart by token")
    allow_weak: bool = Field(
        default=False,
        description="continue where the model itself does not give the answer, or ablation changes little",
    )


class Ask(_Frozen):
    """What the model itself says of a pair, as a discovery checks it first. Makes nothing."""

    verb: Literal["ask"] = "ask"
    model: ModelName = "smollm2-135m"
    pair: Pair


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


Question = Ask | Intervene | Generate | Measure | Look
"""Jobs that add nothing to any run: their last event holds the result."""
JobRequest = Annotated[Discover | Verify | Explain | Question, Field(discriminator="verb")]
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
    answers: ModelAnswers | None = Field(default=None, description="what the model itself says")


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
