"""The most likely next tokens, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._view import Tabular
from wheatstone.models._decoder import Decoder

if TYPE_CHECKING:
    import pyarrow as pa


class TopToken(NamedTuple):
    """One of the most likely next tokens.

    Args:
        prompt: which, from 0.
        rank: from 1.
        token: what it says, its leading space included.
        id: in the vocabulary.
        logit: before the softmax.
        probability: after it.
    """

    prompt: int
    rank: int
    token: str
    id: int
    logit: float
    probability: float


@dataclass(frozen=True, repr=False)
class TopTokens(Tabular):
    """The most likely next tokens of some prompts."""

    rows: tuple[TopToken, ...]

    def of(self, prompt: int) -> tuple[TopToken, ...]:
        """Those of one prompt."""
        return tuple(row for row in self.rows if row.prompt == prompt)

    def to_arrow(self) -> pa.Table:
        import pyarrow as pa

        return pa.table(dict(zip(TopToken._fields, zip(*self.rows, strict=True), strict=True)))

    def _title(self) -> str:
        prompts = self.rows[-1].prompt + 1
        return f"most likely next tokens of {prompts} prompt{'s' * (prompts != 1)}"


def top_tokens(model: Decoder, logits: Float[Tensor, "batch vocab"], k: int) -> TopTokens:
    """The k most likely tokens of each row of logits.

    Raises:
        RequestError: k is not between 1 and the vocabulary.
    """
    if not 1 <= k <= logits.shape[1]:
        raise RequestError(
            expected=f"a number of tokens from 1 to {logits.shape[1]}", got=str(k), do="choose one of these"
        )
    found = logits.topk(k)
    probabilities = logits.double().softmax(-1).gather(1, found.indices)
    rows: list[TopToken] = []
    for prompt, ids in enumerate(found.indices.tolist()):
        numbers = zip(ids, found.values[prompt].tolist(), probabilities[prompt].tolist(), strict=True)
        rows += [
            TopToken(prompt, rank, model.decode([token])[0], token, logit, probability)
            for rank, (token, logit, probability) in enumerate(numbers, 1)
        ]
    return TopTokens(tuple(rows))
