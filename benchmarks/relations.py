"""The page of a relation study; of one that is not finished, with the relations that are done.

    wheatstone study --relations all --out runs/relations
    python benchmarks/relations.py runs/relations [--write]

Prints the tables; `--write` puts them into docs/results/relations.md and the pictures into docs/images.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wheatstone.checkpoints import shown_name
from wheatstone.executors import shard_cost
from wheatstone.figures import STUDY_FIGURES
from wheatstone.figures._render import png_of
from wheatstone.figures._report import Picture
from wheatstone.figures._study import describe_overlap
from wheatstone.runs import Run
from wheatstone.studies import study_so_far

DOCS = Path(__file__).parent.parent / "docs"
AIM = 0.9
CONDITIONS = ("model", "circuit", "complement", "random", "empty")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a study")
    parser.add_argument("--write", action="store_true", help="write docs/results/relations.md")
    options = parser.parse_args()
    finished = (options.run / "study.json").is_file()
    study = Run.open(options.run).result if finished else study_so_far(options.run)
    for row in study["relations"]:
        row["cost"] = shard_cost(options.run / "relations" / row["relation"])
    text = page(study)
    print(text)
    if options.write:
        for name, draw in STUDY_FIGURES.items():
            (DOCS / "images" / f"relations-{name}.png").write_bytes(png_of(Picture.of(draw(study)).svg, scale=1))
        (DOCS / "results" / "relations.md").write_text(text, encoding="utf-8")


def page(study: dict[str, Any]) -> str:
    """The whole page."""
    settings, rows = study["settings"], study["relations"]
    minutes, used = (sum(row["cost"][kind] for row in rows) / 60 for kind in ("seconds", "processor_seconds"))
    parts = [
        f"# Relations on {shown_name(study['model'])}",
        f"Made by `wheatstone study` and `python benchmarks/relations.py RUN --write`: {len(rows)} relations in "
        f"{minutes:.0f} minutes ({used:.0f} of processor time), at most {settings['train']} training and "
        f"{settings['test']} test facts each, method {settings['method']}, seed {settings['seed']}. [A relation "
        "study](../guides/relation-study.md) says what is done and when it misleads. This is Table 1 of *Knowledge "
        "Circuits in Pretrained Transformers* with test prompts scored against their own labels, and with no number "
        "that padding could change.",
        *_to_do(study.get("to_do", [])),
        *_average(study["average"], settings),
        *_below(rows),
        "## By size",
        "Share of the gain in Hit@10 that nested circuits of one ranking keep. Mean of the relations that count in the "
        "averages, and each relation on its test facts.",
        _table(("facts", *(_share(point) for point in rows[0]["curve"])), _curves(study)),
        "![Gain kept by share of the edges, on training and test facts.](../images/relations-curves.png)",
        "## Hit@10 on test facts",
        "In brackets: 95% intervals over facts. Gain kept: (circuit − empty) / (model − empty); none where "
        "the model is no better than the empty circuit. Facts are those the model knows, so its own Hit@10 is 1.",
        _table(
            ("relation", "facts", "edges", "share", *CONDITIONS, "gain kept"),
            [[*_about(row), *_measured(row, "hit_at_10"), _percent(row["gain_kept"])] for row in rows],
        ),
        "![Bars of Hit@10 by relation and condition.](../images/relations-hits.png)",
        "## By the model's own rank",
        "Test facts of the relations that count in the averages, together, by the place that the model gives the "
        "answer. A known answer may stand tenth; a circuit that moves a few tokens loses it.",
        _by_rank(rows),
        "## Hit@1 and faithfulness on test facts",
        _table(
            ("relation", *CONDITIONS, "faithfulness"),
            [[_name(row), *_measured(row, "hit_at_1"), _with_interval(row, "faithfulness")] for row in rows],
        ),
        "## Transfer: the same circuit under other templates, and asked the other way round",
        "Hit@10 of circuit / model / empty, n facts, gain kept.",
        *_other_templates(study["average"]),
        _transfer(rows),
        "## How each was found",
        "By: the ranking that the circuit is cut from. Validation: the most that a circuit of that ranking keeps of "
        "the gain on validation facts. EAP-IG alone: Hit@10 on test facts of as many edges along EAP-IG's ranking. "
        "Seconds: processor time of one thread.",
        _table(
            ("relation", "known: train / validation / test", "by", "validation", "circuit", "EAP-IG alone", "seconds"),
            [_found(row) for row in rows],
        ),
        "## What the circuits share",
        describe_overlap(study),
        "![Heat maps of the Jaccard overlap of edges and of nodes.](../images/relations-overlap.png)",
        *_unused(study),
    ]
    return "\n\n".join(parts) + "\n"


def _to_do(names: list[str]) -> list[str]:
    return (
        [f"**Not finished**: {len(names)} relations are not done yet, or cannot be studied: {', '.join(names)}."]
        if names
        else []
    )


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


def _below(rows: list[dict[str, Any]]) -> list[str]:
    below = {row["relation"]: row["gain_kept"] for row in rows if not row["few"] and (row["gain_kept"] or 0.0) < AIM}
    told = ", ".join(f"{name} {_percent(kept)}" for name, kept in sorted(below.items(), key=lambda one: one[1] or 0.0))
    return [f"Below {_percent(AIM)}: {told}."] if below else []


def _share(point: dict[str, Any]) -> str:
    return f"{point['share']:.2%}".replace(".00%", "%").replace("0%", "%") if point["share"] < 0.1 else "10%"


def _curves(study: dict[str, Any]) -> list[list[str]]:
    mean = study["average"]["curve"] if study["average"] else []
    lines = [
        [f"mean, {name}", *(_percent(point[f"gain_kept_{split}"]) for point in mean)]
        for split, name in (("test", "test"), ("train", "training"))
        if mean
    ]
    return lines + [
        [_name(row), *(_percent(point["gain_kept_test"]) for point in row["curve"])] for row in study["relations"]
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


def _by_rank(rows: list[dict[str, Any]]) -> str:
    counted = [row["by_model_rank"] for row in rows if not row["few"]]
    lines: list[list[str]] = []
    for name in counted[0] if counted else ():
        total = {key: sum(of[name][key] for of in counted) for key in ("n", "circuit", "empty")}
        n = max(total["n"], 1)
        gain = (total["circuit"] - total["empty"]) / max(total["n"] - total["empty"], 1)
        lines.append([name, str(total["n"]), f"{total['circuit'] / n:.2f}", f"{total['empty'] / n:.2f}", f"{gain:.0%}"])
    return _table(("rank", "facts", "circuit", "empty", "gain kept"), lines)


def _found(row: dict[str, Any]) -> list[str]:
    facts = row["facts"]
    known = f"{facts['train']} / {facts['validation']} / {facts['test']}"
    most = max((tried["kept"] or 0.0 for tried in row["validation"] if tried["by"] == row["found_by"]), default=0.0)
    hit, alone = (row[name]["hit_at_10"] for name in ("test", "ranking_alone"))
    seconds = f"{row['cost']['processor_seconds']:.0f}"
    return [_name(row), known, row["found_by"], _percent(most), f"{hit['circuit']:.2f}", f"{alone:.2f}", seconds]


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
    kept = _percent(found["gain_kept"])
    return f"{hit['circuit']:.2f} / {hit['model']:.2f} / {hit['empty']:.2f}, {found['n']}, {kept}"


def _other_templates(average: dict[str, Any] | None) -> list[str]:
    other = average and average["other_templates"]
    if not other or other["gap"] is None:
        return []
    return [
        f"Under the second and third template the circuits keep {_percent(other['gain_kept'])} of the gain on average, "
        f"{100 * other['gap']:.0f} points less than under the first ({other['n']} relations × templates)."
    ]


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
