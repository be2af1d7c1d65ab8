"""Every editor side by side on SmolLM2-135M: the table of docs/results/editing.md.

    python benchmarks/editing.py --methods r-rome ft-m --cases 7      # adds what is missing, a case a line
    python benchmarks/editing.py --sequence 10 --methods r-rome       # ten edits, one on another
    python benchmarks/editing.py --write                              # makes the table of the lines there are

Results lie in docs/results/editing.jsonl; a run that is stopped goes on where it was. A line takes 5 to 15 s of one
core (statistics apart), so the whole table (8 methods, 56 cases) about 90 minutes; `--sequence` costs the same a case.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import fmean, median
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import psutil

from wheatstone.editing import (
    KINDS,
    METHODS,
    Case,
    Edit,
    Evaluation,
    Steering,
    baseline_of,
    evaluate,
    key_statistics,
    make_edit,
    relation_cases,
    score_rows,
    steer,
    weights_hash,
)
from wheatstone.models import ResidualModel, load_model
from wheatstone.tasks import bundled_relation

RELATIONS = (
    "country_capital",
    "country_language",
    "country_continent",
    "landmark_country",
    "city_country",
    "person_nationality",
    "product_company",
    "company_headquarters",
)
LAYER = 6
"""Where all methods but lora write, so that they are compared at one place."""
STEERING = "steering"
RESULTS = Path(__file__).parents[1] / "docs/results/editing.jsonl"
PAGE = RESULTS.with_suffix(".md")
_BEGIN, _END = "<!-- table: begin -->", "<!-- table: end -->"


def steering_of(model: ResidualModel, case: Case) -> Steering:
    """Toward the prompts of the relation that the target answers, away from those that the old object answers."""
    relation = bundled_relation(case.group)
    asked = {fact.answers: relation.templates[0].replace("{subject}", fact.subject) for fact in relation.facts}
    toward = [prompt for answers, prompt in asked.items() if case.request.target in answers][:8]
    return steer(model, toward, [case.request.prompt], layer=LAYER * 2)


@contextmanager
def peak_memory() -> Generator[list[float]]:
    """MB that the process takes more at its largest than at the start; looked at every 20 ms."""
    process, found, done = psutil.Process(), [0.0], threading.Event()
    start = process.memory_info().rss

    def look() -> None:
        while not done.wait(0.02):
            found[0] = max(found[0], (process.memory_info().rss - start) / 1e6)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def made(
    model: ResidualModel, method: str, case: Case, before: Sequence[Edit]
) -> tuple[Edit | Steering, dict[str, Any]]:
    """An edit, and what it cost."""
    wall, processor = time.perf_counter(), time.process_time()
    with peak_memory() as memory:
        if method == STEERING:
            edit: Edit | Steering = steering_of(model, case)
        else:
            layer = None if method == "lora" else LAYER
            edit = make_edit(model, case.request, method, layer=layer, before=before)
    return edit, {
        "seconds": round(time.perf_counter() - wall, 2),
        "processor_seconds": round(time.process_time() - processor, 2),
        "memory_mb": round(memory[0]),
    }


def run(
    model: ResidualModel, methods: Sequence[str], cases: Sequence[Case], sequence: int, known: set[tuple[str, int, str]]
) -> None:
    """Adds the lines that are missing: for each group of cases that are in place together, every method."""
    for start in range(0, len(cases) - sequence + 1, sequence):
        group = cases[start : start + sequence]
        missing = [name for name in methods if not all((name, sequence, case.name) in known for case in group)]
        baselines = [baseline_of(model, case) for case in group] if missing else []
        for method in missing:
            if method != STEERING:
                key_statistics(model, [LAYER] if "rome" in method else range(LAYER - 2, LAYER + 1))
            with ExitStack() as applied:
                edits: list[Edit] = []
                costs: list[dict[str, Any]] = []
                for case in group:
                    edit, cost = made(model, method, case, edits)
                    applied.enter_context(edit.applied(model))
                    costs.append(cost)
                    if isinstance(edit, Edit):
                        edits.append(edit)
                evaluations = [evaluate(model, *one) for one in zip(group, baselines, strict=True)]
            rows = [
                {"method": method, "sequence": sequence, "layer": LAYER, "case": case.name, "group": case.group}
                | cost
                | evaluation.document()
                for case, cost, evaluation in zip(group, costs, evaluations, strict=True)
            ]
            with RESULTS.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            print(method, sequence, group[0].name, f"{costs[0]['processor_seconds']} s", flush=True)


def lines() -> list[dict[str, Any]]:
    """What is there."""
    return [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()] if RESULTS.exists() else []


def table(found: Sequence[dict[str, Any]]) -> str:
    """The lines as tables, one for each length of sequence."""
    found = [line for line in found if line["layer"] == LAYER]
    parts: list[str] = []
    for sequence in sorted({line["sequence"] for line in found}):
        heads = [*KINDS, "score", "perplexity", "fluency", "seconds", "MB", "n"]
        what = "One edit at a time" if sequence == 1 else f"{sequence} edits, one on another, all judged at the end"
        parts += [f"\n### {what}\n", "| method | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
        for method in (*METHODS, STEERING):
            rows = [line for line in found if line["method"] == method and line["sequence"] == sequence]
            if not rows:
                continue
            evaluations = [Evaluation.from_document(row) for row in rows]
            scores = {row.kind: row for row in score_rows(evaluations)}
            cells: list[str] = []
            for kind in (*KINDS, "score"):
                row = scores.get(kind)
                if row is None:
                    cells.append("–")
                    continue
                interval = "" if row.low is None else f" [{row.low:.0%}–{row.high:.0%}]"
                cells.append(f"{row.teacher_forced:.0%}{interval} / {row.free:.0%}")
            before = fmean(one.fluency_before for one in evaluations)
            cells += [
                f"×{median(one.perplexity for one in evaluations):.3f}",
                f"{fmean(one.fluency for one in evaluations):.2f} ({before:.2f})",
                f"{median(row['processor_seconds'] for row in rows):.1f}",
                f"{median(row['memory_mb'] for row in rows):.0f}",
                str(len(rows)),
            ]
            parts.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return "\n".join(parts) + "\n"


def main() -> None:
    """Adds lines, or writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=[*METHODS, STEERING], choices=[*METHODS, STEERING])
    parser.add_argument("--relations", nargs="+", default=RELATIONS)
    parser.add_argument("--cases", type=int, default=7, help="of each relation")
    parser.add_argument("--sequence", type=int, default=1, help="edits that are in place together")
    parser.add_argument("--write", action="store_true", help="only write the table")
    options = parser.parse_args()
    if options.write:
        text = PAGE.read_text("utf-8")
        before, rest = text.split(_BEGIN)
        PAGE.write_text(before + _BEGIN + "\n" + table(lines()) + _END + rest.split(_END)[1], "utf-8")
        return
    model = load_model("smollm2-135m")
    whole = weights_hash(model)
    cases = relation_cases(model, options.relations, options.cases)
    by_turn = sorted(cases, key=lambda case: [one.name for one in cases if one.group == case.group].index(case.name))
    known = {(line["method"], line["sequence"], line["case"]) for line in lines() if line["layer"] == LAYER}
    run(model, options.methods, by_turn, options.sequence, known)
    assert weights_hash(model) == whole, "an edit was not undone"
    print(table(lines()))


if __name__ == "__main__":
    main()
