"""Prompts with their counterfactuals and answers, as tokens, and what is measured on them."""

from wheatstone.tasks._encode import Encoded as Encoded
from wheatstone.tasks._encode import encode as encode
from wheatstone.tasks._metrics import METRICS as METRICS
from wheatstone.tasks._metrics import Metric as Metric
from wheatstone.tasks._metrics import Targets as Targets
from wheatstone.tasks._metrics import gather as gather
from wheatstone.tasks._metrics import metric_named as metric_named
from wheatstone.tasks._pair import PromptPair as PromptPair
from wheatstone.tasks._ranks import answer_ranks as answer_ranks
from wheatstone.tasks._ranks import hits as hits

__all__ = [
    "METRICS",
    "Encoded",
    "Metric",
    "PromptPair",
    "Targets",
    "answer_ranks",
    "encode",
    "gather",
    "hits",
    "metric_named",
]
