"""Where everything of a drawn circuit is placed: layers upwards, heads in lanes, MLPs in a lane of their own.

Only layers that occur get space. Coordinates are pixels from the lower left corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from wheatstone.figures._load import Component, DrawnEdge

_TALL = 880.0
"""Height in pixels at which rows begin to draw together."""

_ASIDE = {"q": -0.25, "k": 0.25, "v": 0.5}
"""How far beside its head an input is drawn, in lanes: no two inputs of a layer in one place."""


@dataclass(frozen=True)
class Node:
    """A component and its place."""

    component: Component
    x: float
    y: float
    strength: float


@dataclass(frozen=True)
class Port:
    """An input of a head: q of one head, or k or v of a group of heads."""

    channel: Component
    x: float
    y: float
    heads: tuple[Component, ...]


@dataclass(frozen=True)
class Band:
    """The stripe of a layer."""

    layer: int
    bottom: float
    top: float


class Layout:
    """Places for the components of a circuit.

    Args:
        edges: the circuit.
        heads: query heads per layer.
        kv_groups: key/value groups per layer.
    """

    def __init__(self, edges: tuple[DrawnEdge, ...], heads: int, kv_groups: int) -> None:
        self.edges, self.heads, self.kv_groups = edges, heads, kv_groups
        self._lane = min(64.0, max(20.0, 600 / heads))
        self._left = 24 + self._lane / 2
        self.mlp_x = self._left + (heads - 0.5) * self._lane + 62
        self.width = self.mlp_x + 120
        self._strength: dict[Component, float] = {}
        for edge in edges:
            for end in self._ends(edge):
                self._strength[end] = max(self._strength.get(end, 0.0), edge.magnitude)
        self.scale = 1.0
        full = self._rows[1]
        if full > _TALL:
            self.scale = max(0.4, _TALL / full)
            del self._rows

    @staticmethod
    def _ends(edge: DrawnEdge) -> tuple[Component, ...]:
        """The nodes an edge makes visible; a group is only an input, not a node."""
        to = edge.receiver
        if to.kind == "group":
            return (edge.sender,)
        return (edge.sender, Component.of(to.node))

    @cached_property
    def _rows(self) -> tuple[dict[tuple[int, str], float], float, list[Band]]:
        """Height of every (layer, component), of the whole, and the layers' stripes."""
        inputs = {(edge.receiver.layer, "port") for edge in self.edges if edge.receiver.reads}
        seen = inputs | {(c.layer, c.kind) for c in self._strength if c.layer is not None}
        rows: dict[tuple[int, str], float] = {}
        bands: list[Band] = []
        y = 52.0 + 18 * self.scale
        for layer in sorted({layer for layer, _ in seen if layer is not None}):
            bottom = y
            y += 15 * self.scale
            for kind, above in (("port", 21.0), ("head", 25.0), ("mlp", 10.0)):
                if (layer, kind) in seen:
                    rows[layer, kind] = y
                    y += above * self.scale
            y += 9 * self.scale
            bands.append(Band(layer, bottom, y))
            y += 8 * self.scale
        return rows, y + 18 * self.scale + 52, bands

    @property
    def height(self) -> float:
        return self._rows[1]

    @property
    def bands(self) -> list[Band]:
        return self._rows[2]

    def head_x(self, index: float) -> float:
        """The middle of a head's lane."""
        return self._left + index * self._lane

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """All nodes by name."""
        middle = self.head_x((self.heads - 1) / 2)
        found: dict[str, Node] = {}
        for component, strength in self._strength.items():
            if component.kind == "input":
                place = (middle, 42.0)
            elif component.kind == "logits":
                place = (middle, self.height - 42)
            else:
                assert component.layer is not None
                x = self._mlp_place(component) if component.kind == "mlp" else self.head_x(component.index)
                place = (x, self._rows[0][component.layer, component.kind])
            found[component.name] = Node(component, *place, strength)
        return found

    def _mlp_place(self, component: Component) -> float:
        """The middle of an MLP; the parts of a split one share the room to its right, in order."""
        parts = sorted(c.index for c in self._strength if c.layer == component.layer and "." in c.name)
        aside = 1 + parts.index(component.index) if "." in component.name else 0
        return self.mlp_x + aside * 100 / (1 + len(parts))

    @cached_property
    def ports(self) -> dict[str, Port]:
        """All inputs of heads by channel name."""
        found: dict[str, Port] = {}
        for channel in dict.fromkeys(edge.receiver for edge in self.edges if edge.receiver.reads):
            assert channel.layer is not None
            if channel.kind == "head":
                members = [channel.index]
            else:
                each = self.heads // self.kv_groups
                members = list(range(channel.index * each, (channel.index + 1) * each))
            heads = [f"a{channel.layer}.h{index}" for index in members]
            present = tuple(self.nodes[name].component for name in heads if name in self.nodes)
            lanes = [head.index for head in present] or members
            x = self.head_x(lanes[(len(lanes) - 1) // 2] + _ASIDE[channel.reads])
            found[channel.name] = Port(channel, x, self._rows[0][channel.layer, "port"], present)
        return found

    def end(self, receiver: Component) -> tuple[float, float]:
        """Where an edge arrives."""
        at = self.ports[receiver.name] if receiver.reads else self.nodes[receiver.name]
        return at.x, at.y

    def path(self, edge: DrawnEdge) -> list[tuple[float, float]]:
        """Control points of an edge's curve (a B-spline)."""
        start = self.nodes[edge.sender.name]
        x0, y0 = start.x, start.y
        x1, y1 = self.end(edge.receiver)
        rise, run = y1 - y0, x1 - x0
        if abs(run) < self._lane / 2:
            # Within a lane the curve swings out, the further the longer it is, so as not to cross what lies between.
            out = min(100.0, 10 + 0.22 * rise) * (1 if start.component.kind == "mlp" else -1)
            return [(x0, y0), (x0 + out, y0 + rise / 4), (x0 + out, y1 - rise / 4), (x1, y1)]
        return [(x0, y0), (x0 + run * 0.12, y0 + rise * 0.3), (x1 - run * 0.12, y1 - rise * 0.4), (x1, y1)]
