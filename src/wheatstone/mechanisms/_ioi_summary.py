"""What is said of the heads that find the indirect object, as values.

The section computes them and the page shows them, so that this loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from wheatstone._view import Brief


class IoiHead(NamedTuple):
    """One head in one step: a row of ioi_heads.parquet.

    Args:
        head: such as `a14.h7`.
        step: what it is patched into.
        n: prompts that the classes were chosen on.
        effect: logits by which the answer falls along these paths, mean over these prompts; negative hinders it.
        bar: |effect| that had to be exceeded to stand out.
        stands_out: whether it was, and every stronger head's too.
        share: effect by the model's logit difference.
        query: token that looks.
        site: the named token it attends to most.
        attention: to that token.
        attention_null: what its interval must lie beyond.
        role: its class, or empty.
        held_n: other prompts, on which the effect of a head that stands out is measured again; 0 where there are none.
        held_effect: the effect there; None for a head that does not stand out.
    """

    head: str
    step: str
    n: int
    effect: float
    effect_low: float | None
    effect_high: float | None
    bar: float
    stands_out: bool
    share: float
    query: str
    site: str
    attention: float
    attention_low: float | None
    attention_high: float | None
    attention_null: float
    role: str
    held_n: int = 0
    held_effect: float | None = None
    held_effect_low: float | None = None
    held_effect_high: float | None = None


@dataclass(frozen=True)
class IoiSummary(Brief):
    """What is said of the heads that find the indirect object.

    Args:
        n: prompts that classes were chosen on.
        clean: logit difference on them, mean.
        classes: heads by class, from the answer back.
        unclassed: heads that write to the answer and have no class.
        receivers: heads whose inputs each step patches.
        held_n: other prompts that effects were measured on; 0 in runs of earlier versions.
    """

    n: int
    clean: float
    classes: Mapping[str, tuple[IoiHead, ...]]
    unclassed: tuple[IoiHead, ...]
    receivers: Mapping[str, tuple[str, ...]]
    held_n: int = 0
