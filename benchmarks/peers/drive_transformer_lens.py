"""transformer-lens 4.3's edge attribution, driven as its documentation does; `worker.py` says how.

    python drive_transformer_lens.py MODEL_FOLDER

It takes one step, with the gradient on the *corrupt* prompt, scores every position apart, and refuses grouped-query
attention. Scores come back by EAP-IG's edge names, summed over positions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.tools.analysis import EdgeAttributionConfig, attribution_patch
from worker import serve

folder = Path(sys.argv[1])
model = TransformerBridge.boot_transformers(str(folder), device="cpu", dtype=torch.float32)
model.eval()
pairs = json.loads((folder / "pairs.json").read_text())
clean, corrupt = (torch.tensor([pair[side] for pair in pairs]) for side in ("clean_ids", "corrupt_ids"))
answers = [(pair["answer_id"], pair["distractor_id"]) for pair in pairs]


def eap(scores: bool = False, frozen: bool = False) -> Any:
    """`attribution_patch` of every pair, one by one, because its metric does not know which pair it sees.

    Args:
        frozen: without gradients of weights, except the embedding's, where the backward pass starts.
    """
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(not frozen or "embed_tokens" in parameter_name)

    def work() -> list[Any]:
        return [
            attribution_patch(
                model,
                clean[row : row + 1],
                corrupt[row : row + 1],
                lambda logits, a=answer, b=distractor: logits[0, -1, a] - logits[0, -1, b],
                EdgeAttributionConfig(granularity="edge"),
            )
            for row, (answer, distractor) in enumerate(answers)
        ]

    def describe(found: list[Any]) -> dict[str, Any]:
        values: dict[str, float] = {}
        for result in found:
            for (writer, reader), score in result.edge_scores.items():
                edge = f"{name(writer)}->{name(reader)}"
                values[edge] = values.get(edge, 0.0) + score / len(found)
        return {"edges": len(values), "scores": values if scores else {}}

    return work, describe


def name(node: Any) -> str:
    """EAP-IG's name of a node."""
    head = f"a{node.layer}.h{node.head}"
    names = {"embed": "input", "attn_head_out": head, "mlp_out": f"m{node.layer}", "mlp_in": f"m{node.layer}"}
    return names.get(node.kind) or ("logits" if node.kind == "logits" else f"{head}<{node.kind[0]}>")


serve({"eap": eap})
