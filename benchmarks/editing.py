"""Every editor side by side on SmolLM2-135M-Instruct (Q4_1): the table of docs/results/editing.md.

    python benchmarks/editing.py --methods r-rome ft-m --cases 7      # adds what is missing, a case a line
    python benchmarks/editing.py --sequence 10 --methods r-rome       # ten edits, one on another
    python benchmarks/editing.py --sequence 100 --cases 13 --judged 25 --methods r-rome
    python benchmarks/editing.py --sequence 100 --cases 13 --judged 25 --methods memit alphaedit --together
    python benchmarks/editing.py --costs                              # of statistics from nothing, of an edit
    python benchmarks/editing.py --write                              # makes the tables of the lines there are

Results lie in docs/results/editing.jsonl; a run that is stopped goes on where it was. A line takes 5 to 15 s of one
core (statistics apart), so the whole table (8 methods, 56 cases) about 90 minutes; `--sequence` costs the same a case,
with `--judged` half of that for those that are only edited. With `--together` the facts of a sequence are one edit, as
`memit` is meant to be used; its cost is shared out among them. An edit of a sequence whose target is the present answer
already, because an earlier one spilt over, is not made: that is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import psutil
from editing_tables import RESULTS, lines, tables, write_part

from wheatstone._errors import PromptError
from wheatstone.editing import (
    METHODS,
    Case,
    Edit,
    Steering,
    baseline_of,
    evaluate,
    key_statistics,
    make_edit,
    relation_cases,
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


def by_turn(cases: Sequence[Case]) -> list[Case]:
    """The first case of every relation, then the second of each …"""
    place: dict[str, int] = {}
    for group in {case.group for case in cases}:
        place |= {case.name: at for at, case in enumerate(one for one in cases if one.group == group)}
    return sorted(cases, key=lambda case: place[case.name])


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
    model: ResidualModel, method: str, cases: Sequence[Case], before: Sequence[Edit]
) -> tuple[Edit | Steering | None, dict[str, Any]]:
    """An edit, and what it cost a case; none where earlier edits make the model say the target already."""
    wall, processor = time.perf_counter(), time.process_time()
    with peak_memory() as memory:
        if method == STEERING:
            edit: Edit | Steering | None = steering_of(model, cases[0])
        else:
            requests = [case.request for case in cases]
            try:
                edit = make_edit(model, requests, method, layer=None if method == "lora" else LAYER, before=before)
            except PromptError:
                if not before:
                    raise
                edit = None
    return edit, {
        "seconds": round((time.perf_counter() - wall) / len(cases), 2),
        "processor_seconds": round((time.process_time() - processor) / len(cases), 2),
        "memory_mb": round(memory[0]),
    }


def run(
    model: ResidualModel,
    methods: Sequence[str],
    cases: Sequence[Case],
    sequence: int,
    judged: int,
    together: bool,
    known: set[tuple[str, int, bool, str]],
) -> None:
    """Adds the lines that are missing: for each group of cases that are in place together, every method.

    Args:
        model: the model.
        methods: to compare.
        cases: in order.
        sequence: how many are in place together.
        judged: of them, at most so many are judged, evenly spread over the sequence.
        together: whether they are one edit rather than one a case.
        known: lines that are there: method, sequence, whether together, case.
    """
    for start in range(0, len(cases) - sequence + 1, sequence):
        group = cases[start : start + sequence]
        chosen = {at * sequence // judged for at in range(judged)} if judged < sequence else range(sequence)
        sample = [case for at, case in enumerate(group) if at in chosen]
        missing = [
            name for name in methods if any((name, sequence, together, case.name) not in known for case in sample)
        ]
        baselines = [baseline_of(model, case) for case in sample] if missing else []
        for method in missing:
            if method != STEERING:
                key_statistics(model, [LAYER] if "rome" in method else range(LAYER - 2, LAYER + 1))
            with ExitStack() as applied:
                edits: list[Edit] = []
                costs: dict[str, dict[str, Any]] = {}
                for part in [group] if together else [[case] for case in group]:
                    edit, cost = made(model, method, part, edits)
                    costs |= {case.name: cost for case in part}
                    if edit is not None:
                        applied.enter_context(edit.applied(model))
                    if isinstance(edit, Edit):
                        edits.append(edit)
                evaluations = [evaluate(model, *one) for one in zip(sample, baselines, strict=True)]
            about = {"method": method, "sequence": sequence, "layer": LAYER, "edits": len(edits)}
            about |= {"together": True} if together else {}
            rows = [
                about | {"case": case.name, "group": case.group} | costs[case.name] | evaluation.document()
                for case, evaluation in zip(sample, evaluations, strict=True)
            ]
            with RESULTS.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            seconds = sum(cost["processor_seconds"] for cost in costs.values())
            print(method, sequence, group[0].name, f"{seconds:.1f} s", flush=True)


def costs(model: ResidualModel, case: Case, methods: Sequence[str]) -> None:
    """Prints seconds of the clock for key statistics of which nothing is kept yet, then for an edit by each method."""
    with TemporaryDirectory() as home:
        os.environ["WHEATSTONE_HOME"] = home
        for layers in ([LAYER], range(LAYER - 2, LAYER + 1)):
            started = time.perf_counter()
            key_statistics(model, layers)
            print(f"key statistics of layers {[*layers]}: {time.perf_counter() - started:.1f} s", flush=True)
        for method in methods:
            print(method, *(f"{made(model, method, [case], [])[1]['seconds']:.1f} s" for _ in range(3)), flush=True)


def main() -> None:
    """Adds lines, or writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=[*METHODS, STEERING], choices=[*METHODS, STEERING])
    parser.add_argument("--relations", nargs="+", default=RELATIONS)
    parser.add_argument("--cases", type=int, default=7, help="of each relation")
    parser.add_argument("--sequence", type=int, default=1, help="edits that are in place together")
    parser.add_argument("--judged", type=int, default=30, help="of a longer sequence, evenly spread")
    parser.add_argument("--together", action="store_true", help="make the facts of a sequence one edit")
    parser.add_argument("--costs", action="store_true", help="only time statistics and edits, on an idle machine")
    parser.add_argument("--write", action="store_true", help="only write the table")
    options = parser.parse_args()
    if options.write:
        write_part("table", tables(lines(RESULTS), [*METHODS, STEERING], LAYER))
        return
    model = load_model("smollm2-135m")
    if options.costs:
        costs(model, relation_cases(model, RELATIONS, 1)[0], options.methods)
        return
    whole = weights_hash(model)
    cases = by_turn(relation_cases(model, options.relations, options.cases))
    known = {
        (line["method"], line["sequence"], line.get("together", False), line["case"])
        for line in lines(RESULTS)
        if line["layer"] == LAYER
    }
    run(model, options.methods, cases, options.sequence, options.judged, options.together, known)
    assert weights_hash(model) == whole, "an edit was not undone"
    print(tables(lines(RESULTS), [*METHODS, STEERING], LAYER))


if __name__ == "__main__":
    main()
