"""A model's tokenizer without the model: for a process that never loads torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from wheatstone._errors import ModelError, reason
from wheatstone._json import load_json
from wheatstone.checkpoints._sources import tokenizer_here
from wheatstone.checkpoints._text import TextReader


@dataclass(frozen=True, eq=False)
class TokenizersReading:
    """A tokenizer of the tokenizers library, as `TextReader` reads with it."""

    backend: Tokenizer

    @property
    def added(self) -> Mapping[int, str]:
        """Tokens that were added to the vocabulary, special ones among them."""
        return self._added

    @cached_property
    def _added(self) -> dict[int, str]:
        return {token: str(one.content) for token, one in self.backend.get_added_tokens_decoder().items()}

    def batch(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        """Tokens of texts."""
        return [found.ids for found in self.backend.encode_batch(list(texts), add_special_tokens=special)]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Characters of each token."""
        return self.backend.encode(text).offsets

    def name(self, token: int) -> str | None:
        """A token as the vocabulary has it."""
        return self.backend.id_to_token(token)

    def decode(self, ids: Sequence[int]) -> str:
        """Tokens as a text."""
        return self.backend.decode(list(ids), skip_special_tokens=False)


@dataclass(frozen=True, eq=False)
class LightTokenizer:
    """Tokenises as the loaded model does.

    Args:
        id: the name it was asked for by.
        context: most tokens a prompt may have.
        reader: reads its texts.

    When this misleads: what transformers adds in code to a tokenizer's file, as for a few older families, is not seen.
    """

    id: str
    context: int
    reader: TextReader

    def encode(self, text: str) -> list[int]:
        """Tokens of a prompt, special ones included."""
        return self.reader.encode(text)

    def continuation(self, text: str) -> list[int]:
        """Tokens of text that follows a prompt: no special ones."""
        return self.reader.continuation(text)

    def decode(self, ids: Sequence[int]) -> list[str]:
        """What each token says inside a text."""
        return self.reader.decode(ids)


def light_tokenizer(name: str) -> LightTokenizer | None:
    """The tokenizer of a model that is on this machine, or None.

    Raises:
        ModelError: the name can be none of a model, or its tokenizer cannot be read.
    """
    folder = tokenizer_here(name)
    return None if folder is None else _read(name, folder, (folder / "tokenizer.json").stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(name: str, folder: Path, changed: int) -> LightTokenizer:
    try:
        config = load_json(folder / "config.json")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        text = config.get("text_config") or config
        context = int(text.get("max_position_embeddings") or text["n_positions"])
        return LightTokenizer(name, context, TextReader(name, int(text["vocab_size"]), TokenizersReading(tokenizer)))
    except Exception as error:  # tokenizers raises the bare class
        raise ModelError(
            expected=f"a tokenizer that can be read in {folder}", got=reason(error), do="fetch the model again"
        ) from error
