"""EAP-IG's own code on transformer-lens 3.8, driven as its notebook does; `worker.py` says how.

    python drive_eap_ig.py MODEL_FOLDER PATH_OF_THE_CHECKOUT

Its score matrices are created on `cuda` by name; here they are created on the CPU. As shipped it also computes the
gradient of every weight, which nothing reads; `frozen` turns that off, with the same scores. Scores come back by its
own edge names.
"""

from __future__ import annotations

import json
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformer_lens import HookedTransformer, loading_from_pretrained
from worker import serve

checkout = Path(sys.argv[2])
sys.path.insert(0, str(checkout / "src"))
from eap import attribute as attribution  # noqa: E402
from eap.evaluate import evaluate_baseline, evaluate_graph  # noqa: E402
from eap.graph import Graph  # noqa: E402


class TorchOnCpu:
    """torch, with `cuda` meaning the CPU."""

    def __getattr__(self, wanted: str) -> Any:
        return getattr(torch, wanted)

    def zeros(self, *shape: Any, device: str, **options: Any) -> torch.Tensor:
        return torch.zeros(*shape, **options)


attribution.torch = TorchOnCpu()

folder = sys.argv[1]
loading_from_pretrained.OFFICIAL_MODEL_NAMES.append(folder)  # else only published names are loaded
model = HookedTransformer.from_pretrained_no_processing(folder, device="cpu")
model.cfg.use_split_qkv_input = True
model.cfg.use_attn_result = True
model.cfg.use_hook_mlp_in = True
if model.cfg.n_key_value_heads is not None:
    model.cfg.ungroup_grouped_query_attention = True
model.eval()

pairs = json.loads((Path(folder) / "pairs.json").read_text())
ids = model.to_tokens([pair["clean"] for pair in pairs], prepend_bos=True, padding_side="right")
assert ids.tolist() == [pair["clean_ids"] for pair in pairs], "EAP-IG reads other tokens"
labels = torch.tensor([[pair["answer_id"], pair["distractor_id"]] for pair in pairs])


def batches(size: int) -> list[Any]:
    """The prompts as its data loader gives them."""
    rows = [pairs[first : first + size] for first in range(0, len(pairs), size)]
    texts = [[[pair[side] for pair in part] for side in ("clean", "corrupt")] for part in rows]
    return [(*both, labels[at * size : (at + 1) * size]) for at, both in enumerate(texts)]


batch = batches(len(pairs))


def logit_diff(logits: Any, clean: Any, lengths: Any, labels: Any, mean: bool = True, loss: bool = False) -> Any:
    """As the notebooks' `logit_diff`: at each prompt's last token; negative as a loss."""
    last = logits[torch.arange(len(logits)), lengths - 1].gather(1, labels)
    value = last[:, 0] - last[:, 1]
    value = -value if loss else value
    return value.mean() if mean else value


def gradient(method: str, steps: int = 1, scores: bool = False, frozen: bool = False, size: int | None = None) -> Any:
    """`attribute` of its library.

    Args:
        frozen: without gradients of weights. Without integration steps the embedding keeps its own, because the
            backward pass has to start somewhere.
        size: prompts in a batch; all by default.
    """
    graph = Graph.from_model(model)
    model.requires_grad_(not frozen)
    model.embed.requires_grad_(not frozen or method == "EAP")

    def work() -> None:
        attribution.attribute(
            model,
            graph,
            batches(size or len(pairs)),
            partial(logit_diff, loss=True, mean=True),
            method,
            ig_steps=steps,
            quiet=True,
        )

    def describe(_: None) -> dict[str, Any]:
        model.zero_grad()
        values = {name: float(edge.score) for name, edge in graph.edges.items()} if scores else {}
        return {"edges": len(graph.edges), "scores": values}

    return work, describe


def exact(sample: int | None = None, seed: int = 0, scores: bool = False) -> Any:
    """What `get_scores_exact` does for each edge, for a sample of them or all."""
    graph = Graph.from_model(model)
    graph.in_graph |= graph.real_edge_mask
    metric = partial(logit_diff, mean=False)
    baseline = evaluate_baseline(model, batch, metric, quiet=True).mean().item()
    chosen = random.Random(seed).sample(sorted(graph.edges), len(graph.edges) if sample is None else sample)

    def work() -> dict[str, float]:
        effects: dict[str, float] = {}
        for name in chosen:
            graph.edges[name].in_graph = False
            effects[name] = baseline - evaluate_graph(model, graph, batch, metric, quiet=True).mean().item()
            graph.in_graph |= graph.real_edge_mask  # with the edge, what pruning took because of it
        return effects

    return work, lambda effects: {"edges": len(graph.edges), "scores": effects if scores else {}}


serve({
    "eap": lambda **o: gradient("EAP", **o),
    "eap-ig": lambda **o: gradient("EAP-IG-inputs", **o),
    "exact": exact,
})  # fmt: skip
