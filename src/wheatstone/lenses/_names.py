"""Where names end in running text, by capital letters: no parser and no list of names."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_OPENS = frozenset('.!?…:"“”‘«([\n')
"""What may come before the first word of a sentence, which has a capital letter whether it is a name or not."""


def name_ends(tokens: Sequence[str]) -> list[bool]:
    """Which tokens are the last of a name: of one or more words with a capital letter inside a sentence.

    Args:
        tokens: the texts of a text's tokens, in order.

    When this misleads: a name at the beginning of a sentence is not counted, nor is one in a script without capital
    letters; every noun of German is.
    """
    text, ends = "".join(tokens), list(accumulate(map(len, tokens)))
    found, last = [False] * len(tokens), -1
    for word in _WORD.finditer(text):
        start, end = word.span()
        if not (word[0][0].isupper() and word[0][1:2].isalpha()) or _begins_sentence(text, start):
            continue
        if last >= 0 and text[last + 1 : start] == " ":  # a name of several words ends with its last
            found[bisect_left(ends, last + 1)] = False
        found[bisect_left(ends, end)] = True
        last = end - 1
    return found


def _begins_sentence(text: str, start: int) -> bool:
    before = text[:start].rstrip(" ")
    return not before or before[-1] in _OPENS
