"""Whether a circuit is about its behaviour: what other tasks lose without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Bool
from torch import Tensor

from wheatstone._errors import WheatstoneError
from wheatstone._progress import Reporter, silent
from wheatstone._side import why
from wheatstone.circuits import Experiment
from wheatstone.tasks import PromptPair
from wheatstone.verification._card import (
    NOT_SUPPORTED,
    NOT_TESTED,
    SUPPORTED,
    Estimate,
    SelectivityLine,
    SelectivityRow,
    percents,
    words_of,
)
from wheatstone.verification._carried import carried

SELECTIVITY_CLAIM = "Other tasks lose less without the circuit than its own."


def selectivity_line(
    experiment: Experiment,
    removed: Bool[Tensor, "channel node"],
    own: Sequence[PromptPair],
    others: Mapping[str, Sequence[PromptPair]],
    *,
    report: Reporter = silent,
) -> SelectivityLine:
    """Ablates a circuit in the whole model, and measures what is lost of its own behaviour and of others.

    Args:
        experiment: that the circuit was found in.
        removed: the circuit's edges.
        own: facts of its own behaviour.
        others: by name of another task, its facts.
        report: progress callback.

    When this misleads: edges that every behaviour needs, such as the one from the input to the first MLP, make all
    tasks lose everything; leave them out of `removed`. Tasks that share their mechanism with the circuit's own should
    lose with it.
    """
    if not others:
        return SelectivityLine(SELECTIVITY_CLAIM, NOT_TESTED, "No other tasks were given; name some with --against.")
    mine = _lost(experiment, removed, own)
    rows: list[SelectivityRow] = []
    for done, (name, pairs) in enumerate(others.items()):
        report("other tasks", done, len(others))
        try:
            rows.append(SelectivityRow(name, _lost(experiment, removed, pairs)))
        except WheatstoneError as error:
            rows.append(SelectivityRow(name, missing=why(error)))
    report("other tasks", len(others), len(others))
    measured = [(row.task, row.lost) for row in rows if row.lost is not None and row.lost.high is not None]
    if mine.low is None or not measured:
        said = "Too few facts, or tasks that cannot be run like the circuit's own, give no interval to compare."
        return SelectivityLine(SELECTIVITY_CLAIM, NOT_TESTED, said, mine, tuple(rows))
    as_much = [name for name, lost in measured if lost.high is not None and lost.high >= mine.low]
    least = f"Its own task loses {words_of(mine)}"
    if as_much:
        each = ", ".join(f"{name} {words_of(lost)}" for name, lost in measured if name in as_much)
        return SelectivityLine(SELECTIVITY_CLAIM, NOT_SUPPORTED, f"{least}, and so may {each}.", mine, tuple(rows))
    most = max(lost.value for _, lost in measured)
    said = f"{least}; {len(measured)} other task{'s lose' if len(measured) > 1 else ' loses'} at most {percents(most)}."
    return SelectivityLine(SELECTIVITY_CLAIM, SUPPORTED, said, mine, tuple(rows))


def _lost(experiment: Experiment, removed: Bool[Tensor, "channel node"], pairs: Sequence[PromptPair]) -> Estimate:
    """Share of a behaviour that the whole model loses without some edges."""
    return carried(experiment.over(pairs), removed[None], complete=True).share()
