"""How each section of an explanation is shown, by name, in the order of the page."""

from __future__ import annotations

from wheatstone.figures import (
    _attention_part,
    _attribution_part,
    _competition_part,
    _demonstrations_part,
    _hops_part,
    _ioi_part,
    _lens_part,
    _recall_part,
    _roles_part,
    _vocabulary_part,
    _why_part,
    _wrong_part,
    _years_part,
)
from wheatstone.figures._explained import Part

PARTS: dict[str, Part] = {
    "lens": _lens_part.PART,
    "attribution": _attribution_part.PART,
    "attention": _attention_part.PART,
    "why": _why_part.PART,
    "vocabulary": _vocabulary_part.PART,
    "roles": _roles_part.PART,
    "recall": _recall_part.PART,
    "ioi": _ioi_part.PART,
    "years": _years_part.PART,
    "wrong": _wrong_part.PART,
    "demonstrations": _demonstrations_part.PART,
    "hops": _hops_part.PART,
    "competition": _competition_part.PART,
}
"""One entry for every entry of `wheatstone.studies.SECTIONS`."""
