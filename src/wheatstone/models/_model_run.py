"""`ModelRun`: what one pass over some prompts left behind, by name."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._text import shown
from wheatstone.models._decoder import Decoder
from wheatstone.models._interventions import position_of
from wheatstone.models._places import place_of
from wheatstone.models._tokens import Tokens
from wheatstone.models._top_tokens import TopTokens, top_tokens

_PROMPTS = 8
"""Prompts that are shown."""
_LETTERS = 60
"""Letters of a prompt that are shown, counted from its end."""


@dataclass(frozen=True, eq=False, repr=False)
class ModelRun:
    """What a run left behind: `run["a3.h2"]` is what head 2 of layer 3 wrote.

    Made by calling a model on texts. Values after a prompt's end mean nothing.

    Args:
        model: the model.
        tokens: the prompts.
        logits: at every position.
        kept: what was at each place, by kind and layer, as it was used after interventions.

    When this misleads: all of it is memory that is held until the run is deleted. In a layer with parallel sublayers
    `r3.mid` is read by nothing.
    """

    model: Decoder
    tokens: Tokens
    logits: Float[Tensor, "batch pos vocab"]
    kept: Mapping[tuple[str, int], Tensor]

    def __getitem__(self, name: str) -> Tensor:
        """What was at a place.

        Args:
            name: such as `r5.post`, `a3.h2`, `a3.q`, `m7.n40`, `a3.h2.pattern`, or TransformerLens' hook, such as
                `blocks.3.attn.hook_z`. `wheatstone.models.Place` lists them with their shapes.

        Raises:
            RequestError: the model has no such place, or the run did not keep it.
        """
        place = place_of(self.model, name)
        held = self.kept.get((place.kind, place.layer))
        if held is None:
            weights = place.kind == "pattern"
            raise RequestError(
                expected=f"a run that kept {'attention weights' if weights else 'what is at its places'}",
                got=f"{name!r} of a run without {'them' if weights else 'it'}",
                do=f"run the model with {'attention=True' if weights else 'cache=True'}",
            )
        return held if place.unit is None else held.select(place.axis, place.unit)

    @cached_property
    def residual(self) -> Float[Tensor, "depth batch pos d_model"]:
        """The residual stream before each layer and after the last, as transformers' hidden states but never normed."""
        layers = range(self.model.graph.layers)
        depths = [self[f"r{layer}.pre"] for layer in layers] + [self[f"r{layers[-1]}.post"]]
        return torch.stack([depth.to(self.model.device) for depth in depths])

    @cached_property
    def attention(self) -> Float[Tensor, "layer batch head query key"]:
        """Attention weights of every layer, of a run with `attention=True`."""
        weights = [self[f"a{layer}.pattern"] for layer in range(self.model.graph.layers)]
        return torch.stack([each.to(self.model.device) for each in weights])

    @cached_property
    def nodes(self) -> Float[Tensor, "node batch pos d_model"]:
        """What every node wrote, in the order of `model.graph.nodes`."""
        parts = [self["input"][None]]
        for block in self.model.blocks:
            parts.append(self[f"a{block.index}.h"].movedim(2, 0))
            split = self.kept.get(("e", block.index))
            parts.append(self[f"m{block.index}"][None] if split is None else split.movedim(2, 0))
        return torch.cat([part.to(self.model.device) for part in parts])

    @property
    def words(self) -> list[list[str]]:
        """The tokens of each prompt as text, their leading spaces included."""
        rows = zip(self.tokens.ids.tolist(), self.tokens.lengths.tolist(), strict=True)
        return [self.model.decode(row[:length]) for row, length in rows]

    def last(self, position: int = -1) -> Float[Tensor, "batch vocab"]:
        """Logits at one position of each prompt.

        Args:
            position: negative ones count from each prompt's end.

        Raises:
            RequestError: a prompt has no such position.
        """
        return self.logits[torch.arange(self.tokens.batch), self.at(position)]

    def at(self, position: int) -> list[int]:
        """The same position of each prompt, counted from its start.

        Args:
            position: negative ones count from each prompt's end.

        Raises:
            RequestError: a prompt has no such position.
        """
        lengths = enumerate(self.tokens.lengths.tolist())
        return [position_of(position, length, f"prompt {row}") for row, length in lengths]

    def top(self, k: int = 10, *, position: int = -1) -> TopTokens:
        """The most likely next tokens.

        Args:
            k: how many for each prompt; at most the vocabulary.
            position: after which token; negative ones count from each prompt's end.

        Raises:
            RequestError: not between 1 and the vocabulary, or a prompt has no such position.
        """
        return top_tokens(self.model, self.last(position), k)

    def logit(self, text: str, *, position: int = -1) -> Float[Tensor, " batch"]:
        """The logit of the first token of a text.

        Args:
            text: as it follows the prompt, its leading space included.
            position: after which token.
        """
        return self.last(position)[:, self.first_token(text)]

    def probability(self, text: str, *, position: int = -1) -> Float[Tensor, " batch"]:
        """The probability of the first token of a text; arguments as in `logit`."""
        return self.last(position).softmax(-1)[:, self.first_token(text)]

    def first_token(self, text: str) -> int:
        """The first token of a text as it follows a prompt.

        Raises:
            RequestError: it has none.
        """
        ids = self.model.continuation(text)
        if not ids:
            raise RequestError(expected="a text of at least one token", got=repr(text), do="write the answer")
        return ids[0]

    def __repr__(self) -> str:
        places = sorted({kind for kind, _ in self.kept})
        size = f"{self.tokens.batch} prompt{'s' * (self.tokens.batch != 1)}, {self.tokens.width} positions"
        lines = [f"ModelRun of {shown(self.model.id)}: {size}"]
        tops = top_tokens(self.model, self.last()[:_PROMPTS], min(3, self.logits.shape[-1]))
        for row, words in enumerate(self.words[:_PROMPTS]):
            text = shown("".join(words))
            short = text if len(text) <= _LETTERS else "…" + text[-_LETTERS + 1 :]
            lines.append(f"  {short!r} → " + ", ".join(f"{top.token!r} {top.probability:.2f}" for top in tops.of(row)))
        if self.tokens.batch > _PROMPTS:
            lines.append(f"  … and {self.tokens.batch - _PROMPTS} more")
        lines.append(f"  kept: {', '.join(places) if places else 'logits alone'}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"
