"""How cost grows: `eap-ig` with prompts and tokens, exactly ablated edges with edges, on SmolLM2-135M-Instruct (Q4_1).

    python benchmarks/scaling.py [--repeats 1] [--write]

Prompts are random words; what is measured is the scoring of every edge, and exact runs of some. Seconds of a processor
are fitted, which a busy machine changes less than those of the clock. A cost that grows in proportion to its size is a
line of slope 1 on two logarithmic axes, and a fixed cost makes it flatter at first; the slope over the larger half of
the sizes, and the straight line through all of them, stand below each table. `--write` puts the tables into
docs/results/scaling.md and the plot into docs/images/scaling.png.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import altair as alt
import numpy as np
import torch
from scipy.stats import linregress, t

import wheatstone as ws
from wheatstone.discovery import attribute
from wheatstone.models import ResidualModel, Tokens
from wheatstone.models._single_edge import SingleEdges

PROMPTS = (1, 2, 4, 8, 16, 32, 64)
"""Of 13 tokens."""
TOKENS = (8, 16, 32, 64, 128, 256, 512)
"""Of one prompt."""
EDGES = (1, 4, 16, 64, 256, 1024)
"""Into the attention of the middle layer, on one prompt of 13 tokens."""
STEPS = 5
Work = Callable[[], object]


def experiment(model: ResidualModel, prompts: int, width: int) -> ws.Experiment:
    """Prompts of random words, a token each; the counterfactual has another last word but one.

    Answer and distractor are the words between which that changes the model's mind most.
    """
    draw = torch.Generator().manual_seed(0)
    vocabulary = torch.tensor(_words(model))
    ids = vocabulary[torch.randint(len(vocabulary), (prompts, width), generator=draw)]
    other = ids.clone()
    other[:, -2] = vocabulary[torch.randint(len(vocabulary), (prompts,), generator=draw)]
    lengths = torch.full((prompts,), width)
    sides = [model.forward(Tokens(some, lengths)).logits[:, vocabulary] for some in (ids, other)]
    pairs: list[ws.PromptPair] = []
    for row, (clean, corrupt) in enumerate(zip(*sides, strict=True)):
        gap = torch.minimum(clean[:, None] - clean, corrupt - corrupt[:, None])
        best = divmod(int(gap.argmax()), len(vocabulary))
        texts = ["".join(model.decode(side[row].tolist())) for side in (ids, other)]
        answer, distractor = model.decode(vocabulary[list(best)].tolist())
        pairs.append(
            ws.PromptPair(prompt=texts[0], counterfactual=texts[1], answers=(answer,), distractors=(distractor,))
        )
    found = ws.Experiment(model, pairs)
    assert found.encoded.clean.ids.shape == ids.shape
    return found


def _words(model: ResidualModel) -> list[int]:
    """Tokens that are a word with its leading space, and that the tokenizer makes of that word."""
    tokens = list(range(1000, 6000))
    texts = model.decode(tokens)
    shaped = [(token, text) for token, text in zip(tokens, texts, strict=True) if text[0] == " " and text[1:].isalpha()]
    return [token for token, text in shaped if text.islower() and model.encode(text) == [token]][:500]


def cost(work: Work, repeats: int) -> tuple[float, float]:
    """Median seconds of a piece of work, by the clock and of a processor."""
    times: list[tuple[float, float]] = []
    for _ in range(repeats):
        wall, busy = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - wall, time.process_time() - busy))
    return median(wall for wall, _ in times), median(busy for _, busy in times)


def growth(sizes: Sequence[int], times: Sequence[float]) -> str:
    """Exponent of the growth over the larger half of the sizes, where fixed costs tell less, and a straight line."""
    half = len(sizes) // 2
    power: Any = linregress(np.log(sizes[half:]), np.log(times[half:]))
    reach = power.stderr * t.ppf(0.975, len(sizes) - half - 2)
    line: Any = linregress(sizes, times)
    return (
        f"slope {power.slope:.2f} [{power.slope - reach:.2f}, {power.slope + reach:.2f}] over the larger half; "
        f"the line {line.intercept:.2f} s + {line.slope * 1000:.1f} ms x size has R² = {line.rvalue**2:.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1, help="of each measurement; the median counts")
    parser.add_argument("--largest", type=int, default=10**9, help="leave out sizes above this")
    parser.add_argument("--write", action="store_true", help="write docs/results/scaling.md and its plot")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = ws.load_model("smollm2-135m")

    def scores(prompts: int, width: int) -> Work:
        found = experiment(model, prompts, width)
        return lambda: attribute(found, method="eap-ig", steps=STEPS)

    def edges(count: int) -> Work:
        found = experiment(model, 1, 13)
        middle = model.graph.attention_channels(model.graph.layers // 2)
        senders = range(model.graph.senders[middle.start])
        chosen = [(channel, node) for node in senders for channel in range(middle.start, middle.stop)][:count]

        @torch.no_grad()
        def work() -> None:
            runs = SingleEdges(model, found.encoded.clean, found.ablated, found.memory)
            for first in range(0, count, runs.rows):
                runs.run(chosen[first : first + runs.rows])

        return work

    sweeps: dict[str, tuple[str, tuple[int, ...], Callable[[int], Work]]] = {
        "prompts": (f"`eap-ig`, {STEPS} steps, prompts of 13 tokens", PROMPTS, lambda size: scores(size, 13)),
        "tokens": (f"`eap-ig`, {STEPS} steps, one prompt", TOKENS, lambda size: scores(1, size)),
        "edges": ("`exact`, edges into the middle layer's attention, one prompt of 13 tokens", EDGES, edges),
    }
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"float32, load {os.getloadavg()[0]:.1f} at the start; n = {options.repeats}."
        f"{'' if options.largest > max(TOKENS + EDGES) else f' Sizes above {options.largest} were left out.'}"
    )
    text = [
        "# How cost grows on SmolLM2-135M-Instruct (Q4_1)",
        "",
        "Made by `python benchmarks/scaling.py --write`. A slope of 1 is growth in proportion; "
        "intervals are 95%, of the fit.",
        "",
        machine,
        "",
        "![Seconds over size, both axes logarithmic](../images/scaling.png)",
    ]
    points: list[dict[str, object]] = []
    measured: dict[str, list[tuple[int, float]]] = {}
    for name, (about, sizes, work) in sweeps.items():
        used = [size for size in sizes if size <= options.largest]
        work(used[0])()  # what a first call does once
        busy: list[float] = []
        text += ["", f"| {name} | s | CPU s | CPU s for each |", "|---|---|---|---|"]
        for size in used:
            wall, cpu = cost(work(size), options.repeats)
            busy.append(cpu)
            points.append({"sweep": about.replace("`", ""), "size": size, "seconds": cpu})
            text.append(f"| {size} | {wall:.2f} | {cpu:.2f} | {cpu / size:.3f} |")
            print(name, text[-1], flush=True)
        text += ["", f"{about}: {growth(used, busy)}."]
        measured[name] = list(zip(used, busy, strict=True))
    both = sorted([(13 * size, busy) for size, busy in measured["prompts"]] + measured["tokens"])
    text += ["", f"Prompts x tokens, both sweeps together: {growth(*zip(*both, strict=True))}."]
    print("\n".join(text))
    if options.write:
        docs = Path(__file__).parent.parent / "docs"
        (docs / "results" / "scaling.md").write_text("\n".join(text) + "\n", encoding="utf-8")
        plot(points).save(docs / "images" / "scaling.png", scale_factor=2)


def plot(points: list[dict[str, object]]) -> alt.TopLevelMixin:
    """Measured points, joined."""
    base = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("size:Q", title="prompts, tokens or edges", scale=alt.Scale(type="log", base=2)),
        y=alt.Y("seconds:Q", title="CPU seconds", scale=alt.Scale(type="log")),
        color=alt.Color("sweep:N", title=None, legend=alt.Legend(orient="bottom", direction="vertical", labelLimit=0)),
    )
    return alt.layer(base.mark_line(), base.mark_point(filled=True, size=50)).properties(width=480, height=300)


if __name__ == "__main__":
    main()
