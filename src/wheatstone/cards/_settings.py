"""How a card is made, as one value; the options of `wheatstone card` are made from it, so it loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from wheatstone._bounds import COUNT, DRAWS, RESAMPLES, SAMPLES, SEED, SHARE, TIMES, check_fields
from wheatstone._view import Brief


@dataclass(frozen=True)
class CardSettings(Brief):
    """How a card is made.

    Args:
        keep: share of the behaviour that the circuit must keep of a held-out fact, on average.
        times: how many times as much as circuits that chance gives it must keep.
        samples: bootstrap samples of the prompts.
        draws: random circuits of each kind.
        shuffles: times that the answers are shuffled and scored.
        prompts: at most how many prompts are scored one by one.
        against: other tasks, for selectivity: bundled names or files.
        effects: edges whose exact effect is measured at most, those of the strongest scores; 0 for none.
        seed: of everything that is drawn.
    """

    keep: Annotated[float, SHARE] = 0.5
    times: Annotated[float, TIMES] = 1.5
    samples: Annotated[int, RESAMPLES] = 100
    draws: Annotated[int, DRAWS] = 5
    shuffles: Annotated[int, DRAWS] = 3
    prompts: Annotated[int, COUNT] = 100
    effects: Annotated[int, SAMPLES] = 12
    against: tuple[str, ...] = ()
    seed: Annotated[int, SEED] = 0

    def check(self) -> None:
        """Refuses a number outside its range.

        Raises:
            RequestError: there is one, or no task of a name.
        """
        from wheatstone.tasks import check_task

        check_fields(self)
        for task in self.against:
            check_task(task)
