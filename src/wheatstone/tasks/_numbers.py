"""Numbers of an answer as they are read; without torch, for pages are written where no model is."""


def chance(probability: float) -> str:
    """A probability, to one digit below a tenth: `p = 0.39`, `p = 0.0003`, `p < 0.0001`."""
    if 0 < probability < 0.0001:
        return "p < 0.0001"
    return f"p = {probability:.2f}" if probability >= 0.1 else f"p = {probability:.1g}"


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `12th`, `1,163rd`."""
    teen = number % 100 in (11, 12, 13)
    return f"{number:,}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
