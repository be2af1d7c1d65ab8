"""Bytes as a model's tokens, and back: any bytes at all.

A symbol is a token, or an escaped byte. A token means a fixed string of bytes, so that decoding is only
joining; the tokenizer's own decoder is not asked. Where the tokenizer's tokens of a piece of text do not join to
that text (it normalises, or drops something), the piece is divided into lines, then words, and words that do not join
either are taken byte by byte, as are bytes that are not UTF-8.

A tokenizer that puts a space before a text (SentencePiece's dummy prefix) does so here too, once, at the start of the
data: those are the tokens that the model knows. The space is taken off again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from wheatstone.checkpoints import TextReader

_NOT_UTF8 = re.compile("([\udc80-\udcff]+)")
_PARTS = (re.compile(r"(?<=\n)"), re.compile(r"(?= )"))
"""Where a text is divided that does not join: after line ends, before spaces."""


class Symbols(NamedTuple):
    """Some data as symbols.

    Args:
        symbols: that join to the data.
        prefixed: whether they join to a space and the data instead.
    """

    symbols: list[int]
    prefixed: bool


class Alphabet:
    """The symbols of one model: 0 … tokens − 1 are its tokens, tokens + b is byte b escaped.

    Args:
        reader: of the model's texts.
        tokens: how many logits the model has.
    """

    def __init__(self, reader: TextReader, tokens: int) -> None:
        self.reader, self.tokens = reader, tokens
        self._bytes = [reader.bytes_of(token) for token in range(tokens)]
        self._bytes += [bytes([byte]) for byte in range(256)]
        self._single = {piece[0]: symbol for symbol, piece in reversed(list(enumerate(self._bytes))) if len(piece) == 1}

    def symbols(self, data: bytes) -> Symbols:
        """Symbols that join to `data`."""
        parts = _NOT_UTF8.split(data.decode("utf-8", "surrogateescape"))
        texts, others = parts[::2], [part.encode("utf-8", "surrogateescape") for part in parts[1::2]]
        prefixed = bool(texts[0]) and self.reader.dummy_prefix and not self._begins_itself(texts[0])
        if prefixed:
            texts[0] = " " + texts[0]
        rows = self._of_texts(texts)
        found = rows[0]
        for other, text in zip(others, rows[1:], strict=True):
            found += self._byte_by_byte(other) + text
        return Symbols(found, prefixed)

    def join(self, symbols: Sequence[int], *, prefixed: bool = False) -> bytes:
        """The bytes that symbols encode, without the space that the tokenizer put before them (`prefixed`)."""
        return b"".join([self._bytes[symbol] for symbol in symbols])[int(prefixed) :]

    def _begins_itself(self, text: str) -> bool:
        """Whether a text begins with a space and its tokenizer puts no other before it."""
        if not text.startswith(" "):
            return False
        (found,) = self.reader.reading.batch([text[:2]], special=False)
        return self.reader.joined(found) == text[:2].encode()

    def _of_texts(self, texts: list[str]) -> list[list[int]]:
        """Of each text; the tokenizer is called once for all, as binaries have thousands of texts of a few letters."""
        rows = self.reader.running(texts)
        return [self._that_join(text, row) for text, row in zip(texts, rows, strict=True)]

    def _that_join(self, text: str, found: list[int]) -> list[int]:
        piece = text.encode()
        if all(symbol < self.tokens for symbol in found) and self.join(found) == piece:
            return found
        for between in _PARTS:
            parts = [part for part in between.split(text) if part]
            if parts[1:]:
                return [symbol for part in self._of_texts(parts) for symbol in part]
        return self._byte_by_byte(piece)

    def _byte_by_byte(self, piece: bytes) -> list[int]:
        return [self._single[byte] for byte in piece]
