"""The logit lens on an answer: its rank and probability after every layer, in the model and in a circuit.

The residual stream after layer l is read as if it were the last one, through the model's own final norm and
unembedding. Layer 0 is what the input node writes; layer L is what the model answers.

A circuit has no single residual stream: every channel reads its own. Its lens follows the one that its answer comes
from, the `logits` channel's, as far as it has been written:

    x[l] = a[l] + sum over nodes w up to layer l of keep[logits, w] · (current[w] − ablated[w])

with a[l] the residual stream of the ablated run after layer l. At layer L that is what the circuit answers; before,
a node that only feeds other nodes does not show.

Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone.circuits import Experiment
from wheatstone.models import span_positions


class LensRow(NamedTuple):
    """One row of lens.parquet.

    Args:
        prompt: which, from 0.
        run: `model` or `circuit`.
        site: `last` token, or the `subject`'s last.
        position: of the site in the prompt.
        layer: how many layers have been run.
        kind: `answer` or `distractor`, the first of each.
        token: its text.
        rank: among all tokens, 1 for the top; ties count against it.
        probability: of the token.
    """

    prompt: int
    run: str
    site: str
    position: int
    layer: int
    kind: str
    token: str
    rank: int
    probability: float


def answer_by_layer(experiment: Experiment, keep: Bool[Tensor, "channel sender"] | None = None) -> list[LensRow]:
    """Rank and probability of answer and distractor after every layer.

    Args:
        experiment: the model and the prompts; read on the clean prompts.
        keep: a circuit to read beside the model; a sender is a node, or a node at a span.

    Returns:
        Rows for each run, site, layer, prompt and kind. A prompt equal to its counterfactual has no `subject`.

    When this misleads: a middle layer is read as if it were the last one. A token that ranks low there may be
    present in a form that only later layers read; a high rank does not say that later layers use it.
    """
    written = experiment.model.forward(experiment.encoded.clean, cache=True).nodes
    assert written is not None
    runs = {"model": written}
    if keep is not None:
        runs["circuit"] = _into_logits(experiment, keep)
    sites = {"last": experiment.encoded.last, "subject": experiment.encoded.subject_last}
    rows: list[LensRow] = []
    for run, nodes in runs.items():
        for site, positions in sites.items():
            prompts = (positions >= 0).nonzero()[:, 0]
            there = nodes[:, prompts, positions[prompts]]
            for layer, stream in enumerate(experiment.model.after_layers(there)):
                logits = experiment.model.unembed(stream)
                for prompt, row in zip(prompts.tolist(), logits, strict=True):
                    rows += _read(experiment, row, prompt, run, site, int(positions[prompt]), layer)
    return rows


def _into_logits(
    experiment: Experiment, keep: Bool[Tensor, "channel sender"]
) -> Float[Tensor, "node batch pos d_model"]:
    """What each node writes as the circuit's `logits` channel reads it."""
    state, _ = experiment.state(keep)
    nodes, deltas = torch.tensor(state.nodes, dtype=torch.long), state.deltas
    width = experiment.encoded.clean.width
    spans = span_positions(experiment.spans, width)
    kept = state.keep[experiment.graph.logits_channel].unflatten(0, (-1, len(spans)))[nodes]
    read = deltas.new_zeros(len(nodes), width)
    for span, at in enumerate(spans):
        read[:, at] = kept[:, span, None].to(read)
    written, start = experiment.ablated_outputs.nodes(), experiment.start
    written[:, :, start:].index_add_(0, nodes.to(deltas.device), deltas * read[:, None, start:, None])
    return written


def _read(
    experiment: Experiment, logits: Float[Tensor, " vocab"], prompt: int, run: str, site: str, position: int, layer: int
) -> list[LensRow]:
    encoded, rows = experiment.encoded, list[LensRow]()
    probabilities = logits.float().softmax(-1)
    for kind, tokens in (("answer", encoded.answers), ("distractor", encoded.distractors)):
        for token in tokens[prompt, :1].tolist():
            if token >= 0:
                rank, text = int((logits >= logits[token]).sum()), experiment.model.decode([token])[0]
                probability = float(probabilities[token])
                rows.append(LensRow(prompt, run, site, position, layer, kind, text, rank, probability))
    return rows
