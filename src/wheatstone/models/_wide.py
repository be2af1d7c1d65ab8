"""Half-precision numbers, widened before anything is computed from them."""

from __future__ import annotations

import torch
from torch import Tensor


def wide(values: Tensor) -> Tensor:
    """In float32 or better: sums and squares of half-precision numbers round or overflow, and NumPy has no bfloat16."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
