"""Reading a model or a circuit: what it answers so far, where heads look, what they are for, how a fact is recalled."""

from wheatstone.lenses._answer import LensRow as LensRow
from wheatstone.lenses._answer import answer_by_layer as answer_by_layer
from wheatstone.lenses._attention import AttentionRow as AttentionRow
from wheatstone.lenses._attention import head_attention as head_attention
from wheatstone.lenses._logit_lens import LensPlace as LensPlace
from wheatstone.lenses._logit_lens import LensPoint as LensPoint
from wheatstone.lenses._logit_lens import logit_lens as logit_lens
from wheatstone.lenses._section import Explanation as Explanation
from wheatstone.lenses._section import Material as Material
from wheatstone.lenses._section import Need as Need
from wheatstone.lenses._section import Section as Section
from wheatstone.lenses._section import Table as Table
from wheatstone.lenses._sections import SECTIONS as SECTIONS
from wheatstone.lenses._sections import sections_named as sections_named
from wheatstone.lenses._tuned import TunedLens as TunedLens

__all__ = [
    "SECTIONS",
    "AttentionRow",
    "Explanation",
    "LensPlace",
    "LensPoint",
    "LensRow",
    "Material",
    "Need",
    "Section",
    "Table",
    "TunedLens",
    "answer_by_layer",
    "head_attention",
    "logit_lens",
    "sections_named",
]
