"""Where chosen heads look, as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wheatstone._errors import RequestError
from wheatstone.circuits import Experiment


class AttentionRow(NamedTuple):
    """One row of attention.parquet.

    Args:
        prompt: which, from 0.
        head: such as `a23.h4`.
        query: position that looks.
        key: position it looks at, at most `query`.
        weight: share of its attention, 0 to 1.
    """

    prompt: int
    head: str
    query: int
    key: int
    weight: float


def head_attention(experiment: Experiment, heads: Sequence[str]) -> list[AttentionRow]:
    """Attention weights of some heads on the clean prompts.

    Args:
        experiment: the model and the prompts.
        heads: names such as `a23.h4`.

    Returns:
        A row for each head, prompt, query and key at or before it.

    Raises:
        RequestError: the model has no such head.

    When this misleads: a weight says where a head looks, not what it takes from there or whether that matters. The
    weights are the whole model's; inside a circuit the head may look elsewhere.
    """
    graph = experiment.graph
    places = {f"a{layer}.h{head}": (layer, head) for layer in range(graph.layers) for head in range(graph.heads)}
    for name in heads:
        if name not in places:
            raise RequestError(
                expected=f"heads of {experiment.model.id}, from a0.h0 to a{graph.layers - 1}.h{graph.heads - 1}",
                got=repr(name),
                do="name heads that the model has",
            )
    if not heads:
        return []
    layers = sorted({places[name][0] for name in heads})
    weights = experiment.model.attention(experiment.encoded.clean, layers)
    lengths = experiment.encoded.clean.lengths.tolist()
    rows: list[AttentionRow] = []
    for name in heads:
        layer, head = places[name]
        pattern = weights[layers.index(layer), :, head].tolist()
        rows += [
            AttentionRow(prompt, name, query, key, pattern[prompt][query][key])
            for prompt, length in enumerate(lengths)
            for query in range(length)
            for key in range(query + 1)
        ]
    return rows
