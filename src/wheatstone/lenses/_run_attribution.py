"""Direct logit attribution of one run: what every head and MLP itself writes into a token's logit.

The arithmetic is that of `wheatstone.lenses.attribution`, which averages over the prompts of a circuit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._view import Tabular
from wheatstone.lenses._readout import Readout
from wheatstone.models import ModelRun, ResidualModel
from wheatstone.runs import Table

if TYPE_CHECKING:
    import pyarrow as pa


class LogitShare(NamedTuple):
    """What one node writes into a logit.

    Args:
        prompt: which, from 0.
        node: such as `a23.h4`; `biases` for what no node writes.
        direct: logits; positive is towards the answer.
    """

    prompt: int
    node: str
    direct: float


@dataclass(frozen=True, eq=False, repr=False)
class LogitAttribution(Tabular):
    """Each node's direct effect on a logit or a difference of two.

    Args:
        what: the logit, in words.
        nodes: names, in the order of computation; `biases` last.
        direct: logits.
    """

    what: str
    nodes: tuple[str, ...]
    direct: Float[Tensor, "term batch"]

    @property
    def rows(self) -> tuple[LogitShare, ...]:
        """Prompt by prompt, largest |direct| first."""
        found: list[LogitShare] = []
        for prompt, column in enumerate(self.direct.T):
            order = column.abs().argsort(descending=True, stable=True).tolist()
            found += [LogitShare(prompt, self.nodes[at], float(column[at])) for at in order]
        return tuple(found)

    def to_arrow(self) -> pa.Table:
        return Table.of(LogitShare, self.rows).to_arrow()

    def _title(self) -> str:
        total = ", ".join(f"{value:+.3f}" for value in self.direct.sum(0)[:4].tolist())
        return f"{self.what}: {total} logits, written directly by"


def logit_attribution(
    run: ModelRun, answer: str | int, against: str | int | None = None, *, position: int = -1
) -> LogitAttribution:
    """What every head, MLP and the embeddings write into a token's logit themselves.

    The scale of the final norm is held at what it is in the run. The terms add up to logit(answer) − logit(against),
    or to logit(answer) − the mean over all logits.

    Args:
        run: of a model called on texts, with its places kept.
        answer: a text whose first token is read, its leading space included; or a token's id.
        against: a text or token to compare it with; the mean over the vocabulary by default.
        position: after which token of each prompt.

    Raises:
        RequestError: the run kept no places, or a text without a token.

    When this misleads: it leaves out all that passes through later layers, and terms cancel. It is no ablation.
    Logits that the model caps (Gemma 2) are not linear: the terms then add up to an approximation.

    Source: Wang et al. 2022 (arXiv 2211.00593), section 3.1; nostalgebraist 2020.
    """
    model = run.model
    assert isinstance(model, ResidualModel)
    rows, at = torch.arange(run.tokens.batch), run.at(position)
    stream, nodes = run.residual[-1][rows, at], run.nodes[:, rows, at]
    readout = Readout.at(model, stream)
    read = [_token(run, word) for word in (answer, against) if word is not None]
    token = torch.full((run.tokens.batch,), read[0], device=stream.device)
    directions, offset = readout.directions(token), readout.offset[token]
    if against is None:
        directions, offset = directions - readout.mean_directions, offset - readout.offset.mean()
    else:
        other = torch.full_like(token, read[1])
        directions, offset = directions - readout.directions(other), offset - readout.offset[other]
    terms = torch.cat([nodes, (stream - nodes.sum(0))[None]]).to(directions)
    direct = (terms * directions).sum(-1)
    direct[-1] += offset
    named = model.decode(read)
    what = f"logit of {named[0]!r} less " + ("the mean of all" if against is None else f"that of {named[1]!r}")
    return LogitAttribution(what, (*model.graph.nodes, "biases"), direct.cpu())


def _token(run: ModelRun, word: str | int) -> int:
    return word if isinstance(word, int) else run.first_token(word)
