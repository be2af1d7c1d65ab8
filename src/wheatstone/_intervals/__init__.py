"""95% intervals: the one place where the uncertainty of a number over prompts, facts or documents is computed.

A value belongs to an independent unit (a prompt, a fact, a document, an edit). No interval is given for fewer than
`MINIMUM` units, nor where the values show no spread; it is then None. Which method covers how often, by simulation:
docs/results/intervals.md, made by `python benchmarks/intervals.py --write`.
"""

from typing import TYPE_CHECKING

from wheatstone._intervals._halves import halves_of as halves_of
from wheatstone._intervals._halves import measured_on as measured_on
from wheatstone._intervals._words import MINIMUM as MINIMUM
from wheatstone._intervals._words import interval_note as interval_note
from wheatstone._intervals._words import interval_text as interval_text
from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone._intervals._crossed import MINIMUM_ORDERS as MINIMUM_ORDERS
    from wheatstone._intervals._crossed import crossed_interval as crossed_interval
    from wheatstone._intervals._jackknife import jackknife_interval as jackknife_interval
    from wheatstone._intervals._mean import DIFFERENCE as DIFFERENCE
    from wheatstone._intervals._mean import SHARE as SHARE
    from wheatstone._intervals._mean import mean_interval as mean_interval
    from wheatstone._intervals._mean import mean_intervals as mean_intervals
    from wheatstone._intervals._ranks import MINIMUM_RANKED as MINIMUM_RANKED
    from wheatstone._intervals._ranks import RankCorrelation as RankCorrelation
    from wheatstone._intervals._ranks import median_interval as median_interval
    from wheatstone._intervals._ranks import rank_correlation as rank_correlation
    from wheatstone._intervals._ratio import cluster_mean_interval as cluster_mean_interval
    from wheatstone._intervals._ratio import ratio_interval as ratio_interval
    from wheatstone._intervals._sequence import BOUND as BOUND
    from wheatstone._intervals._sequence import mean_sequence as mean_sequence

__getattr__ = door(__name__)
