"""A graph in neurons: its part of the API's schema."""

from __future__ import annotations

from pydantic import Field

from wheatstone.studio._schema import _Frozen


class GraphNode(_Frozen):
    """A node of a graph in neurons. Numbers are in logits of the target unless they say otherwise."""

    node: str
    kind: str = Field(description="token, head, neuron, or what another tool calls it")
    layer: int = Field(description="-1 of a token")
    position: int
    token: str
    value: float = Field(description="a neuron's activation; how large what a head or token writes is")
    ablated: float = Field(description="the same with the node ablated")
    sent: float = Field(description="to all others and the target together")
    slope: float | None = Field(description="what the target would lose without it, by the gradient")
    effect: float | None = Field(description="what it loses when the node alone is ablated, run exactly")
    influence: float = Field(description="share of what reaches the target that passes through it")
    rest: float | None = Field(description="what nodes outside the graph send to it")
    promotes: list[str]
    suppresses: list[str]


class GraphTarget(_Frozen):
    """What a graph explains."""

    name: str
    clean: float | None
    ablated: float | None


class Proof(_Frozen):
    """What the nodes of a graph hold alone, run exactly."""

    baseline: str
    nodes: int
    faithfulness: float
    completeness: float
    kl: float
    answer: str
    enough: bool


class Suggested(_Frozen):
    """Nodes that a graph groups."""

    name: str
    nodes: list[str]
    weight: float = Field(description="what they send to the target together")


class GraphDocument(_Frozen):
    """A graph in neurons, as much of it as is drawn: columns of edges, the most influential first."""

    id: str
    title: str
    path: str
    created: str
    example: bool
    model: str
    layers: int
    prompt: str
    tokens: list[str]
    counterfactuals: list[str]
    target: GraphTarget
    proofs: list[Proof]
    enough: bool
    suggested: list[Suggested]
    nodes: list[GraphNode]
    sender: list[int] = Field(description="number of a node")
    receiver: list[int] = Field(description="the same; the target is numbered after the last node")
    weight: list[float]
    share: list[float] = Field(description="of everything that is sent to the receiver")
    total_nodes: int
    total_edges: int
    changeable: bool = Field(description="whether its nodes can be changed: it was drawn of a model here")
    notes: list[str]
