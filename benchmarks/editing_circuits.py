"""What edits do to circuits on SmolLM2-135M-Instruct (Q4_1): a part of docs/results/editing.md.

    python benchmarks/editing_circuits.py            # compares what is missing, an edit a line, then writes
    python benchmarks/editing_circuits.py --write    # only writes

One case of each relation of benchmarks/editing.py, edited by four methods in the layer of the other tables: who
writes the new object, whether the heads that moved the old one move it, which edges of the relation's circuits stay
where these hold, what leaks to neighbours, and how far the rankings of two neighbours and of another relation's fact
change. Results lie in docs/results/editing-circuits.jsonl; a run that is stopped continues where it was. A line takes
two or three searches as `discover --task` does. Lines without `held` are of an earlier version, whose circuits were the
first 200 edges of a ranking.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import numpy as np
from editing import LAYER, RELATIONS, by_turn
from editing_tables import PAGE, Line, lines, write_part

from wheatstone._errors import PromptError
from wheatstone._intervals import DIFFERENCE, SHARE, interval_text, mean_interval, ratio_interval
from wheatstone.circuits import Experiment
from wheatstone.discovery import attribute
from wheatstone.editing import (
    HOLDS,
    Case,
    ComparisonSettings,
    EditRequest,
    compare_edit,
    edit_question,
    make_edit,
    relation_cases,
)
from wheatstone.models import ResidualModel, load_model
from wheatstone.tasks import PromptPair

METHODS = ("r-rome", "memit", "ft-m", "ft-l")
EDGES, NEIGHBOURS, LEAK = 200, 2, 12
RESULTS = PAGE.with_name("editing-circuits.jsonl")
_GROUPS = ("edited MLPs", "later heads", "later MLPs", "the rest")


def compare(methods: Sequence[str]) -> None:
    """Adds the lines that are missing."""
    model = load_model("smollm2-135m")
    known = {(line["method"], line["case"]) for line in lines(RESULTS)}
    cases = one_of_each(model)
    for at, (case, _) in enumerate(cases):
        missing = [name for name in methods if (name, case.name) not in known]
        if not missing:
            continue
        beside = {"neighbour": neighbours_of(model, case), "elsewhere": [cases[at - 1][1]]}
        before = {pair.prompt: edges_of(model, pair) for pairs in beside.values() for pair in pairs}
        for method in missing:
            started = time.process_time()
            edit = make_edit(model, case.request, method, layer=LAYER)
            found = compare_edit(model, edit, ComparisonSettings(neighbours=LEAK))
            ranks = [row for row in found.writers.lens if (row.state, row.site, row.object) == ("after", "last", "new")]
            line = {key: value for key, value in found.summary.items() if key != "settings"}
            line |= {"method": method, "case": case.name, "group": case.group, "layer": LAYER}
            line["first"] = min((row.layer for row in ranks if row.rank == 1), default=None)
            with edit.applied(model):
                line["kept_beside"] = {
                    name: [jaccard(before[pair.prompt], edges_of(model, pair)) for pair in pairs]
                    for name, pairs in beside.items()
                }
            line["processor_seconds"] = round(time.process_time() - started, 1)
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(method, case.name, f"{line['processor_seconds']} s", flush=True)


def one_of_each(model: ResidualModel) -> list[tuple[Case, PromptPair]]:
    """The first case of each relation that has a counterfactual of its length, and what the plain model is asked."""
    found: dict[str, tuple[Case, PromptPair]] = {}
    for case in by_turn(relation_cases(model, RELATIONS, 3)):
        if case.group not in found and (pair := plain_pair(model, case.request)):
            found[case.group] = case, pair
    return list(found.values())


def plain_pair(model: ResidualModel, request: EditRequest) -> PromptPair | None:
    """What the plain model is asked, answer and distractor both its own; None without a counterfactual."""
    try:
        return edit_question(model, request).before
    except PromptError:
        return None


def neighbours_of(model: ResidualModel, case: Case) -> list[PromptPair]:
    """Other subjects of the relation that have one too; the old object is what the relation says."""
    pairs: list[PromptPair] = []
    start, end = case.request.subject_at
    before, after = case.request.prompt[:start], case.request.prompt[end:]
    for probe in case.probes:
        if probe.kind == "neighbourhood" and len(pairs) < NEIGHBOURS:
            subject = probe.prompt.removeprefix(before).removesuffix(after)
            asked = EditRequest(
                prompt=probe.prompt, subject=subject, target=case.request.target, truth=probe.answers[0]
            )
            if pair := plain_pair(model, asked):
                pairs.append(pair)
    return pairs


def edges_of(model: ResidualModel, pair: PromptPair) -> np.ndarray:
    """The first edges of the ranking, as a mask."""
    (keep,) = attribute(Experiment(model, [pair]), method="eap-ig").top([EDGES])
    return keep.cpu().numpy()


def jaccard(first: np.ndarray, second: np.ndarray) -> float:
    """Edges of both, of those of either."""
    return round(float((first & second).sum() / (first | second).sum()), 4)


def table(found: Sequence[Line]) -> str:
    """Methods side by side: means over edits, and shares of what all edits gained, with 95% intervals over edits."""
    rows: dict[str, Callable[[Line], float | tuple[float, float] | None]] = {
        **{f"share of the gain: {group}": lambda line, group=group: _share(line, group) for group in _GROUPS},
        "share over the old object: later heads": lambda line: _share(line, "later heads", "gain_over_old"),
        "share over the old object: later MLPs": lambda line: _share(line, "later MLPs", "gain_over_old"),
        "share by the ten heads that wrote most of the old": lambda line: (
            line["writers"]["gain_by_movers_before"],
            line["writers"]["direct_logit"]["gain"],
        ),
        "of the ten heads that write most of the new, those": lambda line: line["writers"]["movers_kept"],
        "layers done when the new object ranks first": lambda line: line["first"],
        "both circuits hold": lambda line: _holds(line),
        "edges kept, of those before, where both hold": lambda line: _circuit(line, "edges"),
        "nodes kept, likewise": lambda line: _circuit(line, "nodes"),
        "faithfulness of the circuit before": lambda line: _faithfulness(line, "before"),
        "– and after": lambda line: _faithfulness(line, "after"),
        "neighbours that say something else": lambda line: line["leak"]["changed"] / max(1, line["leak"]["n"]),
        "leak predicted by the key at the subject": lambda line: _leak(line, "at_subject"),
        "leak predicted by the key at the last token": lambda line: _leak(line, "at_last"),
        f"a neighbour's first {EDGES} edges of the ranking, Jaccard": lambda line: _beside(line, "neighbour"),
        "another relation's fact's, Jaccard": lambda line: _beside(line, "elsewhere"),
    }
    if not found:
        return "\nNothing is compared yet.\n"
    methods = [name for name in METHODS if any(line["method"] == name for line in found)]
    counts = [sum(line["method"] == name for line in found) for name in methods]
    heads = [f"`{name}` (n = {n})" for name, n in zip(methods, counts, strict=True)]
    parts = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, value in rows.items():
        cells = [
            _cell([value(line) for line in found if line["method"] == method], _bounds(name)) for method in methods
        ]
        parts.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n" + "\n".join(parts) + "\n"


def _bounds(row: str) -> tuple[float, float] | None:
    """What the values of a row cannot exceed."""
    if row.startswith("leak"):
        return DIFFERENCE
    return SHARE if row.startswith(("neighbours", "nodes", "edges", "both")) or row.endswith("Jaccard") else None


def _cell(values: Sequence[float | tuple[float, float] | None], bounds: tuple[float, float] | None) -> str:
    """Their mean, or the share that all first numbers are of all second ones; how many, where some lines have none."""
    pairs = np.array([value if isinstance(value, tuple) else (value, 1.0) for value in values if value is not None])
    if not len(pairs):
        return "–"
    plain = (pairs[:, 1] == 1).all()
    between = interval_text(
        mean_interval(pairs[:, 0], bounds=bounds) if plain else ratio_interval(pairs[:, 0], pairs[:, 1])
    )
    whole = pairs[:, 0].sum() / pairs[:, 1].sum()
    cell = f"{whole:.2f} [{between}]" if between else f"{whole:.2f}"
    return cell + ("" if len(pairs) == len(values) else f", n = {len(pairs)}")


def _share(line: Line, group: str, of: str = "gain") -> tuple[float, float]:
    gains: dict[str, float] = line["writers"][of]
    return gains[group], sum(gains.values())


def _holds(line: Line) -> float | None:
    """Whether both circuits keep enough to be compared; of lines of an earlier version, by their faithfulness alone."""
    circuit: dict[str, Any] | None = line["circuit"]
    if circuit is None:
        return None
    enough = all(abs(1 - reached) <= 1 - HOLDS for reached in circuit["faithfulness"].values())
    return float(circuit.get("holds", enough))


def _circuit(line: Line, of: str) -> float | None:
    if not _holds(line):
        return None
    counts: dict[str, Any] = line["circuit"][of]
    return counts["kept"] / (counts["kept"] + counts["gone"])


def _faithfulness(line: Line, state: str) -> float | None:
    return line["circuit"] and line["circuit"]["faithfulness"][state]


def _leak(line: Line, key: str) -> float | None:
    return line["leak"][key] and line["leak"][key]["rank_correlation"]


def _beside(line: Line, name: str) -> float | None:
    return fmean(line["kept_beside"][name]) if line["kept_beside"][name] else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--write", action="store_true", help="only write the page")
    options = parser.parse_args()
    if not options.write:
        compare(options.methods)
    write_part("circuits", table(lines(RESULTS)))
