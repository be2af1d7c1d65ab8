"""Ten everyday tasks in Wheatstone; `benchmarks/everyday.py` counts the lines of the functions and times them.

python everyday_wheatstone.py MODEL_FOLDER
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
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
    POSITIONS,
    PROMPT,
    STEERED,
    VECTOR,
    serve_tasks,
)

import wheatstone as ws

model = ws.load_model(str(FOLDER))


def logits() -> Any:
    run = model(PROMPT)
    return run.logits, run.top(5)


def cache() -> Any:
    return model(PROMPT)


def attention() -> Any:
    return model(PROMPT, attention=True).attention


def lens() -> Any:
    return model.unembed(model(PROMPT).residual[:, 0, -1])


def patch() -> Any:
    return model.patch(PROMPT, OTHER, f"a{LAYER}.h{HEAD}").logits


def ablate() -> Any:
    return model.ablate(PROMPT, f"m{MLP}").logits


def steer() -> Any:
    return model.steer(PROMPT, VECTOR, f"r{STEERED}.post").logits


def attribution() -> Any:
    return ws.logit_attribution(model(PROMPT), ANSWER, DISTRACTOR)


def everywhere() -> Any:
    clean, rows = model(PROMPT), []
    for at in [f"r{layer}.pre" for layer in range(LAYERS)]:
        swap = ws.Replace(at=at, value=clean[at], positions=[[position] for position in range(POSITIONS)])
        run = model([OTHER] * POSITIONS, interventions=[swap], cache=False)
        rows.append(run.logit(ANSWER) - run.logit(DISTRACTOR))
    return torch.stack(rows)


def generate() -> Any:
    steered = ws.Add(at=f"r{STEERED}.post", value=VECTOR)
    return model.generate(PROMPT, new=NEW, interventions=[steered])


def _cached(run: ws.ModelRun) -> dict[str, torch.Tensor]:
    names = {"stream": "r{}.post", "mlp": "m{}", "z": "a{}.z"}
    found = {what: torch.stack([run[name.format(layer)] for layer in range(LAYERS)]) for what, name in names.items()}
    return found | {"z": found["z"].flatten(-2)}


def _heads(shares: ws.LogitAttribution) -> torch.Tensor:
    of = {row["node"]: row["direct"] for row in pa.table(shares).to_pylist()}
    return torch.tensor([value for node, value in sorted(of.items(), key=_number) if ".h" in node])


def _number(item: tuple[str, float]) -> tuple[int, ...]:
    layer, _, head = item[0].removeprefix("a").partition(".h")
    return (int(layer), int(head)) if head else ()


serve_tasks(
    {
        "logits": (logits, lambda found: {"logits": found[0]}),
        "cache": (cache, _cached),
        "attention": (attention, lambda found: {"weights": found[:, 0]}),
        "lens": (lens, lambda found: {"logits": found}),
        "patch": (patch, lambda found: {"logits": found}),
        "ablate": (ablate, lambda found: {"logits": found}),
        "steer": (steer, lambda found: {"logits": found}),
        "attribution": (attribution, lambda found: {"heads": _heads(found)}),
        "everywhere": (everywhere, lambda found: {"differences": found}),
        "generate": (generate, lambda found: {"ids": torch.tensor(found.ids[0])}),
    }
)
