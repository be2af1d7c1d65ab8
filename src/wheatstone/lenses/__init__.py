"""Reading a model or a circuit: what it answers so far, where heads look, what they are for, how a fact is recalled."""

from wheatstone.lenses._answer import LensRow as LensRow
from wheatstone.lenses._answer import answer_by_layer as answer_by_layer
from wheatstone.lenses._attention import AttentionRow as AttentionRow
from wheatstone.lenses._attention import head_attention as head_attention
from wheatstone.lenses._attention_writes import HeadWrites as HeadWrites
from wheatstone.lenses._attention_writes import SpanAttention as SpanAttention
from wheatstone.lenses._attention_writes import TokenAttention as TokenAttention
from wheatstone.lenses._attention_writes import attention as attention
from wheatstone.lenses._attention_writes import head_writes as head_writes
from wheatstone.lenses._attributes import attribute_tokens as attribute_tokens
from wheatstone.lenses._attribution import NeuronAttribution as NeuronAttribution
from wheatstone.lenses._attribution import NodeAttribution as NodeAttribution
from wheatstone.lenses._attribution import PromptAttribution as PromptAttribution
from wheatstone.lenses._attribution import attribution as attribution
from wheatstone.lenses._attribution import direct_effects as direct_effects
from wheatstone.lenses._competition import Competition as Competition
from wheatstone.lenses._competition import CompetitionRow as CompetitionRow
from wheatstone.lenses._competition import Strength as Strength
from wheatstone.lenses._competition import Verdict as Verdict
from wheatstone.lenses._competition import competition as competition
from wheatstone.lenses._competition import strengths as strengths
from wheatstone.lenses._competition import strongest_path as strongest_path
from wheatstone.lenses._ladder import Rung as Rung
from wheatstone.lenses._ladder import copying_ladder as copying_ladder
from wheatstone.lenses._logit_lens import LensPlace as LensPlace
from wheatstone.lenses._logit_lens import LensPoint as LensPoint
from wheatstone.lenses._logit_lens import logit_lens as logit_lens
from wheatstone.lenses._readout import Readout as Readout
from wheatstone.lenses._recall import Enrichment as Enrichment
from wheatstone.lenses._recall import Extraction as Extraction
from wheatstone.lenses._recall import Propagation as Propagation
from wheatstone.lenses._recall import recall as recall
from wheatstone.lenses._section import Explanation as Explanation
from wheatstone.lenses._section import Material as Material
from wheatstone.lenses._section import Need as Need
from wheatstone.lenses._section import Section as Section
from wheatstone.lenses._section import Table as Table
from wheatstone.lenses._sections import SECTIONS as SECTIONS
from wheatstone.lenses._sections import sections_named as sections_named
from wheatstone.lenses._task_circuits import COMPETING as COMPETING
from wheatstone.lenses._task_circuits import task_circuits as task_circuits
from wheatstone.lenses._tuned import TunedLens as TunedLens
from wheatstone.lenses._vocabulary import VocabularyPush as VocabularyPush
from wheatstone.lenses._vocabulary import vocabulary as vocabulary

__all__ = [
    "COMPETING",
    "SECTIONS",
    "AttentionRow",
    "Competition",
    "CompetitionRow",
    "Enrichment",
    "Explanation",
    "Extraction",
    "HeadWrites",
    "LensPlace",
    "LensPoint",
    "LensRow",
    "Material",
    "Need",
    "NeuronAttribution",
    "NodeAttribution",
    "PromptAttribution",
    "Propagation",
    "Readout",
    "Rung",
    "Section",
    "SpanAttention",
    "Strength",
    "Table",
    "TokenAttention",
    "TunedLens",
    "Verdict",
    "VocabularyPush",
    "answer_by_layer",
    "attention",
    "attribute_tokens",
    "attribution",
    "competition",
    "copying_ladder",
    "direct_effects",
    "head_attention",
    "head_writes",
    "logit_lens",
    "recall",
    "sections_named",
    "strengths",
    "strongest_path",
    "task_circuits",
    "vocabulary",
]
