"""MIB's own evaluation on transformer-lens 3.8; `worker.py` says how.

    python drive_mib.py MODEL_FOLDER PATH_OF_EAP_IG PATH_OF_MIB

Both are checkouts: MIB's evaluation imports EAP-IG. Files are read by its own loaders.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformer_lens import HookedTransformer, loading_from_pretrained
from worker import serve

sys.path[:0] = [str(Path(sys.argv[2]) / "src"), sys.argv[3]]
from MIB_circuit_track import evaluation  # noqa: E402
from MIB_circuit_track.circuit_loading import load_graph_from_json, load_graph_from_pt  # noqa: E402
from MIB_circuit_track.metrics import get_metric  # noqa: E402

folder = sys.argv[1]
loading_from_pretrained.OFFICIAL_MODEL_NAMES.append(folder)  # else only published names are loaded
model = HookedTransformer.from_pretrained_no_processing(folder, device="cpu")
model.cfg.use_split_qkv_input = True
model.cfg.use_attn_result = True
model.cfg.use_hook_mlp_in = True
model.cfg.ungroup_grouped_query_attention = True
model.eval()

pairs = json.loads((Path(folder) / "pairs.json").read_text())
labels = torch.tensor([[pair["answer_id"], pair["distractor_id"]] for pair in pairs])
batch = ([pair["clean"] for pair in pairs], [pair["corrupt"] for pair in pairs], labels)
assert model.to_tokens(batch[0], prepend_bos=True).tolist() == [pair["clean_ids"] for pair in pairs]


def load(file: str) -> Any:
    return load_graph_from_pt(file) if file.endswith(".pt") else load_graph_from_json(file)


def areas(file: str, log: bool, absolute: bool) -> Any:
    """`evaluate_area_under_curve` of a file of scores."""
    metric = partial(get_metric("logit_diff", "ioi", model.tokenizer, model), mean=False, loss=False)

    def work() -> Any:
        return evaluation.evaluate_area_under_curve(
            model, load(file), [batch], metric, quiet=True, log_scale=log, absolute=absolute
        )

    def describe(found: Any) -> dict[str, Any]:
        edges, under, from_1, average, faithfulness = found
        return {"edges": edges, "cpr": under, "cmd": from_1, "average": average, "faithfulness": faithfulness}

    return work, describe


def roc(truth: str, file: str) -> Any:
    """`evaluate_area_under_roc` of scores against a circuit."""
    return lambda: evaluation.evaluate_area_under_roc(load(truth), load(file)), lambda found: found


serve({"areas": areas, "roc": roc})
