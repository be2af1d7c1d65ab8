"""A model's tokenizer without the model: for a process that never loads torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from wheatstone._errors import ModelError
from wheatstone._json import load_json
from wheatstone.models._sources import tokenizer_here


@dataclass(frozen=True, eq=False)
class LightTokenizer:
    """Tokenises as the loaded model does.

    Args:
        id: the name it was asked for by.
        context: most tokens a prompt may have.
        tokenizer: of the tokenizers library.

    When this misleads: what transformers adds in code to a tokenizer's file, as for a few older families, is not seen.
    """

    id: str
    context: int
    tokenizer: Tokenizer

    def encode(self, text: str) -> list[int]:
        """Tokens of a prompt, special ones included."""
        return self.tokenizer.encode(text).ids

    def continuation(self, text: str) -> list[int]:
        """Tokens of text that follows a prompt: no special ones."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> list[str]:
        """The text of each token."""
        return [self.tokenizer.decode([token], skip_special_tokens=False) for token in ids]


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
        return LightTokenizer(name, int(text.get("max_position_embeddings") or text["n_positions"]), tokenizer)
    except Exception as error:  # tokenizers raises the bare class
        raise ModelError(
            expected=f"a tokenizer that can be read in {folder}", got=str(error), do="fetch the model again"
        ) from error
