"""Places in the forward pass by name: where a run is read and where interventions act.

| place | TransformerLens' hook | holds |
|---|---|---|
| `input` | `hook_embed` | the embeddings, positions included: [batch, pos, d_model] |
| `r3.pre`, `r3.mid`, `r3.post` | `blocks.3.hook_resid_pre` … | the stream before, between and after the sublayers |
| `a3`, `m3` | `blocks.3.hook_attn_out`, `hook_mlp_out` | what attention or the MLP writes: [batch, pos, d_model] |
| `a3.h` | `blocks.3.attn.hook_result` | what each head writes: [batch, pos, head, d_model] |
| `a3.q`, `a3.k`, `a3.v` | `blocks.3.attn.hook_q` … | what the projections give: [batch, pos, head or group, d_head] |
| `a3.z` | `blocks.3.attn.hook_z` | what each head gives the output projection: [batch, pos, head, d_head] |
| `a3.pattern` | `blocks.3.attn.hook_pattern` | attention weights: [batch, head, query, key] |
| `m3.n` | `blocks.3.mlp.hook_post` | neurons, the input of the MLP's last projection: [batch, pos, neuron] |

One head, group or neuron is `a3.h2`, `a3.h2.q`, `a3.g1.k`, `a3.h2.pattern`, `m3.n892`; as a hook, an index in square
brackets: `blocks.3.attn.hook_z[2]`. Its axis is left out. In a model whose MLPs are split, `m3.e1` is an expert.

When this misleads: queries, keys and values are those before any norm, clipping or rotary embedding inside attention.
In a layer whose sublayers are parallel nothing reads `r3.mid`: it is what the layer had with attention's output added.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from wheatstone._errors import RequestError
from wheatstone.models._decoder import Decoder

_HOOKS = {
    "hook_resid_pre": "pre",
    "hook_resid_mid": "mid",
    "hook_resid_post": "post",
    "hook_attn_out": "a",
    "hook_mlp_out": "m",
    "mlp.hook_out": "m",
    "attn.hook_result": "h",
    "attn.hook_q": "q",
    "attn.hook_k": "k",
    "attn.hook_v": "v",
    "attn.hook_z": "z",
    "attn.hook_pattern": "pattern",
    "mlp.hook_post": "n",
}
"""TransformerLens' hooks inside a layer, and the kinds of place they are."""
_HOOK = re.compile(rf"blocks\.(\d{{1,9}})\.({'|'.join(map(re.escape, _HOOKS))})(?:\[(\d{{1,9}})\])?")
_STREAM = re.compile(r"r(\d{1,9})\.(pre|mid|post)")
_SUBLAYER = re.compile(r"([am])(\d{1,9})")
_ALL = re.compile(r"(?:a(\d{1,9})\.(h|q|k|v|z|pattern)|m(\d{1,9})\.(n))")
_ONE = re.compile(r"(?:a(\d{1,9})\.(?:h(\d{1,9})(?:\.(q|z|pattern))?|g(\d{1,9})\.(k|v))|m(\d{1,9})\.([ne])(\d{1,9}))")


@dataclass(frozen=True)
class Place:
    """Where a run is read or changed.

    Args:
        kind: `input`, `pre`, `q`, `k`, `v`, `pattern`, `z`, `h`, `a`, `mid`, `n`, `e`, `m` or `post`.
        layer: from 0.
        unit: the head, group, neuron or expert; None for all.
    """

    kind: str
    layer: int
    unit: int | None = None

    @property
    def axis(self) -> int:
        """Of heads, groups or neurons, in what all of them hold."""
        return 1 if self.kind == "pattern" else 2

    @property
    def queries(self) -> int:
        """The axis of positions, in what this place holds."""
        return 2 if self.kind == "pattern" and self.unit is None else 1


def parsed(name: str) -> Place | None:
    """The place of that name or TransformerLens hook, whether or not a model has it; None where it is no place."""
    if name in ("input", "hook_embed"):
        return Place("input", 0)
    if found := _HOOK.fullmatch(name):
        kind, unit = _HOOKS[found[2]], found[3]
        if unit is not None and kind in ("pre", "mid", "post", "a", "m"):
            return None
        return Place(kind, int(found[1]), None if unit is None else int(unit))
    if found := _STREAM.fullmatch(name):
        return Place(found[2], int(found[1]))
    if found := _SUBLAYER.fullmatch(name):
        return Place(found[1], int(found[2]))
    if found := _ALL.fullmatch(name):
        return Place(found[2] or found[4], int(found[1] or found[3]))
    if found := _ONE.fullmatch(name):
        kind = found[3] or found[5] or found[7] or "h"
        layer, unit = found[1] or found[6], found[2] or found[4] or found[8]
        return Place(kind, int(layer), int(unit))
    return None


def units(model: Decoder, kind: str, layer: int) -> int | None:
    """How many heads, groups, neurons or experts a kind of place has in a layer; None where it has no such axis.

    Raises:
        ModelError: the MLP has no neurons.
    """
    if kind in ("q", "z", "h", "pattern"):
        return model.graph.heads
    if kind in ("k", "v"):
        return model.graph.kv_groups
    if kind == "n":
        return model.blocks[layer].neurons
    if kind == "e":
        parts = model.blocks[layer].parts
        return 0 if parts is None or parts.into != "experts" else parts.count
    return None


def width_of(model: Decoder, place: Place) -> int | None:
    """The size of the vectors at a place; None where there are numbers: attention weights and single neurons."""
    if place.kind == "pattern" or (place.kind == "n" and place.unit is not None):
        return None
    if place.kind == "n":
        return model.blocks[place.layer].neurons
    return model.blocks[place.layer].d_head if place.kind in ("q", "k", "v", "z") else model.d_model


def place_of(model: Decoder, name: str) -> Place:
    """The model's place of that name or TransformerLens hook.

    Raises:
        ModelError: neurons of an MLP that has none.
        RequestError: the model has no such place; the nearest name is suggested.
    """
    place, graph = parsed(name), model.graph
    expected = (
        f"a node, neuron or other place of {model.id}, which has layers 0 to {graph.layers - 1}, "
        f"heads h0 to h{graph.heads - 1} and groups g0 to g{graph.kv_groups - 1}"
    )
    if place is not None and place.layer < graph.layers:
        most = units(model, place.kind, place.layer)
        split = place.kind == "m" and model.blocks[place.layer].parts is not None
        if not split and (place.unit is None or (most is not None and place.unit < most)):
            return place
        if place.kind == "n":
            expected = f"a neuron of m{place.layer}, from n0 to n{model.blocks[place.layer].neurons - 1}"
    names = _suggested(model, name)
    if place is not None and place.unit is not None:
        names = [each for each in names if (other := parsed(each)) and other.unit is not None]
    near = get_close_matches(name[:100], names, n=1, cutoff=0.5)
    raise RequestError(
        expected=expected,
        got=repr(name)[:100],
        do=f"choose a place that the model has, such as {near[0] if near else 'a0.h0'}",
    )


def every_place(model: Decoder, *, attention: bool) -> list[tuple[str, int]]:
    """All kinds of place by layer, in the order of computation.

    Args:
        model: the model.
        attention: whether attention weights are among them.
    """
    found = [("input", 0)]
    for block in model.blocks:
        own = ["pre", "q", "k", "v", *(["pattern"] if attention else []), "z", "h", "a", "mid"]
        own += [*(["n"] if block.dense else []), *([] if block.parts is None else ["e"]), "m", "post"]
        found += [(kind, block.index) for kind in own]
    return found


def _suggested(model: Decoder, name: str) -> list[str]:
    """Names near a wrong one: those of its layer and unit, as far as the model has them."""
    numbers = [int(number) for number in re.findall(r"\d{1,9}", name)]
    graph = model.graph
    layer = min(numbers[0], graph.layers - 1) if numbers else 0
    unit = numbers[1] if len(numbers) > 1 else 0
    head, group = min(unit, graph.heads - 1), min(unit, graph.kv_groups - 1)
    sizes = {"q": head, "z": head, "h": head, "pattern": head, "k": group, "v": group}
    if model.blocks[layer].dense:
        sizes["n"] = min(unit, model.blocks[layer].neurons - 1)
    names = ["input", "hook_embed", *(f"r{layer}.{at}" for at in ("pre", "mid", "post")), f"a{layer}", f"m{layer}"]
    names += [f"a{layer}.{kind}" for kind in ("h", "q", "k", "v", "z", "pattern")]
    names += [f"a{layer}.h{head}", *(f"a{layer}.h{head}.{kind}" for kind in ("q", "z", "pattern"))]
    names += [f"a{layer}.g{group}.{kind}" for kind in "kv"]
    names += [f"m{layer}.n", f"m{layer}.n{sizes['n']}"] if "n" in sizes else []
    for hook, kind in _HOOKS.items():
        names += [f"blocks.{layer}.{hook}", *([f"blocks.{layer}.{hook}[{sizes[kind]}]"] if kind in sizes else [])]
    return names
