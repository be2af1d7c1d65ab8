"""Mechanisms that papers describe, asked of any run: what heads are for, how a fact is recalled, why it is wrong."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.mechanisms._attributes import attribute_tokens as attribute_tokens
    from wheatstone.mechanisms._competition import Competition as Competition
    from wheatstone.mechanisms._competition import CompetitionRow as CompetitionRow
    from wheatstone.mechanisms._competition import competition as competition
    from wheatstone.mechanisms._competition_section import COMPETITION as COMPETITION
    from wheatstone.mechanisms._competition_summary import CompetitionSummary as CompetitionSummary
    from wheatstone.mechanisms._competition_summary import RungStrength as RungStrength
    from wheatstone.mechanisms._competition_summary import Strength as Strength
    from wheatstone.mechanisms._competition_summary import Verdict as Verdict
    from wheatstone.mechanisms._demonstrations_section import DEMONSTRATIONS as DEMONSTRATIONS
    from wheatstone.mechanisms._demonstrations_summary import DemonstrationsSummary as DemonstrationsSummary
    from wheatstone.mechanisms._demonstrations_summary import InContextRow as InContextRow
    from wheatstone.mechanisms._demonstrations_summary import QuestionRow as QuestionRow
    from wheatstone.mechanisms._greater_than import YEAR_FORMS as YEAR_FORMS
    from wheatstone.mechanisms._greater_than import YearCell as YearCell
    from wheatstone.mechanisms._greater_than import YearForm as YearForm
    from wheatstone.mechanisms._greater_than import year_cells as year_cells
    from wheatstone.mechanisms._greater_than import year_forms as year_forms
    from wheatstone.mechanisms._greater_than import year_pairs as year_pairs
    from wheatstone.mechanisms._greater_than import year_probabilities as year_probabilities
    from wheatstone.mechanisms._greater_than import year_sums as year_sums
    from wheatstone.mechanisms._hallucination import Hallucination as Hallucination
    from wheatstone.mechanisms._hallucination import WrongFact as WrongFact
    from wheatstone.mechanisms._hallucination import hallucination as hallucination
    from wheatstone.mechanisms._head_roles import ROLES as ROLES
    from wheatstone.mechanisms._head_roles import HeadRole as HeadRole
    from wheatstone.mechanisms._head_roles import RelationWriter as RelationWriter
    from wheatstone.mechanisms._head_roles import head_roles as head_roles
    from wheatstone.mechanisms._hops_section import HOPS as HOPS
    from wheatstone.mechanisms._hops_summary import HopsSummary as HopsSummary
    from wheatstone.mechanisms._hops_summary import Reappearance as Reappearance
    from wheatstone.mechanisms._in_context import InContext as InContext
    from wheatstone.mechanisms._in_context import in_context as in_context
    from wheatstone.mechanisms._ioi import IOI_CLASSES as IOI_CLASSES
    from wheatstone.mechanisms._ioi import IoiHeads as IoiHeads
    from wheatstone.mechanisms._ioi import ioi_heads as ioi_heads
    from wheatstone.mechanisms._ioi_section import IOI as IOI
    from wheatstone.mechanisms._ioi_summary import IoiHead as IoiHead
    from wheatstone.mechanisms._ioi_summary import IoiSummary as IoiSummary
    from wheatstone.mechanisms._ladder import Rung as Rung
    from wheatstone.mechanisms._ladder import copying_ladder as copying_ladder
    from wheatstone.mechanisms._mlp_neurons import NeuronOfMlp as NeuronOfMlp
    from wheatstone.mechanisms._mlp_neurons import mlps_to_logits as mlps_to_logits
    from wheatstone.mechanisms._mlp_neurons import strongest_neurons as strongest_neurons
    from wheatstone.mechanisms._reappearance import reappearance as reappearance
    from wheatstone.mechanisms._recall import RECALL as RECALL
    from wheatstone.mechanisms._recall import Enrichment as Enrichment
    from wheatstone.mechanisms._recall import Extraction as Extraction
    from wheatstone.mechanisms._recall import Propagation as Propagation
    from wheatstone.mechanisms._recall import recall as recall
    from wheatstone.mechanisms._role_ablations import RoleAblation as RoleAblation
    from wheatstone.mechanisms._role_ablations import ablation_effects as ablation_effects
    from wheatstone.mechanisms._role_ablations import role_ablations as role_ablations
    from wheatstone.mechanisms._roles import Role as Role
    from wheatstone.mechanisms._roles import roles_of as roles_of
    from wheatstone.mechanisms._run_relation import about_relation as about_relation
    from wheatstone.mechanisms._run_relation import check_subjects as check_subjects
    from wheatstone.mechanisms._run_relation import relations_of_run as relations_of_run
    from wheatstone.mechanisms._run_relation import task_of_run as task_of_run
    from wheatstone.mechanisms._spelling import BegunFact as BegunFact
    from wheatstone.mechanisms._spelling import begun_otherwise as begun_otherwise
    from wheatstone.mechanisms._spelling import in_any_case as in_any_case
    from wheatstone.mechanisms._strength import strengths as strengths
    from wheatstone.mechanisms._strength import strongest_path as strongest_path
    from wheatstone.mechanisms._task_circuits import COMPETING as COMPETING
    from wheatstone.mechanisms._task_circuits import task_circuits as task_circuits
    from wheatstone.mechanisms._written import continued as continued
    from wheatstone.mechanisms._written import says as says
    from wheatstone.mechanisms._wrong_section import WRONG as WRONG
    from wheatstone.mechanisms._wrong_summary import AskedFact as AskedFact
    from wheatstone.mechanisms._wrong_summary import Mending as Mending
    from wheatstone.mechanisms._wrong_summary import WrongSummary as WrongSummary
    from wheatstone.mechanisms._wrong_summary import WrongWriter as WrongWriter
    from wheatstone.mechanisms._years_section import YEARS as YEARS
    from wheatstone.mechanisms._years_summary import Kept as Kept
    from wheatstone.mechanisms._years_summary import MlpToLogits as MlpToLogits
    from wheatstone.mechanisms._years_summary import YearsSummary as YearsSummary
    from wheatstone.mechanisms._years_summary import YearSums as YearSums

__getattr__ = door(__name__)
