"""How much of one circuit is found again in another: single hops in a two-hop question, a relation in its reverse.

Of circuits of one size from rankings, shared edges are no news: every ranking begins with much the same early edges.
The share that reappears is therefore compared with what as many edges share that are drawn from further down the same
ranking (its first edges, the pool), and, where they are given, with what unrelated tasks' circuits share.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from wheatstone._errors import CircuitError
from wheatstone.circuits import Circuit, Edge
from wheatstone.mechanisms._hops_summary import Reappearance


def reappearance(
    parts: Mapping[str, Circuit],
    pools: Mapping[str, Circuit],
    whole: Circuit,
    name: str,
    *,
    draws: int = 200,
    seed: int = 0,
) -> list[Reappearance]:
    """Looks for some circuits in another.

    Args:
        parts: by name, such as single hops and unrelated tasks.
        pools: by the same names, larger circuits of the same rankings, which chance draws from.
        whole: the circuit that they are looked for in.
        name: of it.
        draws: from each pool.
        seed: of the draws.

    Raises:
        CircuitError: a pool that lacks edges of its part, or circuits of different graphs.

    When this misleads: edges of a ranking are not proven. A shared edge may carry different things in the two.
    """
    rows: list[Reappearance] = []
    for part, circuit in parts.items():
        pool, draw = pools[part], Random(seed)
        if (circuit & pool).edges != circuit.edges or circuit.model.graph != whole.model.graph:
            raise CircuitError(
                expected="a pool that holds its part, and circuits of one model",
                got=f"{part}: {len(circuit - pool)} of {len(circuit)} edges are not in its pool",
                do="take the pool from the same ranking",
            )
        there, writers = set(whole.edges), set(whole.nodes)
        drawn = [draw.sample(pool.edges, len(circuit)) for _ in range(draws)]
        shares = sorted(_share(edges, there) for edges in drawn)
        rows.append(
            Reappearance(
                part,
                name,
                len(circuit),
                _share(circuit.edges, there),
                sum(shares) / draws,
                shares[int(0.025 * draws)],
                shares[int(0.975 * draws)],
                len(circuit.nodes),
                _share(circuit.nodes, writers),
                sum(_share({edge.sender for edge in edges}, writers) for edges in drawn) / draws,
            )
        )
    return rows


def _share(these: set[str] | tuple[str, ...] | tuple[Edge, ...] | list[Edge], of: set[str] | set[Edge]) -> float:
    return sum(one in of for one in these) / len(these)
