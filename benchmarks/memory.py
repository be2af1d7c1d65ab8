"""Memory and processor time of experiments and of EAP-IG, next to a plain forward and backward pass.

    python benchmarks/memory.py [--threads 1 2] [--only NAME ...] [--longest 4096] [--write]

Every case runs in a process of its own. Reported are the peak of resident memory above the loaded model and the
processor seconds. `plain` is transformers' own forward pass with logits at the last position and the backward pass to
the embeddings, of the same batch; `ratio` divides the seconds by those of two forward passes and, for each step of
EAP-IG, one forward and backward pass. Prompts differ from their counterfactuals in their first token, so that nothing
is shared, or in their last word but one (`late`). `discover` is a whole discovery by EAP-IG in random weights of the
shape of Llama-3.2-1B, with the memory of the process, weights included. `--write` puts the tables into
docs/results/memory.md.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import torch
from scale_models import SHAPES, random_pairs, shaped_model

from wheatstone import Experiment, PromptPair, ResidualModel, load_model
from wheatstone.discovery import DiscoverySettings, attribute
from wheatstone.studies import run_discovery

LARGE = "Llama-3.2-1B's"
PAGE = Path(__file__).parents[1] / "docs/results/memory.md"
OTHERS = "## Other allocators\n"
"""Where the page's part begins that is written by hand."""
STEPS = 5
WORDS = ("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state")
Line = dict[str, Any]


def pairs_of(model: ResidualModel, prompts: int, tokens: int, *, late: bool) -> list[PromptPair]:
    """Pairs of exactly so many tokens each; the prompts differ in their filling."""
    draw, found = random.Random(0), list[PromptPair]()
    while len(found) < prompts:
        # Four words of the sentence, or the country alone, are given; the rest is filled with words of one token.
        filling = " ".join(draw.choice(WORDS) for _ in range(tokens - (6 if late else 1)))
        ours, theirs = (
            f"{filling} the official language of {country} is" if late else f"{country} {filling}"
            for country in ("France", "Japan")
        )
        pair = PromptPair(prompt=ours, counterfactual=theirs, answers=(" French",), distractors=(" Japanese",))
        assert len(model.encode(ours)) == len(model.encode(theirs)) == tokens, (ours, len(model.encode(ours)))
        found.append(pair)
    return found


def measured(run: Callable[[], object]) -> Line:
    """Peak of resident memory above what there was before, in MB, and processor seconds."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # pages freed, but still held, would be used again and not be counted
    Path("/proc/self/clear_refs").write_text("5")
    before, started = _kilobytes("VmRSS"), time.process_time()
    run()
    return {"mb": round((_kilobytes("VmHWM") - before) / 1024), "seconds": round(time.process_time() - started, 2)}


def _kilobytes(name: str) -> int:
    found = re.search(name + r":\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def case(what: str, prompts: int, tokens: int) -> Line:
    """One measurement in this process."""
    if what == "discover":
        return discovered(prompts, tokens)
    model = load_model("smollm2-135m")
    model.forward(["warm up"])
    pairs = pairs_of(model, prompts, tokens, late=what.endswith("late"))
    ids = torch.tensor([model.encode(pair.prompt) for pair in pairs])

    def forward() -> None:
        with torch.no_grad():
            model.module(ids, use_cache=False, logits_to_keep=1)

    def backward() -> None:
        embedded = model.module.get_input_embeddings()(ids).detach().requires_grad_()
        logits = model.module(inputs_embeds=embedded, use_cache=False, logits_to_keep=1).logits
        logits[:, 0, 5].sum().backward()

    def experiment() -> Experiment:
        return Experiment(model, pairs, allow_weak=True)

    runs: dict[str, Callable[[], object]] = {
        "forward": forward,
        "plain": backward,
        "experiment": experiment,
        "eap-ig": lambda: attribute(experiment(), method="eap-ig", steps=STEPS),
    }
    return measured(runs[what.removesuffix("-late")])


def discovered(prompts: int, tokens: int) -> Line:
    """A whole discovery in a large random model: the peak of the process, weights included."""
    model = shaped_model(*SHAPES[LARGE])
    pairs = random_pairs(model, prompts, tokens)
    settings = DiscoverySettings(method="eap-ig", allow_weak=True)
    found = measured(lambda: run_discovery(model, pairs, settings))
    return found | {"mb": round(_kilobytes("VmHWM") / 1024)}


BATCHES = ((1, 12), (8, 12), (32, 12), (160, 12), (1, 48), (1, 192), (1, 768), (1, 1024), (1, 4096))


def all_cases(longest: int) -> list[tuple[str, int, int]]:
    """What is measured: what, prompts and tokens of each."""
    cases = [
        (what, prompts, tokens)
        for prompts, tokens in BATCHES
        for what in ("forward", "plain", "eap-ig", "eap-ig-late")
        if tokens <= longest
    ]
    return [*cases, ("experiment", 160, 12), ("discover", 8, 16)]


def table(lines: list[Line], threads: int) -> list[str]:
    """A row a batch."""
    found = {(line["what"], line["prompts"], line["tokens"]): line for line in lines if line["threads"] == threads}
    rows = [
        "| prompts x tokens | plain, MB | EAP-IG, MB | times | plain, s | EAP-IG, s | ratio | late, MB | late, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for prompts, tokens in BATCHES:
        names = ("forward", "plain", "eap-ig", "eap-ig-late")
        cells = [found.get((name, prompts, tokens)) for name in names]
        if None in cells:
            continue
        one, plain, scored, late = (cell for cell in cells if cell is not None)
        fair = 2 * one["seconds"] + STEPS * plain["seconds"]
        rows.append(
            f"| {prompts} x {tokens:,} | {plain['mb']:,} | {scored['mb']:,} | {scored['mb'] / max(plain['mb'], 1):.2f} "
            f"| {plain['seconds']:.1f} | {scored['seconds']:.1f} | {scored['seconds'] / fair:.2f} | {late['mb']:,} "
            f"| {late['seconds']:.1f} |"
        )
    alone = found.get(("experiment", 160, 12))
    if alone:
        rows += ["", f"`Experiment` alone of 160 pairs of 12 tokens: {alone['mb']:,} MB, {alone['seconds']:.1f} s."]
    large = found.get(("discover", 8, 16))
    if large:
        rows += [
            "",
            f"`discover --method eap-ig` on 8 pairs of 16 tokens in random weights of {LARGE} shape (1.5 billion, for "
            f"its embeddings are not shared here): {large['mb']:,} MB, the weights' 6,000 included, "
            f"{large['seconds']:.0f} s.",
        ]
    return rows


def page(lines: list[Line]) -> str:
    """The whole page; what was tried besides stays at its end."""
    text = [
        "# Memory",
        "",
        f"Made by `python benchmarks/memory.py --write`. SmolLM2-135M-Instruct (Q4_1) in float32, "
        f"{platform.machine()}, torch {torch.__version__}, EAP-IG with {STEPS} steps, each case once in a process of "
        "its own. Memory is the peak above the loaded model; seconds are of the processor. *Plain*: transformers' "
        "forward and backward pass of the same batch. *Times*: EAP-IG's memory over that. *Ratio*: EAP-IG's seconds, "
        "the experiment included, over those of two forward passes and "
        f"{STEPS} forward and backward passes. *Late*: the counterfactual differs in the last word but one.",
    ]
    for threads in sorted({line["threads"] for line in lines}):
        load = [line["load"] for line in lines if line["threads"] == threads]
        text += ["", f"## {threads} thread{'s' * (threads > 1)}", ""]
        text += [*table(lines, threads), "", f"Load of the machine (2 cores): {min(load):.1f} to {max(load):.1f}."]
    _, title, others = (PAGE.read_text(encoding="utf-8") if PAGE.exists() else "").partition(OTHERS)
    return "\n".join([*text, "", title + others])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", nargs="+", help="cases, such as eap-ig")
    parser.add_argument("--longest", type=int, default=4096, help="most tokens of a prompt")
    parser.add_argument("--write", action="store_true", help="write docs/results/memory.md")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        torch.set_num_threads(options.threads[0])
        what, prompts, tokens = options.case[0], *map(int, options.case[1:])
        about = {"what": what, "prompts": prompts, "tokens": tokens, "threads": options.threads[0]}
        load = round(os.getloadavg()[0], 1)
        print(json.dumps(about | case(what, prompts, tokens) | {"load": load}))
        return
    lines: list[Line] = []
    for threads in options.threads:
        for what in all_cases(options.longest):
            if options.only and what[0] not in options.only:
                continue
            command = [sys.executable, __file__, "--threads", str(threads), "--case", *map(str, what)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:  # such as one that memory does not allow: the others are measured all the same
                print(*what, f"ended with {done.returncode}: {done.stderr.strip()[-300:]}", flush=True)
                continue
            print(shown := done.stdout.splitlines()[-1], flush=True)
            lines.append(json.loads(shown))
            if options.write:
                PAGE.write_text(page(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
