"""Every section by name, in the order of the page. One more section is one entry here and one in `figures`."""

from __future__ import annotations

from collections.abc import Sequence

from wheatstone._errors import check_choice
from wheatstone.lenses import ATTENTION, ATTRIBUTION, LENS, VOCABULARY, WHY, Section
from wheatstone.mechanisms import COMPETITION, DEMONSTRATIONS, HOPS, IOI, RECALL, ROLES, WRONG, YEARS

_ORDER = (
    LENS,
    ATTRIBUTION,
    ATTENTION,
    WHY,
    VOCABULARY,
    ROLES,
    RECALL,
    IOI,
    YEARS,
    WRONG,
    DEMONSTRATIONS,
    HOPS,
    COMPETITION,
)
SECTIONS: dict[str, Section] = {section.name: section for section in _ORDER}


def sections_named(names: Sequence[str]) -> list[Section]:
    """Sections by name, in the order of the page; all where none is named.

    Raises:
        RequestError: no such section.
    """
    for name in names:
        check_choice("a section", name, SECTIONS)
    return [section for name, section in SECTIONS.items() if not names or name in names]
