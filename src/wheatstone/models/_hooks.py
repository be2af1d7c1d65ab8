"""TransformerLens' hook names as names of nodes and channels."""

from __future__ import annotations

import re
from collections.abc import Callable

_HEAD = re.compile(r"blocks\.(\d{1,9})\.attn\.hook_(?:result|z)\[(\d{1,9})\]")
_QKV = re.compile(r"blocks\.(\d{1,9})\.(?:attn\.)?hook_([qkv])_input\[(\d{1,9})\]")
_MLP = re.compile(r"blocks\.(\d{1,9})\.(?:hook_mlp_(?:in|out)|mlp\.hook_(?:in|out))")
_LAST = re.compile(r"blocks\.(\d{1,9})\.hook_resid_post")


def from_hook(name: str, layers: int, group_of: Callable[[int], int]) -> str:
    """The node or channel that a TransformerLens hook names; any other name as it is.

    | hook | name |
    |---|---|
    | `hook_embed` | `input` |
    | `blocks.5.attn.hook_result[3]`, `blocks.5.attn.hook_z[3]` | `a5.h3` |
    | `blocks.5.hook_q_input[3]` | `a5.h3<q>` |
    | `blocks.5.hook_k_input[3]` | `a5.g1<k>`, the group that head 3 reads |
    | `blocks.5.hook_mlp_in`, `blocks.5.hook_mlp_out` | `m5` |
    | `blocks.29.hook_resid_post`, of the last layer | `logits` |

    When this misleads: `hook_embed` is without learned positions, `input` with them. `hook_z` is what a head writes
    before its output projection.
    """
    if name == "hook_embed":
        return "input"
    if found := _HEAD.fullmatch(name):
        return f"a{found[1]}.h{found[2]}"
    if found := _QKV.fullmatch(name):
        layer, kind, head = found[1], found[2], int(found[3])
        return f"a{layer}.h{head}<q>" if kind == "q" else f"a{layer}.g{group_of(head)}<{kind}>"
    if found := _MLP.fullmatch(name):
        return f"m{found[1]}"
    if (found := _LAST.fullmatch(name)) and int(found[1]) == layers - 1:
        return "logits"
    return name
