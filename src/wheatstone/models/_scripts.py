"""How two pieces of text are joined: by a space, or without one in scripts that do not separate words."""

from __future__ import annotations

from bisect import bisect_right

# First and last code points of scripts that are written without spaces between words, and of their punctuation.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x1AAF),  # Tai Le, New Tai Lue, Khmer symbols, Buginese, Tai Tham
    (0x2E80, 0x312F),  # CJK radicals and punctuation, Hiragana, Katakana, Bopomofo
    (0x3190, 0xA4CF),  # Kanbun, CJK strokes and ideographs, Yi
    (0xA9E0, 0xA9FF),  # Myanmar Extended-B
    (0xAA60, 0xAADF),  # Myanmar Extended-A, Tai Viet
    (0xF900, 0xFAFF),  # CJK compatibility ideographs
    (0xFE30, 0xFE4F),  # CJK compatibility forms
    (0xFF00, 0xFFEF),  # full-width and half-width forms
    (0x1AFF0, 0x1B16F),  # Kana supplements
    (0x20000, 0x3FFFF),  # CJK extensions
)
_STARTS = [first for first, _ in _UNSPACED]
# Hangul: Korean separates words, but endings and particles follow their word without a space.
_HANGUL = ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF))
_OPENING = "([{<“‘«‹„‚¿¡$€£¥#@/_^~+*-–—'’"
"""Signs that what follows is joined to."""
_DASHES = "-–—"
_BETWEEN = "=+*" + _DASHES
"""Signs that have a space after them where they have one before them."""


def unspaced(character: str) -> bool:
    """Whether a character belongs to a script that does not separate words by spaces."""
    code = ord(character)
    place = bisect_right(_STARTS, code) - 1
    return place >= 0 and code <= _UNSPACED[place][1]


def joined(before: str, text: str) -> str:
    """A continuation as it follows a text: after one space, or after none where the writing has none there.

    No space follows whitespace, a script without spaces between words (digits and punctuation inside it too), an
    opening bracket or quotation mark, a sign such as $ or - without a space before it, and none stands between two
    digits. A space that `text` begins with is kept, except after
    whitespace.

    Args:
        before: the text so far.
        text: what follows, with or without its leading space.
    """
    word = text.strip()
    if not before or before[-1].isspace():
        return word
    if text[:1].isspace():
        return " " + word
    return word if _tight(before, word) else " " + word


def _tight(before: str, word: str) -> bool:
    last = before[-1]
    if last in _BETWEEN and before[-2:-1].isspace():  # as in "2 + 2 = 4" and "Столица — Париж", but not in "is -4"
        return last in _DASHES and word[:1].isdigit()
    if unspaced(last) or last in _OPENING:
        return True
    # As in 人口是14亿 and “北京”和: digits and punctuation inside a text without spaces.
    if unspaced(word[:1]) and unspaced(_letter_before(before) or " "):
        return True
    if last == '"':  # the first, third, … opens a quotation
        return before.count('"') % 2 == 1
    if last == "=":
        return True
    return last.isdigit() and word[:1].isdigit()


def _letter_before(text: str) -> str:
    """The last letter of a text, before digits, punctuation and pictures."""
    return next((sign for sign in reversed(text) if sign.isalpha()), "")


def splits_a_word(before: str, text: str) -> bool:
    """Whether a continuation goes on inside a word: two letters of scripts that separate words meet without a space."""
    return _spaced_letter(before[-1:]) and _spaced_letter(text[:1])


def _spaced_letter(character: str) -> bool:
    if not character or not character.isalpha() or unspaced(character):
        return False
    return not any(first <= ord(character) <= last for first, last in _HANGUL)
