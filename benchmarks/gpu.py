"""What an accelerator gives: parity, scoring, verified search, graph, scan, compression and memory, unattended.

    python benchmarks/gpu.py OUT.json [--device cuda] [--minutes 8] [--only NAME ...]
    python benchmarks/gpu.py OUT.json --device cpu --small     # the same cases on a tiny random model
    python benchmarks/gpu.py OUT.json --write                  # docs/results/gpu.md of what is in the file
    python benchmarks/gpu.py --wheels                          # what a machine without a network must be given

Every case runs in a process of its own, with a limit of its own and within the time that is left, and is added to the
file as soon as it ends; a case that fails or finds no time says so there. What the goals are about comes first, what is
only compared with a CPU last. Seconds are of the clock, loading apart; memory is the device's peak above the loaded
model (resident memory on a CPU). The shapes of larger models have random weights in bfloat16: what they cost is that of
the real ones, what they find means nothing. Nothing is fetched: where SmolLM2 is not in the cache
(`$WHEATSTONE_HOME/models/smollm2-135m`, 540 MB), its cases say so and the others are measured.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import torch
from memory import measured
from scale_models import SHAPES, WORDS, random_pairs, shaped_model

from wheatstone import Experiment, PromptPair, load_model
from wheatstone.compression import compress
from wheatstone.discovery import attribute, discover
from wheatstone.graphs import graph
from wheatstone.models import ResidualModel
from wheatstone.neurons import ScanSettings, run_scan
from wheatstone.texts import bundled_texts

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/results/gpu.md"
FRANCE = PromptPair(
    prompt="The official language of France is",
    counterfactual="The official language of Japan is",
    answers=(" French",),
    distractors=(" Japanese",),
)
Line = dict[str, Any]
WHEELS = (
    *("accelerate", "brotli", "constriction", "filelock", "huggingface_hub", "jaxtyping", "jinja2", "numpy"),
    *("platformdirs", "psutil", "pyarrow", "pydantic", "safetensors", "scipy", "tokenizers", "torch"),
    *("transformers", "zstandard"),
)
"""What the cases import, and no more: pages, pictures, the studio and Ray are left out."""
_START = 5.0
"""Seconds under which no case is begun."""


@dataclass(frozen=True)
class Case:
    """One measurement.

    Args:
        what: a function of `WORK`.
        model: `smollm2-135m`, or a name of `SHAPES`.
        prompts: of random models.
        cpu: measured on the CPU whatever the device, to compare.
        most: seconds after which it is stopped, its start and loading included.
    """

    what: str
    model: str = "smollm2-135m"
    prompts: int = 1
    cpu: bool = False
    most: float = 60.0

    @property
    def name(self) -> str:
        return f"{self.what}, {self.model}, {self.prompts}" + (" (CPU)" if self.cpu else "")


CASES = (
    Case("parity"),
    Case("eap-ig"),
    Case("verified"),
    Case("eap-ig", "Llama-3.2-1B's", 100),
    Case("eap-ig", "Llama-3.1-8B's", 100, most=120),
    Case("graph"),
    Case("scan"),
    Case("compress"),
    Case("eap-ig", cpu=True),
    Case("verified", "Llama-3.1-8B's", most=180),
    Case("verified", cpu=True, most=240),
)
SMALL = tuple(Case(what, "tiny", 4) for what in ("parity", "eap-ig", "verified", "graph", "scan", "compress"))


def load(case: Case, device: str) -> tuple[ResidualModel, list[PromptPair]]:
    """A case's model and prompts."""
    if case.model == "smollm2-135m":
        return load_model(case.model, device=device), [FRANCE]
    dtype = torch.float32 if case.model == "tiny" else torch.bfloat16
    model = shaped_model(*SHAPES[case.model], device=device, dtype=dtype)
    return model, random_pairs(model, case.prompts)


def parity(model: ResidualModel, pairs: list[PromptPair]) -> Line:
    """The largest gaps of the device's log-probabilities to those in float32 on the CPU."""
    texts = [pair.prompt for pair in pairs] + [document.text[:400] for document in list(bundled_texts())[:4]]
    module: Any = model.module

    def found() -> torch.Tensor:
        return model.forward(texts).logits.float().log_softmax(-1).cpu()

    device, ours = model.device, found()
    module.to("cpu")
    base = ours if device.type == "cpu" else found()
    module.to(device, torch.bfloat16)
    return {"gap float32": float((ours - base).abs().max()), "gap bfloat16": float((found() - base).abs().max())}


def eap_ig(model: ResidualModel, pairs: list[PromptPair]) -> Line:
    """EAP-IG in 5 steps, the experiment included."""
    scores = attribute(Experiment(model, pairs, allow_weak=True), method="eap-ig", steps=5)
    return {"edges": model.graph.edges, "finite": bool(scores.values.isfinite().all())}


def verified(model: ResidualModel, pairs: list[PromptPair]) -> Line:
    """A circuit of one pair whose every edge is proved necessary."""
    circuit = discover(model, pairs[:1], faithfulness=0.9, allow_weak=True)
    return {"kept edges": len(circuit), "faithfulness": circuit.evaluation and circuit.evaluation.faithfulness}


def neuron_graph(model: ResidualModel, pairs: list[PromptPair]) -> Line:
    """A graph of 500 nodes at most."""
    (pair, *_) = pairs
    found = graph(
        model, pair.prompt, pair.answers[0], counterfactual=pair.counterfactual, distractor=pair.distractors[0]
    )
    return {"nodes": len(found.rows), "edges": len(found.edges)}


def scan(model: ResidualModel, _pairs: list[PromptPair]) -> Line:
    """Neurons over bundled text."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = run_scan(model, ScanSettings(tokens=20_000), Path(folder) / "scan")
    return {"tokens": int(manifest["tokens"])}


def compressed(model: ResidualModel, _pairs: list[PromptPair]) -> Line:
    """20 kB of bundled text; random words for a model that knows no others."""
    data = next(iter(bundled_texts())).text.encode()[: 20_000 if model.vocabulary > WORDS else 200]
    found = compress(model, io.BytesIO(data), io.BytesIO(), general=False)
    return {"bytes in": found.bytes_in, "bytes out": found.bytes_out}


WORK: dict[str, Callable[[ResidualModel, list[PromptPair]], Line]] = {
    "parity": parity,
    "eap-ig": eap_ig,
    "verified": verified,
    "graph": neuron_graph,
    "scan": scan,
    "compress": compressed,
}


def run(case: Case, device: str) -> Line:
    """Measures one case in this process."""
    device = "cpu" if case.cpu else device
    begun = time.perf_counter()
    model, pairs = load(case, device)
    model.forward([pairs[0].prompt])
    about: Line = {"load seconds": round(time.perf_counter() - begun, 1)}
    started = 0.0

    def work() -> None:
        nonlocal started
        started = time.perf_counter()
        about.update(WORK[case.what](model, pairs))
        if device != "cpu":
            torch.cuda.synchronize()
        about["seconds"] = round(time.perf_counter() - started, 2)

    if device == "cpu" and Path("/proc/self/clear_refs").exists():
        about["peak MB"] = measured(work)["mb"]
        return about
    if device == "cpu":
        work()
        return about
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    about["model MB"] = round(before / 1e6)
    about["peak MB"] = round((torch.cuda.max_memory_allocated() - before) / 1e6)
    return about


def wheels() -> list[str]:
    """The pinned packages, for `pip download -r`; torch as the build for the machine's CUDA."""
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in pins if line.partition("==")[0] in WHEELS]


def machine(device: str) -> Line:
    """What was measured on."""
    found: Line = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": device,
    }
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        found |= {"name": properties.name, "memory MB": round(properties.total_memory / 1e6)}
    return found


def measure(options: argparse.Namespace) -> Line:
    """All cases, one after the other, as far as the time goes."""
    end, cases = time.monotonic() + 60 * options.minutes, SMALL if options.small else CASES
    found: Line = {"about": machine(options.device), "cases": {}}
    for case in cases:
        if options.only and case.what not in options.only:
            continue
        left = min(case.most, end - time.monotonic())
        line = _one(case, options.device, left) if left > _START else {"missing": "no time was left"}
        found["cases"][case.name] = line | {"load": round(os.getloadavg()[0], 1)}
        print(case.name, found["cases"][case.name], flush=True)
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def _one(case: Case, device: str, seconds: float) -> Line:
    """One case in a process of its own; what it says, or why it says nothing."""
    command = [sys.executable, __file__, "-", "--device", device, "--case", case.name]
    offline = {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "PIP_RETRIES": "0"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=os.environ | offline)
    except subprocess.TimeoutExpired:
        return {"missing": f"not done in {seconds:.0f} s"}
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):  # it was killed, or ended with an error
        last = done.stderr.strip().splitlines()[-1:]
        return {"missing": "".join(last)[:300] or f"ended with {done.returncode}"}


def page(found: Line) -> str:
    """The page of a file."""
    about = found["about"]
    device = about.get("name", f"the CPU alone ({about['machine']})")
    rows = [
        f"| {name} | {line.get('seconds', '')} | {line.get('peak MB', '')} | {line.get('load', '')} | "
        + (line.get("missing") or "; ".join(f"{key} {_shown(line[key])}" for key in line if key not in _COLUMNS))
        + " |"
        for name, line in found["cases"].items()
    ]
    small = all("tiny" in name for name in found["cases"])
    whole = sum(line.get("load seconds", 0) + line.get("seconds", 0) for line in found["cases"].values())
    lead = [
        "# On an accelerator",
        "",
        f"Made by `python benchmarks/gpu.py OUT.json{' --device cpu --small' if small else ''}`, then `--write`, on "
        f"{device}, torch {about['torch']}, {about['date']}; each case once (n = 1).",
    ]
    if not about["device"].startswith("cuda"):
        lead += ["", CPU_ALONE.format(seconds=whole)]
    head = ["", "| case, model, prompts | seconds | peak MB | load | found |", "|---|---|---|---|---|"]
    return "\n".join([*lead, *head, *rows, ""])


_COLUMNS = {"seconds", "peak MB", "load", "missing"}


CPU_ALONE = """\
**No GPU has been measured.** This is the CPU's run of the same cases. It shows that the script works, and nothing about
an accelerator. It took {seconds:.0f} s, the starts of its processes apart.

To measure one, on a machine with the packages that `python benchmarks/gpu.py --wheels` lists (torch as its CUDA build),
this repository, and SmolLM2 in `$WHEATSTONE_HOME/models` (540 MB; without it eight of the eleven cases are missing):

```
PYTHONPATH=src python benchmarks/gpu.py gpu.json --device cuda
python benchmarks/gpu.py gpu.json --write
```

It ends after 8 minutes whether it is through or not, and each case after its own limit of 1 to 4 minutes. That there is
time for all on an H200 is an estimate. EAP-IG of 100 prompts of 6 tokens in a model of 8 billion weights is 1.6 · 10¹⁴
operations, two seconds at a tenth of the peak, after some 20 s of starting and making weights. A verified search in a
random model of that size, where nothing is localised, is likely to reach its limit; it comes last but one."""


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if type(value) is int else str(value).lower()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, help="the JSON file")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="a tiny random model instead")
    parser.add_argument("--minutes", type=float, default=8.0, help="for all cases together")
    parser.add_argument("--only", nargs="+", choices=tuple(WORK))
    parser.add_argument("--write", action="store_true", help="write docs/results/gpu.md of the file")
    parser.add_argument("--wheels", action="store_true", help="print the pinned packages")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.wheels:
        print("\n".join(wheels()))
        return
    if options.case:
        (case,) = (case for case in (*CASES, *SMALL) if case.name == options.case)
        print(json.dumps(run(case, options.device)))
        return
    if options.out is None:
        parser.error("expected a file for the results; got none")
    if options.write:
        PAGE.write_text(page(json.loads(options.out.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    measure(options)


if __name__ == "__main__":
    main()
