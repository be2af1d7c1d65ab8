"""Where to write a fact: a fixed layer, causal tracing, the fact's own circuit or graph; on the same cases.

    python benchmarks/editing_where.py --cases 7     # adds what is missing, a case a line, then writes
    python benchmarks/editing_where.py --write       # only writes

    fixed     layer 6 for every fact, which tracing picks on average
    traced    where the MLPs of a window bring the fact's own answer back best (what `edit` does without --layer)
    circuit   the MLP that at the subject's last token carries most of the answer: attribution of every node at every
              position, clean output put into the counterfactual run
    graph     the layer whose neurons at the subject's last token carry most influence in the fact's attribution graph

None of them may choose layers whose MLP sees little but the token, the first ones that tracing leaves out. Every fact
is edited by r-rome in each layer that was chosen for it, and judged as in benchmarks/editing.py. Facts without a
counterfactual of their length, or whose graph has no neuron there, are left out of all four. Results lie in
docs/results/editing-where.jsonl; a run that is stopped continues where it was. A fact takes 1 to 2 minutes of one core,
after key statistics of every layer that is chosen.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import numpy as np
from editing import LAYER, RELATIONS, by_turn
from editing_tables import PAGE, Line, lines, write_part

from wheatstone._errors import PromptError
from wheatstone._intervals import DIFFERENCE, SHARE, mean_interval
from wheatstone.circuits import Experiment
from wheatstone.discovery import node_scores
from wheatstone.editing import (
    KINDS,
    Case,
    EditQuestion,
    Evaluation,
    baseline_of,
    edit_question,
    evaluate,
    first_window_above,
    make_edit,
    relation_cases,
    traced_layer,
)
from wheatstone.graphs import graph
from wheatstone.models import ResidualModel, load_model

RESULTS = PAGE.with_name("editing-where.jsonl")
WAYS = ("fixed", "traced", "circuit", "graph")
METHOD = "r-rome"


def layers_of(model: ResidualModel, question: EditQuestion) -> tuple[dict[str, int], dict[str, float]] | None:
    """The layer by each way, and the seconds of processor time that choosing it took; None where one has none."""
    seconds: dict[str, float] = {"fixed": 0.0}
    chosen = {"fixed": LAYER}
    for way, choose in (("traced", _traced), ("circuit", _circuit), ("graph", _graph)):
        started = time.process_time()
        layer = choose(model, question)
        if layer is None:
            return None
        chosen[way], seconds[way] = layer, round(time.process_time() - started, 1)
    return chosen, seconds


def _traced(model: ResidualModel, question: EditQuestion) -> int:
    return traced_layer(model, [question.asked])


def _circuit(model: ResidualModel, question: EditQuestion) -> int:
    experiment = Experiment(model, [question.before], allow_weak=True)
    scores = node_scores(experiment, direction="denoising", positions=True)
    assert scores.positions is not None
    at = scores.positions[:, 0, question.asked.key_at]
    return _largest({layer: float(at[experiment.graph.nodes.index(f"m{layer}")]) for layer in _free(model)})


def _graph(model: ResidualModel, question: EditQuestion) -> int | None:
    pair = question.before
    found = graph(
        model,
        pair.prompt,
        pair.answers[0],
        counterfactual=pair.counterfactual or (),
        distractor=pair.distractors[0],
    )
    sums: Counter[int] = Counter()
    for row in found.rows:
        if (row.kind, row.position) == ("neuron", question.asked.key_at) and row.layer in _free(model):
            sums[row.layer] += row.influence or 0.0
    return _largest(sums) if sums else None


def _free(model: ResidualModel) -> range:
    return range(first_window_above(model), model.graph.layers)


def _largest(values: dict[int, float]) -> int:
    return max(values, key=lambda layer: values[layer])


def compare(each: int) -> None:
    """Adds the cases that are missing."""
    model = load_model("smollm2-135m")
    known = {line["case"] for line in lines(RESULTS)}
    for case in by_turn(relation_cases(model, RELATIONS, each)):
        if case.name in known:
            continue
        line: dict[str, Any] = {"case": case.name, "group": case.group}
        if found := _ways(model, case):
            line |= found
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(case.name, line.get("layers", "left out"), flush=True)


def _ways(model: ResidualModel, case: Case) -> dict[str, Any] | None:
    try:
        question = edit_question(model, case.request)
    except PromptError:
        return None
    if (found := layers_of(model, question)) is None:
        return None
    chosen, seconds = found
    before = baseline_of(model, case)
    scores: dict[str, Any] = {}
    for layer in sorted(set(chosen.values())):
        with make_edit(model, case.request, METHOD, layer=layer).applied(model):
            scores[str(layer)] = evaluate(model, case, before).document()
    return {"layers": chosen, "seconds": seconds, "evaluations": scores}


def table(found: Sequence[Line]) -> str:
    """Each way's scores, and what it gains over the fixed layer case by case."""
    rows = [line for line in found if "layers" in line]
    if not rows:
        return "\nNothing is measured yet.\n"
    heads = ["layer chosen by", *KINDS, "efficacy over fixed", "neighbourhood over fixed", "layers", "seconds"]
    parts = [
        f"\n{len(rows)} cases of {len({row['group'] for row in rows})} relations, the same for all; "
        f"{len(found) - len(rows)} left out for want of a counterfactual or of neurons at the subject. "
        "Teacher-forced / eight tokens; differences are teacher-forced, in points [95% interval over cases].\n",
        "| " + " | ".join(heads) + " |",
        "|---" * len(heads) + "|",
    ]
    for way in WAYS:
        evaluations = [_at(row, way) for row in rows]
        cells = [_mean(evaluations, kind) for kind in KINDS]
        for kind in ("efficacy", "neighbourhood"):
            pairs = [(_at(row, way).mean(kind), _at(row, "fixed").mean(kind)) for row in rows]
            gains = [own[0] - fixed[0] for own, fixed in pairs if own and fixed]
            cells.append("–" if way == "fixed" else _signed(gains))
        counts = Counter(row["layers"][way] for row in rows)
        cells.append(", ".join(f"{layer} ({n})" for layer, n in sorted(counts.items())))
        cells.append(f"{sum(row['seconds'][way] for row in rows) / len(rows):.1f}")
        parts.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(parts) + "\n"


def _at(row: Line, way: str) -> Evaluation:
    return Evaluation.from_document(row["evaluations"][str(row["layers"][way])])


def _mean(evaluations: Sequence[Evaluation], kind: str) -> str:
    means = [mean for one in evaluations if (mean := one.mean(kind)) is not None]
    if not means:
        return "–"
    forced, free = zip(*means, strict=True)
    ends = mean_interval(np.array(forced), bounds=SHARE)
    interval = f" [{ends[0]:.0%}–{ends[1]:.0%}]" if ends else ""
    return f"{sum(forced) / len(forced):.0%}{interval} / {sum(free) / len(free):.0%}"


def _signed(gains: Sequence[float]) -> str:
    ends = mean_interval(np.array(gains), bounds=DIFFERENCE)
    interval = f" [{100 * ends[0]:+.0f} to {100 * ends[1]:+.0f}]" if ends else ""
    return f"{100 * sum(gains) / len(gains):+.0f}{interval}" if gains else "–"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=7, help="of each relation")
    parser.add_argument("--write", action="store_true", help="only write the page")
    options = parser.parse_args()
    if not options.write:
        compare(options.cases)
    write_part("where", table(lines(RESULTS)))
