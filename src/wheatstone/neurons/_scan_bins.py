"""The bins that activations are counted in: the same for every neuron of every model, two to each doubling.

The edges are 0 ± 2^e and 0 ± 1.5 · 2^e for e from −7 to 8. What is nearer to 0 than 2^−7 is in the bin in the middle,
what is beyond 1.5 · 2^8 = 384 in the outermost two. Activations of gated MLPs are spread over many powers of two, so
that bins of equal width would hold all of them in one or reach the strong ones not at all. A float's own bits name its
bin: sign, exponent and the first binary digit after the point.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

_LEAST, _MOST = -7, 8
_SIDE = 2 * (_MOST - _LEAST + 1)
BINS = 2 * _SIDE + 1
"""How many there are."""
_BIAS = 127
_MAGNITUDE = 0x7FFFFFFF
_SHIFT = 22
"""Leaves of float32 the exponent and one binary digit."""


def bin_edges() -> tuple[float, ...]:
    """Where one bin ends and the next begins, ascending; the first and last are infinite.

    A value on an edge is in the bin that lies farther from 0.
    """
    up = [2.0**exponent * digit for exponent in range(_LEAST, _MOST + 1) for digit in (1.0, 1.5)]
    return (-math.inf, *(-edge for edge in reversed(up)), *up, math.inf)


def bins_of(values: Float[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """The bin of each value, from 0 to `BINS` − 1.

    Args:
        values: in float32, finite.
    """
    bits = values.view(torch.int32)
    magnitude = bits.bitwise_and(_MAGNITUDE)
    magnitude.bitwise_right_shift_(_SHIFT).sub_(2 * (_BIAS + _LEAST) - 1).clamp_(0, _SIDE)
    sign = bits.bitwise_right_shift(31).bitwise_or_(1)  # −1 or 1
    return magnitude.mul_(sign).add_(_SIDE)
