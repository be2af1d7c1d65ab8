"""Ten everyday tasks in TransformerLens 4.3, as its documentation does them.

python everyday_transformer_lens.py MODEL_FOLDER

Of attribution it says that norms must be folded, so that task has a model in compatibility mode.
"""

from __future__ import annotations

from typing import Any

import torch
from everyday_given import (
    ANSWER,
    DISTRACTOR,
    FOLDER,
    HEAD,
    LAYER,
    LAYERS,
    MLP,
    NEW,
    OTHER,
    PROMPT,
    STEERED,
    VECTOR,
    serve_tasks,
)
from transformer_lens import patching
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.tools.analysis.logit_lens import logit_lens
from transformer_lens.utilities import get_act_name


def boot() -> Any:
    found = TransformerBridge.boot_transformers(str(FOLDER), device="cpu", dtype=torch.float32)
    found.cfg.default_prepend_bos = False  # as the tokenizer has it
    return found.eval()


model, folded = boot(), boot()
folded.enable_compatibility_mode(disable_warnings=True)


def logits() -> Any:
    logits = model(PROMPT)
    probabilities, ids = logits[0, -1].softmax(-1).topk(5)
    return logits, probabilities, model.to_str_tokens(ids)


def cache() -> Any:
    _, cache = model.run_with_cache(PROMPT)
    return cache


def attention() -> Any:
    _, cache = model.run_with_cache(PROMPT, names_filter=lambda name: name.endswith("hook_pattern"))
    return torch.stack([cache["pattern", layer] for layer in range(LAYERS)])


def lens() -> Any:
    return logit_lens(model, PROMPT)


def patch() -> Any:
    name = get_act_name("z", LAYER)
    _, cache = model.run_with_cache(OTHER, names_filter=name)

    def replace(z, hook):
        z[:, :, HEAD] = cache[name][:, :, HEAD]
        return z

    return model.run_with_hooks(PROMPT, fwd_hooks=[(name, replace)])


def ablate() -> Any:
    hook = (get_act_name("mlp_out", MLP), lambda written, hook: torch.zeros_like(written))
    return model.run_with_hooks(PROMPT, fwd_hooks=[hook])


def steer() -> Any:
    hook = (get_act_name("resid_post", STEERED), lambda stream, hook: stream + VECTOR)
    return model.run_with_hooks(PROMPT, fwd_hooks=[hook])


def attribution() -> Any:
    _, cache = folded.run_with_cache(PROMPT)
    heads, labels = cache.stack_head_results(pos_slice=-1, return_labels=True)
    return cache.logit_attrs(heads, ANSWER, DISTRACTOR, pos_slice=-1), labels


def everywhere() -> Any:
    _, cache = model.run_with_cache(PROMPT)
    answer, distractor = model.to_single_token(ANSWER), model.to_single_token(DISTRACTOR)

    def difference(logits):
        return logits[0, -1, answer] - logits[0, -1, distractor]

    return patching.get_act_patch_resid_pre(model, model.to_tokens(OTHER), cache, difference)


def generate() -> Any:
    hook = (get_act_name("resid_post", STEERED), lambda stream, hook: stream + VECTOR)
    with model.hooks(fwd_hooks=[hook]):
        return model.generate(PROMPT, max_new_tokens=NEW, do_sample=False, return_type="tokens", verbose=False)


def _cached(cache: Any) -> dict[str, torch.Tensor]:
    names = {"stream": "resid_post", "mlp": "mlp_out", "z": "z"}
    found = {what: torch.stack([cache[name, layer] for layer in range(LAYERS)]) for what, name in names.items()}
    return found | {"z": found["z"].flatten(3)}


serve_tasks(
    {
        "logits": (logits, lambda found: {"logits": found[0]}),
        "cache": (cache, _cached),
        "attention": (attention, lambda found: {"weights": found[:, 0]}),
        "lens": (lens, lambda found: {"logits": found.values.flatten(0, -2)}),
        "patch": (patch, lambda found: {"logits": found}),
        "ablate": (ablate, lambda found: {"logits": found}),
        "steer": (steer, lambda found: {"logits": found}),
        "attribution": (attribution, lambda found: {"heads": found[0].flatten()}),
        "everywhere": (everywhere, lambda found: {"differences": found}),
        "generate": (generate, lambda found: {"ids": found[0, -NEW:]}),
    }
)
