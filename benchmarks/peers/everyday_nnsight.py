"""Ten everyday tasks in nnsight 0.8, as its documentation does them.

python everyday_nnsight.py MODEL_FOLDER
"""

# The block of a trace runs elsewhere, and nothing returns out of it:
# ruff: noqa: RET504

from __future__ import annotations

from typing import Any

import nnsight
import torch
from everyday_given import (
    ANSWER,
    DISTRACTOR,
    FOLDER,
    HEAD,
    HEADS,
    LAYER,
    LAYERS,
    MLP,
    NEW,
    OTHER,
    POSITIONS,
    PROMPT,
    SIZE,
    STEERED,
    VECTOR,
    WIDE,
    serve_tasks,
)

# Attention weights are there in eager attention alone.
options = {"task": "text-generation", "dispatch": True, "dtype": torch.float32, "attn_implementation": "eager"}
model = nnsight.TransformersModel(str(FOLDER), **options)
layers = model.model.layers


def logits() -> Any:
    with model.trace(PROMPT):
        logits = model.output.logits.save()
    probabilities, ids = logits[0, -1].softmax(-1).topk(5)
    return logits, probabilities, [model.tokenizer.decode(token) for token in ids]


def cache() -> Any:
    with model.trace(PROMPT) as tracer:
        cache = tracer.cache(include_inputs=True)
    return cache


def attention() -> Any:
    with model.trace(PROMPT, output_attentions=True):
        weights = torch.stack(model.output.attentions).save()
    return weights


def lens() -> Any:
    with model.trace(PROMPT):
        streams = [layers[0].input[0, -1], *(layer.output[0, -1] for layer in layers)]
        logits = model.lm_head(model.model.norm(torch.stack(streams))).save()
    return logits


def patch() -> Any:
    part = slice(HEAD * WIDE, (HEAD + 1) * WIDE)
    with model.trace() as tracer:
        barrier = tracer.barrier(2)
        with tracer.invoke(OTHER):
            z = layers[LAYER].self_attn.o_proj.input[:, :, part]
            barrier()
        with tracer.invoke(PROMPT):
            barrier()
            layers[LAYER].self_attn.o_proj.input[:, :, part] = z
            logits = model.output.logits.save()
    return logits


def ablate() -> Any:
    with model.trace(PROMPT):
        layers[MLP].mlp.output[:] = 0
        logits = model.output.logits.save()
    return logits


def steer() -> Any:
    with model.trace(PROMPT):
        layers[STEERED].output[:] += VECTOR
        logits = model.output.logits.save()
    return logits


def attribution() -> Any:
    with model.trace(PROMPT):
        z = torch.stack([layer.self_attn.o_proj.input[0, -1] for layer in layers]).save()
        stream = model.model.norm.input[0, -1].save()
    answer, distractor = (model.tokenizer(text).input_ids[0] for text in (ANSWER, DISTRACTOR))
    norm, unembed = model.model.norm, model.lm_head.weight
    scale = norm.weight * (stream.square().mean() + norm.variance_epsilon).rsqrt()
    direction = scale * (unembed[answer] - unembed[distractor])
    writes = torch.stack([direction @ layer.self_attn.o_proj.weight for layer in layers])
    return (writes * z).view(LAYERS, HEADS, WIDE).sum(-1)


def everywhere() -> Any:
    answer, distractor = (model.tokenizer(text).input_ids[0] for text in (ANSWER, DISTRACTOR))
    with model.trace(PROMPT):
        clean = nnsight.save([])
        for layer in layers:
            clean.append(layer.input)
    rows = []
    for layer, stream in zip(layers, clean, strict=True):
        with model.trace() as tracer:
            differences = nnsight.save([])
            for position in range(POSITIONS):
                with tracer.invoke(OTHER):
                    layer.input[:, position] = stream[:, position]
                    logits = model.output.logits[0, -1]
                    differences.append(logits[answer] - logits[distractor])
        rows.append(torch.stack(differences))
    return torch.stack(rows)


def generate() -> Any:
    with model.generate(PROMPT, max_new_tokens=NEW, do_sample=False) as tracer:
        for _ in tracer.iter[:NEW]:
            layers[STEERED].output[:] += VECTOR
        ids = tracer.result.save()
    return ids


def _cached(cache: Any) -> dict[str, torch.Tensor]:
    kept = [cache.model.model.layers[layer] for layer in range(LAYERS)]
    return {
        "stream": torch.stack([layer.output for layer in kept]),
        "mlp": torch.stack([layer.mlp.output for layer in kept]),
        "z": torch.stack([layer.self_attn.o_proj.input for layer in kept]).view(LAYERS, 1, POSITIONS, SIZE),
    }


serve_tasks(
    {
        "logits": (logits, lambda found: {"logits": found[0]}),
        "cache": (cache, _cached),
        "attention": (attention, lambda found: {"weights": found[:, 0]}),
        "lens": (lens, lambda found: {"logits": found}),
        "patch": (patch, lambda found: {"logits": found}),
        "ablate": (ablate, lambda found: {"logits": found}),
        "steer": (steer, lambda found: {"logits": found}),
        "attribution": (attribution, lambda found: {"heads": found.flatten()}),
        "everywhere": (everywhere, lambda found: {"differences": found}),
        "generate": (generate, lambda found: {"ids": found[0, -NEW:]}),
    }
)
