"""An edit's run in pictures: where causal tracing brings the fact back, by token and layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from wheatstone.figures._theme import INK, diverging, finished, heading, squares
from wheatstone.figures._words import count, percent
from wheatstone.runs import Row

_SITES = {"state": "residual stream after the layer", "mlp": "MLPs of a window", "attention": "attention of a window"}
_ROLES = ("first subject", "middle subject", "last subject", "first after", "further", "last")


def trace_chart(rows: Sequence[Row], title: str) -> Any:
    """Heat maps of the average indirect effect, by what a token is and layer, one for each site.

    Args:
        rows: of `tracing.parquet`; with intervals in the tooltips where there is more than one prompt.
        title: what was traced.

    When this misleads: windows with layer 0 in them restore the token itself, so that the lowest rows of an early
    subject token are dark for any fact.
    """
    most = max(0.01, max(abs(row["effect"]) for row in rows))
    roles = [role for role in _ROLES if any(row["role"] == role for row in rows)]
    maps = [
        _map([row for row in rows if row["site"] == site], name, roles, most)
        for site, name in _SITES.items()
        if any(row["site"] == site for row in rows)
    ]
    n = max(row["n"] for row in rows)
    subtitle = [
        "The subject's tokens carry noise of 3σ; what the clean run has at one place is put back.",
        f"Gain in the answer's probability, mean of {count(n, 'prompt')}.",
    ]
    return finished(alt.hconcat(*maps, spacing=28), title, subtitle, describe_trace(rows))


def describe_trace(rows: Sequence[Row]) -> str:
    """The maps in words."""
    said: list[str] = []
    for site, name in _SITES.items():
        found = [row for row in rows if row["site"] == site]
        if found:
            best = max(found, key=lambda row: row["effect"])
            said.append(f"{name}: most at {best['role']}, layer {best['layer']} ({percent(best['effect'])})")
    return f"Causal tracing. {'; '.join(said)}."


def _map(rows: list[Row], title: str, roles: list[str], most: float) -> Any:
    layers = max(row["layer"] for row in rows) + 1
    x = alt.X(
        "role:O", sort=roles, axis=alt.Axis(title=None, labelAngle=-50, labelColor=INK, domain=False, ticks=False)
    )
    y = alt.Y(
        "layer:O",
        sort="descending",
        axis=alt.Axis(title="layer", values=list(range(0, layers, max(1, layers // 10))), domain=False, ticks=False),
    )
    legend = alt.Legend(title="effect", gradientLength=140, tickCount=5, orient="right", format=".2f")
    colour = alt.Color("effect:Q", scale=diverging(most), legend=legend)
    numbers = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("effect", "low", "high")]
    heat = squares(rows, x, y, colour, ["role:N", "layer:Q", *numbers, "n:Q"], 0.5)
    return alt.layer(heat).properties(
        width=max(120, 32 * len(roles)), height=max(160, 11 * layers), title=heading(title, 12.5)
    )
