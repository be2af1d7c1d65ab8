"""What of `circuit.json` depends on threads and on the memory budget: SmolLM2's France pair.

    python benchmarks/same_bytes.py [--threads 1 2] [--memory 8589934592 1]

The circuit is found once for each number of threads and each budget in bytes. Printed is each file's difference from
the first: whether it has the same bytes and the same edges, how many edges have other last digits, and the largest
difference in score, effect, metric and faithfulness.
"""

from __future__ import annotations

import argparse
import platform

import torch

import wheatstone as ws
from wheatstone.circuits import Circuit, Experiment
from wheatstone.discovery import DiscoverySettings, discover_in

FRANCE = ws.PromptPair(
    prompt="The official language of France is",
    counterfactual="The official language of Japan is",
    answers=(" French",),
    distractors=(" Japanese",),
)


def difference(found: Circuit, first: Circuit) -> str:
    """One line: how a circuit differs from the first."""
    if found.to_json() == first.to_json():
        return "the same bytes"
    if found.edges != first.edges:
        return f"other edges: {len(set(found.edges) ^ set(first.edges))} differ"
    assert found.scores is not None
    assert found.effects is not None
    assert first.scores is not None
    assert first.effects is not None
    assert found.evaluation is not None
    assert first.evaluation is not None
    scores, effects = (
        [abs(round(one, 6) - round(other, 6)) for one, other in zip(ours, theirs, strict=True)]
        for ours, theirs in ((found.scores, first.scores), (found.effects, first.effects))
    )
    changed = sum(score + effect > 0 for score, effect in zip(scores, effects, strict=True))
    metric = max(
        abs(getattr(found.evaluation, name) - getattr(first.evaluation, name))
        for name in ("clean", "corrupt", "circuit")
    )
    faithfulness = abs(found.evaluation.faithfulness - first.evaluation.faithfulness)
    return (
        f"the same {len(found)} edges, {changed} with other last digits: score {max(scores):.0e}, "
        f"effect {max(effects):.0e}, metric {metric:.0e}, faithfulness {faithfulness:.0e}"
    )


def main() -> None:
    """Finds the circuit under each setting."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    words.add_argument("--memory", type=int, nargs="+", default=[1 << 33, 1], metavar="BYTES")
    given = words.parse_args()
    model = ws.load_model("smollm2-135m")
    print(f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}, float32")
    first: Circuit | None = None
    for threads in given.threads:
        torch.set_num_threads(threads)
        for memory in given.memory:
            experiment = Experiment(model, [FRANCE], memory=memory)
            circuit = discover_in(experiment, DiscoverySettings(0.9), curve=False).circuit
            first = first or circuit
            print(f"{threads} threads, {memory:,} bytes: {difference(circuit, first)}", flush=True)


if __name__ == "__main__":
    main()
