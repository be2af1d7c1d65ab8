"""Causal tracing over the facts of a task, as a run: effects by token and layer, with intervals over facts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wheatstone._errors import PromptError
from wheatstone._intervals import SHARE, halves_of, mean_intervals
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.editing._asked import asked
from wheatstone.editing._request import EditRequest
from wheatstone.editing._trace_rows import TraceRow, prompt_rows, trace_rows
from wheatstone.editing._tracing import (
    SITES,
    Trace,
    TracingSettings,
    causal_trace,
    chosen_sites,
    first_window_above,
    peak_layer,
)
from wheatstone.models import ResidualModel, manifest_without_prompts
from wheatstone.records import SPLITS
from wheatstone.runs import Table, write_json, write_table
from wheatstone.tasks import ModelAnswers, PromptPair, Task, model_answers


class TracedPrompt(NamedTuple):
    """One row of prompts.parquet.

    Args:
        prompt: that was traced.
        subject: whose tokens were blurred.
        answer: the model's own, its most likely next token.
        clean: its probability.
        blurred: with the subject blurred, mean over draws.
    """

    prompt: str
    subject: str
    answer: str
    clean: float
    blurred: float


class PromptEffect(NamedTuple):
    """One row of effects.parquet: a row of tracing.parquet for one prompt alone.

    Args:
        prompt: its number, from 0.
        site: `state`, `mlp` or `attention`.
        role: of the token.
        layer: restored, or in the middle of the window.
        effect: indirect effect, in probability of the answer.
    """

    prompt: int
    site: str
    role: str
    layer: int
    effect: float


@dataclass(frozen=True, eq=False)
class TraceRun(Brief):
    """Traces of a task's prompts, ready to be saved.

    Args:
        model: that was traced.
        task: whose prompts.
        settings: how.
        traces: one a prompt.
        seconds: by stage.
        answers: what the model itself says at the prompts.
    """

    model: ResidualModel
    task: Task
    settings: TracingSettings
    traces: tuple[Trace, ...]
    seconds: dict[str, float]
    answers: ModelAnswers

    @cached_property
    def rows(self) -> list[TraceRow]:
        """Means over prompts: tracing.parquet."""
        return trace_rows(self.traces)

    def summary(self) -> dict[str, Any]:
        """The numbers of `summary.json`."""
        values = np.array([[trace.clean for trace in self.traces], [trace.blurred for trace in self.traces]])
        (clean, blurred), intervals = values.mean(1).tolist(), mean_intervals(values, bounds=SHARE)
        sites = list(self.traces[0].effects)
        window = self.settings.window
        return {
            "task": self.task.to_dict(),
            "n": len(self.traces),
            "model_answers": self.answers.to_dict(),
            "settings": asdict(self.settings) | {"window": self.settings.width(self.model.graph.layers)},
            "clean": {"probability": clean, "ci95": intervals[0]},
            "blurred": {"probability": blurred, "ci95": intervals[1]},
            **self._most(),
            "first_window_above_layer_0": first_window_above(self.model, window),
            "layer_to_edit": peak_layer(self.model, self.traces, window) if "mlp" in sites else None,
        }

    def _most(self) -> dict[str, Any]:
        """By site, the place of the largest effect: chosen on one half of the prompts, measured on the other.

        On all of them where there are too few for that.
        """
        halves = halves_of(len(self.traces))
        parts = (self.traces, self.traces)
        if halves is not None:
            parts = tuple(tuple(self.traces[at] for at in half) for half in halves)
        choosing, measured = ({(row.site, row.role, row.layer): row for row in trace_rows(part)} for part in parts)
        most: dict[str, Any] = {}
        for site in self.traces[0].effects:
            places = [place for place in choosing if place in measured and place[0] == site]
            best = max(places, key=lambda place: choosing[place].effect)
            most[site] = measured[best]._asdict()
        return {
            "most": most,
            "most_on": {"n": len(parts[1]), "chosen_on": len(parts[0]), "held_out": halves is not None},
        }

    def save(self, folder: StrPath) -> None:
        """Writes all files of the run into a folder."""
        folder = Path(folder)
        settings = {"task": self.task.name, "sites": list(self.traces[0].effects), **self.summary()["settings"]}
        seed = self.settings.seed
        manifest = manifest_without_prompts(self.model, "trace", settings, seed=seed, seconds=self.seconds)
        requests = [trace.request.request for trace in self.traces]
        prompts = [{"prompt": request.prompt, "subject": request.subject} for request in requests]
        write_json(folder / "manifest.json", {**manifest, "prompts": prompts, "notes": list(self.task.notes)})
        write_json(folder / "task.json", self.task.to_json())
        write_json(folder / "summary.json", self.summary())
        write_table(Table.of(TraceRow, self.rows), folder / "tracing.parquet")
        write_table(Table.of(TracedPrompt, [self._prompt(trace) for trace in self.traces]), folder / "prompts.parquet")
        effects = [
            PromptEffect(number, row.site, row.role, row.layer, row.effect)
            for number, trace in enumerate(self.traces)
            for row in prompt_rows(trace)
        ]
        write_table(Table.of(PromptEffect, effects), folder / "effects.parquet")

    def _prompt(self, trace: Trace) -> TracedPrompt:
        request = trace.request.request
        (answer,) = self.model.decode([trace.answer])
        return TracedPrompt(request.prompt, request.subject, answer, trace.clean, trace.blurred)


def run_trace(
    model: ResidualModel,
    task: Task,
    settings: TracingSettings,
    *,
    sites: Sequence[str] = SITES,
    allow_weak: bool | None = None,
    report: Reporter = silent,
) -> TraceRun:
    """Traces every prompt of a task, all splits together.

    Args:
        model: the model.
        task: facts, or other prompts whose subjects are marked.
        settings: how.
        sites: what to restore.
        allow_weak: False refuses a task most of whose answers the model itself does not give; what is traced is the
            model's own first choice.
        report: progress callback.

    Raises:
        RequestError: a site or a setting that is not there.
        PromptError: a prompt has no subject.
    """
    settings.check(model.graph.layers)
    chosen = chosen_sites(sites)
    started = time.perf_counter()
    pairs = [pair for split in SPLITS for pair in task.split(split)]
    answers = model_answers(model, pairs)
    if allow_weak is False:
        answers.check()
    requests = [asked(model, _request(pair, task)) for pair in pairs]
    traces: list[Trace] = []
    for number, request in enumerate(requests):
        report("tracing (prompts)", number, len(requests))
        traces.append(causal_trace(model, request, settings, sites=chosen))
    report("tracing (prompts)", len(requests), len(requests))
    return TraceRun(model, task, settings, tuple(traces), {"tracing": time.perf_counter() - started}, answers)


def _request(pair: PromptPair, task: Task) -> EditRequest:
    """A fact as the request for what it already is."""
    if "subject" not in pair.spans:
        raise PromptError(
            expected=f"prompts of {task.name} with a span `subject`, which is blurred",
            got=f"{pair.prompt!r} without one",
            do="mark the subject in the records' spans, or take a task of facts",
        )
    start, end = pair.spans["subject"]
    return EditRequest(prompt=pair.prompt, subject=pair.prompt[start:end], target=pair.answers[0])
