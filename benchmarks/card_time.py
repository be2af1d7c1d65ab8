"""How long a card takes once the prompts are scored, stage by stage, on the clock and of a processor.

    python benchmarks/card_time.py RUN [--against SRC] [--times 3]

Each time a fresh process makes the card of the run with the defaults of `wheatstone card`, first with this checkout,
then, with `--against`, with the `src` of another one. Medians, with the least and the most. A stage lasts from its
first report to that of the next. On a busy machine only the processor's seconds say something.
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
from itertools import pairwise
from pathlib import Path
from statistics import median

LOADING = "loading"
SCORING = ("scoring prompts", "shuffled answers")
AFTER = "after scoring"
Times = dict[str, tuple[float, float]]
"""By stage: seconds on the clock and of a processor."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("--against", type=Path, help="src of another checkout")
    parser.add_argument("--times", type=int, default=3, help="cards of each checkout")
    parser.add_argument("--one", action="store_true", help="make one card and print its times as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_card(options.run)))
        return
    sources = [Path(__file__).parents[1] / "src", *([options.against] if options.against else [])]
    taken: dict[Path, list[Times]] = {source: [] for source in sources}
    for _ in range(options.times):
        for source in sources:
            command = [sys.executable, __file__, str(options.run), "--one"]
            made = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(source)}, check=True, stdout=-1)
            taken[source].append(json.loads(made.stdout.splitlines()[-1]))
    threads = os.environ.get("OMP_NUM_THREADS", "as many as cores")
    print(f"{platform.machine()}, {os.cpu_count()} cores, threads: {threads}, {options.times} times\n")
    before = ("on the clock", "processor", "before: on the clock", "processor")[: 2 * len(sources)]
    print(f"| stage, seconds | {' | '.join(before)} |")
    print("|---" * (len(before) + 1) + "|")
    for stage in taken[sources[0]][0]:
        cells = [spread([one[stage][of] for one in ones if stage in one]) for ones in taken.values() for of in (0, 1)]
        print(f"| {stage} | {' | '.join(cells)} |")


def one_card(run: Path) -> Times:
    """Makes a card, and says how long each stage and all after the scoring took."""
    from wheatstone.cards import make_card

    marks: list[tuple[str, float, float]] = [(LOADING, time.perf_counter(), time.process_time())]

    def report(stage: str, _done: float, _total: float | None) -> None:
        # Shuffled answers are scored by prompts too, and stay one stage.
        if stage != marks[-1][0] and not (stage == SCORING[0] and marks[-1][0] == SCORING[1]):
            marks.append((stage, time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        make_card(run, folder, report=report)
    marks.append(("end", time.perf_counter(), time.process_time()))
    times: Times = {}
    for (stage, *begun), (_, *ended) in pairwise(marks):
        clock, processor = times.get(stage, (0.0, 0.0))
        times[stage] = clock + ended[0] - begun[0], processor + ended[1] - begun[1]
    after = [taken for stage, taken in times.items() if stage not in (LOADING, *SCORING)]
    return times | {AFTER: (sum(clock for clock, _ in after), sum(processor for _, processor in after))}


def spread(seconds: list[float]) -> str:
    """`12.3 (11.9 to 14.0)`."""
    return f"{median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"


if __name__ == "__main__":
    main()
