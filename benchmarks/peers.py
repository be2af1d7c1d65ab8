"""Wheatstone beside its peers: do the scores agree, and what do they cost?

    python benchmarks/peers.py --setup [--cache DIR]                 # once: a virtual environment for each peer
    python benchmarks/peers.py [--eap-ig CHECKOUT] [--repeats 3] [--parts scores speed edges search] [--write]

Every tool runs in a process of its own with one thread, on the same weights, prompts and number of steps; the two sides
of a ratio alternate, so that a busy machine slows both. Time is that of the whole call, by the clock and in processor
seconds, which a busy machine changes less; peak memory is what the call takes above the loaded model. auto-circuit
1.0.1 and transformer-lens 4.3 come from PyPI; EAP-IG's own code is measured if a checkout is given. `--write` puts the
tables into docs/results/peers.md, those of parts that were not asked for from their last run. All of it takes about
half an hour on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from peers import agree, environments, measure
from peers.process import KEEP_MEMORY, Driver
from peers.subjects import folder, france

from wheatstone._home import home

PARTS = ("scores", "speed", "edges", "search")
INTRODUCTION = """# Compared with other tools: agreement and cost

Made by `python benchmarks/peers.py --write`, which also makes an environment for each peer (`--setup`). `circuitkit`
0.2 is left out, for its licence (LSAL 1.2, section 1A) asks an organisation for a written permission or acknowledgement
before benchmarking with it.
"""


class Tools:
    """Starts each tool on a subject.

    Args:
        cache: where environments, subjects and logs are.
        checkout: of EAP-IG; None leaves it out.
    """

    def __init__(self, cache: Path, checkout: Path | None) -> None:
        self.cache, self.checkout = cache, checkout

    def ours(self, place: Path, *, best: bool = False) -> Driver:
        return self._driver("wheatstone", sys.executable, (str(place),), best)

    def auto_circuit(self, place: Path, *, best: bool = False) -> Driver:
        return self._driver("auto-circuit", environments.TL3.python(self.cache), (str(place),), best)

    def transformer_lens(self, place: Path, *, best: bool = False) -> Driver:
        return self._driver("transformer-lens", environments.TL4.python(self.cache), (str(place),), best)

    def eap_ig(self, place: Path, *, best: bool = False) -> Driver:
        return self._driver("EAP-IG", environments.TL3.python(self.cache), (str(place), str(self.checkout)), best)

    def _driver(self, name: str, python: Path | str, arguments: tuple[str, ...], best: bool) -> Driver:
        script = f"drive_{name.lower().replace('-', '_')}.py"
        return Driver(name, python, script, arguments, self.cache / "logs", KEEP_MEMORY if best else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="make the peers' environments and stop")
    parser.add_argument("--cache", type=Path, default=home() / "peers", help="where they are kept; several GB")
    parser.add_argument("--eap-ig", type=Path, help="a checkout of EAP-IG")
    parser.add_argument("--repeats", type=int, default=3, help="alternations per ratio")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--rows", nargs="*", choices=measure.ROWS, help="of the part speed; all by default")
    parser.add_argument("--reference", type=Path, help="folder for the tiny models and the peers' scores: the tests'")
    parser.add_argument("--write", action="store_true", help="write docs/results/peers.md")
    options = parser.parse_args()
    cache = options.cache.absolute()
    if options.setup:
        for environment in (environments.TL3, environments.TL4):
            environment.make(cache)
        return
    missing = [each.name for each in (environments.TL3, environments.TL4) if not each.python(cache).exists()]
    if missing:
        sys.exit(f"expected the peers' environments under {cache}; {', '.join(missing)} is missing; run with --setup")
    kept = {part: cache / "results" / f"{part}.md" for part in PARTS}
    rows = cache / "results" / "speed"
    tools = Tools(cache, options.eap_ig and options.eap_ig.absolute())
    parts: dict[str, Callable[[], str]] = {
        "scores": lambda: agree.table(tools, lambda name: folder(cache, name), options.reference),
        "speed": lambda: measure.scores(tools, lambda name: folder(cache, name), options.repeats, options.rows, rows),
        "edges": lambda: measure.edges(tools, folder(cache, "shape"), options.repeats),
        "search": lambda: measure.search(tools, france(cache), options.repeats),
    }
    for part in options.parts:
        machine = (
            f"{platform.machine()}, {os.cpu_count()} cores, one thread a process, torch {torch.__version__}, float32"
        )
        if part == "speed":
            machine += "; median [least, most] of the repeats; load is that before the row"
        else:
            machine += f", load {os.getloadavg()[0]:.1f} at the start"
        if part in ("edges", "search"):
            machine += f"; {options.repeats} repeats, median [least, most]"
        kept[part].parent.mkdir(parents=True, exist_ok=True)
        kept[part].write_text(f"{parts[part]()}\n\n{machine}.\n", encoding="utf-8")
    text = "\n".join([INTRODUCTION, *(place.read_text(encoding="utf-8") for place in kept.values() if place.exists())])
    print(f"\n{text}")
    if options.write:
        (Path(__file__).parent.parent / "docs" / "results" / "peers.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
