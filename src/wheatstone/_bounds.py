"""How large a number from outside may be: an option of a command, a setting of the library, a field of a request.

A count that sizes memory or a loop is compared with these before the work starts.
"""

from __future__ import annotations

from typing import Any, NamedTuple, get_args, get_type_hints

from wheatstone._errors import RequestError


class Bounds(NamedTuple):
    """A range of numbers, both ends included."""

    least: float
    most: float

    def check(self, name: str, value: float | None) -> None:
        """Refuses a number outside the range; None passes.

        Raises:
            RequestError: it lies outside, or is not a number.
        """
        if value is not None and not self.least <= value <= self.most:
            raise RequestError(expected=f"{name} from {self}", got=str(value)[:40], do="choose a number in that range")

    def holds(self, value: object) -> bool:
        """Whether a value is a whole number in the range."""
        return isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"{self.least:,} to {self.most:,}"


def check_fields(settings: object) -> None:
    """Refuses a field outside its range; the range is part of its type, `Annotated[int, Bounds(…)]`.

    Args:
        settings: a frozen dataclass.

    Raises:
        RequestError: there is such a field; None passes.
    """
    for name, bounds in bounds_of(type(settings)).items():
        bounds.check(f"--{name.replace('_', '-')}", getattr(settings, name))


def bounds_of(settings: type[Any]) -> dict[str, Bounds]:
    """The ranges of a settings class's fields, of those that have one."""
    hints = get_type_hints(settings, include_extras=True)
    parts = {name: (hint, *get_args(hint)) for name, hint in hints.items()}
    return {
        name: bounds
        for name, each in parts.items()
        for part in each
        for bounds in getattr(part, "__metadata__", ())
        if isinstance(bounds, Bounds)
    }


SEED = Bounds(0, 2**32 - 1)
"""What every random generator takes."""
SHARE = Bounds(0, 1)
EFFECT = Bounds(0, 1_000_000_000)
"""In units of a metric."""
NOISE = Bounds(0, 1_000)
"""In standard deviations."""
TEMPERATURE = Bounds(0, 10)
"""That logits are divided by before a token is drawn."""
RANK = Bounds(0, 1_000_000)
"""Of a token among a model's predictions."""
PAIRS = Bounds(3, 10_000)
"""Of a task, all splits together."""
FACTS = Bounds(1, 10_000)
"""Of one split."""
SPANS = Bounds(25, 10_000)
COUNT = Bounds(1, 10_000)
"""Of what costs a run of the model each: steps, draws of noise, prompts."""
DRAWS = Bounds(1, 1_000)
"""Random circuits of a size, which are all in memory."""
SAMPLES = Bounds(0, 1_000)
"""Bootstrap samples to search in."""
RESAMPLES = Bounds(2, SAMPLES.most)
"""Bootstrap samples that are compared with each other."""
TIMES = Bounds(1, 1_000)
"""How many times as much as chance."""
HEADS = Bounds(1, 10_000)
WIDTH = Bounds(1, 10_000_000)
"""Of a residual stream."""
EDGES = Bounds(1, 100_000_000)
NODES = Bounds(1, 100_000)
"""Of a graph of one prompt."""
LAYER = Bounds(0, 9_999)
LAYERS = Bounds(1, 10_000)
WINDOW = Bounds(2, 1_000_000)
"""Tokens that are run together."""
BATCH = Bounds(1, 10_000_000)
"""Tokens between two savings."""
TOKENS = Bounds(1, 10**12)
"""Of a corpus."""
EXAMPLES = Bounds(1, 1_000)
"""Kept of each neuron."""
ROWS = Bounds(0, 1_000_000)
"""That are listed."""
MODELS = Bounds(1, 20)
"""That are compared; each is loaded once."""
LANES = Bounds(1, 1_024)
"""Stretches of a text that are read side by side."""
LOOKBACK = Bounds(16, 65_535)
"""Tokens that a compressor's model looks back on."""
WORKERS = Bounds(1, 1_024)
"""Processes or threads."""
PORT = Bounds(0, 65_535)
POSITION = Bounds(-1_000_000, 1_000_000)
"""In a prompt; negative ones count from its end."""
