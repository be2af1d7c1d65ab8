"""An edit as data: what is added to which weights, and what it was made for and of.

Applying an edit puts a new tensor in the place of each weight it touches and keeps the old one as it is. Undoing puts
the old one back: the very bits, even if the new one was changed. Nothing is ever subtracted, and no file is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from jaxtyping import Float
from torch import Tensor, nn

from wheatstone._errors import ComputationError, ModelError, RequestError
from wheatstone._view import Brief
from wheatstone.editing._delta import Delta, added
from wheatstone.editing._request import EditRequest
from wheatstone.editing._weights import weight_hash
from wheatstone.models import ResidualModel


@dataclass(frozen=True, eq=False, kw_only=True)
class Edit(Brief):
    """A change of named weights, with where it comes from.

    Args:
        method: that made it, such as `r-rome`.
        requests: what it was made for.
        settings: of the method.
        model_id: the model it was made for.
        model_sha256: hash of that model's weights; empty where unknown.
        before: SHA-256 of each weight it touches, as that was. Another weight is never touched.
        deltas: what is added, by name of the weight.
        keys: of a method that writes at keys, those of each weight; a later edit can keep clear of them.
        features: what a method carries over to later edits, by name of the weight; a column for each row of a batch.
        notes: what a reader should know, such as a regularised covariance.
    """

    method: str
    requests: tuple[EditRequest, ...]
    settings: Mapping[str, Any]
    model_id: str
    model_sha256: str
    before: Mapping[str, str]
    deltas: Mapping[str, Delta]
    keys: Mapping[str, Float[Tensor, "neuron fact"]] = field(default_factory=dict[str, Tensor])
    features: Mapping[str, Float[Tensor, "feature row"]] = field(default_factory=dict[str, Tensor])
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        model: ResidualModel,
        method: str,
        requests: Sequence[EditRequest],
        settings: Mapping[str, Any],
        deltas: Mapping[str, Delta],
        *,
        keys: Mapping[str, Tensor] | None = None,
        features: Mapping[str, Tensor] | None = None,
        notes: Sequence[str] = (),
    ) -> Edit:
        """An edit made for a model in its present state.

        Raises:
            ComputationError: a delta is not finite.
        """
        for name, delta in deltas.items():
            if not all(bool(part.isfinite().all()) for part in delta.tensors.values()):
                raise ComputationError(
                    expected=f"a finite change of {name}",
                    got="NaN or infinity",
                    do="use fewer or smaller steps, another layer, or float32",
                )
        weights = dict(model.module.named_parameters())
        return cls(
            method=method,
            requests=tuple(requests),
            settings=dict(settings),
            model_id=model.id,
            model_sha256=model.sha256,
            before={name: weight_hash(weights[name]) for name in deltas},
            deltas=dict(deltas),
            keys=dict(keys or {}),
            features=dict(features or {}),
            notes=tuple(notes),
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """All but the tensors, as JSON has it."""
        return {
            "method": self.method,
            "requests": [request.model_dump() for request in self.requests],
            "settings": dict(self.settings),
            "model": {"id": self.model_id, "sha256": self.model_sha256},
            "before": dict(self.before),
            "notes": list(self.notes),
        }

    @property
    def sha256(self) -> str:
        """Hash of the whole edit."""
        digest = hashlib.sha256(json.dumps(self.provenance, sort_keys=True).encode())
        for name, delta in sorted(self.deltas.items()):
            for part, tensor in sorted(delta.tensors.items()):
                digest.update(f"{name} {part} {weight_hash(tensor)}".encode())
        return digest.hexdigest()

    def apply(self, model: ResidualModel) -> Applied:
        """Changes the model's weights in memory until `undo` is called on what is returned.

        Meanwhile the model's `sha256` says that it is edited, so that nothing remembered of either is taken for the
        other's.

        Raises:
            ModelError: the weights are not those the edit was made for.

        When this misleads: models that share these weights, such as those `split` from this one, are edited too, but
        keep their `sha256`.
        """
        return Applied(self, model)

    @contextmanager
    def applied(self, model: ResidualModel) -> Generator[None, None, None]:
        """While this lasts, the model is edited; then, also after an error, its weights are as before, bit for bit.

        Raises:
            ModelError: see `apply`.
            ComputationError: see `Applied.undo`.
        """
        applied = self.apply(model)
        try:
            yield
        finally:
            applied.undo()


class Applied:
    """An edit in place. Edits are undone in the reverse of the order in which they were applied.

    Args:
        edit: what is applied.
        model: to which model.

    Raises:
        ModelError: the weights are not those the edit was made for.
    """

    def __init__(self, edit: Edit, model: ResidualModel) -> None:
        self.edit, self.model = edit, model
        self._weights = _checked(edit, model)
        self._sha256 = model.sha256
        self._kept = {name: weight.data for name, weight in self._weights.items()}
        changed = {name: added(weight.data, edit.deltas[name]) for name, weight in self._weights.items()}
        self._changed = changed
        self._stack = _STACKS.setdefault(model.module, [])
        try:
            self._place()
        except BaseException:  # Ctrl-C between two weights: the caller has no edit to undo yet
            self.undo()
            raise

    def _place(self) -> None:
        self._stack.append(self)
        for name, weight in self._weights.items():
            weight.data = self._changed[name]
        if self._sha256:
            self.model.sha256 = hashlib.sha256(f"{self._sha256} {self.edit.sha256}".encode()).hexdigest()

    def undo(self) -> None:
        """Puts the weights back, and checks their hash. Once undone, nothing more happens.

        Raises:
            RequestError: a later edit is still in place.
            ComputationError: something wrote into the weights that were kept.
        """
        if self not in self._stack:
            return
        if self._stack[-1] is not self:
            raise RequestError(
                expected="the edit that was applied last",
                got=f"one under {len(self._stack) - 1 - self._stack.index(self)} later",
                do="undo the later ones first",
            )
        for name, weight in self._weights.items():
            weight.data = self._kept[name]
        self.model.sha256 = self._sha256
        self._stack.pop()
        wrong = [name for name, weight in self._weights.items() if weight_hash(weight) != self.edit.before[name]]
        if wrong:
            raise ComputationError(
                expected=f"the weight {wrong[0]} as it was before the edit",
                got="other bits",
                do="load the model again; something else wrote into the weights that were kept",
            )


@contextmanager
def unedited(model: ResidualModel) -> Generator[None, None, None]:
    """While this lasts, the model is as it was before any edit; then all edits in place are there again."""
    stack = list(_STACKS.get(model.module, ()))
    for applied in reversed(stack):
        applied.undo()
    try:
        yield
    finally:
        for applied in stack:
            applied._place()


_STACKS: WeakKeyDictionary[nn.Module, list[Applied]] = WeakKeyDictionary()
"""Edits in place, by module."""


def _checked(edit: Edit, model: ResidualModel) -> dict[str, nn.Parameter]:
    parameters = dict(model.module.named_parameters())
    lacking = [name for name in edit.deltas if name not in parameters]
    if lacking or (edit.model_sha256 and model.sha256 and edit.model_sha256 != model.sha256):
        raise ModelError(
            expected=f"the model the edit was made for, {edit.model_id} ({edit.model_sha256[:12] or 'no hash'})",
            got=f"{model.id} ({model.sha256[:12] or 'no hash'})" + (f" without {lacking[0]}" if lacking else ""),
            do="apply it to that model, in the state it was made in, or make the edit again for this one",
        )
    weights = {name: parameters[name] for name in edit.deltas}
    for name, weight in weights.items():
        if tuple(weight.shape) != edit.deltas[name].shape or weight_hash(weight) != edit.before[name]:
            raise ModelError(
                expected=f"{name} as it was when the edit was made",
                got=f"other weights ({list(weight.shape)}, {str(weight.dtype).removeprefix('torch.')})",
                do="load the model in that precision and apply the edits before this one first, or make it again",
            )
    return weights
