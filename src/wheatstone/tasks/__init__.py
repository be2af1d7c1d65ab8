"""Prompts with their counterfactuals and answers, as tokens, and what is measured on them."""

from wheatstone.tasks._encode import Encoded as Encoded
from wheatstone.tasks._encode import encode as encode
from wheatstone.tasks._metrics import METRICS as METRICS
from wheatstone.tasks._metrics import Metric as Metric
from wheatstone.tasks._metrics import Targets as Targets
from wheatstone.tasks._metrics import gather as gather
from wheatstone.tasks._metrics import metric_named as metric_named
from wheatstone.tasks._pair import PromptPair as PromptPair

__all__ = ["METRICS", "Encoded", "Metric", "PromptPair", "Targets", "encode", "gather", "metric_named"]
