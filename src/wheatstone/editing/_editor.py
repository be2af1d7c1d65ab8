"""What a method that makes edits looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter
from wheatstone.editing._asked import Asked
from wheatstone.editing._edit import Edit
from wheatstone.models import ResidualModel


@runtime_checkable
class Editor(Protocol):
    """A method with its settings.

    Attributes:
        name: as in `METHODS`.
        summary: one sentence.
    """

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...

    def edit(
        self,
        model: ResidualModel,
        requests: Sequence[Asked],
        *,
        layer: int | None,
        before: Sequence[Edit],
        report: Reporter,
    ) -> Edit:
        """Makes an edit; the model stays as it is.

        Args:
            model: the model, with earlier edits in place.
            requests: the facts, all at once.
            layer: where to write, or the last layer of several; by default where causal tracing peaks.
            before: the edits that are in place.
            report: progress callback.
        """
        ...


def one_request(requests: Sequence[Asked], method: str) -> Asked:
    """The only request.

    Raises:
        RequestError: there are more, or none.
    """
    if len(requests) != 1:
        raise RequestError(
            expected=f"one request at a time: {method} writes one fact",
            got=str(len(requests)),
            do="make an edit of each, the earlier ones applied, or use memit",
        )
    return requests[0]
