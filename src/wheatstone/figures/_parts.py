"""How each section of an explanation is shown, by name, in the order of the page."""

from __future__ import annotations

from wheatstone.figures import _lens_part
from wheatstone.figures._explained import Part

PARTS: dict[str, Part] = {
    "lens": _lens_part.PART,
}
"""One entry for every entry of `wheatstone.lenses.SECTIONS`."""
