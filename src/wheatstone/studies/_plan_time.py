"""How long a discovery will take, from its beginning.

Passes are counted in forward passes of one prompt, one of which is timed. For `learned` their number is known before it
starts. How many circuits `verified` runs depends on how well the behaviour is localised, which its first two stages
show: they are run, and with n prompts and k units after them the rest takes about

    240 (k / 60)^0.6 √n   forward passes.

The constants were fitted on nine searches on SmolLM2-135M; `benchmarks/plans.py` measures how far they hold.
"""

from __future__ import annotations

import time
from dataclasses import replace

from wheatstone._progress import Reporter, silent
from wheatstone.circuits import SHARES, Experiment
from wheatstone.discovery import LEARNED, DiscoverySettings, discover_in, method_named

_SCORED, _STEP, _PASS, _CONTROLS = 2.1, 4.0, 1.0, 3.6
"""Forward passes that one takes: a step of scoring, a prompt of a step of learning, a circuit, a verification."""
_CURVE, _CURVE_OF_MANY, _LENSES = 118, 35, 10
"""Forward passes of all prompts."""
_LEARNED_PROMPTS = 120 * 10
_FEWEST, _MOST, _TIMED = 3, 30, 2.0
"""Plain runs that are timed, and seconds after which there are enough."""
_RANKED = 40
"""Circuits along a ranking that are run to find the smallest that meets the goal."""


def expected_seconds(
    experiment: Experiment,
    settings: DiscoverySettings,
    *,
    validation: int = 0,
    test: int = 0,
    report: Reporter = silent,
) -> float | None:
    """How long `run_discovery` will take; for the `verified` search this runs its first stages.

    Args:
        experiment: that it would search in.
        settings: its settings.
        validation: prompts of the task's validation split.
        test: prompts of its test split.
        report: progress callback.

    Returns:
        Seconds; None for `acdc` and for bootstrap samples, whose circuits cannot be counted before.

    When this misleads: the rest of a search was fitted on nine searches; three others, on a busy machine, took a third
    to an eighth of what was expected. A machine that is busy when the plan is made makes the plan too long.
    """
    if settings.method == "acdc" or settings.stable:
        return None
    one, n = _forward_seconds(experiment), len(experiment.encoded.pairs) * (1 + settings.both_ways)
    several = settings.counterfactuals if test and settings.method == LEARNED else 1
    sides = n * (2 * _CONTROLS + _LENSES + (_CURVE if n <= 8 else _CURVE_OF_MANY))
    sides += test * several * (_CONTROLS + len(SHARES) * _PASS) + (n * several * len(SHARES) * _PASS if test else 0)
    scored = n * _SCORED * (settings.steps or method_named(settings.scored_by).steps or 1)
    if settings.method == LEARNED:
        chosen = (validation * several + n) * len(SHARES) * _PASS
        return one * (scored + _LEARNED_PROMPTS * _STEP + chosen + sides)
    if settings.method not in ("verified", "re-ranked"):
        return one * (scored + n * _RANKED * _PASS + sides)
    started = time.perf_counter()
    found = discover_in(experiment, replace(settings, method="re-ranked"), curve=False, report=report)
    units = len(set(found.circuit.units or found.circuit.edges))
    rest = 240 * (units / 60) ** 0.6 * n**0.5 if settings.method == "verified" else 0.0
    return time.perf_counter() - started + one * (rest + sides)


def _forward_seconds(experiment: Experiment) -> float:
    """One prompt's share of a plain run of all of them: the fastest of many, which other work on the machine slows."""
    tokens, seconds = experiment.encoded.clean, list[float]()
    while len(seconds) < _FEWEST or (sum(seconds) < _TIMED and len(seconds) < _MOST):
        started = time.perf_counter()
        experiment.model.forward(tokens)
        seconds.append(time.perf_counter() - started)
    return min(seconds) / tokens.batch
