"""Reading a model or a circuit: what it answers so far, where heads look, what they are for, how a fact is recalled."""

from wheatstone.lenses._answer import LensRow as LensRow
from wheatstone.lenses._answer import answer_by_layer as answer_by_layer
from wheatstone.lenses._attention import AttentionRow as AttentionRow
from wheatstone.lenses._attention import head_attention as head_attention
from wheatstone.lenses._attention_score import AttentionScore as AttentionScore
from wheatstone.lenses._attention_score import attention_scores as attention_scores
from wheatstone.lenses._attention_score import score_of as score_of
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
from wheatstone.lenses._competition import competition as competition
from wheatstone.lenses._competition_section import RungStrength as RungStrength
from wheatstone.lenses._edit_circuit import CircuitChange as CircuitChange
from wheatstone.lenses._edit_circuit import CircuitSettings as CircuitSettings
from wheatstone.lenses._edit_circuit import EdgeChange as EdgeChange
from wheatstone.lenses._edit_circuit import circuit_change as circuit_change
from wheatstone.lenses._edit_comparison import ComparisonSettings as ComparisonSettings
from wheatstone.lenses._edit_comparison import EditComparison as EditComparison
from wheatstone.lenses._edit_comparison import compare_edit as compare_edit
from wheatstone.lenses._edit_leak import Leak as Leak
from wheatstone.lenses._edit_leak import LeakRow as LeakRow
from wheatstone.lenses._edit_leak import leak as leak
from wheatstone.lenses._edit_question import EditQuestion as EditQuestion
from wheatstone.lenses._edit_question import edit_question as edit_question
from wheatstone.lenses._edit_writers import ObjectByLayer as ObjectByLayer
from wheatstone.lenses._edit_writers import WriterChange as WriterChange
from wheatstone.lenses._edit_writers import WritersChange as WritersChange
from wheatstone.lenses._edit_writers import writers_change as writers_change
from wheatstone.lenses._greater_than import YEAR_FORMS as YEAR_FORMS
from wheatstone.lenses._greater_than import YearCell as YearCell
from wheatstone.lenses._greater_than import YearForm as YearForm
from wheatstone.lenses._greater_than import YearSums as YearSums
from wheatstone.lenses._greater_than import year_cells as year_cells
from wheatstone.lenses._greater_than import year_forms as year_forms
from wheatstone.lenses._greater_than import year_pairs as year_pairs
from wheatstone.lenses._greater_than import year_probabilities as year_probabilities
from wheatstone.lenses._greater_than import year_sums as year_sums
from wheatstone.lenses._hallucination import AskedFact as AskedFact
from wheatstone.lenses._hallucination import Hallucination as Hallucination
from wheatstone.lenses._hallucination import WrongFact as WrongFact
from wheatstone.lenses._hallucination import WrongWriter as WrongWriter
from wheatstone.lenses._hallucination import hallucination as hallucination
from wheatstone.lenses._head_roles import HeadRole as HeadRole
from wheatstone.lenses._head_roles import RelationWriter as RelationWriter
from wheatstone.lenses._head_roles import head_roles as head_roles
from wheatstone.lenses._head_scan import PLACES as PLACES
from wheatstone.lenses._head_scan import SIGNALS as SIGNALS
from wheatstone.lenses._head_scan import HeadScan as HeadScan
from wheatstone.lenses._in_context import InContext as InContext
from wheatstone.lenses._in_context import InContextRow as InContextRow
from wheatstone.lenses._in_context import QuestionRow as QuestionRow
from wheatstone.lenses._in_context import in_context as in_context
from wheatstone.lenses._ioi import IOI_CLASSES as IOI_CLASSES
from wheatstone.lenses._ioi import IoiHead as IoiHead
from wheatstone.lenses._ioi import IoiHeads as IoiHeads
from wheatstone.lenses._ioi import ioi_heads as ioi_heads
from wheatstone.lenses._ladder import Rung as Rung
from wheatstone.lenses._ladder import copying_ladder as copying_ladder
from wheatstone.lenses._logit_lens import LensPlace as LensPlace
from wheatstone.lenses._logit_lens import LensPoint as LensPoint
from wheatstone.lenses._logit_lens import logit_lens as logit_lens
from wheatstone.lenses._mending import Mending as Mending
from wheatstone.lenses._mlp_neurons import Kept as Kept
from wheatstone.lenses._mlp_neurons import MlpToLogits as MlpToLogits
from wheatstone.lenses._mlp_neurons import NeuronOfMlp as NeuronOfMlp
from wheatstone.lenses._mlp_neurons import mlps_to_logits as mlps_to_logits
from wheatstone.lenses._mlp_neurons import strongest_neurons as strongest_neurons
from wheatstone.lenses._next_token import NextToken as NextToken
from wheatstone.lenses._next_token import NextTokenChange as NextTokenChange
from wheatstone.lenses._next_token import NodeChange as NodeChange
from wheatstone.lenses._next_token import next_token_change as next_token_change
from wheatstone.lenses._readout import Readout as Readout
from wheatstone.lenses._reappearance import Reappearance as Reappearance
from wheatstone.lenses._reappearance import reappearance as reappearance
from wheatstone.lenses._recall import Enrichment as Enrichment
from wheatstone.lenses._recall import Extraction as Extraction
from wheatstone.lenses._recall import Propagation as Propagation
from wheatstone.lenses._recall import recall as recall
from wheatstone.lenses._role_ablations import RoleAblation as RoleAblation
from wheatstone.lenses._role_ablations import ablation_effects as ablation_effects
from wheatstone.lenses._role_ablations import role_ablations as role_ablations
from wheatstone.lenses._roles import Role as Role
from wheatstone.lenses._roles import roles_of as roles_of
from wheatstone.lenses._run_relation import about_relation as about_relation
from wheatstone.lenses._run_relation import check_subjects as check_subjects
from wheatstone.lenses._run_relation import relations_of_run as relations_of_run
from wheatstone.lenses._run_relation import task_of_run as task_of_run
from wheatstone.lenses._score_pairs import Pairs as Pairs
from wheatstone.lenses._score_pairs import ScoreTerm as ScoreTerm
from wheatstone.lenses._score_pairs import SenderTerm as SenderTerm
from wheatstone.lenses._score_removal import Removal as Removal
from wheatstone.lenses._section import Explanation as Explanation
from wheatstone.lenses._section import Material as Material
from wheatstone.lenses._section import Need as Need
from wheatstone.lenses._section import Section as Section
from wheatstone.lenses._section import Table as Table
from wheatstone.lenses._sections import SECTIONS as SECTIONS
from wheatstone.lenses._sections import sections_named as sections_named
from wheatstone.lenses._spelling import BegunFact as BegunFact
from wheatstone.lenses._spelling import begun_otherwise as begun_otherwise
from wheatstone.lenses._spelling import in_any_case as in_any_case
from wheatstone.lenses._strength import Strength as Strength
from wheatstone.lenses._strength import Verdict as Verdict
from wheatstone.lenses._strength import strengths as strengths
from wheatstone.lenses._strength import strongest_path as strongest_path
from wheatstone.lenses._task_circuits import COMPETING as COMPETING
from wheatstone.lenses._task_circuits import task_circuits as task_circuits
from wheatstone.lenses._tuned import TunedLens as TunedLens
from wheatstone.lenses._vocabulary import VocabularyPush as VocabularyPush
from wheatstone.lenses._vocabulary import vocabulary as vocabulary
from wheatstone.lenses._why_section import LookRow as LookRow
from wheatstone.lenses._why_section import PairRow as PairRow
from wheatstone.lenses._written import continued as continued
from wheatstone.lenses._written import says as says

__all__ = [
    "COMPETING",
    "IOI_CLASSES",
    "PLACES",
    "SECTIONS",
    "SIGNALS",
    "YEAR_FORMS",
    "AskedFact",
    "AttentionRow",
    "AttentionScore",
    "BegunFact",
    "CircuitChange",
    "CircuitSettings",
    "ComparisonSettings",
    "Competition",
    "CompetitionRow",
    "EdgeChange",
    "EditComparison",
    "EditQuestion",
    "Enrichment",
    "Explanation",
    "Extraction",
    "Hallucination",
    "HeadRole",
    "HeadScan",
    "HeadWrites",
    "InContext",
    "InContextRow",
    "IoiHead",
    "IoiHeads",
    "Kept",
    "Leak",
    "LeakRow",
    "LensPlace",
    "LensPoint",
    "LensRow",
    "LookRow",
    "Material",
    "Mending",
    "MlpToLogits",
    "Need",
    "NeuronAttribution",
    "NeuronOfMlp",
    "NextToken",
    "NextTokenChange",
    "NodeAttribution",
    "NodeChange",
    "ObjectByLayer",
    "PairRow",
    "Pairs",
    "PromptAttribution",
    "Propagation",
    "QuestionRow",
    "Readout",
    "Reappearance",
    "RelationWriter",
    "Removal",
    "Role",
    "RoleAblation",
    "Rung",
    "RungStrength",
    "ScoreTerm",
    "Section",
    "SenderTerm",
    "SpanAttention",
    "Strength",
    "Table",
    "TokenAttention",
    "TunedLens",
    "Verdict",
    "VocabularyPush",
    "WriterChange",
    "WritersChange",
    "WrongFact",
    "WrongWriter",
    "YearCell",
    "YearForm",
    "YearSums",
    "ablation_effects",
    "about_relation",
    "answer_by_layer",
    "attention",
    "attention_scores",
    "attribute_tokens",
    "attribution",
    "begun_otherwise",
    "check_subjects",
    "circuit_change",
    "compare_edit",
    "competition",
    "continued",
    "copying_ladder",
    "direct_effects",
    "edit_question",
    "hallucination",
    "head_attention",
    "head_roles",
    "head_writes",
    "in_any_case",
    "in_context",
    "ioi_heads",
    "leak",
    "logit_lens",
    "mlps_to_logits",
    "next_token_change",
    "reappearance",
    "recall",
    "relations_of_run",
    "role_ablations",
    "roles_of",
    "says",
    "score_of",
    "sections_named",
    "strengths",
    "strongest_neurons",
    "strongest_path",
    "task_circuits",
    "task_of_run",
    "vocabulary",
    "writers_change",
    "year_cells",
    "year_forms",
    "year_pairs",
    "year_probabilities",
    "year_sums",
]
