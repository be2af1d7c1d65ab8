"""The cards of the studio's example runs, side by side: `python benchmarks/cards.py [--write]`.

Prints the page; `--write` puts it into docs/results/cards.md. The cards are made with the examples, by
scripts/examples.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from wheatstone.cards import read_card
from wheatstone.runs import Run
from wheatstone.studio._library import EXAMPLES
from wheatstone.verification import LINES, Card

PAGE = Path(__file__).parent.parent / "docs/results/cards.md"
HEAD = """# Cards of the examples

Made by `python benchmarks/cards.py --write` from the cards that the studio's examples contain; each card by
`wheatstone card RUN` with its defaults. [The guide](../guides/card.md) says what each line means.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/results/cards.md")
    options = parser.parse_args()
    runs = {folder.name: folder for folder in sorted(EXAMPLES.iterdir()) if (folder / "card.json").is_file()}
    text = page({name: (Run.open(folder).title, read_card(folder)[0]) for name, folder in runs.items()})
    print(text)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")


def page(cards: dict[str, tuple[str, Card]]) -> str:
    """The whole page."""
    rows = [
        f"| {title} | {card.edges:,} | {' | '.join(line.verdict for _, line in card.lines)} |"
        for title, card in cards.values()
    ]
    table = [f"| example | edges | {' | '.join(LINES)} |", "|---" * (len(LINES) + 2) + "|", *rows]
    parts = [HEAD, "\n".join(table), *(_section(title, card) for title, card in cards.values())]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _section(title: str, card: Card) -> str:
    lines = [f"* **{line.claim}** {line.verdict.capitalize()}. {line.why}" for _, line in card.lines]
    return "\n".join([f"## {title}\n", *lines])


if __name__ == "__main__":
    main()
