"""How far are the time and the memory that `discover --dry-run` expects from what a discovery takes?

    python benchmarks/plans.py [--only WORD …] [--memory] [--write]

Each request is planned and then run, with as many threads as torch takes; the requests are others than those that the
plan's constants were fitted on. `--write` puts the table into docs/results/plans.md, with rows of earlier runs for
requests that were left out. All of it takes some twenty minutes of two cores. `--memory` measures memory instead: one
prompt of 12, 192 and 1,024 tokens, each in a process of its own; the experiment, scores by EAP-IG, and circuits as a
discovery runs them, against the bound of the plan.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import torch
from memory import measured as peak_of
from memory import pairs_of

import wheatstone as ws
from wheatstone.discovery import DiscoverySettings, attribute
from wheatstone.studies import expected_seconds, plan_discovery, settings_for, write_discovery
from wheatstone.tasks import PromptPair, Task, load_task

RESULTS = Path(__file__).parents[1] / "docs/results"
ROWS = RESULTS / "plans.jsonl"
PAIRS = {
    "Spain": ("The capital of Spain is", "The capital of Italy is", " Madrid", " Rome"),
    "big": ("The opposite of big is", "The opposite of hot is", " small", " cold"),
    "yen": ("The currency of Japan is the", "The currency of India is the", " yen", " rupee"),
    "Brazil": ("The official language of Brazil is", "The official language of Egypt is", " Portuguese", " Arabic"),
}
TASKS = ("facts/city_country", "facts/us_state_capital", "ioi", "greater-than")


TOKENS = {12: 16, 192: 4, 1024: 1}
"""Tokens of a prompt, and how many circuits are run: more do not fit into the budget together."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[*PAIRS, *TASKS], choices=[*PAIRS, *TASKS])
    parser.add_argument("--memory", action="store_true", help="measure memory, not time")
    parser.add_argument("--tokens", type=int, choices=tuple(TOKENS), help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="write docs/results/plans.md")
    asked = parser.parse_args()
    if asked.tokens:
        print(json.dumps(memory(asked.tokens)))
        return
    rows = {row["request"]: row for row in _kept()}
    model = None if asked.memory else ws.load_model("smollm2-135m")
    for name in [f"{tokens} tokens" for tokens in TOKENS] if asked.memory else asked.only:
        rows[name] = _memory_alone(name) if model is None else measured(model, name)
        print(json.dumps(rows[name]), flush=True)
        if asked.write:
            ROWS.write_text("".join(f"{json.dumps(row)}\n" for row in rows.values()), encoding="utf-8")
    if asked.write:
        (RESULTS / "plans.md").write_text(page(list(rows.values())), encoding="utf-8")


def _memory_alone(name: str) -> dict[str, float | str]:
    """`memory` in a process of its own."""
    command = [sys.executable, __file__, "--tokens", name.split()[0]]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def memory(tokens: int) -> dict[str, float | str]:
    """The plan's bound and the peak above the loaded model, in MB, for one prompt."""
    model = ws.load_model("smollm2-135m")
    model.forward(["warm up"])
    pairs = pairs_of(model, 1, tokens, late=False)
    plan = plan_discovery(model, pairs, DiscoverySettings(method="eap-ig"))

    def work() -> None:
        experiment = ws.Experiment(model, pairs, allow_weak=True)
        scores = attribute(experiment, method="eap-ig")
        experiment.values(scores.top([500 * (n + 1) for n in range(TOKENS[tokens])]))

    bound, peak = plan.needed / 1e6, peak_of(work)["mb"] * 1.024**2  # of a million bytes each
    return {"request": f"{tokens} tokens", "prompts": 1, "bound MB": round(bound), "peak MB": round(peak)}


def _kept() -> list[dict[str, float | str]]:
    return [json.loads(line) for line in ROWS.read_text(encoding="utf-8").split("\n") if line] if ROWS.exists() else []


def measured(model: ws.ResidualModel, name: str) -> dict[str, float | str]:
    """One request: seconds that are expected, that the plan took, and that the run took."""
    settings, pairs, found = request(model, name)
    begun = time.perf_counter()
    experiment = replace(settings, allow_weak=True).experiment(model, pairs)
    splits = (len(found.validation), len(found.test)) if found else (0, 0)
    expected = expected_seconds(experiment, settings, validation=splits[0], test=splits[1])
    planned = time.perf_counter() - begun
    load, begun = os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        write_discovery(
            Path(folder) / "run",
            model,
            pairs,
            settings,
            validation=found.validation if found else (),
            test=found.test if found else (),
        )
    took = time.perf_counter() - begun
    assert expected is not None
    row = {"request": name, "method": settings.method, "prompts": len(pairs), "planned": planned, "load": load}
    return row | {"expected": expected, "took": took}


def request(model: ws.ResidualModel, name: str) -> tuple[DiscoverySettings, Sequence[PromptPair], Task | None]:
    """Settings and prompts as `discover` has them."""
    if name in PAIRS:
        prompt, other, answer, distractor = PAIRS[name]
        pair = PromptPair(prompt=prompt, counterfactual=other, answers=(answer,), distractors=(distractor,))
        return DiscoverySettings(), [pair], None
    task = load_task(name, model, size=50)
    settings = settings_for(DiscoverySettings(metric=task.metric, task=task.name), task, chosen=False)
    return settings, task.train, task


def page(rows: Sequence[dict[str, float | str]]) -> str:
    """The tables."""
    times, memories = ([row for row in rows if key in row] for key in ("expected", "peak MB"))
    parts = [
        "# What a dry run expects, and what a discovery takes",
        "Made by `python benchmarks/plans.py --write` and `--memory --write` on SmolLM2-135M-Instruct (Q4_1); "
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}.",
    ]
    return "\n\n".join([*parts, *(_times(times) if times else ()), *(_memories(memories) if memories else ())]) + "\n"


def _times(rows: Sequence[dict[str, float | str]]) -> list[str]:
    lines = [
        "| request | method | prompts | expected (s) | took (s) | ratio | planning (s) | load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    within = 0
    for row in rows:
        ratio = float(row["took"]) / float(row["expected"])
        within += 0.5 <= ratio <= 2
        lines.append(
            f"| {row['request']} | {row['method']} | {row['prompts']} | {row['expected']:.0f} | {row['took']:.0f} "
            f"| {ratio:.2f} | {row['planned']:.0f} | {row['load']:.1f} |"
        )
    return [
        "## Time",
        "Ratio: took by expected. Load: of the machine when the run began; what else runs makes a discovery longer "
        "than its plan.",
        "\n".join(lines),
        f"Within a factor of two: {within} of {len(rows)}.",
    ]


def _memories(rows: Sequence[dict[str, float | str]]) -> list[str]:
    lines = ["| prompt | bound (MB) | peak (MB) | peak by bound |", "|---|---|---|---|"]
    for row in rows:
        ratio = float(row["peak MB"]) / float(row["bound MB"])
        lines.append(f"| {row['request']} | {row['bound MB']:,} | {row['peak MB']:,} | {ratio:.2f} |")
    within = sum(0.7 <= float(row["peak MB"]) / float(row["bound MB"]) <= 1.3 for row in rows)
    return [
        "## Memory",
        "The bound that a dry run of `discover --method eap-ig` gives, beside the model, and the peak of resident "
        "memory above the loaded model of the experiment, scores by EAP-IG and circuits; n = 1, one thread. The "
        "counterfactual differs in the first token, so that nothing is shared.",
        "\n".join(lines),
        f"Within 30%: {within} of {len(rows)}.",
    ]


if __name__ == "__main__":
    main()
