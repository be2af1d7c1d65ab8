"""The page of a finished relation study.

    wheatstone study --relations all --out runs/relations
    python benchmarks/relations.py runs/relations [--write]

Prints the tables; `--write` puts them into docs/results/relations.md and the pictures into docs/images.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from wheatstone.figures import STUDY_FIGURES
from wheatstone.figures._study import describe_overlap, read_study

DOCS = Path(__file__).parent.parent / "docs"
CONDITIONS = ("model", "circuit", "complement", "random", "empty")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished study")
    parser.add_argument("--write", action="store_true", help="write docs/results/relations.md")
    options = parser.parse_args()
    study = read_study(options.run)
    text = page(study)
    print(text)
    if options.write:
        for name in STUDY_FIGURES:
            shutil.copyfile(options.run / "figures" / f"{name}.png", DOCS / "images" / f"relations-{name}.png")
        (DOCS / "results" / "relations.md").write_text(text, encoding="utf-8")


def page(study: dict[str, Any]) -> str:
    """The whole page."""
    settings, rows = study["settings"], study["relations"]
    minutes = sum(row["seconds"]["all"] for row in rows) / 60
    parts = [
        f"# Relations on {study['model']['id']}",
        f"Made by `wheatstone study` and `python benchmarks/relations.py RUN --write`: {len(rows)} relations in "
        f"{minutes:.0f} minutes, at most {settings['train']} training and {settings['test']} test facts each, method "
        f"{settings['method']}, seed {settings['seed']}. [A relation study](../guides/relation-study.md) says what is "
        "done and when it misleads. This is Table 1 of *Knowledge Circuits in Pretrained Transformers* with test "
        "prompts scored against their own labels, and with no number that padding could change.",
        *_average(study["average"], settings),
        "## Hit@10 on test facts",
        "In brackets: bootstrap 95% intervals over facts. Gain kept: (circuit − empty) / (model − empty); none where "
        "the model is no better than the empty circuit. Facts are those the model knows, so its own Hit@10 is 1.",
        _table(
            ("relation", "facts", "edges", "share", *CONDITIONS, "gain kept"),
            [[*_about(row), *_measured(row, "hit_at_10"), _percent(row["gain_kept"])] for row in rows],
        ),
        "![Bars of Hit@10 by relation and condition.](../images/relations-hits.png)",
        "## Hit@1 and faithfulness on test facts",
        _table(
            ("relation", *CONDITIONS, "faithfulness"),
            [[_name(row), *_measured(row, "hit_at_1"), _with_interval(row, "faithfulness")] for row in rows],
        ),
        "## Transfer: the same circuit under other templates, and asked the other way round",
        "Hit@10 of circuit / model / empty, n facts.",
        _transfer(rows),
        "## How each was found",
        "Search: edges of the circuit that the search ended with on the training facts, and of the ranking's "
        "smallest circuit that reaches the same goal there.",
        _table(
            (
                "relation",
                "known: train / validation / test",
                "search",
                "ranking alone",
                "circuits run",
                "seconds",
            ),
            [_found(row) for row in rows],
        ),
        "## What the circuits share",
        describe_overlap(study),
        "![Heat maps of the Jaccard overlap of edges and of nodes.](../images/relations-overlap.png)",
        *_unused(study),
    ]
    return "\n\n".join(parts) + "\n"


def _average(average: dict[str, Any] | None, settings: dict[str, Any]) -> list[str]:
    if average is None:
        return ["No relation has ten known test facts, so there are no averages."]
    hit = average["hit_at_10"]
    return [
        f"Over the {average['relations']} relations with at least 10 known test facts: {average['edges']:,.0f} edges "
        f"({average['share']:.2%}) keep {_percent(average['gain_kept'])} of the gain in Hit@10 on average "
        f"({average['with_gain']} relations with a gain; {_percent(average['gain_kept_of_means'])} of the mean gain). "
        f"Mean Hit@10: {', '.join(f'{name} {hit[name]:.3f}' for name in CONDITIONS)}. "
        f"The aim is 90% at 1% of the edges, complement and random no better than empty."
    ]


def _name(row: dict[str, Any]) -> str:
    return f"{row['relation']} (few)" if row["few"] else str(row["relation"])


def _about(row: dict[str, Any]) -> list[str]:
    return [_name(row), str(row["test"]["n"]), f"{row['edges']:,}", f"{row['share']:.2%}"]


def _measured(row: dict[str, Any], measure: str) -> list[str]:
    test = row["test"]
    return [f"{test[measure][name]:.2f}{_interval(test['ci95'][measure][name])}" for name in CONDITIONS]


def _with_interval(row: dict[str, Any], measure: str) -> str:
    return f"{row['test'][measure]:.2f}{_interval(row['test']['ci95'][measure])}"


def _interval(found: list[float] | None) -> str:
    return "" if found is None or found[0] == found[1] else f" [{found[0]:.2f}, {found[1]:.2f}]"


def _found(row: dict[str, Any]) -> list[str]:
    facts = row["facts"]
    known = f"{facts['train']} / {facts['validation']} / {facts['test']}"
    edges, ranked = f"{row['searched_edges']:,}", f"{row['ranked_edges']:,}"
    return [_name(row), known, edges, ranked, f"{row['evaluations']:,}", f"{row['seconds']['all']:.0f}"]


def _transfer(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["transfer"]))
    return _table(
        ("relation", *names), [[_name(row), *(_carried(row["transfer"].get(name)) for name in names)] for row in rows]
    )


def _carried(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    if "why_not" in found:
        return "not asked"
    hit = found["hit_at_10"]
    return f"{hit['circuit']:.2f} / {hit['model']:.2f} / {hit['empty']:.2f}, {found['n']}"


def _unused(study: dict[str, Any]) -> list[str]:
    lines = [f"* {name}: {why}" for name, why in study["failed"].items()]
    lines += [f"* {name}: {problem}" for name, all_ in study["skipped_records"].items() for problem in all_]
    for row in study["relations"]:
        for name, found in row["transfer"].items():
            lines += [f"* {row['relation']}, {name}: {found['why_not']}"] if "why_not" in found else []
    return ["## Not used, and why", "\n".join(lines)] if lines else []


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.0%}"


if __name__ == "__main__":
    main()
