"""What a model writes after a prompt, and whether that says an answer: the rule by which facts are right or wrong.

A model writes some tokens, each its most likely one. What counts of them ends at a line break or at the end of a
sentence. Words are compared without case, accents and punctuation; a hyphen is part of a word. It says an answer where
the answer's words occur in it in a row, and

* an answer that the records write in small letters (dollar) may have other words before it (New Zealand Dollar), as
  far as no comma, "and", "or", "but" or "not" parts them, and of several words (Tunisian dinar) the last one is enough;
* a name (Sudan) may have before it words in small letters alone (the city of Paris), for South Sudan is another name.

Chinese, Japanese and Korean words are looked for as they are written, because spaces do not separate them.

When this misleads: an alias that the records lack counts as wrong, and so does a model that has not come to the answer
within the tokens that are read. The words that part are English ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from wheatstone.models import ResidualModel, Tokens

_TOGETHER = 64
"""Prompts that are run at once."""
_END = re.compile(r"\n|(?<=\w\w\w)[.!?](?:\s|$)|[;|]")
_PARTING = frozenset({"and", "or", "but", "not", "nor"})
_WORD = re.compile(r"[^\W_]+(?:[-‐‑'’][^\W_]+)*")


def continued(model: ResidualModel, prompts: Sequence[str], count: int) -> list[tuple[int, ...]]:
    """What a model writes after each prompt: `count` tokens, each its most likely one."""
    texts = [model.encode(prompt) for prompt in prompts]
    starts = [len(tokens) for tokens in texts]
    for first in range(0, len(texts), _TOGETHER):
        part = texts[first : first + _TOGETHER]
        for _ in range(count):
            tops = model.forward(Tokens.of(part, model.device)).logits.argmax(-1).tolist()
            part = [[*tokens, top] for tokens, top in zip(part, tops, strict=True)]
        texts[first : first + _TOGETHER] = part
    return [tuple(tokens[start:]) for tokens, start in zip(texts, starts, strict=True)]


def text_after(model: ResidualModel, prompt: str, tokens: Sequence[int]) -> str:
    """Tokens that follow a prompt as text: decoded together with it, for some tokenizers drop a lone token's space."""
    before = model.encode(prompt)
    start, whole = (str(model.tokenizer.decode(ids)) for ids in (before, [*before, *tokens]))
    return whole[len(start) :] if whole.startswith(start) else model.written(tokens)


def says(written: str, answers: Iterable[str]) -> bool:
    """Whether what was written says one of some answers, by the rule above."""
    text = _END.split(written.strip(), maxsplit=1)[0]
    return any(_says(text, answer) for answer in answers)


def is_word(text: str) -> bool:
    """Whether a token has a letter or a digit: a quotation mark or a bracket is no answer."""
    return any(character.isalnum() for character in text)


def _says(text: str, answer: str) -> bool:
    if any(unicodedata.east_asian_width(character) in "WF" for character in answer):
        return answer.strip() in text
    given, words = _WORD.findall(answer), list(_WORD.finditer(text))
    if not given:
        return False
    common = given[-1].islower()
    for wanted in (given, given[-1:]) if common else (given,):
        plain = [_plain(word) for word in wanted]
        for start in range(len(words) - len(wanted) + 1):
            found = [_plain(word.group()) for word in words[start : start + len(wanted)]]
            before = text[: words[start].start()]
            parted = "," in before or any(word.group().lower() in _PARTING for word in words[:start])
            named = any(not word.group().islower() for word in words[:start])
            if found == plain and not (parted if common else named):
                return True
    return False


def _plain(word: str) -> str:
    """A word as it is compared."""
    apart = unicodedata.normalize("NFKD", word)
    return "".join(character for character in apart if not unicodedata.combining(character)).casefold()
