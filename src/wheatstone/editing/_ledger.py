"""A ledger: the edits of one model as data, in their order.

The weights of a ledger are a function of the model's own weights and of the ordered changes alone:

    W ← round(W + Δ₁), W ← round(W + Δ₂), …

each sum taken in one fixed order of operations (see `added`). So they are the same bits on every machine, and removing
one edit gives exactly the weights of a ledger that holds the other edits and never held that one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from wheatstone._errors import ModelError, PromptError, RequestError
from wheatstone._view import Brief
from wheatstone.editing._conflicts import Conflict, conflicts_between
from wheatstone.editing._delta import Chain, Dense, LowRank
from wheatstone.editing._edit import Edit
from wheatstone.editing._request import EditRequest
from wheatstone.editing._weights import weight_hash
from wheatstone.models import ResidualModel


@dataclass(frozen=True, eq=False)
class LedgerEntry:
    """One edit of a ledger.

    Args:
        number: counted from 1 in the order of adding, and never given again.
        edit: the edit.
    """

    number: int
    edit: Edit


@dataclass(frozen=True, eq=False, kw_only=True)
class Ledger(Brief):
    """The edits of one model, in their order. A frozen value: `with_edit` and `without` return new ledgers.

    Args:
        model_id: name of the model.
        model_sha256: hash of its weights; empty where unknown.
        precision: it was loaded in, such as `float32`; another precision has other weights.
        entries: the edits.
        base: SHA-256 of every weight that an edit touches, before all edits.
        weights: the same after all edits.
        next_number: of the next edit.

    When this misleads: an edit was made on the weights that the edits before it had left. Without one of those the
    others are added as they are, not made again; what a later edit corrected of an earlier one stays corrected.
    """

    model_id: str
    model_sha256: str
    precision: str
    entries: tuple[LedgerEntry, ...] = ()
    base: Mapping[str, str] = field(default_factory=dict[str, str])
    weights: Mapping[str, str] = field(default_factory=dict[str, str])
    next_number: int = 1

    @classmethod
    def of(cls, model: ResidualModel) -> Ledger:
        """An empty ledger of a model."""
        return cls(model_id=model.id, model_sha256=model.sha256, precision=model.precision)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def edit(self) -> Edit:
        """All edits as one, which belongs to the unedited model.

        Give it as `before` to `make_edit` while the ledger is applied: it holds the keys of all its edits.
        """
        edits = [entry.edit for entry in self.entries]
        deltas: dict[str, list[LowRank | Dense]] = {}
        for edit in edits:
            for name, delta in edit.deltas.items():
                deltas.setdefault(name, []).extend(delta.parts if isinstance(delta, Chain) else [delta])
        return Edit(
            method="ledger",
            requests=tuple(request for edit in edits for request in edit.requests),
            settings={"numbers": [entry.number for entry in self.entries]},
            model_id=self.model_id,
            model_sha256=self.model_sha256,
            before=dict(self.base),
            deltas={name: Chain(tuple(parts)) for name, parts in deltas.items()},
            keys=_joined(edit.keys for edit in edits),
            features=_joined(edit.features for edit in edits),
        )

    @contextmanager
    def applied(self, model: ResidualModel) -> Generator[None, None, None]:
        """While this lasts, the model has all edits; then its weights are as before, bit for bit.

        Args:
            model: the model, unedited.

        Raises:
            ModelError: it is not the model of this ledger.
        """
        self.check_model(model)
        with self.edit.applied(model):
            yield

    def check_model(self, model: ResidualModel) -> None:
        """Refuses a model that this ledger is not of.

        Raises:
            ModelError: other weights by their hash, or another precision.
        """
        expected = f"{self.model_id} ({self.model_sha256[:12] or 'no hash'}, {self.precision}), the ledger's model"
        if model.sha256 != self.model_sha256 or model.precision != self.precision:
            raise ModelError(
                expected=expected,
                got=f"{model.id} ({model.sha256[:12] or 'no hash'}, {model.precision})",
                do="name the ledger's model, without edits in place, or begin a new ledger for this one",
            )

    def entry(self, number: int) -> LedgerEntry:
        """One edit by its number.

        Raises:
            RequestError: there is none.
        """
        for entry in self.entries:
            if entry.number == number:
                return entry
        numbers = ", ".join(str(entry.number) for entry in self.entries[:20])
        raise RequestError(
            expected=f"the number of an edit in the ledger ({numbers or 'it is empty'})",
            got=str(number),
            do="list them with `wheatstone edit list`",
        )

    def conflicts(self, request: EditRequest) -> list[Conflict]:
        """The edits that concern the same fact: the same subject, and the same prompt or bundled relation."""
        return conflicts_between([(entry.number, entry.edit.requests) for entry in self.entries], request)

    def check_new(self, requests: Iterable[EditRequest]) -> None:
        """Refuses requests about a fact that the ledger holds, or twice about one.

        Raises:
            PromptError: the fact is in the ledger already, or a request contradicts an edit or another request.
        """
        earlier: list[EditRequest] = []
        for request in requests:
            if repeated := conflicts_between([(0, earlier)], request):
                raise PromptError(
                    expected="each fact once", got=f"{repeated[0].earlier} and {request}", do="keep one of them"
                )
            earlier.append(request)
            for conflict in self.conflicts(request):
                if conflict.same:
                    raise PromptError(
                        expected="a fact that is not in the ledger yet",
                        got=f"{request}, which is {conflict}",
                        do="nothing has to be added",
                    )
                raise PromptError(
                    expected="a fact that no edit of the ledger contradicts",
                    got=f"{request}, against {conflict}",
                    do=f"undo edit {conflict.number} first, or replace it with --replace",
                )

    def with_edit(self, model: ResidualModel, edit: Edit) -> Ledger:
        """The ledger with one more edit at its end.

        Args:
            model: the ledger's model, unedited.
            edit: made for the unedited model, or for the model with this ledger applied.

        Raises:
            ModelError: it is another model, or the edit was made for other weights.
            PromptError: the ledger holds the fact, or contradicts it.
        """
        self.check_model(model)
        self.check_new(edit.requests)
        parameters = dict(model.module.named_parameters())
        base = {name: weight_hash(parameters[name]) for name in edit.deltas if name in parameters}
        for name, before in edit.before.items():
            if before not in (base.get(name), self.weights.get(name)):
                raise ModelError(
                    expected=f"an edit made for {self.model_id}, as it is or with this ledger applied",
                    got=f"one made for other weights in {name}",
                    do="make it again with `wheatstone edit add`",
                )
        entries = (*self.entries, LedgerEntry(self.next_number, edit))
        changed = replace(self, entries=entries, base={**self.base, **base}, next_number=self.next_number + 1)
        return changed._weighed(model)

    def without(self, model: ResidualModel, *numbers: int) -> Ledger:
        """The ledger without some edits; all others are added in their order, as if these had never been.

        Args:
            model: the ledger's model, unedited.
            numbers: of the edits.

        Raises:
            RequestError: there is no such edit.
            ModelError: it is another model.
        """
        self.check_model(model)
        for number in numbers:
            self.entry(number)
        entries = tuple(entry for entry in self.entries if entry.number not in numbers)
        touched = {name for entry in entries for name in entry.edit.deltas}
        base = {name: found for name, found in self.base.items() if name in touched}
        return replace(self, entries=entries, base=base)._weighed(model)

    def _weighed(self, model: ResidualModel) -> Ledger:
        """The same with the hashes of the edited weights."""
        with self.applied(model):
            parameters = dict(model.module.named_parameters())
            return replace(self, weights={name: weight_hash(parameters[name]) for name in sorted(self.base)})


def _joined(each: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Columns of several edits next to each other, by name."""
    found: dict[str, list[Tensor]] = {}
    for one in each:
        for name, columns in one.items():
            found.setdefault(name, []).append(columns)
    return {name: torch.cat(columns, 1) for name, columns in found.items()}
