"""Tasks whose prompts are generated, each from a seed and for the model's own tokens."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from wheatstone.tasks.generators._a_an import A_AN
from wheatstone.tasks.generators._agreement import AGREEMENT
from wheatstone.tasks.generators._docstring import DOCSTRING
from wheatstone.tasks.generators._generator import Generator as Generator
from wheatstone.tasks.generators._greater_than import GREATER_THAN
from wheatstone.tasks.generators._greater_than import year_answers as year_answers
from wheatstone.tasks.generators._induction import INDUCTION
from wheatstone.tasks.generators._ioi import IOI, IOI_SWAPPED

GENERATORS: Mapping[str, Generator] = MappingProxyType(
    {each.about.name: each for each in (IOI, IOI_SWAPPED, GREATER_THAN, INDUCTION, A_AN, AGREEMENT, DOCSTRING)}
)

__all__ = ["GENERATORS", "Generator", "year_answers"]
