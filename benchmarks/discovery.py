"""Speed and memory of discovery on SmolLM2-135M-Instruct (Q4_1), as ratios within one process.

    python benchmarks/discovery.py [--repeats 15] [--write]

Compared are (1) EAP-IG scores of every edge with a plain transformers forward and backward over the same tokens in
the same batch, (2) sixteen circuits in one batch with sixteen plain single-prompt forward passes, (3) the whole
search. Both sides of a ratio alternate, so that a busy machine slows both; printed are medians of the pairwise
ratios with a 95% interval (none for fewer than five alternations). `--write` puts the table into
docs/results/discovery.md.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import numpy as np
import torch

import wheatstone as ws
from wheatstone._intervals import median_interval
from wheatstone.circuits import random_circuits
from wheatstone.discovery import DiscoverySettings, attribute
from wheatstone.studies import run_discovery

COUNTRIES = {"France": "French", "Germany": "German", "Italy": "Italian", "Spain": "Spanish", "Russia": "Russian"}
PAIRS = [
    ws.PromptPair(
        prompt=f"The official language of {country} is",
        counterfactual="The official language of Japan is",
        answers=(f" {language}",),
        distractors=(" Japanese",),
    )
    for country, language in COUNTRIES.items()
]
STEPS = 5
Work = Callable[[], object]


def alternate(ours: Work, theirs: Work, repeats: int) -> tuple[float, float, float, float, float]:
    """Median seconds of both, the median ratio and its 95% interval."""
    ours()
    theirs()
    times: list[tuple[float, float]] = []
    for _ in range(repeats):
        pair: list[float] = []
        for work in (ours, theirs):
            start = time.perf_counter()
            work()
            pair.append(time.perf_counter() - start)
        times.append((pair[0], pair[1]))
    a, b = np.array(times).T
    low, high = median_interval(a / b) or (float("nan"), float("nan"))
    return float(np.median(a)), float(np.median(b)), float(np.median(a / b)), low, high


def peak(work: Work) -> float:
    """MB of memory above what was there before, at the worst moment (Linux)."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = _status("VmRSS")
    work()
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="alternations per ratio")
    parser.add_argument("--write", action="store_true", help="write docs/results/discovery.md")
    options = parser.parse_args()
    model = ws.load_model("smollm2-135m")
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"float32; {options.repeats} alternations; median ratio [95% interval].",
        "",
        "| ours | beside | ours, s | beside, s | ratio | goal |",
        "|---|---|---|---|---|---|",
    ]
    memory = ["| prompts | EAP-IG, MB | forward + backward, MB | ratio | goal |", "|---|---|---|---|---|"]

    def row(name: str, beside: str, ours: Work, theirs: Work, goal: str) -> None:
        a, b, ratio, low, high = alternate(ours, theirs, options.repeats)
        lines.append(f"| {name} | {beside} | {a:.3f} | {b:.3f} | {ratio:.2f} [{low:.2f}, {high:.2f}] | {goal} |")
        print(lines[-1], flush=True)

    for pairs in (PAIRS[:1], PAIRS):
        experiment = ws.Experiment(model, pairs)
        ids = experiment.encoded.clean.ids.repeat(STEPS, 1)

        def score(experiment: ws.Experiment = experiment) -> None:
            attribute(experiment, steps=STEPS)

        def plain(trained: bool, experiment: ws.Experiment = experiment, ids: torch.Tensor = ids) -> None:
            module = model.module.requires_grad_(trained)
            inputs = model.module.get_input_embeddings()(ids).detach().requires_grad_()
            with torch.enable_grad():
                logits = module(inputs_embeds=inputs, use_cache=False, logits_to_keep=1).logits[:, 0]
                experiment.step_values(logits).sum().backward()
            module.requires_grad_(False)
            module.zero_grad(set_to_none=True)

        n = f"{len(pairs)} prompt{'s' if len(pairs) > 1 else ''}"
        ours = f"EAP-IG, {STEPS} steps, all {model.graph.edges:,} edges, {n}"
        row(ours, "forward + backward, weights frozen", score, lambda run=plain: run(False), "≤ 1.6")
        row(ours, "forward + backward, as trained", score, lambda run=plain: run(True), "")
        a, b = peak(score), peak(lambda run=plain: run(False))
        memory.append(f"| {n} | {a:.0f} | {b:.0f} | {a / b:.2f} | ≤ 2 |")
        print(memory[-1], flush=True)

    experiment = ws.Experiment(model, PAIRS[:1])
    ids = experiment.encoded.clean.ids
    valid = torch.from_numpy(model.graph.valid)
    dense = valid & (torch.rand(16, *valid.shape, generator=torch.Generator().manual_seed(0)) < 0.5)
    sparse = attribute(experiment).top([200] * 16)
    random = random_circuits(model.graph, 200, 16, 0)

    def sixteen() -> None:
        with torch.no_grad():
            for _ in range(16):
                model.module(ids, use_cache=False, logits_to_keep=1)

    for name, keep in (("half of all edges", dense), ("200 ranked edges", sparse), ("200 random edges", random)):
        row(
            f"16 circuits of {name}, one batch",
            "16 forward passes",
            lambda k=keep: experiment.logits(k),
            sixteen,
            "≤ 0.6",
        )

    print("whole discovery of the France pair …", flush=True)
    start = time.perf_counter()
    found = run_discovery(model, PAIRS[:1], DiscoverySettings())
    seconds = time.perf_counter() - start
    evaluation = found.discovery.circuit.evaluation
    assert evaluation is not None
    whole = (
        f"Whole discovery (scores, curve, search, verification, lenses; model loaded, pictures not drawn): "
        f"{seconds:.1f} s (goal < 40), {found.discovery.evaluations} circuits run (goal ≤ 1,000), "
        f"peak memory {_status('VmHWM') / 1024:,.0f} MB with weights (goal < 3,000): {evaluation.edges} edges at "
        f"faithfulness {evaluation.faithfulness:.3f}; the ranking alone needs at most {found.discovery.ranked}."
    )
    text = "\n".join([*lines, "", "Peak memory above the loaded model:", "", *memory, "", whole])
    print(f"\n{text}")
    if options.write:
        out = Path(__file__).parent.parent / "docs" / "results" / "discovery.md"
        title = "# Discovery on SmolLM2-135M-Instruct (Q4_1): time and memory"
        head = f"{title}\n\nMade by `python benchmarks/discovery.py --write`.\n\n"
        out.write_text(head + text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
