"""How active each of several circuits is over prompts, and whether the stronger of two has its way.

Source: the conjecture of Yao et al. 2024 (arXiv 2405.17969), section 4, that circuits compete to set the next token.
"""

from __future__ import annotations

import numpy as np

from wheatstone._intervals import SHARE, mean_interval, mean_intervals, rank_correlation
from wheatstone.mechanisms._competition import Competition
from wheatstone.mechanisms._competition_summary import Strength, Verdict

_LEAST = 0.5
"""Least difference in logits between model and ablated run for which shares are given."""


def strengths(found: Competition) -> list[Strength]:
    """Sums up what each circuit does, beside its copies.

    Args:
        found: circuits on prompts.

    When this misleads: a share may exceed 1 or be negative, for circuits pull against each other.
    """
    gap = float(np.mean(found.model) - np.mean(found.ablated))
    rows: list[Strength] = []
    for name, (edges, own) in found.edges.items():
        (push, others), (own_drop, other_drops) = (found.by_prompt(name, which) for which in ("push", "own_drop"))
        drop = np.mean([row.drop for row in found.rows if row.circuit == name and row.drop is not None])
        values = np.stack([push, push - others, own_drop, own_drop - other_drops])
        (push_at, beyond_at, drop_at, own_at), means = mean_intervals(values), values.mean(1).tolist()
        rows.append(
            Strength(
                name,
                len(push),
                edges,
                own,
                means[0] / gap if abs(gap) >= _LEAST else None,
                means[0],
                *push_at,
                means[1],
                *beyond_at,
                float(drop),
                means[2],
                *drop_at,
                means[3],
                *own_at,
            )
        )
    return rows


def strongest_path(found: Competition, first: str, second: str) -> list[Verdict]:
    """Puts the conjecture to the test: does the stronger of two circuits set the answer?

    Both strengths are signed towards the first answer, so that the stronger of two that pull apart decides the sign
    of their sum.

    Args:
        found: circuits on prompts with two answers.
        first: the circuit of the first answer.
        second: the circuit of the second.

    When this misleads: where one answer nearly always wins, any strength of the right sign agrees; compare with
    `same` and with the copies.
    """
    wins: np.ndarray = np.array(found.model) > 0
    verdicts: list[Verdict] = []
    for measure in ("push", "own_drop"):
        of_both = [found.by_prompt(name, measure) for name in (first, second)]
        for of, which in (("circuits", 0), ("copies", 1)):
            total = of_both[0][which] + of_both[1][which]
            right = np.equal(total > 0, wins).astype(float)
            low, high = mean_interval(right, bounds=SHARE) or (None, None)
            ranks = rank_correlation(total, np.array(found.model))
            related = None if ranks is None else ranks.value
            same = float(max(wins.mean(), 1 - wins.mean()))
            verdicts.append(Verdict(measure, of, len(wins), float(right.mean()), low, high, same, related))
    return verdicts
