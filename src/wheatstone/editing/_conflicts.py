"""Which edits of a ledger speak about the same fact as a new request.

Two requests concern the same fact where they have the same subject and the same question: the same prompt around the
subject, or two templates of one bundled relation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from wheatstone.editing._request import EditRequest
from wheatstone.tasks import bundled_relation, bundled_relations


@dataclass(frozen=True)
class Conflict:
    """Two requests about the same fact.

    Args:
        number: of the earlier edit in its ledger.
        earlier: its request.
        later: the other request.
        relation: the bundled relation that both ask for; empty where only their prompts agree.
    """

    number: int
    earlier: EditRequest
    later: EditRequest
    relation: str = ""

    @property
    def same(self) -> bool:
        """Whether both ask for the same target, so that the fact is already in the ledger."""
        return _plain(self.earlier.target) == _plain(self.later.target)

    def __str__(self) -> str:
        about = f"{self.relation} of " if self.relation else ""
        return f"edit {self.number} ({about}{self.earlier.subject}: {self.earlier})"


def conflicts_between(edits: Iterable[tuple[int, Sequence[EditRequest]]], later: EditRequest) -> list[Conflict]:
    """The earlier requests that concern the same fact as a later one.

    Args:
        edits: numbers and requests of earlier edits.
        later: the later request.
    """
    subject, question = _plain(later.subject), _question(later)
    relation = _relation(question)
    found: list[Conflict] = []
    for number, requests in edits:
        for earlier in requests:
            if _plain(earlier.subject) != subject:
                continue
            asked = _question(earlier)
            if asked == question or (relation and _relation(asked) == relation):
                found.append(Conflict(number, earlier, later, relation))
    return found


def _question(request: EditRequest) -> str:
    """The prompt around its subject, without differences of case and space."""
    start, end = request.subject_at
    return _plain(f"{request.prompt[:start]}{{subject}}{request.prompt[end:]}")


def _relation(question: str) -> str:
    return _templates().get(question, "")


@cache
def _templates() -> dict[str, str]:
    """Every template of every bundled relation; one that two relations share names neither."""
    found: dict[str, str] = {}
    for name in bundled_relations():
        for template in {_plain(text) for text in bundled_relation(name).templates}:
            found[template] = name if template not in found else ""
    return found


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
