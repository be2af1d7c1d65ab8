"""Shards on one machine: how much two processes gain, what a shard costs beside its work, what kills cost, and memory.

    python benchmarks/scale.py [--parts gain ray overhead kills memory cost] [--facts 40] [--part 6] [--repeats 3]
    python benchmarks/scale.py --write        # the tables of docs/results/scale.md, of what was measured

What is measured is added to docs/results/scale.jsonl, a line a part, and not measured again while it stands there.
Idle, everything takes less than ten minutes of two cores; `gain` with `--part 10 --repeats 8` and `ray` with
`--repeats 6`, as they stand in the page, twice that. Whatever is compared is measured in turns within one run.

`gain`: the same facts by one process that may use one core, and by two on two cores. `ray`: by two processes and by two
actors; the pace is that between the first and the last result, so that starting counts only where it is named.
`overhead`: shards that only write a small file. `kills`: a sweep of a tiny model in a process that is killed twenty
times, each at a random moment; what was under way then is repeated work. `memory`: PSS shares each page among those
that map it. `cost`: seconds of a processor for random models of many shapes, against the model of docs/guides/scale.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import numpy as np
import psutil
import torch
from scale_models import random_model, random_pairs
from scale_tables import tables
from scipy.optimize import nnls

from wheatstone import Experiment, load_model, load_task
from wheatstone._progress import Reporter, silent
from wheatstone.discovery import DiscoverySettings, attribute
from wheatstone.executors import Executor, LocalExecutor, ProcessExecutor, RayExecutor, run_shards
from wheatstone.models import ResidualModel
from wheatstone.studies._sweep_pair import PairShard

TASK = "facts/country_capital"
SETTINGS = DiscoverySettings(method="eap-ig", faithfulness=0.8)
SHARDS, KILLS = 300, 20
"""Of the sweep that is killed."""
SMALL = 400
"""Shards that only write a small file."""
SHAPES = ((4, 4), (8, 4), (16, 4), (8, 2), (8, 8), (8, 16))
"""Layers and heads of the random models."""
RESULTS = Path(__file__).parents[1] / "docs/results/scale.jsonl"
PAGE = RESULTS.with_suffix(".md")
_BEGIN, _END = "<!-- table: begin -->", "<!-- table: end -->"
Line = dict[str, Any]


@dataclass(frozen=True)
class On:
    """A shard that is run on these cores alone."""

    shard: PairShard
    cores: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.shard.name

    @property
    def content(self) -> dict[str, Any]:
        return self.shard.content

    def run(self, model: ResidualModel, folder: Path, report: Reporter = silent, /) -> None:
        os.sched_setaffinity(0, self.cores)
        self.shard.run(model, folder, report)


@dataclass(frozen=True)
class Small:
    """A shard that only writes a small file."""

    name: str

    @property
    def content(self) -> dict[str, Any]:
        return {"small": self.name}

    def run(self, model: ResidualModel, folder: Path, report: Reporter = silent, /) -> None:
        (folder / "small.txt").write_text(self.name)


@dataclass(frozen=True)
class Noted:
    """A shard that notes when it is begun and done."""

    shard: PairShard
    notes: Path

    @property
    def name(self) -> str:
        return self.shard.name

    @property
    def content(self) -> dict[str, Any]:
        return self.shard.content

    def run(self, model: ResidualModel, folder: Path, report: Reporter = silent, /) -> None:
        with self.notes.open("a") as notes:
            print("begun", self.name, time.monotonic(), file=notes, flush=True)
            self.shard.run(model, folder, report)
            print("done", self.name, time.monotonic(), file=notes, flush=True)


@cache
def facts(model: ResidualModel) -> list[PairShard]:
    """The facts that the model knows."""
    task = load_task(TASK, model, size=None, strict=False)
    pairs = [*task.train, *task.validation, *task.test]
    return [PairShard(f"fact-{number:05}", pair, SETTINGS) for number, pair in enumerate(pairs)]


def timed(model: ResidualModel, shards: Sequence[Any], executor: Executor) -> Line:
    """Seconds until the last shard is in place, and for each after the first."""
    moments = list[float]()

    def note(stage: str, _done: float, _total: float | None) -> None:
        if stage == "shards":
            moments.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        refused = run_shards(model, shards, Path(folder), "shards", executor, note)
        ended = time.perf_counter()
        run_shards(model, shards, Path(folder), "shards", executor)
        again = time.perf_counter() - ended
    first = moments[1]  # the first call says that none is done
    return {
        "shards": len(shards),
        "refused": len(refused),
        "seconds": ended - begun,
        "start": first - begun,
        "each": (ended - first) / (len(shards) - 1),
        "again": again / len(shards),
    }


def gain(model: ResidualModel, arguments: argparse.Namespace) -> Line:
    """One process on one core, and two on two: a part of the facts in turns, then all of them once."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    shards = facts(model)[: arguments.facts]
    rows: list[Line] = []
    for count in [arguments.part] * arguments.repeats + [len(shards)]:
        one = timed(model, [On(shard, (cores[0],)) for shard in shards[:count]], ProcessExecutor(1))
        two = timed(model, [On(shard, tuple(cores)) for shard in shards[:count]], ProcessExecutor(2))
        rows.append({"facts": count, "one": one, "two": two, "ratio": one["seconds"] / two["seconds"]})
        rows[-1]["pace"] = _pace(one, 1) / _pace(two, 2)
        print("gain", rows[-1], flush=True)
    return {"rows": rows}


def _pace(found: Line, workers: int) -> float:
    """Seconds of the clock a shard once all are at work: the first results of all workers come together."""
    return found["each"] * (found["shards"] - 1) / (found["shards"] - workers)


def on_ray(model: ResidualModel, arguments: argparse.Namespace) -> Line:
    """Two processes and two actors, in turns."""
    shards, rows = facts(model)[: 2 * arguments.part], list[Line]()
    for _ in range(arguments.repeats):
        processes, actors = timed(model, shards, ProcessExecutor(2)), timed(model, shards, RayExecutor(None, 2))
        rows.append({"processes": processes, "ray": actors, "ratio": processes["seconds"] / actors["seconds"]})
        rows[-1]["pace"] = _pace(processes, 2) / _pace(actors, 2)
        print("ray", rows[-1], flush=True)
    return {"rows": rows}


def overhead(model: ResidualModel, arguments: argparse.Namespace) -> Line:
    """Seconds for each shard that does nothing."""
    shards = [Small(f"s{number:05}") for number in range(SMALL)]
    executors: dict[str, Executor] = {
        "local": LocalExecutor(1),
        "processes": ProcessExecutor(2),
        "ray": RayExecutor(None, 2),
    }
    return {name: timed(model, shards, executor) for name, executor in executors.items()}


def kills(model: ResidualModel, arguments: argparse.Namespace) -> Line:
    """A sweep of a tiny model, undisturbed and killed."""
    tiny = random_model(4, 4)
    shards = [PairShard(f"pair-{number:05}", pair, SETTINGS) for number, pair in enumerate(random_pairs(tiny, SHARDS))]
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def work(out: str) -> int:
            process = os.fork()
            if process == 0:
                noted = [Noted(shard, folder / f"{out}.notes") for shard in shards]
                (folder / out).mkdir(exist_ok=True)
                run_shards(tiny, noted, folder / out, "shards", LocalExecutor(1))
                os._exit(0)
            return process

        begun = time.monotonic()
        os.waitpid(work("quiet"), 0)
        quiet, killed, moments = time.monotonic() - begun, 0, list[float]()
        while killed < KILLS:
            process = work("killed")
            time.sleep(draw.uniform(0, 2 * quiet / (KILLS + 2)))
            os.kill(process, signal.SIGKILL)
            moments.append(time.monotonic())
            killed += os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
        os.waitpid(work("killed"), 0)
        same = _bytes(folder / "killed") == _bytes(folder / "quiet")
        useful = sum(ended - started for started, ended in _spans(folder / "quiet.notes", []))
        repeated = sum(ended - started for started, ended in _spans(folder / "killed.notes", moments, lost=True))
        times = len((folder / "killed.notes").read_text().split("begun")) - 1
    return {
        "kills": killed,
        "shards": len(shards),
        "same": same,
        "seconds": useful,
        "repeated": repeated / useful,
        "begun": times,
    }


def _spans(notes: Path, moments: Sequence[float], *, lost: bool = False) -> Generator[tuple[float, float], None, None]:
    """When shards were begun and done; or, of those that were lost, begun and killed."""
    words = [line.split() for line in notes.read_text().splitlines()]
    for (word, _, begun), (following, _, ended) in zip(words, [*words[1:], ["", "", "inf"]], strict=True):
        if word == "begun" and (following != "done") == lost:
            yield float(begun), min((at for at in moments if at > float(begun)), default=0.0) if lost else float(ended)


def _bytes(out: Path) -> dict[str, bytes]:
    timed_files = {"shard.json", "files.json"}
    paths = [path for path in out.rglob("*") if path.is_file() and path.name not in timed_files]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def memory(model: ResidualModel, arguments: argparse.Namespace) -> Line:
    """MB of two processes at work, with the weights as they are stored and in float32."""
    found: Line = {}
    for dtype in ("bfloat16", "float32"):
        loaded = model if dtype == "float32" else load_model(model.id, dtype=dtype)
        shards, peak = facts(model)[:8], dict[int, Line]()
        with tempfile.TemporaryDirectory() as folder:

            def look(*_: object, peak: dict[int, Line] = peak) -> None:
                for child in psutil.Process().children(recursive=True):
                    weights = [row for row in child.memory_maps() if row.path.endswith(".safetensors")]
                    if child.memory_info().rss > 4.5e8:  # not the one that only imports
                        full = child.memory_full_info()
                        peak[child.pid] = {
                            "rss": full.rss / 1e6,
                            "pss": full.pss / 1e6,
                            "uss": full.uss / 1e6,
                            "mapped": sum(row.rss for row in weights) / 1e6,
                        }

            run_shards(loaded, shards, Path(folder), "shards", ProcessExecutor(2), look)
        found[dtype] = {"weights": _megabytes(loaded), "processes": list(peak.values())}
    return found


def _megabytes(model: ResidualModel) -> float:
    return sum(weight.numel() * weight.element_size() for weight in model.module.parameters()) / 1e6


def cost(model: ResidualModel, arguments: argparse.Namespace) -> Line:
    """Edge scores and one circuit: seconds of a processor, and the two terms of their model, in 10⁹ multiplications."""
    rows: list[Line] = []
    for layers, heads in SHAPES:
        other = random_model(layers, heads, 256)
        for prompts, tokens in ((1, 16), (4, 16), (4, 64)):
            experiment = Experiment(other, random_pairs(other, prompts, tokens))
            weights = sum(part.numel() for part in other.module.model.layers.parameters())
            count = prompts * tokens
            row = {"layers": layers, "heads": heads, "prompts": prompts, "tokens": tokens}
            row |= {"weights": weights * count / 1e9, "edges": other.graph.edges * other.d_model * count / 1e9}
            row["scores"] = _processor(lambda experiment=experiment: attribute(experiment, steps=5))
            half = torch.rand((8, *other.graph.valid.shape), generator=torch.Generator().manual_seed(0)) < 0.5
            masks = half & torch.as_tensor(other.graph.valid)
            row["circuits"] = _processor(lambda experiment=experiment, masks=masks: experiment.logits(masks)) / 8
            rows.append(row)
    return {"rows": rows} | {name: _fit(rows, name) for name in ("scores", "circuits")}


def _processor(work: Callable[[], object]) -> float:
    """Seconds of a processor; the least of three."""
    found: list[float] = []
    for _ in range(3):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def _fit(rows: Sequence[Line], name: str) -> Line:
    """Seconds = fixed · layers + a · weights + b · edges, each at least 0; relative errors count alike."""
    seconds = np.array([row[name] for row in rows])
    terms = np.array([[row["layers"], row["weights"], row["edges"]] for row in rows])
    (fixed, weights, edges), _ = nnls(terms / seconds[:, None], np.ones(len(rows)))
    error = terms @ np.array([fixed, weights, edges]) / seconds - 1
    return {"fixed": fixed, "weights": weights, "edges": edges, "median": float(np.median(abs(error)))} | {
        "worst": float(abs(error).max())
    }


PARTS: dict[str, Callable[[ResidualModel, argparse.Namespace], Line]] = {
    "gain": gain,
    "ray": on_ray,
    "overhead": overhead,
    "kills": kills,
    "memory": memory,
    "cost": cost,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--facts", type=int, default=40, help="of the sweep by one process and by two")
    parser.add_argument("--part", type=int, default=6, help="facts that are measured in turns")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="make the page of what was measured")
    arguments = parser.parse_args()
    there = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()] if RESULTS.exists() else []
    found: dict[str, Line] = {line["part"]: line for line in there}
    torch.set_num_threads(1)
    model = load_model("smollm2-135m")
    for part in arguments.parts:
        if part in found:
            continue
        about = {
            "part": part,
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, one thread a process",
            "load": os.getloadavg()[0],
        }
        begun = time.perf_counter()
        found[part] = about | PARTS[part](model, arguments)
        found[part]["took"] = round(time.perf_counter() - begun, 1)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found[part]) + "\n")
        print(part, found[part], flush=True)
    if arguments.write:
        text = PAGE.read_text("utf-8")
        before, after = text.split(_BEGIN)[0], text.split(_END)[1]
        PAGE.write_text(f"{before}{_BEGIN}\n{tables(found)}\n{_END}{after}", "utf-8")


if __name__ == "__main__":
    main()
