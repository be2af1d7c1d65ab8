"""An edit as a run: the edit itself, what the model said before and says after, and where the fact was traced to."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from wheatstone._errors import PromptError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._side import COMPARISON, TRACE, attempt
from wheatstone._view import Brief
from wheatstone.editing._asked import asked
from wheatstone.editing._comparison import ComparisonSettings, EditComparison, compare_edit
from wheatstone.editing._edit import Edit
from wheatstone.editing._evaluate import held_out_loss
from wheatstone.editing._generation import continuations
from wheatstone.editing._methods import make_edit
from wheatstone.editing._question import edit_question
from wheatstone.editing._request import EditRequest
from wheatstone.editing._stored import save_edit
from wheatstone.editing._trace_rows import TraceRow, trace_rows
from wheatstone.editing._tracing import causal_trace
from wheatstone.editing._weights import weights_hash
from wheatstone.models import ResidualModel, manifest_without_prompts
from wheatstone.runs import Table, write_json, write_table
from wheatstone.tasks import ModelAnswer, chance, model_answer

_SAID = 12
"""Tokens of a continuation that are kept."""


@dataclass(frozen=True)
class EditSettings(Brief):
    """How to edit, and what to look at.

    Args:
        method: of `wheatstone.editing.METHODS`.
        layer: where to write; by default where causal tracing peaks.
        trace: also trace the prompt causally, at all tokens and sites.
        also: other prompts to look at before and after.
        compare: also compare circuits, writers and neighbours before and after.
        allow_weak: False refuses a target whose first token, the one that is scored, is the model's first choice
            already.
    """

    method: str = "r-rome"
    layer: int | None = None
    trace: bool = False
    also: tuple[str, ...] = ()
    compare: ComparisonSettings | None = None
    allow_weak: bool | None = None


class AnswerRow(NamedTuple):
    """One row of answers.parquet: a prompt before and after the edit.

    Args:
        prompt: the request's first.
        before: the most likely next token.
        after: after the edit.
        target_before: probability of the target's first token.
        target_after: after the edit.
        rank_before: its rank among all tokens, 1 for the most likely.
        rank_after: after the edit.
        said_before: greedy continuation.
        said_after: after the edit.
    """

    prompt: str
    before: str
    after: str
    target_before: float
    target_after: float
    rank_before: int
    rank_after: int
    said_before: str
    said_after: str


@dataclass(frozen=True, eq=False)
class EditRun(Brief):
    """An edit with what it does, ready to be saved."""

    model: ResidualModel
    settings: EditSettings
    edit: Edit
    answers: tuple[AnswerRow, ...]
    trace: tuple[TraceRow, ...]
    perplexity: float
    seconds: dict[str, float]
    target: ModelAnswer
    comparison: EditComparison | None = None
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def summary(self) -> dict[str, Any]:
        """What the command prints as JSON."""
        return {
            "method": self.edit.method,
            "request": self.edit.requests[0].model_dump(),
            "weights": {name: list(delta.change.shape) for name, delta in self.edit.deltas.items()},
            "settings": dict(self.edit.settings),
            "model_answers": _stored(self.target),
            "answers": [row._asdict() for row in self.answers],
            "perplexity": self.perplexity,
            "undone": True,
            "notes": list(self.edit.notes),
            "comparison": None if self.comparison is None else self.comparison.summary,
        }

    def save(self, folder: StrPath) -> None:
        """Writes all files of the run into a folder."""
        folder = Path(folder)
        settings = {**asdict(self.settings), "also": list(self.settings.also)}
        manifest = manifest_without_prompts(self.model, "edit", settings, seed=0, seconds=self.seconds)
        prompts = [{"prompt": row.prompt} for row in self.answers]
        about = {"prompts": prompts, "notes": list(self.edit.notes), "missing": self.missing}
        write_json(folder / "manifest.json", {**manifest, **about})
        write_json(folder / "summary.json", self.summary())
        write_table(Table(AnswerRow, self.answers), folder / "answers.parquet")
        if self.trace:
            write_table(Table(TraceRow, self.trace), folder / "tracing.parquet")
        if self.comparison is not None:
            for name, table in self.comparison.tables.items():
                write_table(table, folder / f"{name}.parquet")
            if (circuits := self.comparison.circuit) is not None:
                circuits.before.save(folder / "before.circuit.json")
                circuits.after.save(folder / "after.circuit.json")
        save_edit(self.edit, folder)


def run_edit(
    model: ResidualModel, request: EditRequest, settings: EditSettings, *, report: Reporter = silent
) -> EditRun:
    """Makes an edit, looks at prompts with it in place, and undoes it; the weights' hash is compared.

    Args:
        model: the model.
        request: what to change.
        settings: how, and what to look at.
        report: progress callback.
    """
    started = time.perf_counter()
    own = _target(model, request)
    # A target that is the whole present answer is refused by `make_edit`, in words of its own.
    if settings.allow_weak is False and own.answer.rank == 1 and own.answer.tokens > 1:
        raise PromptError(
            expected="a target whose first token, which is scored, is not the model's first choice already",
            got=f"{own.answer} with {chance(own.answer.probability)}",
            do="choose another target, or allow it (--allow-weak)",
        )
    if settings.compare is not None:  # refused before the edit is made
        settings.compare.circuit.check()
        edit_question(model, request, settings.compare.counterfactual)
    edit = make_edit(model, request, settings.method, layer=settings.layer, report=report)
    made = time.perf_counter()
    target = model.continuation(request.continuation)[0]
    prompts = (request.prompt, *settings.also)
    names = list(edit.deltas)
    before_hash, before, loss = weights_hash(model, names), _looked(model, prompts, target), held_out_loss(model)
    with edit.applied(model):
        after, edited_loss = _looked(model, prompts, target), held_out_loss(model)
    assert weights_hash(model, names) == before_hash  # `undo` has checked each weight; this checks that it did
    looked = time.perf_counter()
    missing: dict[str, str] = {}

    def traced_rows() -> list[TraceRow]:
        return trace_rows([causal_trace(model, asked(model, request), report=report)])

    trace = attempt(missing, TRACE, traced_rows, []) if settings.trace else []
    rows = tuple(
        AnswerRow(prompt, old[0], new[0], old[1], new[1], old[2], new[2], old[3], new[3])
        for prompt, old, new in zip(prompts, before, after, strict=True)
    )
    traced = time.perf_counter()
    comparison = None
    if (compared := settings.compare) is not None:
        comparison = attempt(missing, COMPARISON, lambda: compare_edit(model, edit, compared, report=report), None)
    seconds = {
        "edit": made - started,
        "before and after": looked - made,
        "trace": traced - looked,
        "comparison": time.perf_counter() - traced,
    }
    perplexity = float(np.exp(edited_loss - loss))
    return EditRun(model, settings, edit, rows, tuple(trace), perplexity, seconds, own, comparison, missing)


def _target(model: ResidualModel, request: EditRequest) -> ModelAnswer:
    """Where the unedited model puts the target after the prompt."""
    logits = model.forward(model.tokens([request.prompt])).logits[0]
    return model_answer(
        model, request.prompt, logits, [(request.continuation, model.continuation(request.continuation))]
    )


def _stored(target: ModelAnswer) -> dict[str, Any]:
    """For JSON, in the form of `ModelAnswers`; weak is a target that the model says already."""
    already = target.answer.rank == 1
    warning = "The model's first choice is the target's first token already: what is scored was not to be changed."
    return {
        "n": 1,
        "weak": int(already),
        "rule": "a target whose first token is not the model's first choice",
        "metric": "",
        "unit": "",
        "summary": str(target),
        "warnings": [f"{target} {warning}"] if already else [],
        "prompts": [asdict(target) | {"weak": already}],
    }


@torch.no_grad()
def _looked(model: ResidualModel, prompts: tuple[str, ...], target: int) -> list[tuple[str, float, int, str]]:
    """Of each prompt: the most likely token, the target's probability and rank, and the continuation."""
    logits = model.forward(model.tokens(prompts)).logits
    likely = logits.softmax(-1)[:, target].tolist()
    ranks = (logits >= logits[:, target : target + 1]).sum(-1).tolist()  # ties count against it, as everywhere
    said = [model.written(tokens) for tokens in continuations(model, prompts, _SAID)]
    return list(zip(model.decode(logits.argmax(-1).tolist()), likely, ranks, said, strict=True))
