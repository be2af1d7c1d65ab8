"""Finding circuits: gradients propose, exact runs decide."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.discovery._acdc import AcdcResult as AcdcResult
    from wheatstone.discovery._acdc import AcdcStep as AcdcStep
    from wheatstone.discovery._acdc import acdc as acdc
    from wheatstone.discovery._adam import MaskAdam as MaskAdam
    from wheatstone.discovery._by_prompt import BY_PROMPT as BY_PROMPT
    from wheatstone.discovery._by_prompt import PromptScores as PromptScores
    from wheatstone.discovery._by_prompt import scores_by_prompt as scores_by_prompt
    from wheatstone.discovery._curve import CurvePoint as CurvePoint
    from wheatstone.discovery._curve import size_curve as size_curve
    from wheatstone.discovery._discover import Discovery as Discovery
    from wheatstone.discovery._discover import discover as discover
    from wheatstone.discovery._discover import discover_in as discover_in
    from wheatstone.discovery._discover import evaluation_of as evaluation_of
    from wheatstone.discovery._discover import with_curve as with_curve
    from wheatstone.discovery._goal import GOALS as GOALS
    from wheatstone.discovery._learned import LearnedMask as LearnedMask
    from wheatstone.discovery._learned import MaskStep as MaskStep
    from wheatstone.discovery._learned import learn_mask as learn_mask
    from wheatstone.discovery._method import Score as Score
    from wheatstone.discovery._method import ScoreMethod as ScoreMethod
    from wheatstone.discovery._nested import LEARNED_BATCH as LEARNED_BATCH
    from wheatstone.discovery._nested import between as between
    from wheatstone.discovery._nested import learn_ranking as learn_ranking
    from wheatstone.discovery._nested import size_thresholds as size_thresholds
    from wheatstone.discovery._nodes import NodeScores as NodeScores
    from wheatstone.discovery._nodes import node_scores as node_scores
    from wheatstone.discovery._paths import PathEffects as PathEffects
    from wheatstone.discovery._paths import path_patching as path_patching
    from wheatstone.discovery._recurrence import IN as IN
    from wheatstone.discovery._recurrence import OUT as OUT
    from wheatstone.discovery._recurrence import Recurrence as Recurrence
    from wheatstone.discovery._recurrence import recurrence as recurrence
    from wheatstone.discovery._scores import METHODS as METHODS
    from wheatstone.discovery._scores import EdgeScores as EdgeScores
    from wheatstone.discovery._scores import attribute as attribute
    from wheatstone.discovery._scores import method_named as method_named
    from wheatstone.discovery._scores import score_edges as score_edges
    from wheatstone.discovery._search import SearchStep as SearchStep
    from wheatstone.discovery._search import VerifiedSearch as VerifiedSearch
    from wheatstone.discovery._settings import LEARNED as LEARNED
    from wheatstone.discovery._settings import SEARCHES as SEARCHES
    from wheatstone.discovery._settings import DiscoverySettings as DiscoverySettings
    from wheatstone.discovery._stability import Stability as Stability
    from wheatstone.discovery._stability import stability as stability
    from wheatstone.discovery._units import GRANULARITIES as GRANULARITIES

__getattr__ = door(__name__)
