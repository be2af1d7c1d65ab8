"""A model that is already in memory, of transformers or inside another tool's wrapper."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from wheatstone._errors import ModelError
from wheatstone.models._load import warn_of_ending
from wheatstone.models._residual import ResidualModel
from wheatstone.models._wiring import check_wiring

_CARRIED = ("original_model", "_module", "_model")
"""Where TransformerLens' bridge, nnsight 0.8 and earlier nnsight keep the transformers model."""


def wrap_model(module: Any, tokenizer: PreTrainedTokenizerBase | None = None, *, id: str) -> ResidualModel:
    """Takes a loaded model apart, after the checks of `load_model`. Weights are shared, not copied.

    Args:
        module: a causal language model of transformers, a TransformerLens 4 `TransformerBridge` or an nnsight
            `LanguageModel`. Neither package is needed.
        tokenizer: its tokenizer; by default the one that the wrapper carries.
        id: what to call the model in results.

    Raises:
        ModelError: no transformers model in it, no tokenizer, an unsupported family, or weights that are not what
            the family says.

    Warns:
        TokenizerWarning: the tokenizer puts a token after every text; it is left out.

    When this misleads: the weights are the module's as they are: edited, or in a bridge's compatibility mode folded.
    They stop asking for gradients. Results carry no hash of them. A bridge's tokenizer puts a token before every text,
    also where the checkpoint's own does not: then give that one.
    """
    tokenizer = getattr(module, "tokenizer", None) if tokenizer is None else tokenizer
    inner = module
    if not isinstance(module, PreTrainedModel):
        carried = (getattr(module, name, None) for name in _CARRIED)
        inner = next((part for part in carried if isinstance(part, PreTrainedModel)), None)
    if inner is None or tokenizer is None:
        raise ModelError(
            expected="a transformers model with its tokenizer, a TransformerLens bridge or an nnsight LanguageModel",
            got=type(module).__name__ + ("" if inner is None else " without a tokenizer"),
            do="load it with transformers first, or give the tokenizer",
        )
    model = ResidualModel(_bare(inner), tokenizer, id=id)
    check_wiring(model)
    warn_of_ending(model)
    return model


def _bare(module: Any) -> Any:
    """The module without a bridge's components, which wrap the model's own parts. Shares every parameter."""
    original = module._modules.get("_original_component")
    if original is not None:
        return _bare(original)
    parts: dict[str, nn.Module | None] = module._modules
    bare = {name: None if part is None else _bare(part) for name, part in parts.items()}
    if all(bare[name] is part for name, part in parts.items()):
        return module
    clone = copy.copy(module)
    clone._modules = bare
    return clone
