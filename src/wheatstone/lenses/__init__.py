"""Reading a model or a circuit: the answer layer by layer, and where heads look."""

from wheatstone.lenses._answer import LensRow as LensRow
from wheatstone.lenses._answer import answer_by_layer as answer_by_layer
from wheatstone.lenses._attention import AttentionRow as AttentionRow
from wheatstone.lenses._attention import head_attention as head_attention

__all__ = ["AttentionRow", "LensRow", "answer_by_layer", "head_attention"]
