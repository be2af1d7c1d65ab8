"""Why a head looks where it looks: its attention score, before the softmax, as a sum over pairs of senders.

With the scales of all norms held at what they are in the run, the score of query position s and key position t is

    score = scaling · Σ_i Σ_j q_i[s]·k_j[t]

over senders i that the query reads and j that the key reads: the input, earlier heads and MLPs, and bias terms
(`bias.output`, `bias.norm`, `bias.qkv`, `bias.qknorm`, `clip`). Rotary embedding, norms on queries and keys, and
scaling are inside the terms. Only differences of scores matter to the softmax: the score is shown next to that of the
runner-up, and the difference of the two is split in the same way. What the head moves from t is a sum over the
senders of the value.

Source: QK attributions, Kamath et al. 2025, "Tracing Attention Computation Through Feature Interactions"
(transformer-circuits.pub); Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import PromptError, RequestError
from wheatstone.lenses._readout import Readout
from wheatstone.lenses._score_pairs import Pairs, ScoreTerm, SenderTerm, contrast, ranked
from wheatstone.lenses._score_removal import Removal, removals
from wheatstone.models import HeadSplit, ResidualModel, Tokens, position_of

_SHOWN = 5
"""Terms of each kind in the text form."""


@dataclass(frozen=True, eq=False, repr=False)
class AttentionScore:
    """One head's score from one query position to one key position, split. Made by `wheatstone.attention_scores`.

    Args:
        model: the model.
        tokens: the prompt.
        texts: its tokens as text.
        head: such as `a23.h4`.
        query: position that looks, from 0.
        key: position that is looked at, from 0.
        runner_up: of the other keys, the one of the highest weight; None where the head sees no other.
        answer: token whose logit at the query's position the write is measured on.
        split: the head's query, keys and values by sender.
    """

    model: ResidualModel
    tokens: Tokens
    texts: tuple[str, ...]
    head: str
    query: int
    key: int
    runner_up: int | None
    answer: int
    split: HeadSplit

    @property
    def score(self) -> float:
        """The model's own score, before any softcap, in logits of the softmax. All pairs add up to it."""
        return float(self.split.scores[self.key])

    @property
    def capped(self) -> float:
        """What the softmax is given: the score after any softcap, with what a mask adds to it (ALiBi)."""
        return float(self.split.capped(self.split.scores)[self.key])

    @property
    def weight(self) -> float:
        """The attention weight, 0 to 1."""
        return float(self.weights[self.key])

    @cached_property
    def weights(self) -> Float[Tensor, " key"]:
        """Attention weights of all keys up to the query."""
        return self.split.weights(self.split.scores)

    @cached_property
    def pairs(self) -> Pairs:
        """The score as a sum over pairs."""
        return contrast(self.split, self.key)

    @cached_property
    def difference(self) -> Pairs | None:
        """The score less the runner-up's, as a sum over pairs; None where there is no runner-up."""
        return None if self.runner_up is None else self.against([self.runner_up])

    def against(self, keys: Sequence[int] | None = None) -> Pairs:
        """The score less the mean of other keys' scores, as a sum over pairs.

        Args:
            keys: positions from 0 that the head sees from the query. Default: every one but the key.

        Raises:
            RequestError: a key that the head does not see, or no other key.
        """
        seen = self.split.visible.nonzero()[:, 0].tolist()
        others = [at for at in seen if at != self.key] if keys is None else list(keys)
        if not others or not set(others) <= set(seen):
            raise RequestError(
                expected=f"other keys that {self.head} sees from position {self.query}, out of {seen}",
                got=str(others or "none"),
                do="choose some of these, or a later query",
            )
        return contrast(self.split, self.key, others)

    @cached_property
    def moved(self) -> tuple[SenderTerm, ...]:
        """What the head moves from the key to the answer's logit, by the sender of the value; strongest first.

        weight · v_j W_O through the final norm at its frozen scale and the unembedding, in logits. Where the
        model bounds its logits (Gemma 2), that map is a least-squares approximation.
        """
        split = self.split
        values = split.v[:, self.key] @ (split.output @ self._direction)
        return ranked(split.senders, values * self.weights[self.key])

    def top(self, n: int = 10) -> tuple[ScoreTerm, ...]:
        """The pairs of the largest absolute value, strongest first.

        Args:
            n: how many.

        Raises:
            RequestError: n is less than 1.
        """
        return self.pairs.top(n)

    def confirm(self, n: int = 3, *, alone: bool = True) -> tuple[Removal, ...]:
        """Removes the strongest pairs from the score and runs the model on, exactly.

        Args:
            n: pairs to remove: each alone and then, where there are several, all together.
            alone: whether to remove each alone; otherwise all together only.

        Returns:
            A row for each, with the attention weight that the softmax formula predicts, the weight that the model's own
            attention code then has, and the answer's logit and probability before and after.

        Raises:
            RequestError: n is less than 1.

        When this misleads: a pair is removed from this one score. Its senders still write what they wrote to every
        other head, query and key, and the value at the key is as it was.
        """
        terms = self.top(n)
        removed = [(term,) for term in terms] if alone or len(terms) == 1 else []
        removed += [terms] if len(terms) > 1 else []
        return removals(self.model, self.tokens, self.split, self.head, self.query, self.key, self.answer, removed)

    def to_dict(self, n: int = 10) -> dict[str, Any]:
        """As plain data, ready for JSON.

        Args:
            n: pairs and senders of each kind.
        """
        difference = self.difference
        return {
            "model": self.model.id,
            "tokens": list(self.texts),
            "head": self.head,
            "query": self.query,
            "key": self.key,
            "score": self.score,
            "capped": self.capped,
            "weight": self.weight,
            "runner_up": self.runner_up,
            "runner_up_score": None if self.runner_up is None else float(self.split.scores[self.runner_up]),
            "runner_up_weight": None if self.runner_up is None else float(self.weights[self.runner_up]),
            "bias": self.pairs.bias,
            "dominated_by_bias": self.pairs.dominated_by_bias,
            "pairs": [term._asdict() for term in self.top(n)],
            "difference": None if difference is None else difference.total,
            "difference_pairs": None if difference is None else [term._asdict() for term in difference.top(n)],
            "answer": self.model.decode([self.answer])[0],
            "moved": sum(term.value for term in self.moved),
            "moved_by": [term._asdict() for term in self.moved[:n]],
        }

    def __repr__(self) -> str:
        difference = self.difference
        lines = [
            f"AttentionScore({self.head}, query {self._place(self.query)}, key {self._place(self.key)})",
            f"  score {self.score:+.3f} logits, weight {self.weight:.3f}{self._bounded()}",
            *_pair_lines(self.pairs),
        ]
        if difference is not None and self.runner_up is not None:
            other, weight = self.split.scores[self.runner_up], self.weights[self.runner_up]
            lines += [
                f"  runner-up {self._place(self.runner_up)}: score {other:+.3f}, weight {weight:.3f}; "
                f"difference {difference.total:+.3f}",
                *_pair_lines(difference),
            ]
        moved = sum(term.value for term in self.moved)
        lines.append(f"  moved to the logit of {self.model.decode([self.answer])[0]!r}: {moved:+.3f}")
        lines += [f"    {term.value:+8.3f}  {term.sender}" for term in self.moved[:_SHOWN]]
        return "\n".join(lines)

    def _place(self, position: int) -> str:
        return f"{position} {self.texts[position]!r}"

    def _bounded(self) -> str:
        return "" if self.split.softcap is None else f", {self.capped:+.3f} after the softcap of {self.split.softcap:g}"

    @cached_property
    def _direction(self) -> Float[Tensor, " d_model"]:
        """Whose product with a write at the query's position is its part of the answer's logit."""
        stream = self.split.stream[None].to(self.model.device, torch.promote_types(self.model.dtype, torch.float32))
        readout = Readout.at(self.model, stream)
        return readout.directions(torch.tensor([self.answer], device=stream.device))[0].cpu().double()


def attention_scores(
    model: ResidualModel,
    prompt: str,
    *,
    head: str,
    query: int = -1,
    key: int | None = None,
    answer: str | None = None,
) -> AttentionScore:
    """Splits one attention score of one head into pairs of senders, and what the head moves into senders.

    Args:
        model: from `load_model`. With split MLPs (`model.split`), neurons or experts are senders in their place.
        prompt: the text, tokenised by the model's own rules.
        head: such as `a23.h4`.
        query: position that looks; negative ones count from the end. Default: the last token.
        key: position that is looked at, likewise. Default: the one of the highest weight.
        answer: text that may follow the query's position, with its leading space; its first token's logit is what the
            head's write is measured on. Default: the token that the model gives the highest logit there.

    Returns:
        The score with its pairs, ranked on demand. Computed in float64 from the model's own numbers, so that the pairs
        add up to the model's score within the rounding of its precision (1e-4 logits in float32).

    Raises:
        ModelError: the model's attention computes no scores from queries and keys.
        PromptError: the prompt has no token.
        RequestError: no such head or position, a key after the query, or one that a sliding window hides.

    When this misleads: the split is exact for the scales that the norms have in this run; a sender that were not there
    would change them too. Large pairs of both signs often cancel. A pair that adds the same to every key changes no
    attention: read the difference to the runner-up. Check what matters with `confirm`.

    Source: Kamath et al. 2025 (transformer-circuits.pub), QK attributions; here over nodes, without dictionaries.
    """
    ids = model.encode(prompt)
    if not ids:
        raise PromptError(expected="a prompt of at least one token", got="none", do="give a text")
    return score_of(
        model, ids, head, query=query, key=key, answer=None if answer is None else _first_token(model, answer)
    )


def score_of(
    model: ResidualModel,
    ids: Sequence[int],
    head: str,
    *,
    query: int = -1,
    key: int | None = None,
    answer: int | None = None,
) -> AttentionScore:
    """`attention_scores` of tokens, with a token for an answer."""
    tokens = Tokens.of([ids], model.device)
    at = position_of(query, len(ids))
    split = model.head_split(tokens, head, at)
    weights = split.weights(split.scores)
    chosen = int(weights.argmax()) if key is None else _seen_key(split, position_of(key, len(ids)), at, head)
    others = weights.masked_fill(torch.arange(len(weights)) == chosen, 0)
    if answer is None:
        answer = int(model.unembed(split.stream[None].to(model.device))[0].argmax())
    return AttentionScore(
        model=model,
        tokens=tokens,
        texts=tuple(model.decode(ids)),
        head=model.graph.named(head),
        query=at,
        key=chosen,
        runner_up=int(others.argmax()) if bool(others.any()) else None,
        answer=answer,
        split=split,
    )


def _seen_key(split: HeadSplit, key: int, query: int, head: str) -> int:
    if key > query:
        raise RequestError(
            expected=f"a key at or before the query, position {query}",
            got=f"position {key}",
            do="choose an earlier key or a later query; a causal model never looks ahead",
        )
    if not split.visible[key]:
        raise RequestError(
            expected=f"a key that {head} sees from position {query}: {int(split.visible.nonzero()[0])} to {query}",
            got=f"position {key}, hidden by its sliding window",
            do="choose a key inside the window, or a head of a layer without one",
        )
    return key


def _first_token(model: ResidualModel, answer: str) -> int:
    ids = model.continuation(answer)
    if not ids:
        raise PromptError(expected="an answer of at least one token", got=repr(answer), do="give a text")
    return ids[0]


def _pair_lines(pairs: Pairs) -> list[str]:
    lines = [f"    {term.value:+8.3f}  {term.query_sender} × {term.key_sender}" for term in pairs.top(_SHOWN)]
    if pairs.dominated_by_bias:
        rest = pairs.total - pairs.bias
        lines.append(f"    dominated by bias: pairs with a bias term add {pairs.bias:+.3f}, pairs of nodes {rest:+.3f}")
    return lines
