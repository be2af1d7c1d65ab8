"""Every section by name, in the order of the page. One more section is one entry here and one in `figures`."""

from __future__ import annotations

from collections.abc import Sequence

from wheatstone._errors import RequestError
from wheatstone.lenses._attention_writes import ATTENTION
from wheatstone.lenses._attribution import ATTRIBUTION
from wheatstone.lenses._competition_section import COMPETITION
from wheatstone.lenses._demonstrations_section import DEMONSTRATIONS
from wheatstone.lenses._head_roles import ROLES
from wheatstone.lenses._hops_section import HOPS
from wheatstone.lenses._ioi_section import IOI
from wheatstone.lenses._logit_lens import LENS
from wheatstone.lenses._recall import RECALL
from wheatstone.lenses._section import Section
from wheatstone.lenses._vocabulary import VOCABULARY
from wheatstone.lenses._why_section import WHY
from wheatstone.lenses._wrong_section import WRONG
from wheatstone.lenses._years_section import YEARS

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
        if name not in SECTIONS:
            raise RequestError(
                expected=f"a section out of {', '.join(SECTIONS)}", got=repr(name), do="choose one of these"
            )
    return [section for name, section in SECTIONS.items() if not names or name in names]
