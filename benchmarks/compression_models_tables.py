"""The rows of benchmarks/compression_models.py as tables."""

# ruff: noqa: E501 - a row of a table is one line

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from compression_models import FACTS, LENGTH, SCORED, SEEN, WINDOWS
from scipy.stats import spearmanr, t

Row = dict[str, Any]
TASKS = {"facts": "Hit@1 of facts", "ioi": "IOI", "induction": "induction, Hit@1"}


def models(rows: Sequence[Row]) -> Iterator[str]:
    """Bits a byte of each form beside its accuracies, and how they go together."""
    kinds = list(rows[0]["bits"])
    facts, ioi, repeats = (len(rows[0][task]) for task in TASKS)
    yield "## Bits and what a model can do\n"
    yield (
        f"SmolLM2 as it is and weakened: linear layers' weights rounded, layers or randomly drawn heads that write nothing. Bits a\n"
        f"byte of {WINDOWS} windows of each kind of text, {SEEN} tokens of context before {SCORED} that count, the same windows for every\n"
        f"form; their mean over the kinds with a 95% interval over windows. {facts} facts ({FACTS} of each bundled relation at most, known to the\n"
        f"model or not), {ioi} prompts of `ioi` (the name above the other), {repeats} of `induction`.\n"
    )
    yield f"| form | mean | 95% interval | {' | '.join(kinds)} | {' | '.join(TASKS.values())} |"
    yield f"|---|---|---|{'---|' * (len(kinds) + len(TASKS))}"
    for row in rows:
        low, high = _interval(row)
        each = " | ".join(f"{_per_byte(row, kind):.2f}" for kind in kinds)
        asked = " | ".join(f"{np.mean(row[task]):.0%}" for task in TASKS)
        yield f"| {row['key']} | {_mean(row):.2f} | {low:.2f} to {high:.2f} | {each} | {asked} |"
    yield ""
    if len(rows) > 3:
        bits = [_mean(row) for row in rows]
        ranks = {
            name: float(spearmanr(bits, [np.mean(row[task]) for row in rows])[0])  # pyright: ignore[reportArgumentType]
            for task, name in TASKS.items()
        }
        said = ", ".join(f"{rho:.2f} with {name}" for name, rho in ranks.items())
        yield (
            f"Spearman's correlation of the mean bits a byte over the {len(rows)} forms: {said}.\n"
            "All are one model damaged to different degrees, so that much of this is only that damage costs everything. It does not say\n"
            "that of two models trained apart the one with fewer bits knows more facts; and intervals of neighbours overlap.\n"
        )


def induction(rows: Sequence[Row]) -> Iterator[str]:
    """What the induction heads save, beside random heads."""
    intact, ours, *others = rows
    at = {"first copy": ("repeated", slice(0, LENGTH - 1)), "second copy": ("repeated", slice(LENGTH, None))}
    at["prose"] = ("prose", slice(None))

    def bits(row: Row, place: str) -> np.ndarray:
        kind, positions = at[place]
        return np.array(row[kind])[:, positions].mean(1)

    yield "## SmolLM2's induction heads, in bits\n"
    yield (
        f"The {len(ours['heads'])} heads that look most at the token after the last occurrence, on other texts than those priced\n"
        f"({', '.join(f'`{head}`' for head in ours['heads'])}; attention {max(ours['scores']):.2f} to {min(ours['scores']):.2f}) write nothing;\n"
        f"beside {len(others)} sets of as many other heads. Bits a token; {len(intact['repeated'])} texts of {LENGTH} random tokens said twice, and as many\n"
        f"of {len(intact['prose'][0]) + 1} tokens of prose.\n"
    )
    yield "| | " + " | ".join(at) + " |\n|---|" + "---|" * len(at)
    yield "| intact | " + " | ".join(f"{bits(intact, place).mean():.2f}" for place in at) + " |"
    yield "| without induction heads | " + " | ".join(f"{bits(ours, place).mean():.2f}" for place in at) + " |"
    yield (
        "| induction heads are worth | "
        + " | ".join(f"{(bits(ours, p) - bits(intact, p)).mean():+.2f}" for p in at)
        + " |"
    )
    worth = {place: [float((bits(row, place) - bits(intact, place)).mean()) for row in others] for place in at}
    yield "| random heads are worth, mean | " + " | ".join(f"{np.mean(worth[place]):+.2f}" for place in at) + " |"
    yield (
        "| lowest to highest of the sets | "
        + " | ".join(f"{min(worth[p]):+.2f} to {max(worth[p]):+.2f}" for p in at)
        + " |"
    )
    yield (
        "\nZero is no value that the model was trained on. Few texts: how much the heads save in prose that repeats names over more than\n"
        "this many tokens is not seen here.\n"
    )


def _per_byte(row: Row, kind: str) -> float:
    return sum(row["bits"][kind]) / sum(row["bytes"][kind])


def _mean(row: Row) -> float:
    return float(np.mean([_per_byte(row, kind) for kind in row["bits"]]))


def _interval(row: Row) -> tuple[float, float]:
    """Of the mean over kinds, each a ratio over windows of its own: their errors add up, by Student's t."""
    bits, counts = (np.array(list(row[name].values()), dtype=float) for name in ("bits", "bytes"))
    shares = bits.sum(1) / counts.sum(1)
    rest = (bits - shares[:, None] * counts) / counts.mean(1, keepdims=True)
    errors = rest.var(1, ddof=1) / WINDOWS / len(shares) ** 2
    # Welch and Satterthwaite's degrees of freedom.
    freedom = errors.sum() ** 2 / (errors**2 / (WINDOWS - 1)).sum()
    half = float(t.ppf(0.975, freedom) * errors.sum() ** 0.5)
    return float(shares.mean()) - half, float(shares.mean()) + half
