"""How a tokenizer reads a text and what its tokens say, the same with transformers and without.

Three readings of one text differ by what a tokenizer adds to it:

    encode        a prompt, as the tokenizer reads a text by default: its own start token, and in the way of
                  SentencePiece a space before the first word (a *dummy prefix*)
    continuation  a text that follows another: neither of them
    tokens' text  what each token says inside a text: a decoder that drops the first space of a text is not used

Sources: SentencePiece, Kudo and Richardson 2018 (arXiv 1808.06226), section 3.2; byte-level BPE, Radford et al. 2019,
section 2.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast, runtime_checkable

from tokenizers import Tokenizer

from wheatstone._errors import PromptError
from wheatstone._text import with_bytes

_HEX = re.compile("<0x([0-9A-F]{2})>")
_PROBED = 4000
"""Tokens that are looked through for one that is a plain word."""


def _byte_of() -> dict[str, int]:
    """Which byte each character of a byte-level vocabulary is: printable Latin-1 is itself, the others follow 255."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTE_OF = _byte_of()


@runtime_checkable
class Reading(Protocol):
    """A tokenizer, of the tokenizers library or of transformers."""

    @property
    def backend(self) -> Tokenizer | None:
        """The tokenizer of the tokenizers library inside, where there is one."""
        ...

    @property
    def added(self) -> Mapping[int, str]:
        """Tokens that were added to the vocabulary, special ones among them."""
        ...

    def batch(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        """Tokens of texts, with what the tokenizer adds by default (`special`) or without special tokens."""
        ...

    def offsets(self, text: str) -> list[tuple[int, int]] | None:
        """Characters of each token of a text read by default; None where the tokenizer does not know them."""
        ...

    def name(self, token: int) -> str | None:
        """A token as the vocabulary has it."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Tokens as a text, in the tokenizer's own way."""
        ...


@dataclass(frozen=True, eq=False)
class TextReader:
    """Reads texts for one model.

    Args:
        id: what the model is called.
        size: tokens that the model has embeddings for.
        reading: its tokenizer.

    When this misleads: what a tokenizer normalises (Unicode forms, runs of spaces, upper case) is lost before any
    token is made, and no token says it.
    """

    id: str
    size: int
    reading: Reading

    @property
    def added(self) -> Mapping[int, str]:
        """Tokens that were added to the vocabulary, special ones among them."""
        return self.reading.added

    @cached_property
    def frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Tokens that the tokenizer puts before every text, and after it."""
        (whole,), (body,) = (self.reading.batch([self._word], special=special) for special in (True, False))
        for place in range(len(whole) - len(body) + 1) if body else ():
            if whole[place : place + len(body)] == body:
                return tuple(whole[:place]), tuple(whole[place + len(body) :])
        return (), ()

    @cached_property
    def dummy_prefix(self) -> bool:
        """Whether the tokenizer puts a space before a text that does not begin with one."""
        (found,) = self.reading.batch([self._word], special=False)
        return self.joined(found) == f" {self._word}".encode()

    def encode(self, text: str) -> list[int]:
        """Tokens of a prompt, as the tokenizer reads it by default.

        Two things are left out because the prompt is continued: a token that the tokenizer puts at the end of every
        text, and a second start token where the prompt begins with its own.

        Raises:
            PromptError: a token has no embedding.
        """
        (found,) = self.reading.batch([text], special=True)
        return self._known(text, found[self._kept(found)])

    def offsets(self, text: str) -> list[tuple[int, int]] | None:
        """Characters of each token of `encode`; None where the tokenizer does not know them."""
        found = self.reading.offsets(text)
        return found and found[self._kept(self.reading.batch([text], special=True)[0])]

    def continuation(self, text: str) -> list[int]:
        """Tokens of a text that follows another.

        Raises:
            PromptError: a token has no embedding.
        """
        return self._known(text, self.running([text])[0])

    def running(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of texts as they are inside a longer text, with nothing put before them."""
        if not self.dummy_prefix:
            return self.reading.batch(texts, special=False)
        if self._bare is not None:
            return [found.ids for found in self._bare.encode_batch(list(texts), add_special_tokens=False)]
        # A tokenizer without a description of itself: read each text after a word, and leave the word out.
        (before,) = self.reading.batch([self._word], special=False)
        after = self.reading.batch([self._word + text for text in texts], special=False)
        return [found[len(before) :] for found in after]

    def notes(self, prompt: str) -> list[str]:
        """What a reader should know about how a prompt was read."""
        before, after = self.frame
        (found,) = self.reading.batch([prompt], special=True)
        notes: list[str] = []
        if after:
            ending = self.written(after)
            notes.append(f"{ending!r}, which the tokenizer puts after every text, is left out: the answer follows")
        if self._kept(found).start:
            start = self.written(before)
            notes.append(f"the prompt begins with {start!r} itself; the tokenizer's own is not put before it")
        return notes

    def bytes_of(self, token: int) -> bytes:
        """The bytes of a token inside a text; none where they are not known."""
        if token in self.added:
            return self.added[token].encode()
        name = self.reading.name(token)
        if name is None:
            return b""
        if self._byte_level:
            return bytes(_BYTE_OF[character] for character in name) if set(name) <= set(_BYTE_OF) else b""
        if whole := _HEX.fullmatch(name):
            return bytes.fromhex(whole[1])
        return name.replace("▁", " ").encode()

    def joined(self, ids: Sequence[int]) -> bytes:
        """The bytes of several tokens."""
        return b"".join(self.bytes_of(token) for token in ids)

    def written(self, ids: Sequence[int]) -> str:
        """What tokens say inside a text; � is a part of a character."""
        if self._byte_level or self._sentencepiece:
            return self.joined(ids).decode("utf-8", "replace")
        return self.reading.decode(ids)

    def decode(self, ids: Sequence[int]) -> list[str]:
        """What each token says inside a text, its leading space included; a part of a character is bytes: `<E5 8C>`.

        With � for each, the tokens of a text in a script that the tokenizer knows little of would all look the same.
        """
        if not (self._byte_level or self._sentencepiece):
            return [self.written([token]) for token in ids]
        return [with_bytes(self.bytes_of(token)) for token in ids]

    def shown(self, token: int) -> str:
        """A token for a person to read: what it says in quotes, or its bytes where they are not whole characters."""
        data = self.bytes_of(token)
        try:
            data.decode()
        except UnicodeDecodeError:
            return f"bytes {data.hex(' ').upper()}"
        return repr(self.written([token]))

    def _known(self, text: str, ids: list[int]) -> list[int]:
        beyond = next((token for token in ids if token >= self.size), None)
        if beyond is not None:
            raise PromptError(
                expected=f"tokens that {self.id} has embeddings for, 0 to {self.size - 1:,}",
                got=f"{self.written([beyond])!r}, token {beyond:,} of the tokenizer, in {text[-60:]!r}",
                do="leave that text out, or use the tokenizer that belongs to the model",
            )
        return ids

    def _kept(self, found: Sequence[int]) -> slice:
        """Tokens that stay of a text read by default, with special tokens."""
        before, after = (list(tokens) for tokens in self.frame)
        width, end = len(before), len(found)
        if after and list(found[end - len(after) :]) == after:
            end -= len(after)
        twice = bool(before) and list(found[width : 2 * width]) == before and 2 * width <= end
        return slice(width if twice else 0, end)

    @cached_property
    def _word(self) -> str:
        """A word of the vocabulary, to see what the tokenizer puts before and after it."""
        for token in range(min(self.size, _PROBED)):
            name = self.reading.name(token)
            if token not in self.added and name and name.isascii() and name.isalnum():
                return name
        return "a"

    @cached_property
    def _byte_level(self) -> bool:
        return self.reading.backend is not None and "ByteLevel" in str(self.reading.backend.decoder)

    @cached_property
    def _sentencepiece(self) -> bool:
        """Whether ▁ is a space in its vocabulary."""
        backend = self.reading.backend
        if backend is None:
            return any("▁" in (self.reading.name(token) or "") for token in range(min(self.size, _PROBED)))
        return any("▁" in str(part) for part in (backend.normalizer, backend.pre_tokenizer, backend.decoder))

    @cached_property
    def _bare(self) -> Tokenizer | None:
        """The tokenizer without its dummy prefix; None where it cannot be taken out."""
        if self.reading.backend is None:
            return None
        described = json.loads(self.reading.backend.to_str())
        for part in ("normalizer", "pre_tokenizer"):
            described[part] = _without_prefix(described[part])
        bare = Tokenizer.from_str(json.dumps(described))
        bare.no_truncation()
        bare.no_padding()
        return (
            bare if self.joined(bare.encode(self._word, add_special_tokens=False).ids) == self._word.encode() else None
        )


def _without_prefix(part: dict[str, Any] | None) -> dict[str, Any] | None:
    """A part of a tokenizer's description that puts nothing before a text."""
    if part is None or part["type"] == "Prepend":
        return None
    changed = dict(part)
    for inner in ("normalizers", "pretokenizers"):
        if inner in changed:
            kept = (_without_prefix(one) for one in cast("list[dict[str, Any]]", changed[inner]))
            changed[inner] = [one for one in kept if one is not None]
    if "prepend_scheme" in changed:
        changed["prepend_scheme"] = "never"
    if "add_prefix_space" in changed:
        changed["add_prefix_space"] = False
    return changed
