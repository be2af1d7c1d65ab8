"""Reading a model or a circuit: what it answers so far, where heads look and why, what writes the answer."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.lenses._answer import LensRow as LensRow
    from wheatstone.lenses._answer import answer_by_layer as answer_by_layer
    from wheatstone.lenses._attention import AttentionRow as AttentionRow
    from wheatstone.lenses._attention import head_attention as head_attention
    from wheatstone.lenses._attention_score import AttentionScore as AttentionScore
    from wheatstone.lenses._attention_score import attention_scores as attention_scores
    from wheatstone.lenses._attention_score import score_of as score_of
    from wheatstone.lenses._attention_writes import ATTENTION as ATTENTION
    from wheatstone.lenses._attention_writes import HeadWrites as HeadWrites
    from wheatstone.lenses._attention_writes import SpanAttention as SpanAttention
    from wheatstone.lenses._attention_writes import TokenAttention as TokenAttention
    from wheatstone.lenses._attention_writes import attention as attention
    from wheatstone.lenses._attention_writes import head_writes as head_writes
    from wheatstone.lenses._attention_writes import places_of as places_of
    from wheatstone.lenses._attribution import ATTRIBUTION as ATTRIBUTION
    from wheatstone.lenses._attribution import NeuronAttribution as NeuronAttribution
    from wheatstone.lenses._attribution import NodeAttribution as NodeAttribution
    from wheatstone.lenses._attribution import PromptAttribution as PromptAttribution
    from wheatstone.lenses._attribution import attribution as attribution
    from wheatstone.lenses._attribution import direct_effects as direct_effects
    from wheatstone.lenses._head_corpus import HEADS as HEADS
    from wheatstone.lenses._head_corpus import HeadCorpus as HeadCorpus
    from wheatstone.lenses._head_corpus import head_at as head_at
    from wheatstone.lenses._head_page import head_facts as head_facts
    from wheatstone.lenses._head_pages import run_head_pages as run_head_pages
    from wheatstone.lenses._head_scan import PLACES as PLACES
    from wheatstone.lenses._head_scan import SIGNALS as SIGNALS
    from wheatstone.lenses._head_scan import HeadScan as HeadScan
    from wheatstone.lenses._logit_lens import LENS as LENS
    from wheatstone.lenses._logit_lens import LensPlace as LensPlace
    from wheatstone.lenses._logit_lens import LensPoint as LensPoint
    from wheatstone.lenses._logit_lens import logit_lens as logit_lens
    from wheatstone.lenses._next_token import NextToken as NextToken
    from wheatstone.lenses._next_token import NextTokenChange as NextTokenChange
    from wheatstone.lenses._next_token import next_token_change as next_token_change
    from wheatstone.lenses._node_change import NodeChange as NodeChange
    from wheatstone.lenses._node_change import node_interventions as node_interventions
    from wheatstone.lenses._readout import Readout as Readout
    from wheatstone.lenses._run_attribution import LogitAttribution as LogitAttribution
    from wheatstone.lenses._run_attribution import LogitShare as LogitShare
    from wheatstone.lenses._run_attribution import logit_attribution as logit_attribution
    from wheatstone.lenses._run_lens import LensLayer as LensLayer
    from wheatstone.lenses._run_lens import LogitLens as LogitLens
    from wheatstone.lenses._run_lens import run_lens as run_lens
    from wheatstone.lenses._score_pairs import Pairs as Pairs
    from wheatstone.lenses._score_pairs import ScoreTerm as ScoreTerm
    from wheatstone.lenses._score_pairs import SenderTerm as SenderTerm
    from wheatstone.lenses._score_removal import Removal as Removal
    from wheatstone.lenses._section import Explanation as Explanation
    from wheatstone.lenses._section import Material as Material
    from wheatstone.lenses._section import Need as Need
    from wheatstone.lenses._section import Section as Section
    from wheatstone.lenses._section import distractors as distractors
    from wheatstone.lenses._section import enough_prompts as enough_prompts
    from wheatstone.lenses._section import everywhere as everywhere
    from wheatstone.lenses._section import of_task as of_task
    from wheatstone.lenses._section import several_prompts as several_prompts
    from wheatstone.lenses._section import spans as spans
    from wheatstone.lenses._section import whole_mlps as whole_mlps
    from wheatstone.lenses._summaries import AttentionSummary as AttentionSummary
    from wheatstone.lenses._summaries import AttributionSummary as AttributionSummary
    from wheatstone.lenses._summaries import HeadLook as HeadLook
    from wheatstone.lenses._summaries import LensCourse as LensCourse
    from wheatstone.lenses._summaries import LensSites as LensSites
    from wheatstone.lenses._summaries import LensSummary as LensSummary
    from wheatstone.lenses._summaries import MostWritten as MostWritten
    from wheatstone.lenses._summaries import NamedEffect as NamedEffect
    from wheatstone.lenses._summaries import Sides as Sides
    from wheatstone.lenses._summaries import VocabularySummary as VocabularySummary
    from wheatstone.lenses._summaries import WhySummary as WhySummary
    from wheatstone.lenses._tuned import TunedLens as TunedLens
    from wheatstone.lenses._vocabulary import VOCABULARY as VOCABULARY
    from wheatstone.lenses._vocabulary import VocabularyPush as VocabularyPush
    from wheatstone.lenses._vocabulary import vocabulary as vocabulary
    from wheatstone.lenses._why_section import WHY as WHY
    from wheatstone.lenses._why_section import LookRow as LookRow
    from wheatstone.lenses._why_section import PairRow as PairRow

__getattr__ = door(__name__)
