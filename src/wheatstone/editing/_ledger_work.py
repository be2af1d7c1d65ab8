"""Adding edits to a ledger's folder, taking some out, and checking what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from wheatstone._errors import PromptError, RequestError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.editing._asked import Asked, asked, with_targets
from wheatstone.editing._edit import Edit
from wheatstone.editing._editor import Editor
from wheatstone.editing._fine_tuning import FineTuning
from wheatstone.editing._ledger import Ledger
from wheatstone.editing._ledger_folder import is_ledger, open_ledger, open_sound, reserved_ledger, save_ledger
from wheatstone.editing._methods import editor_named, make_edit
from wheatstone.editing._request import EditRequest
from wheatstone.editing._weights import weight_hash
from wheatstone.models import ResidualModel

LONGEST_TARGET = 16
"""Tokens of a target, at most: a single value or matrix does not carry a whole sentence."""


@dataclass(frozen=True, eq=False)
class Added(Brief):
    """What `add_edits` did.

    Args:
        ledger: as it is now.
        numbers: of the edits that were added.
        replaced: numbers of the edits that were taken out for them.
        known: requests that were skipped, because the ledger holds them or the model says so already.
    """

    ledger: Ledger
    numbers: tuple[int, ...]
    replaced: tuple[int, ...] = ()
    known: tuple[EditRequest, ...] = ()


def add_edits(
    folder: StrPath,
    model: ResidualModel,
    requests: EditRequest | Sequence[EditRequest],
    method: str | Editor = "r-rome",
    *,
    layer: int | None = None,
    at_once: bool = False,
    replace: bool = False,
    report: Reporter = silent,
) -> Added:
    """Makes edits on top of a ledger's and adds them, one after another; each is on disk before the next is begun.

    Stopped and called again with the same requests, it continues: of several requests, those that the ledger holds
    and those whose target is the model's present answer are skipped.

    Args:
        folder: of the ledger, or of one to begin.
        model: the ledger's model, unedited.
        requests: what to change.
        method: a name out of `METHODS`, or a method with settings of its own.
        layer: where to write; by default where causal tracing of the prompt peaks.
        at_once: make one edit of all requests.
        replace: take out edits that a request contradicts, instead of refusing it.
        report: progress callback.

    Raises:
        RequestError: no such method or layer.
        PromptError: a fact is in the ledger, contradicts it, or has a target of too many tokens for the method.
        ModelError: it is another model's ledger.
        RunError: the folder is no ledger, or another command changes it.
    """
    each = [requests] if isinstance(requests, EditRequest) else list(requests)
    if not each:
        raise RequestError(expected="at least one request", got="none", do="say what to change")
    editor = editor_named(method)
    for request in each:
        check_target(asked(model, request), editor)
    with reserved_ledger(folder):
        ledger = open_ledger(folder) if is_ledger(folder) else Ledger.of(model)
        ledger.check_model(model)
        groups = [each] if at_once else [[request] for request in each]
        numbers, replaced, known = list[int](), list[int](), list[EditRequest]()
        for place, group in enumerate(groups):
            report("edits", place, len(groups))
            if len(each) > 1:
                held = [one for one in group if any(conflict.same for conflict in ledger.conflicts(one))]
                known += held
                group = [one for one in group if one not in held]
            if not group:
                continue
            old = _contradicted(ledger, group) if replace else ()
            base = ledger.without(model, *old) if old else ledger
            base.check_new(group)
            with base.applied(model):
                if len(each) > 1:  # what the ledger contradicts is replaced in any case
                    said = [one for one in group if not ledger.conflicts(one) and _says(model, asked(model, one))]
                    known += said
                    group = [one for one in group if one not in said]
                if not group:
                    continue
                edit = make_edit(model, group, editor, layer=layer, before=_before(base), report=report)
            ledger = base.with_edit(model, edit)
            save_ledger(ledger, folder)
            numbers.append(ledger.entries[-1].number)
            replaced += old
        report("edits", len(groups), len(groups))
        return Added(ledger, tuple(numbers), tuple(replaced), tuple(known))


def add_made(folder: StrPath, model: ResidualModel, edit: Edit) -> Ledger:
    """Adds an edit that was made before, such as a run's.

    Args:
        folder: of the ledger, or of one to begin.
        model: the ledger's model, unedited.
        edit: made for the unedited model, or for the model with the ledger applied.

    Raises:
        ModelError: it is another model, or the edit was made for other weights.
        PromptError: the ledger holds the fact, or contradicts it.
        RunError: the folder is no ledger, or another command changes it.
    """
    with reserved_ledger(folder):
        ledger = open_ledger(folder) if is_ledger(folder) else Ledger.of(model)
        ledger = ledger.with_edit(model, edit)
        save_ledger(ledger, folder)
        return ledger


def undo_edits(
    folder: StrPath, model: ResidualModel, numbers: Sequence[int] = (), *, damaged: bool = False
) -> tuple[Ledger, tuple[int, ...]]:
    """Takes edits out of a ledger's folder; the others are applied again in their order.

    Args:
        folder: of the ledger.
        model: the ledger's model, unedited.
        numbers: of the edits.
        damaged: also take out edits whose files are damaged.

    Returns:
        The ledger as it is now, and the numbers of the edits that were taken out.

    Raises:
        RequestError: there is no such edit.
        ModelError: it is another model's ledger.
        RunError: the folder is no ledger, an edit that stays is damaged, or another command changes the ledger.
    """
    with reserved_ledger(folder):
        bad: list[int] = []
        if damaged:
            ledger, bad = open_sound(folder)
        else:
            ledger = open_ledger(folder)
        ledger = ledger.without(model, *(number for number in numbers if number not in bad))
        save_ledger(ledger, folder)
        return ledger, tuple(sorted({*bad, *numbers}))


def changed_weights(ledger: Ledger, model: ResidualModel) -> list[str]:
    """The weights that are not as the ledger says, with all its edits applied; none where all is well.

    Args:
        ledger: the ledger.
        model: its model, unedited.

    Raises:
        ModelError: it is another model.
    """
    with ledger.applied(model):
        parameters = dict(model.module.named_parameters())
        return [name for name, wanted in ledger.weights.items() if weight_hash(parameters[name]) != wanted]


@torch.no_grad()
def said_targets(ledger: Ledger, model: ResidualModel) -> dict[int, list[bool]]:
    """Whether the model with all edits says each target, every token the likeliest one after those before it.

    Args:
        ledger: the ledger.
        model: its model, unedited.

    Returns:
        By number of the edit, an answer for each of its requests.
    """
    found: dict[int, list[bool]] = {}
    with ledger.applied(model):
        for entry in ledger.entries:
            found[entry.number] = [_says(model, asked(model, request)) for request in entry.edit.requests]
    return found


def check_target(request: Asked, editor: Editor) -> None:
    """Refuses a target of more tokens than a method writes.

    Raises:
        PromptError: it has more.
    """
    count = len(request.target)
    if isinstance(editor, FineTuning) and editor.loss == "first" and count > 1:
        raise PromptError(
            expected=f"a target of one token: {editor.name} trains on the first alone",
            got=f"{request.request.target!r} ({count} tokens)",
            do="use ft-m or another method, which write the whole target",
        )
    if count > LONGEST_TARGET:
        raise PromptError(
            expected=f"a target of at most {LONGEST_TARGET} tokens",
            got=f"{count} tokens: {request.request.target[:60]!r}",
            do="shorten it; an edit changes a fact, not a text",
        )


def _says(model: ResidualModel, request: Asked) -> bool:
    tokens, following = with_targets(model, [request])
    best = model.forward(tokens, all_positions=True).logits.argmax(-1)
    wanted = following >= 0
    return bool((best[wanted] == following[wanted]).all())


def _contradicted(ledger: Ledger, requests: Sequence[EditRequest]) -> tuple[int, ...]:
    """Numbers of the edits with another target for one of the facts."""
    conflicts = [conflict for request in requests for conflict in ledger.conflicts(request)]
    return tuple(sorted({conflict.number for conflict in conflicts if not conflict.same}))


def _before(ledger: Ledger) -> list[Edit]:
    return [ledger.edit] if ledger.entries else []
