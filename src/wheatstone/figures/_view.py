"""How the runs of one verb are shown: their pictures and their page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from wheatstone.figures._report import Picture
from wheatstone.runs import Run

Data = TypeVar("Data")
Charts = Mapping[str, Callable[[], Any]]
"""Name of a picture -> what makes its Altair chart."""


@dataclass(frozen=True)
class View(Generic[Data]):
    """How the runs of one verb are shown.

    Args:
        read: what pictures and page are made of.
        charts: the pictures that can be drawn, in the order of the page. Where data is missing they are fewer than
            the verb registered.
        page: the page as HTML, from the pictures that were drawn and, by name, why something is missing.
        needs: the side result that a picture shows, for those that show one.
    """

    read: Callable[[Run], Data]
    charts: Callable[[Data], Charts]
    page: Callable[[Data, Mapping[str, Picture], Mapping[str, str]], str]
    needs: Mapping[str, str] = field(default_factory=dict[str, str])


def itself(run: Run) -> Run:
    """For a view that is made of the run as it is."""
    return run
