"""Text from outside, on its way to a reader: no invisible character acts on a terminal, a picture or an XML file."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # controls: they steer terminals, and XML does not allow them
    "\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"  # line separators, and what turns the direction of text
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"  # no characters
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)
_NO_CHARACTER = re.compile("[\udc80-\udcff]+")
"""Bytes that are no whole character, as `surrogateescape` reads them."""


def shown(text: str, keep: str = "") -> str:
    """A text whose control characters, line separators and marks of direction are written as escapes, such as `\\x18`.

    Args:
        text: from a prompt, a tokenizer, a file or an error.
        keep: characters to leave as they are, such as a newline.
    """
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode()


def count(number: int, thing: str) -> str:
    """`1 edge`, `70,651 edges`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def with_bytes(data: bytes) -> str:
    """Bytes as a text, those that are no whole character in hexadecimal, such as `<E5 8C>`."""
    return _NO_CHARACTER.sub(
        lambda found: f"<{found[0].encode('utf-8', 'surrogateescape').hex(' ').upper()}>",
        data.decode("utf-8", "surrogateescape"),
    )


def lines_of(text: str) -> list[str]:
    """The lines of a JSON Lines file. Only a newline ends a line: a string in JSON may hold U+2028 or U+0085."""
    return text.split("\n")
