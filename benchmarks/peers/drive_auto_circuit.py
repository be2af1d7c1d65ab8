"""auto-circuit 1.0.1 on transformer-lens 3.8, driven as its documentation does; `worker.py` says how.

    python drive_auto_circuit.py MODEL_FOLDER

transformer-lens 3.8 no longer has the name by which auto-circuit imports its key/value cache (which is not used here);
the name is put back before the import. auto-circuit has no integrated gradients along the input: `mask-ig` adds up the
gradient at values of all edges' masks instead, in as many passes. Scores come back by EAP-IG's edge names.
"""

from __future__ import annotations

import json
import random
import sys
import types
from pathlib import Path
from typing import Any

import torch
import transformer_lens
from transformer_lens import HookedTransformer, TransformerLensKeyValueCache, loading_from_pretrained
from worker import serve

old_name = types.ModuleType("transformer_lens.past_key_value_caching")
old_name.HookedTransformerKeyValueCache = TransformerLensKeyValueCache
sys.modules[old_name.__name__] = old_name
transformer_lens.HookedTransformerKeyValueCache = TransformerLensKeyValueCache

from auto_circuit.data import PromptDataLoader, PromptDataset  # noqa: E402
from auto_circuit.prune_algos.ACDC import acdc_prune_scores  # noqa: E402
from auto_circuit.prune_algos.mask_gradient import mask_gradient_prune_scores  # noqa: E402
from auto_circuit.utils.graph_utils import patchable_model  # noqa: E402

folder = sys.argv[1]
loading_from_pretrained.OFFICIAL_MODEL_NAMES.append(folder)  # else only published names are loaded
hooked = HookedTransformer.from_pretrained_no_processing(folder, device="cpu")
hooked.cfg.use_attn_result = True
hooked.cfg.use_split_qkv_input = True
hooked.cfg.use_hook_mlp_in = True
if hooked.cfg.n_key_value_heads is not None:
    hooked.set_ungroup_grouped_query_attention(True)
hooked.eval()
for parameter in hooked.parameters():
    parameter.requires_grad = False
model = patchable_model(hooked, factorized=True, slice_output="last_seq", separate_qkv=True)

pairs = json.loads((Path(folder) / "pairs.json").read_text())
dataset = PromptDataset(
    [torch.tensor(pair["clean_ids"]) for pair in pairs],
    [torch.tensor(pair["corrupt_ids"]) for pair in pairs],
    [torch.tensor([pair["answer_id"]]) for pair in pairs],
    [torch.tensor([pair["distractor_id"]]) for pair in pairs],
)
loader = PromptDataLoader(dataset, seq_len=None, diverge_idx=0, batch_size=len(pairs), shuffle=False)
every_edge = sorted(model.edges, key=lambda edge: edge.name)


def gradient(points: int, scores: bool = False) -> Any:
    """Gradient of every edge's mask at 0 (the clean run), or added up over values from 0 to 1."""
    where = {"mask_val": 0.0} if points == 1 else {"integrated_grad_samples": points - 1}

    def work() -> Any:
        model.zero_grad()
        return mask_gradient_prune_scores(model, loader, None, "logit", "avg_diff", **where)

    def describe(found: Any) -> dict[str, Any]:
        values = {name(edge): float(edge.prune_score(found)) for edge in every_edge} if scores else {}
        return {"edges": len(every_edge), "scores": values}

    return work, describe


def acdc(sample: int, seed: int = 0) -> Any:
    """One threshold of ACDC over a sample of the edges, so that the time of one edge can be told."""
    chosen = random.Random(seed).sample(every_edge, sample)

    def work() -> None:
        model.edges = set(chosen)
        acdc_prune_scores(model, loader, None, tao_exps=[-2], tao_bases=[1])

    return work, lambda _: {"edges": len(every_edge)}


def name(edge: Any) -> str:
    """EAP-IG's name of an edge."""

    def node(part: str) -> str:
        if part.startswith("Resid"):
            return "input" if part == "Resid Start" else "logits"
        if part.startswith("MLP"):
            return "m" + part.split()[1]
        layer, head, *channel = part[1:].split(".")
        return f"a{layer}.h{head}" + (f"<{channel[0].lower()}>" if channel else "")

    return f"{node(edge.src.name)}->{node(edge.dest.name)}"


serve({"eap": lambda **o: gradient(1, **o), "mask-ig": lambda steps, **o: gradient(steps, **o), "acdc": acdc})
