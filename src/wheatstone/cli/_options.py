"""Options that several verbs share, worded once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wheatstone._bounds import PAIRS, RANK, SEED, WORKERS, Bounds
from wheatstone._errors import RequestError, check_choice

if TYPE_CHECKING:
    from wheatstone.executors import Executor


def number(flag: str, bounds: Bounds, meaning: str, **more: Any) -> Any:
    """A numeric option and the range it must lie in, which is checked before anything is loaded."""
    return typer.Option(flag, help=meaning, min=bounds.least, max=bounds.most, **more)


ModelOption = Annotated[
    str,
    typer.Option(
        "--model", help="Bundled name (smollm2-135m), Hugging Face id, folder, or .gguf file.", metavar="MODEL"
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="Where to run: cpu, cuda, mps or auto, which spreads weights that do not fit.")
]
DtypeOption = Annotated[
    str,
    typer.Option(
        "--dtype", help="Precision: float32, float64, bfloat16 or float16; half precision blurs single edges."
    ),
]
ReplaceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
SeedOption = Annotated[int, number("--seed", SEED, "Seed of random circuits.")]
PromptOption = Annotated[
    str | None, typer.Option("--prompt", help="The clean prompt; what is explained is the token after it.")
]
CounterfactualOption = Annotated[
    str | None,
    typer.Option("--counterfactual", help="A prompt of the same number of tokens with another answer."),
]
AnswerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--answer",
        help="Right continuation, with its leading space where the writing has one; may be repeated. Its first token "
        "is scored.",
    ),
]
DistractorOption = Annotated[
    list[str] | None,
    typer.Option("--distractor", help="Wrong continuation, usually the counterfactual's answer; may be repeated."),
]
PromptsOption = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        help="Instead: a file of pairs (JSON, JSON Lines, a table or Parquet): prompt, counterfactual, answers.",
    ),
]
TaskOption = Annotated[
    str | None,
    typer.Option("--task", help="Bundled task (see `wheatstone tasks`), or a file of a relation, facts or pairs."),
]
TemplateOption = Annotated[
    str | None,
    typer.Option(
        "--template",
        help="Of facts: which of a relation's templates, from 0, or a text with {subject}, {} or [X] … [Y].",
    ),
]
KnownOption = Annotated[
    int,
    number(
        "--known",
        RANK,
        "Of a task: keep pairs with an answer among this many top tokens and above every distractor; 0 keeps all.",
    ),
]
SizeOption = Annotated[int, number("--size", PAIRS, "Of a task: most pairs, all splits together.")]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave records out that cannot be used, and list them, instead of refusing.")
]
AllowWeakOption = Annotated[
    bool,
    typer.Option(
        "--allow-weak",
        help="Continue where the model itself does not give the answers (not among its 10 likeliest tokens, or not "
        "above every distractor), or where ablation takes away less than half of the metric. The headline says so.",
    ),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        help="logit_diff (logits), prob_diff (probability) or kl (nats); by default the task's, or logit_diff.",
    ),
]
MovedModelOption = Annotated[
    str | None, typer.Option("--model", help="Where the run's model is now; by default where it was.")
]


@dataclass(frozen=True)
class ExecutorOptions:
    """Who does a verb's shards."""

    executor: Annotated[
        str,
        typer.Option(
            "--executor",
            help="Who does the work: local (this process), processes (of this machine) or ray (a cluster's machines).",
        ),
    ] = "local"
    workers: Annotated[
        int | None,
        number("--workers", WORKERS, "Processes, or Ray actors; by default as many as there are cores or GPUs for."),
    ] = None
    threads: Annotated[
        int | None,
        number("--threads", WORKERS, "Of each worker: 1 by default; with --executor local as many as torch takes."),
    ] = None
    address: Annotated[
        str | None,
        typer.Option("--address", help="Of the Ray cluster: auto, ray://HOST:PORT or HOST:PORT; none starts Ray here."),
    ] = None

    def named(self) -> Executor:
        """The executor; see `wheatstone.executors.executor_named`."""
        from wheatstone.executors import executor_named

        return executor_named(self.executor, workers=self.workers, threads=self.threads, address=self.address)


def template_of(text: str | None) -> int | str:
    """A template's number, or its text."""
    return 0 if text is None else int(text) if re.fullmatch("[0-9]{1,9}", text) else text


def layers_of(text: str) -> tuple[int, ...]:
    """Layers written as numbers and ranges with commas between, such as `20-29` or `0,5,7-9`.

    Raises:
        RequestError: it is written otherwise.
    """
    found: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch("([0-9]{1,4})(?:-([0-9]{1,4}))?", part)  # see `LAYER`
        if ends is None or int(ends[1]) > int(ends[2] or ends[1]):
            raise RequestError(expected="layers such as 20-29 or 0,5,7-9", got=repr(text)[:200], do="write them so")
        found += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return tuple(found)


def check_names(*, ablation: str | None = None, metric: str | None = None) -> None:
    """Refuses unknown names before any model is loaded.

    Raises:
        RequestError: no such ablation or metric.
    """
    from wheatstone.circuits import ABLATIONS
    from wheatstone.tasks import METRICS

    check_choice("--ablation", ablation, ABLATIONS)
    check_choice("--metric", metric, METRICS)
