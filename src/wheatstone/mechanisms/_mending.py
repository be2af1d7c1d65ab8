"""What makes a wrong fact right: changes at chosen heads, tried on wrong facts, and on right ones to see the cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone._intervals import SHARE, mean_intervals
from wheatstone.mechanisms._wrong_summary import Mending
from wheatstone.models import Intervention, KnockOutAttention, Replace, ResidualModel, Scale
from wheatstone.tasks import Encoded


class Trial:
    """Runs changes on wrong facts, and on right ones to see what they cost.

    Args:
        model: the model.
        chosen: right facts whose mean a silenced head writes.
        known: right facts on which the cost is measured.
        asked: wrong facts.
        tops: the model's top token on each of them.
        right: the answer's token on each of them.
        seed: of the intervals.
    """

    def __init__(
        self,
        model: ResidualModel,
        chosen: Encoded,
        known: Encoded,
        asked: Encoded,
        tops: Int[Tensor, " batch"],
        right: Int[Tensor, " batch"],
    ) -> None:
        self.model, self.known, self.asked, self.tops, self.right = model, known, asked, tops, right
        nodes = model.forward(chosen.clean, cache=True).nodes
        assert nodes is not None
        self.means = nodes[:, torch.arange(len(chosen.pairs)), chosen.last].mean(1)
        self.before = self._differences(model.forward(asked.clean).logits)

    def look(self, heads: Sequence[str], encoded: Encoded) -> list[Intervention]:
        """From the last token, the heads see the subject and nothing else."""
        elsewhere = tuple(
            tuple(place for place in range(last + 1) if not first <= place < end)
            for last, (first, end) in zip(encoded.last.tolist(), encoded.span("subject").tolist(), strict=True)
        )
        places = [head[1:].split(".h") for head in heads]
        return [
            KnockOutAttention(layer=int(layer), queries=(-1,), keys=elsewhere, heads=(int(head),))
            for layer, head in places
        ]

    def double(self, heads: Sequence[str], encoded: Encoded) -> list[Intervention]:
        """The heads write twice as much at the last token."""
        return [Scale(at=head, factor=2.0, positions=(-1,)) for head in heads]

    def silence(self, heads: Sequence[str], encoded: Encoded) -> list[Intervention]:
        """The heads write at the last token what they write on average over the chosen right facts."""
        index = self.model.graph.node_index
        return [Replace(at=head, value=self.means[index[head]], positions=(-1,)) for head in heads]

    def of(
        self,
        change: str,
        edits: Callable[[Sequence[str], Encoded], list[Intervention]],
        chosen: Sequence[Sequence[str]],
        heads: str,
    ) -> Mending:
        """One change with each set of heads."""
        mended: list[Tensor] = []
        moved: list[Tensor] = []
        kept: list[float] = []
        for those in chosen:
            logits = self.model.forward_with(self.asked.clean, edits(those, self.asked)).logits
            mended.append(_top(logits, self.asked))
            moved.append(self._differences(logits) - self.before)
            of_known = self.model.forward_with(self.known.clean, edits(those, self.known)).logits
            kept.append(float(_top(of_known, self.known).mean()))
        values = torch.stack([torch.stack(mended).mean(0), torch.stack(moved).mean(0)])
        (mended_at, moved_at), means = mean_intervals(values.numpy(), bounds=(SHARE, None)), values.mean(1).tolist()
        return Mending(
            change,
            heads,
            values.shape[1],
            means[0],
            *mended_at,
            means[1],
            *moved_at,
            sum(kept) / len(kept),
            len(kept),
            len(self.known.pairs),
        )

    def _differences(self, logits: Float[Tensor, "batch vocab"]) -> Float[Tensor, " batch"]:
        every = torch.arange(len(logits))
        return (logits[every, self.tops] - logits[every, self.right]).double().cpu()


def _top(logits: Float[Tensor, "batch vocab"], encoded: Encoded) -> Float[Tensor, " batch"]:
    """1 where the top token is an answer's."""
    return (logits.argmax(-1)[:, None] == encoded.answers).any(-1).double().cpu()
