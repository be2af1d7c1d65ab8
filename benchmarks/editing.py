"""Every editor side by side on SmolLM2-135M-Instruct (Q4_1): the tables of docs/results/editing.md.

    python benchmarks/editing.py --methods r-rome ft-m --cases 7      # adds what is missing, a case a line
    python benchmarks/editing.py --sequence 10 --orders 3 --methods r-rome
    python benchmarks/editing.py --sequence 100 --cases 13 --judged 25 --orders 3 --methods memit nas ultraedit
    python benchmarks/editing.py --sequence 100 --batch 100 --cases 13 --judged 25 --methods memit
    python benchmarks/editing.py --sequence 1000 --batch 100 --cases 200 --judged 50 --methods memit nas ultraedit
    python benchmarks/editing.py --costs                              # of statistics from nothing, of an edit
    python benchmarks/editing.py --write                              # makes the tables of the lines there are

Results lie in docs/results/editing.jsonl. The edits of a sequence are in a ledger under the cache folder, each on disk
before the next is begun: a run that is stopped continues where it was, and memory grows by an edit's factors alone. An
edit by `memit` takes 4 to 8 s of a busy core (statistics apart), a judged case 5 s. `--orders` repeats a
sequence in other orders and judges the same cases in each. With `--batch` that many facts are one edit, as `memit` is
meant to be used; its cost is shared out among them. An edit whose target is the present answer already, because an
earlier one spilt over, is not made: that is counted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import psutil
from editing_tables import RESULTS, layer_of, lines, tables, use_tables, write_part

from wheatstone._disk import replaced
from wheatstone._errors import PromptError
from wheatstone._home import home
from wheatstone.editing import (
    METHODS,
    Baseline,
    Case,
    Edit,
    Ledger,
    Steering,
    abilities_of,
    ability_prompts,
    ability_rows,
    add_edits,
    baseline_of,
    evaluate,
    is_ledger,
    key_statistics,
    make_edit,
    open_ledger,
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
"""Where the methods that write facts at the subject are compared: one place for all."""
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


def cost_of(seconds: float, processor: float, memory: float, facts: int) -> dict[str, Any]:
    """What a fact's edit cost."""
    each = {"seconds": seconds / facts, "processor_seconds": processor / facts}
    return {name: round(value, 2) for name, value in each.items()} | {"memory_mb": round(memory)}


def made(model: ResidualModel, method: str, case: Case) -> tuple[Edit | Steering, dict[str, Any]]:
    """An edit of the plain model, and what it cost."""
    wall, processor = time.perf_counter(), time.process_time()
    with peak_memory() as memory:
        if method == STEERING:
            edit: Edit | Steering = steering_of(model, case)
        else:
            edit = make_edit(model, case.request, method, layer=_layer(method))
    return edit, cost_of(time.perf_counter() - wall, time.process_time() - processor, memory[0], 1)


def _layer(method: str) -> int | None:
    return None if method == "lora" else layer_of(method, LAYER)


def made_in_turn(
    model: ResidualModel, method: str, cases: Sequence[Case], batch: int, folder: Path
) -> tuple[Ledger, dict[str, dict[str, Any]]]:
    """The ledger of a sequence, continued where it was; and what each case's edit cost, kept beside it."""
    kept = folder.with_suffix(".costs.json")
    costs: dict[str, dict[str, Any]] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    for start in range(0, len(cases), batch):
        part = cases[start : start + batch]
        if all(case.name in costs for case in part):
            continue
        there = [request for entry in _ledger(model, folder).entries for request in entry.edit.requests]
        wall, processor = time.perf_counter(), time.process_time()
        with peak_memory() as memory:
            requests = [case.request for case in part]
            on_disk = any(request in there for request in requests)  # stopped before its cost was kept
            if not on_disk:
                try:
                    add_edits(folder, model, requests, method, layer=_layer(method), at_once=True)
                except PromptError as error:
                    print(f"  not made: {error}", flush=True)
        cost = cost_of(time.perf_counter() - wall, time.process_time() - processor, memory[0], len(part))
        if on_disk:
            cost = dict.fromkeys(cost)
        costs |= {case.name: cost for case in part}
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replaced(kept) as partial:
            partial.write_text(json.dumps(costs), encoding="utf-8")
        print(f"  {start + len(part):,} of {len(cases):,} facts, {cost['seconds'] or 0:.1f} s a fact", flush=True)
    return _ledger(model, folder), costs


def _ledger(model: ResidualModel, folder: Path) -> Ledger:
    return open_ledger(folder) if is_ledger(folder) else Ledger.of(model)


def run(
    model: ResidualModel,
    methods: Sequence[str],
    cases: Sequence[Case],
    sequence: int,
    batch: int,
    judged: int,
    orders: int,
    known: set[tuple[str, int, int, int, str]],
) -> None:
    """Adds the lines that are missing: for each group of cases that are in place together, every method and order.

    Args:
        model: the model.
        methods: to compare.
        cases: in order.
        sequence: how many are in place together.
        batch: facts of one edit.
        judged: of them, at most this many are judged, the same in every order.
        orders: of each sequence.
        known: lines that are there: method, sequence, batch, order, case.
    """
    prompts = ability_prompts(model) if sequence > 1 else {}
    before = abilities_of(model, prompts) if prompts else None
    plain: dict[str, Baseline] = {}
    for start in range(0, len(cases) - sequence + 1, sequence):
        group = cases[start : start + sequence]
        sample = [group[at * sequence // judged] for at in range(judged)] if judged < sequence else group
        for order in range(orders):
            turn = Random(order).sample(group, len(group)) if order else group
            for method in methods:
                keys = [(method, sequence, batch, order, case.name) for case in sample]
                missing = [case for case, key in zip(sample, keys, strict=True) if key not in known]
                abilities = (method, sequence, batch, order, f"from {group[0].name}")
                if not missing and (before is None or abilities in known):
                    continue
                print(method, f"{sequence} facts by {batch}, order {order}, from {group[0].name}", flush=True)
                plain |= {case.name: baseline_of(model, case) for case in missing if case.name not in plain}
                if method != STEERING:
                    key_statistics(model, [LAYER] if "rome" in method else range(LAYER - 2, LAYER + 1))
                if sequence == 1:
                    edit, cost = made(model, method, group[0])
                    costs, applied, count = {group[0].name: cost}, edit.applied(model), 1
                else:
                    facts = json.dumps([case.request.model_dump() for case in turn])
                    of = hashlib.sha256(facts.encode()).hexdigest()[:12]
                    name = f"{method}-{layer_of(method, LAYER)}-{sequence}-{batch}-{start}-{order}-{of}"
                    folder = home() / "benchmarks" / "editing" / model.sha256[:12] / name
                    ledger, costs = made_in_turn(model, method, turn, batch, folder)
                    applied = ledger.applied(model) if len(ledger) else nullcontext()
                    count = sum(len(entry.edit.requests) for entry in ledger.entries)
                about = {"method": method, "sequence": sequence, "batch": batch, "order": order}
                about |= {"layer": layer_of(method, LAYER), "edits": count}
                with applied:
                    for case in missing:
                        found = evaluate(model, case, plain[case.name]).document()
                        add_line(about | {"case": case.name, "group": case.group} | costs[case.name] | found)
                    if before is not None and abilities not in known:
                        rows = ability_rows(before, abilities_of(model, prompts))
                        add_line(about | {"from": group[0].name, "abilities": [list(row) for row in rows]})


def add_line(line: dict[str, Any]) -> None:
    """Puts a line at the end of the results."""
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def costs(model: ResidualModel, case: Case, methods: Sequence[str]) -> None:
    """Prints seconds of the clock for key statistics of which nothing is kept yet, then for an edit by each method."""
    with TemporaryDirectory() as home:
        os.environ["WHEATSTONE_HOME"] = home
        for layers in ([LAYER], range(LAYER - 2, LAYER + 1)):
            started = time.perf_counter()
            key_statistics(model, layers)
            print(f"key statistics of layers {[*layers]}: {time.perf_counter() - started:.1f} s", flush=True)
        for method in methods:
            print(method, *(f"{made(model, method, case)[1]['seconds']:.1f} s" for _ in range(3)), flush=True)


def main() -> None:
    """Adds lines, or writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=[*METHODS, STEERING], choices=[*METHODS, STEERING])
    parser.add_argument("--relations", nargs="+", default=RELATIONS)
    parser.add_argument("--cases", type=int, default=7, help="of each relation")
    parser.add_argument("--sequence", type=int, default=1, help="edits that are in place together")
    parser.add_argument("--batch", type=int, default=1, help="facts of a sequence that are one edit")
    parser.add_argument("--judged", type=int, default=30, help="of a longer sequence, evenly spread")
    parser.add_argument("--orders", type=int, default=1, help="in which a sequence is made; from three on intervals")
    parser.add_argument("--costs", action="store_true", help="only time statistics and edits, on an idle machine")
    parser.add_argument("--write", action="store_true", help="only write the table")
    options = parser.parse_args()
    if options.sequence % options.batch:
        parser.error(f"--batch must divide --sequence {options.sequence}, not {options.batch}")
    if options.write:
        found = lines(RESULTS)
        write_part("table", tables([line for line in found if "batch" not in line], [*METHODS, STEERING], LAYER))
        write_part("use", use_tables([line for line in found if "batch" in line], [*METHODS, STEERING], LAYER))
        return
    model = load_model("smollm2-135m")
    if options.costs:
        costs(model, relation_cases(model, RELATIONS, 1)[0], options.methods)
        return
    whole = weights_hash(model)
    cases = by_turn(relation_cases(model, options.relations, options.cases))
    if options.sequence > len(cases):
        parser.error(f"only {len(cases)} cases, fewer than --sequence {options.sequence}: give --cases or --relations")
    known = {
        (line["method"], line["sequence"], line["batch"], line["order"], line.get("case") or f"from {line['from']}")
        for line in lines(RESULTS)
        if "batch" in line and line["layer"] == layer_of(line["method"], LAYER)
    }
    run(
        model,
        [method for method in options.methods if options.sequence == 1 or method != STEERING],
        cases,
        options.sequence,
        options.batch,
        options.judged,
        options.orders if options.sequence > 1 else 1,
        known,
    )
    assert weights_hash(model) == whole, "an edit was not undone"


if __name__ == "__main__":
    main()
