"""MIB's graph of a model, and the circuits it makes of scores."""

from __future__ import annotations

import heapq
from dataclasses import replace
from itertools import count

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mib_parts.areas import FRACTIONS
from wheatstone._errors import ModelError
from wheatstone.models import Graph, ResidualModel


def ungrouped(model: ResidualModel) -> ResidualModel:
    """The same model with a key and a value of its own for each head, as MIB's graph has them.

    Weights of grouped keys and values are repeated in place, so that the model computes what it did and its edges
    are those that MIB counts.

    Args:
        model: the model; its module is changed.

    Raises:
        ModelError: its layers have no `self_attn` with `k_proj` and `v_proj`.
    """
    graph = model.graph
    if graph.kv_groups == graph.heads:
        return model
    for layer in model.module.get_submodule(model.family.layers).children():
        attention = getattr(layer, "self_attn", None)
        if not isinstance(attention, nn.Module) or not hasattr(attention, "k_proj"):
            raise ModelError(
                expected="layers with self_attn.k_proj and v_proj, as Llama, Qwen 2 and Gemma 2 have them",
                got=f"{type(layer).__name__} of {model.id}",
                do="use one of MIB's models",
            )
        for name in ("k_proj", "v_proj"):
            setattr(attention, name, _repeated(attention.get_submodule(name), graph))
        attention.num_key_value_groups = 1  # pyright: ignore[reportArgumentType]
    model.module.config.get_text_config().num_key_value_heads = graph.heads
    return ResidualModel(model.module, model.tokenizer, id=model.id, sha256=model.sha256, title=model.title)


def _repeated(linear: nn.Module, graph: Graph) -> nn.Linear:
    """A projection whose rows of each group come once for every head of the group."""
    assert isinstance(linear, nn.Linear)

    def rows(weight: Tensor) -> nn.Parameter:
        groups = weight.detach().unflatten(0, (graph.kv_groups, -1))
        return nn.Parameter(groups.repeat_interleave(graph.heads // graph.kv_groups, 0).flatten(0, 1))

    weight, biased = rows(linear.weight), "bias" in dict(linear.named_parameters())
    found = nn.Linear(weight.shape[1], weight.shape[0], bias=biased, device="meta")
    found.weight = weight
    if biased:
        found.bias = rows(linear.bias)
    return found.requires_grad_(False)


def top(graph: Graph, values: Float[Tensor, "channel node"], *, absolute: bool) -> Bool[Tensor, "circuit channel node"]:
    """The highest-scored edges at each of MIB's fractions; its `Graph.apply_topn` before pruning.

    Args:
        graph: the graph.
        values: scores of its edges.
        absolute: by |score| (CMD), or by score, so that edges against the behaviour come last (CPR).

    When this misleads: edges of equal score come in order of computation here, in any order in MIB.
    """
    order = (values.abs() if absolute else values).masked_fill(~torch.from_numpy(graph.valid), -torch.inf)
    ranking = order.flatten().argsort(descending=True, stable=True)
    keep = torch.zeros(len(FRACTIONS), values.numel(), dtype=torch.bool)
    for row, fraction in zip(keep, FRACTIONS, strict=True):
        row[ranking[: int(fraction * graph.edges)]] = True
    return keep.unflatten(1, values.shape)


def greedy(graph: Graph, values: Float[Tensor, "channel node"]) -> Bool[np.ndarray, "circuit channel node"]:
    """Circuits grown from the logits, each time by the edge of largest |score| into a node that is in the circuit.

    Source: `Graph.apply_greedy` of EAP-IG, pruned, with as many edges as `evaluate_area_under_roc` of MIB asks for:
    a fraction of an edge counts as one.

    When this misleads: edges of equal score come in order of computation here, in any order in MIB.
    """
    sizes, apart = [fraction * graph.edges for fraction in FRACTIONS], replace(graph, coupled_heads=False)
    keep, found, entered, number = np.zeros(graph.valid.shape, dtype=bool), list[np.ndarray](), {0}, count()
    size, heap = np.abs(values.numpy()), list[tuple[float, int, int, int]]()

    def offer(channel: int) -> None:
        for node in range(int(graph.senders[channel])):
            heapq.heappush(heap, (-float(size[channel, node]), next(number), channel, node))

    offer(graph.logits_channel)
    taken = 0
    for most in sizes:
        while taken < most:
            _, _, channel, node = heapq.heappop(heap)
            keep[channel, node] = True
            taken += 1
            if node not in entered:
                entered.add(node)
                for reads in apart.channels_of(node):
                    offer(reads)
        found.append(graph.working_edges(keep))
    return np.stack(found)
