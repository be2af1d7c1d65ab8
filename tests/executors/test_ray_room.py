"""How many actors fit where; an actor that fits on no machine would be waited for without end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from wheatstone.executors._ray import room_for_actors


@pytest.mark.parametrize(
    ("nodes", "threads", "gpus", "room"),
    [
        ([{"CPU": 8.0}], 1, 0, 8),
        ([{"CPU": 8.0}], 3, 0, 2),
        ([{"CPU": 2.0}, {"CPU": 2.0}], 4, 0, 0),  # four cores, but no four together
        ([{"CPU": 2.0}, {"CPU": 5.0}, {"GPU": 1.0}], 2, 0, 3),
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0}], 1, 1, 2),
        ([{"CPU": 8.0, "GPU": 4.0}], 4, 1, 2),
        ([], 1, 0, 0),
    ],
)
def test_no_actor_is_spread_over_machines(
    nodes: Sequence[dict[str, float]], threads: int, gpus: int, room: int
) -> None:
    assert room_for_actors(nodes, threads, gpus) == room
