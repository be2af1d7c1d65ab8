"""Rotary tables that depend on how long the text is: each prompt of a padded batch gets those it would get alone.

Two kinds of rotary scaling look at the longest prompt of a batch. LongRoPE (`longrope`) has one set of frequencies up
to `original_max_position_embeddings` and another above it. Dynamic NTK (`dynamic`) recomputes its frequencies at every
length above `max_position_embeddings`, and transformers' module keeps them for the texts that follow.

The tables come from transformers' own code, run on a copy of its module: once for all prompts up to the switch, and
once for each length above it. The checkpoint's module is not touched.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from wheatstone.models._block import replaced_forward

_SWITCH = {"longrope": "original_max_position_embeddings", "dynamic": "max_position_embeddings"}
"""Scaling that depends on the length, and the setting that holds the length up to which it does not."""


class RotarySwitch:
    """The rotary modules of a checkpoint whose tables depend on the length of the text.

    Args:
        module: the checkpoint.
    """

    def __init__(self, module: nn.Module) -> None:
        switches = {part: _switches(part) for part in module.modules()}
        self._parts = [part for part, lengths in switches.items() if lengths]
        self.last: int | None = min((length for lengths in switches.values() for length in lengths), default=None)
        """Tokens of the longest text with the tables of every shorter one; None where all lengths have the same."""

    @contextmanager
    def alone(self, lengths: Int[Tensor, " batch"] | None = None) -> Generator[None, None, None]:
        """While this lasts, transformers' forward gives each prompt the tables it has alone, in a module never used.

        Args:
            lengths: tokens of each prompt of a batch padded on the right. By default the tables are those of the
                largest position that is read, as in generation: prompts of a batch then need one length.
        """
        with replaced_forward({part: _forward_of(part, self._reaches(lengths)) for part in self._parts}):
            yield

    def _reaches(self, lengths: Tensor | None) -> list[int] | None:
        """For each prompt the length whose tables it takes; a single one where all take the same."""
        if lengths is None or self.last is None:
            return None
        reaches: list[int] = lengths.clamp(min=self.last).tolist()
        return reaches[:1] if len(set(reaches)) == 1 else reaches


def _switches(part: nn.Module) -> list[int]:
    """Lengths at which a module's tables begin to change; none for any other module."""
    kinds: Any = getattr(part, "rope_type", None)
    if kinds is None:
        return []
    config: Any = part.config
    settings: Any = config.rope_parameters
    by_layer = kinds if isinstance(kinds, dict) else {None: kinds}
    found: list[int] = []
    for layer_type, kind in by_layer.items():
        own = settings if layer_type is None else settings[layer_type]
        for name, setting in _SWITCH.items():
            if name in kind:
                found.append(int(own[setting] if setting in own else getattr(config, setting)))
    return found


def _forward_of(part: nn.Module, reaches: list[int] | None) -> Callable[..., tuple[Tensor, Tensor]]:
    config: Any = part.config
    own = copy.deepcopy(part, {id(config): config})

    def forward(x: Tensor, position_ids: Tensor, *args: Any, **named: Any) -> tuple[Tensor, Tensor]:
        def tables(positions: Tensor) -> tuple[Tensor, Tensor]:
            return type(own).forward(own, x, positions, *args, **named)

        # Dynamic scaling forgets a longer text when it reads one shorter than the switch: one token.
        tables(torch.zeros_like(position_ids[:, :1]))
        if reaches is None:
            return tables(position_ids)
        # Rows end at their own last position; what their padding gets instead is never read.
        by_reach = {reach: tables(position_ids.clamp(max=reach - 1)) for reach in sorted(set(reaches))}
        cos, sin = zip(*(by_reach[reach] for reach in reaches), strict=True)
        return torch.cat(cos), torch.cat(sin)

    return forward
