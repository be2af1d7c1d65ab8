"""GIM and RelP: EAP with backward rules in place of the model's own gradients.

    score(w → r) = sum over positions of (clean_w − ablated_w) · g_r

with g_r what a backward pass from the metric gives for the input of r on the clean prompt, under the rules `GIM` or
`RELP` of `wheatstone.models`. One forward and one backward pass, as EAP; with m steps, the mean over EAP-IG's path.

    norms          their statistic is a constant in both
    softmax        GIM: the gradient at a temperature of 2
    q·k, A·v       GIM: half of the gradient for each factor
    gate ⊙ up      half of the gradient for each factor in both
    activation     RelP: a line through the origin

RelP's fourth rule, constant attention patterns (its AH-rule), is left out, as in its code's default: with it every edge
into a query or a key scores 0. It is in the rules `LINEAR`.

When this misleads: a rule is a choice of what a whole change does, not a bound on it. With `kl` all scores are 0, as
with `eap`.

Sources: Edin et al. 2025 (arXiv 2505.17630), section 4; Rezaei Jafari et al. 2025 (arXiv 2508.21258), section 3.
"""

from __future__ import annotations

from functools import partial

from wheatstone.discovery._eap import integrated_inputs
from wheatstone.discovery._method import ScoreMethod
from wheatstone.models import GIM as GIM_RULES
from wheatstone.models import RELP as RELP_RULES

GIM = ScoreMethod(
    "gim",
    "as eap, with the gradient corrected for norms, saturated attention and products",
    partial(integrated_inputs, rules=GIM_RULES),
    steps=1,
    by_position=True,
)
RELP = ScoreMethod(
    "relp",
    "as eap, with coefficients of relevance propagation for the gradient",
    partial(integrated_inputs, rules=RELP_RULES),
    steps=1,
    by_position=True,
)
