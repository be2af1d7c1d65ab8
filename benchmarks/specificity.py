"""How much more a circuit keeps than circuits that chance gives, on many tasks: docs/results/specificity.md.

    python benchmarks/specificity.py [--tasks ioi …] [--write]

For every task: the 3% of edges that EAP-IG ranks first on at most 16 prompts, against copies with heads exchanged and
against what the same scoring finds when answers are shuffled, all on at most 16 held-out facts. Each finished task is
a line of docs/results/specificity.jsonl, and a second start does only what is missing. `--write` makes the page of the
lines that there are.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import wheatstone as ws
from wheatstone.circuits import exchanged_heads
from wheatstone.discovery import scores_by_prompt
from wheatstone.tasks import PromptPair, bundled_relations, load_task
from wheatstone.verification import (
    EXCHANGED,
    SHUFFLED,
    Carried,
    Estimate,
    Null,
    carried,
    no_circuits,
    null_line,
    shuffled_answers,
    words_of,
)

DOCS = Path(__file__).parents[1] / "docs/results"
PAGE, CACHE = DOCS / "specificity.md", DOCS / "specificity.jsonl"
FEWEST = 8
"""Prompts and held-out facts that a task needs."""
NAMES = {EXCHANGED: "heads exchanged", SHUFFLED: "shuffled answers"}


@dataclass(frozen=True)
class Setting:
    """How every task is measured.

    Args:
        share: of the edges, in a circuit.
        prompts: that edges are scored on, at most.
        facts: that circuits are measured on, at most.
        draws: copies with heads exchanged.
        shuffles: of the answers.
        least: times as much that a circuit must keep.
        seed: of everything that is drawn.
    """

    share: float = 0.03
    prompts: int = 16
    facts: int = 16
    draws: int = 5
    shuffles: int = 3
    least: float = 1.5
    seed: int = 0


SETTING = Setting()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    every = [
        "ioi",
        "greater-than",
        "induction",
        "a-an",
        "sv-agreement",
        *(f"facts/{name}" for name in bundled_relations()),
    ]
    parser.add_argument("--tasks", nargs="+", default=every, help="bundled tasks")
    parser.add_argument("--write", action="store_true", help="write docs/results/specificity.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = rows_in(CACHE)
    model = None
    for task in options.tasks:
        if task not in done:
            model = model or ws.load_model("smollm2-135m")
            done[task] = measured(model, task)
            line = json.dumps({"task": task, "settings": asdict(SETTING)} | done[task]) + "\n"
            before = CACHE.read_text(encoding="utf-8") if CACHE.is_file() else ""
            partial = CACHE.with_suffix(".partial")
            partial.write_text(before + line, encoding="utf-8")
            partial.replace(CACHE)
        print(row(task, done[task]), flush=True)
    if options.write:
        PAGE.write_text(page(done), encoding="utf-8")


def rows_in(path: Path) -> dict[str, dict[str, Any]]:
    """Of each task what was measured with these settings."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = [json.loads(line) for line in lines]
    return {one["task"]: one for one in rows if one["settings"] == asdict(SETTING)}


def measured(model: ws.ResidualModel, task: str) -> dict[str, Any]:
    """One task's line, or why there is none."""
    started = time.process_time()
    found = load_task(task, model, size=None if task.startswith("facts/") else 100, strict=False)
    train, test = found.train[: SETTING.prompts], found.test[: SETTING.facts]
    if min(len(train), len(test)) < FEWEST:
        return {"missing": f"{len(train)} known prompts to score and {len(test)} to measure on"}
    experiment = ws.Experiment(model, train, allow_weak=True)
    size = int(SETTING.share * model.graph.edges)
    (keep,) = scores_by_prompt(experiment).mean().top([size])
    copies = exchanged_heads(model.graph, keep, SETTING.draws, SETTING.seed)
    nulls = {EXCHANGED: Null(copies, keep), SHUFFLED: shuffled(experiment, train, keep, size)}
    some = {name: null for name, null in nulls.items() if not null.missing}
    masks = torch.cat([keep[None], *(null.masks for null in some.values())])
    on_facts = carried(experiment.over(test), masks)
    shares, at = dict[str, Carried](), 1
    for name, null in some.items():
        places = [0, *range(at, at + len(null.masks))]
        shares[name], at = Carried(on_facts.part[places], on_facts.whole), at + len(null.masks)
    line = null_line(nulls, shares, keep, least=SETTING.least, size=size, measured_on=f"{len(test)} held-out facts")
    return {
        "prompts": len(train),
        "facts": len(test),
        "kept": asdict(on_facts.share()),
        "nulls": {one.name: asdict(one) for one in line.rows},
        "verdict": line.verdict,
        "seconds": round(time.process_time() - started, 1),
    }


def shuffled(experiment: ws.Experiment, train: tuple[PromptPair, ...], keep: torch.Tensor, size: int) -> Null:
    """Circuits of the same scoring when answers are shuffled."""
    masks: list[torch.Tensor] = []
    for draw in range(SETTING.shuffles):
        pairs = shuffled_answers(train, SETTING.seed + draw)
        if pairs is None:
            return no_circuits(keep, "shuffled answers coincide")
        masks += scores_by_prompt(experiment, pairs).mean().top([size])
    return Null(torch.stack(masks), keep)


def row(task: str, found: dict[str, Any]) -> str:
    """One line of the table."""
    if "missing" in found:
        return f"| {task} | not measured: {found['missing']} |" + " |" * 7
    cells = [task, str(found["prompts"]), str(found["facts"]), words_of(Estimate(**found["kept"]))]
    for name in (EXCHANGED, SHUFFLED):
        null = found["nulls"][name]
        kept = null["missing"] or words_of(Estimate(**null["kept"]))
        cells += [kept, times(null)]
    return f"| {' | '.join((*cells, found['verdict']))} |"


def times(null: dict[str, Any]) -> str:
    """`1.8 (1.4 to 2.8)`; nothing where chance keeps about nothing."""
    one = null["specificity"]
    return "" if one is None else f"{one['value']:.1f} ({one['low']:.1f} to {one['high']:.1f})"


def page(done: dict[str, dict[str, Any]]) -> str:
    """The whole page."""
    head = ("task", "prompts", "facts", "circuit keeps")
    for name in NAMES.values():
        head += (f"{name} keep", "times as much")
    head += (f"at least {SETTING.least:g} times",)
    unmeasured = [f"facts/{name}" for name in bundled_relations() if f"facts/{name}" not in done]
    known = {task: found for task, found in done.items() if "missing" not in found}
    relations = [task for task in known if task.startswith("facts/")]
    said = [
        f"Against {of} the ratio is at least {SETTING.least:g} with its whole interval on {passes(known, name)}."
        for name, of in NAMES.items()
    ]
    minutes = sum(found["seconds"] for found in known.values()) / 60
    left = f", {len(unmeasured)} bundled relations not run" if unmeasured else ""
    paragraph = (
        f"Made by `python benchmarks/specificity.py --write`{left}. SmolLM2-135M-Instruct (Q4_1), "
        f"{platform.machine()}, one thread, float32, counterfactual ablation, logit difference: {len(known)} tasks, "
        f"{len(relations)} of them relations, in {minutes:.0f} minutes of processor time. Circuit: the "
        f"{SETTING.share:.0%} of edges that EAP-IG ranks first on at most {SETTING.prompts} training prompts. Against "
        f"it are the mean of {SETTING.draws} copies with heads exchanged, and the mean of {SETTING.shuffles} circuits "
        f"of the same scoring with shuffled answers, all on at most {SETTING.facts} held-out facts, with 95% intervals "
        "over facts. A ratio is given where chance clearly keeps something. The last column is the verdict of the "
        f"card's line: supported where what the circuit keeps, less {SETTING.least:g} times what chance keeps, is "
        "above 0 with its whole interval, for every kind of chance that could be measured. So chance that keeps less "
        "than nothing needs no ratio."
    )
    return "\n".join(
        [
            "# How much more a circuit keeps than chance",
            "",
            paragraph,
            "",
            *said,
            "",
            f"| {' | '.join(head)} |",
            "|---" * len(head) + "|",
            *(row(task, found) for task, found in done.items()),
            "",
            "## When this misleads",
            "",
            "* MLPs stay in place when heads are exchanged. A circuit that works by its MLPs alone is no better than "
            "these copies.",
            "* Shuffled answers are answers of the same kind. What they find may share the reading of the subject and "
            "the writing of such words with the true circuit. Whether a low ratio says that, or that the circuit is an "
            "artefact, was not tested.",
            "* A circuit of 3% of the edges that keeps nearly everything leaves little room: 95% against 82% is a "
            "ratio of 1.2.",
            "",
        ]
    )


def passes(known: dict[str, dict[str, Any]], name: str) -> str:
    """How many tasks, and relations among them, reach the least ratio against one kind of chance."""
    measured = {task: one["nulls"][name] for task, one in known.items() if not one["nulls"][name]["missing"]}
    good = [task for task, one in measured.items() if one["specificity"] and one["specificity"]["low"] >= SETTING.least]
    nothing = [task for task, one in measured.items() if one["specificity"] is None]
    found = f"{len(good)} of {len(measured)} tasks"
    return f"{found}; on {len(nothing)} more chance keeps nothing that is clearly above 0" if nothing else found


if __name__ == "__main__":
    main()
