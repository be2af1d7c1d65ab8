"""Ten everyday tasks in TransformerLens, nnsight and Wheatstone: lines of code, seconds, and whether results agree.

    python benchmarks/everyday.py --setup [--cache DIR]     # once: an environment for each of the two
    python benchmarks/everyday.py [--cache DIR] [--repeats 3] [--only TASK …] [--write]

The model is SmolLM2-135M-Instruct (Q4_1) expanded to float32, as a plain folder that all three load. Each tool runs in
a process of its own with one thread; every task is run once to warm up, when results are compared, and then in turn by
all three; times are in processor seconds. `--write` writes docs/results/everyday.md. Some five minutes on an idle
machine.
"""

from __future__ import annotations

import argparse
import ast
import os
import platform
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

import torch
from peers.environments import NNSIGHT, TL4, pin
from peers.process import Driver
from peers.subjects import france

from wheatstone._home import home

PAGE = Path(__file__).parents[1] / "docs/results/everyday.md"
SCRIPTS = Path(__file__).parent / "peers"
TOOLS = {
    "Wheatstone": "everyday_wheatstone",
    "TransformerLens": "everyday_transformer_lens",
    "nnsight": "everyday_nnsight",
}
TASKS = {
    "logits": "Logits and the five likeliest next tokens",
    "cache": "A cache of all activations",
    "attention": "Attention weights of all heads",
    "lens": "Logit lens: logits after every layer",
    "patch": "Patch one head from another prompt",
    "ablate": "Ablate an MLP",
    "steer": "Add a vector to the residual stream",
    "attribution": "Direct logit attribution of every head",
    "everywhere": "Activation patching over all layers and positions",
    "generate": "Write 20 tokens while a vector is added",
}
LIMIT = 1e-5
"""Largest difference between two tools' numbers, as a share of the largest number, that counts as rounding: float32 has
1e-7, and thirty layers of sums of some hundred terms multiply it."""
LONG = 10.0
"""Processor seconds beyond which a task is timed once: the first time, for the process is warm from other tasks."""
TEXT = """# Ten everyday tasks, in three libraries

Made by `python benchmarks/everyday.py --repeats {repeats} --write`, after `--setup`, which makes the environments.

{machine} when it began.
The model is SmolLM2-135M-Instruct (Q4_1) expanded to float32, the same folder for all three;
the prompt is "The official language of France is", the other prompt has Japan. Each task is written as the
documentation of its library writes it, in `benchmarks/peers/everyday_wheatstone.py`, `everyday_transformer_lens.py`
and `everyday_nnsight.py`.

*Lines*: of the task's function, without its first line, comments and imports. *Seconds*: of one processor, which other
programs change less than the clock, with the model loaded and warm, median of {repeats} rounds; of a task that takes a
library more than {long:g} s, one round. *Times as long*: seconds over ours of the same round, median (smallest to
largest); above 1 ours is faster. *Apart*: the largest difference of either library's numbers from ours, as a share of
the largest number; the command ends with an error above {limit}.

| task | lines: Wheatstone | TransformerLens | nnsight | seconds: Wheatstone | TransformerLens | nnsight \
| TransformerLens, times as long | nnsight, times as long | apart |
|---|---|---|---|---|---|---|---|---|---|
{rows}

TransformerLens' model of the attribution has its norms folded (`enable_compatibility_mode`), as its documentation asks
for; making it is not timed. nnsight's model uses eager attention, which attention weights need. Its patches of all
positions are batched into one pass a layer, as ours are; TransformerLens' own function runs a pass for each layer and
position.

One prompt of a few tokens on a small model: much of the time is what a library does beside the model's own work. Longer
prompts and larger models were not measured.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="make the environments and stop")
    parser.add_argument("--cache", type=Path, default=home() / "peers", help="where they are kept; some GB")
    parser.add_argument("--repeats", type=int, default=3, help="times that each task is timed")
    parser.add_argument("--only", nargs="+", choices=TASKS, help="some of the tasks")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    if options.write and options.only:
        parser.error("expected all tasks with --write; got --only; leave one out")
    cache = options.cache.absolute()
    if options.setup:
        for environment in (TL4, NNSIGHT):
            environment.make(cache)
        return
    missing = [each.name for each in (TL4, NNSIGHT) if not each.python(cache).exists()]
    if missing:
        sys.exit(f"expected environments under {cache}; {', '.join(missing)} is missing; run with --setup")
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        drivers = {tool: stack.enter_context(driver) for tool, driver in drivers_of(cache).items()}
        rows = [row(task, drivers, cache, options.repeats) for task in options.only or TASKS]
    text = page(rows, options.repeats, load)
    print(text)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")


def drivers_of(cache: Path) -> dict[str, Driver]:
    """Each tool's process, not yet begun."""
    pythons = {"Wheatstone": sys.executable, "TransformerLens": TL4.python(cache), "nnsight": NNSIGHT.python(cache)}
    folder = str(france(cache))
    return {
        tool: Driver(f"everyday-{tool}", pythons[tool], f"{script}.py", (folder,), cache / "logs")
        for tool, script in TOOLS.items()
    }


def lines_of(tool: str, task: str) -> int:
    """Lines of a task's function, without its first, blank ones and comments."""
    text = (SCRIPTS / f"{TOOLS[tool]}.py").read_text(encoding="utf-8")
    body = next(node.body for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == task)
    lines = text.splitlines()[body[0].lineno - 1 : body[-1].end_lineno]
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)


def row(task: str, drivers: dict[str, Driver], cache: Path, repeats: int) -> str:
    """One task's line of the table.

    Raises:
        SystemExit: a tool's numbers are not ours.
    """
    saved = {tool: cache / f"everyday-{tool}.pt" for tool in drivers}
    first = {tool: driver.ask(task, out=str(saved[tool])) for tool, driver in drivers.items()}
    apart = {tool: difference(saved["Wheatstone"], saved[tool]) for tool in drivers if tool != "Wheatstone"}
    for tool, value in apart.items():
        if value > LIMIT:
            raise SystemExit(f"{task}: {tool}'s numbers differ from ours by {value:.1e} of the largest")
    long = max(answer["cpu"] for answer in first.values()) > LONG
    rounds = [first] if long else [{tool: driver.ask(task) for tool, driver in drivers.items()} for _ in range(repeats)]
    cells = [TASKS[task], *(str(lines_of(tool, task)) for tool in TOOLS)]
    cells += [f"{statistics.median(each[tool]['cpu'] for each in rounds):.2f}" for tool in TOOLS]
    for tool in apart:
        ratios = [each[tool]["cpu"] / each["Wheatstone"]["cpu"] for each in rounds]
        spread = "" if long else f" ({min(ratios):.2f} to {max(ratios):.2f})"
        cells.append(f"{statistics.median(ratios):.2f}{spread}")
    cells.append(f"{max(apart.values()):.0e}")
    return f"| {' | '.join(cells)} |"


def difference(ours: Path, theirs: Path) -> float:
    """The largest difference between the numbers that two tools saved, as a share of the largest number."""
    a, b = (torch.load(path, weights_only=True) for path in (ours, theirs))
    if a.keys() != b.keys() or any(a[name].shape != b[name].shape for name in a):
        shapes = [{name: list(value.shape) for name, value in each.items()} for each in (a, b)]
        raise SystemExit(f"{theirs.name}: expected the numbers {shapes[0]}, got {shapes[1]}")
    return max(float((a[name] - b[name]).abs().max() / a[name].abs().max()) for name in a)


def page(rows: list[str], repeats: int, load: float) -> str:
    """The page of results."""
    versions = ", ".join(pin(name) for name in ("transformer-lens", "nnsight", "transformers", "torch"))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, one thread a process, {versions}; load {load:.1f}"
    return TEXT.format(machine=machine, repeats=repeats, long=LONG, limit=f"{LIMIT:.0e}", rows="\n".join(rows))


if __name__ == "__main__":
    main()
