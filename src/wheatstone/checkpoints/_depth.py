"""How many layers a model has by its config, before anything of it is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from wheatstone._errors import RequestError
from wheatstone._json import load_json
from wheatstone._path import expanded
from wheatstone.checkpoints._known import KNOWN_MODELS

_NAMES = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_NODE = re.compile(r"[am]([0-9]{1,9})(?![0-9])")


def check_layers(model: str, named: Iterable[str | int]) -> None:
    """Refuses layers that a model does not have, where its config is on this machine: a second instead of a load.

    A model whose config is elsewhere, or says no depth, passes; it is checked again when it is loaded.

    Args:
        model: as a command takes it.
        named: layers, or names of nodes, channels or neurons, such as `a23.h4<q>` and `m29.n1135`. Other names pass.

    Raises:
        RequestError: a layer is beyond the last.
    """
    depth = _depth(model)
    for name in named if depth else ():
        found = re.fullmatch("([0-9]+)", str(name)) or _NODE.match(str(name))
        if found and depth and int(found[1]) >= depth:
            raise RequestError(
                expected=f"a layer of {model}, from 0 to {depth - 1}", got=str(name), do="choose one of these"
            )


def _depth(model: str) -> int | None:
    known = KNOWN_MODELS.get(model)
    folder = known.entry.folder if known else expanded(model)
    try:
        config: Any = load_json(folder / "config.json")
    except (OSError, ValueError):
        return None  # said where the model is loaded
    parts: tuple[Any, ...] = (config, config.get("text_config")) if isinstance(config, dict) else ()
    values = [part.get(name) for part in parts if isinstance(part, dict) for name in _NAMES]
    return next((value for value in values if isinstance(value, int) and value > 0), None)
