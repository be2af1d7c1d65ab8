"""A tokenizer of transformers, as `TextReader` reads with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class TransformersReading:
    """Reads as the tokenizer does when it is called."""

    tokenizer: PreTrainedTokenizerBase

    @property
    def backend(self) -> Tokenizer | None:
        """The tokenizer of the tokenizers library inside a fast one."""
        found: Any = self.tokenizer.backend_tokenizer if self.tokenizer.is_fast else None
        return found

    @property
    def added(self) -> Mapping[int, str]:
        """Tokens that were added to the vocabulary, special ones among them."""
        return self._added

    @cached_property
    def _added(self) -> dict[int, str]:
        return {token: str(content) for token, content in self.tokenizer.added_tokens_decoder.items()}

    def batch(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        """Tokens of texts. What is longer than the model reads is refused elsewhere, with a better word."""
        rows: Any = self.tokenizer(list(texts), add_special_tokens=special, verbose=False)["input_ids"]
        return [list(row) for row in rows]

    def offsets(self, text: str) -> list[tuple[int, int]] | None:
        """Characters of each token; a slow tokenizer does not know them."""
        if not self.tokenizer.is_fast:
            return None
        found: Any = self.tokenizer(text, return_offsets_mapping=True, verbose=False)["offset_mapping"]
        return list(found)

    def name(self, token: int) -> str | None:
        """A token as the vocabulary has it."""
        if self.backend is not None:
            return self.backend.id_to_token(token)
        found: Any = self.tokenizer.convert_ids_to_tokens(token) if token < len(self.tokenizer) else None
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """Tokens as a text."""
        return str(self.tokenizer.decode(list(ids)))
