"""Bytes as a model's tokens, and back: any bytes at all.

A symbol is a token, or an escaped byte. What a token stands for is a fixed string of bytes, so that decoding is only
joining, whatever the tokenizer's own decoder would do. Where the tokenizer's tokens of a piece of text do not join to
that text (it normalises, or drops something), and where bytes are not UTF-8, the piece is taken byte by byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

_NOT_UTF8 = re.compile("([\udc80-\udcff]+)")
_HEX = re.compile("<0x([0-9A-F]{2})>")


class Alphabet:
    """The symbols of one model: 0 … tokens − 1 are its tokens, tokens + b is byte b escaped.

    Args:
        tokenizer: the model's.
        tokens: how many logits the model has.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, tokens: int) -> None:
        self.tokenizer, self.tokens = tokenizer, tokens
        self._bytes = _bytes_of_tokens(tokenizer, tokens)
        self._bytes += [bytes([byte]) for byte in range(256)]
        self._single = {piece[0]: symbol for symbol, piece in reversed(list(enumerate(self._bytes))) if len(piece) == 1}

    def symbols(self, data: bytes) -> list[int]:
        """Symbols that join to `data`."""
        parts = _NOT_UTF8.split(data.decode("utf-8", "surrogateescape"))
        texts, others = self._of_texts(parts[::2]), [part.encode("utf-8", "surrogateescape") for part in parts[1::2]]
        found = texts[0]
        for other, text in zip(others, texts[1:], strict=True):
            found += self._byte_by_byte(other) + text
        return found

    def join(self, symbols: Sequence[int]) -> bytes:
        """The bytes that symbols stand for."""
        return b"".join([self._bytes[symbol] for symbol in symbols])

    def _of_texts(self, texts: list[str]) -> list[list[int]]:
        """Of each text; the tokenizer is called once for all, as binaries have thousands of texts of a few letters."""
        rows = self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return [self._that_join(text, list(row)) for text, row in zip(texts, rows, strict=True)]

    def _that_join(self, text: str, found: list[int]) -> list[int]:
        piece = text.encode()
        if all(symbol < self.tokens for symbol in found) and self.join(found) == piece:
            return found
        lines = [line.decode() for line in piece.splitlines(keepends=True)]
        return [symbol for line in self._of_texts(lines) for symbol in line] if lines[1:] else self._byte_by_byte(piece)

    def _byte_by_byte(self, piece: bytes) -> list[int]:
        return [self._single[byte] for byte in piece]


def _bytes_of_tokens(tokenizer: PreTrainedTokenizerBase, tokens: int) -> list[bytes]:
    """What each token stands for; nothing where that is not known, which only keeps the token from being used."""
    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    added = {token: str(content).encode() for token, content in tokenizer.added_tokens_decoder.items()}
    names: Any = tokenizer.convert_ids_to_tokens(list(range(min(tokens, len(tokenizer)))))
    byte_level = set(byte_of) == set(ByteLevel.alphabet()) and "ByteLevel" in _decoder(tokenizer)

    def of(token: int, name: str | None) -> bytes:
        if token in added or name is None:
            return added.get(token, b"")
        if byte_level:
            return bytes(byte_of[character] for character in name) if set(name) <= set(byte_of) else b""
        if whole := _HEX.fullmatch(name):
            return bytes.fromhex(whole[1])
        return name.replace("▁", " ").encode()

    found = [of(token, name) for token, name in enumerate(names)]
    return found + [b""] * (tokens - len(found))


def _decoder(tokenizer: PreTrainedTokenizerBase) -> str:
    """How a fast tokenizer describes the way it decodes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return "" if backend is None else str(backend.decoder)
