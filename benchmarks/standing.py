"""The standing examples on SmolLM2-135M-Instruct (Q4_1): what verified search finds for each.

    python benchmarks/standing.py [--write]

Per prompt pair: the model's probability of the answer, how many edges of the EAP-IG ranking reach 90% of the logit
difference, how many verified search keeps, and what the circuit alone answers. `--write` puts the table into
docs/results/standing.md.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command does

import wheatstone as ws
from wheatstone.discovery import discover_in
from wheatstone.verification import verify_in

IOI = "When John and Mary went to the store, {} gave the bag to"
TREE = "I climbed up the pear tree and picked a pear. I climbed up the {} tree and picked"
EXAMPLES = {
    "official language": (
        "The official language of France is",
        "The official language of Japan is",
        " French",
        " Japanese",
    ),
    "capital": ("The capital of Japan is the city of", "The capital of France is the city of", " Tokyo", " Paris"),
    "indirect object": (IOI.format("John"), IOI.format("Mary"), " Mary", " John"),
    "a / an": (TREE.format("apple"), TREE.format("lemon"), " an", " a"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/results/standing.md")
    options = parser.parse_args()
    model = ws.load_model("smollm2-135m")
    lines = [
        "| example | model: P(answer) | ranking alone, edges at most | verified, edges | faithfulness | KL, nats "
        "| circuit: P(answer), first choice | circuits run | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for name, (prompt, counterfactual, answer, distractor) in EXAMPLES.items():
        pair = ws.PromptPair(prompt=prompt, counterfactual=counterfactual, answers=(answer,), distractors=(distractor,))
        start = time.perf_counter()
        experiment = ws.Experiment(model, [pair])
        found = discover_in(experiment, curve=False)
        seconds = time.perf_counter() - start
        proof = verify_in(experiment, found.circuit.mask(), draws=1)
        row = proof.prompts[0]
        lines.append(
            f"| {name}: `{answer}` | {row.model.probability:.2f} | {found.ranked:,} | {len(found.circuit)} "
            f"| {proof.faithfulness:.3f} | {proof.kl['circuit']:.2f} "
            f"| {row.circuit.probability:.2f}, `{row.circuit.top}` | {found.evaluations:,} | {seconds:.0f} |"
        )
        print(lines[-1], flush=True)
    if options.write:
        head = (
            "# The standing examples on SmolLM2-135M-Instruct (Q4_1)\n\n"
            "Made by `python benchmarks/standing.py --write`; "
            f"{os.cpu_count()} cores, float32, counterfactual ablation, logit difference, goal 0.9, n = 1 prompt each "
            "(so no interval): what these circuits do on other prompts is another question.\n\n"
        )
        out = Path(__file__).parent.parent / "docs" / "results" / "standing.md"
        out.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
