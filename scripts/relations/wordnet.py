"""Reads WordNet's own files: glosses, antonyms, instances and the places that parts belong to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# Endings that inflection adds, and what stands in their place before (WordNet's morphy).
_ENDINGS = {
    "adj": (("er", ""), ("er", "e"), ("est", ""), ("est", "e")),
    "verb": (("s", ""), ("ies", "y"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    "noun": (("s", ""), ("ses", "s"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y")),
}
_NUMBERED = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}
_NAMES = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}


@dataclass(frozen=True)
class Synset:
    """One meaning: its words, its pointers (symbol, target key, source word, target word) and its gloss."""

    words: tuple[str, ...]
    pointers: tuple[tuple[str, tuple[str, int], int, int], ...]
    gloss: str


class WordNet:
    """WordNet's database, indexed by word and by meaning."""

    def __init__(self, sources: Path) -> None:
        self.synsets: dict[tuple[str, int], Synset] = {}
        self.of_word: dict[str, list[tuple[str, int]]] = {}
        self._irregular = {
            part: {
                words[0]: words[1:]
                for line in (sources / f"debian/usr/share/wordnet/{part}.exc").read_text("latin-1").splitlines()
                if (words := line.split())
            }
            for part in _ENDINGS
        }
        self.counts: dict[str, dict[str, int]] = {}
        for line in (sources / "debian/usr/share/wordnet/cntlist.rev").read_text("latin-1").splitlines():
            word, sense, _, count = re.split("[% ]", line)
            parts = self.counts.setdefault(word, {})
            parts[_NUMBERED[sense[0]]] = parts.get(_NUMBERED[sense[0]], 0) + int(count)
        for part in ("noun", "verb", "adj", "adv"):
            with open(sources / f"debian/usr/share/wordnet/data.{part}", encoding="latin-1") as lines:
                for line in lines:
                    if not line.startswith("  "):
                        self._add(part, line)
            with open(sources / f"debian/usr/share/wordnet/index.{part}", encoding="latin-1") as lines:
                for line in lines:
                    if not line.startswith("  "):
                        word, _, count, *rest = line.split()
                        keys = [(part, int(offset)) for offset in rest[-int(count) :]]  # the commonest meaning first
                        self.of_word.setdefault(word.replace("_", " "), []).extend(keys)

    def _add(self, part: str, line: str) -> None:
        fields, gloss = line.split(" | ", 1)
        numbers = fields.split()
        count = int(numbers[3], 16)
        words = tuple(numbers[4 + 2 * i].split("(")[0].replace("_", " ") for i in range(count))
        start = 5 + 2 * count
        pointers = tuple(
            (symbol, (_NAMES[target], int(offset)), int(ends[:2], 16), int(ends[2:], 16))
            for symbol, offset, target, ends in (
                numbers[start + 4 * i : start + 4 * i + 4] for i in range(int(numbers[start - 1]))
            )
        )
        self.synsets[part, int(numbers[0])] = Synset(words, pointers, gloss.strip())

    def meanings(self, word: str, part: str | None = None) -> list[Synset]:
        """The meanings of a word, of one part of speech (noun, verb, adj, adv) or of all."""
        keys = self.of_word.get(word.casefold(), [])
        return [self.synsets[key] for key in keys if part in (None, key[0])]

    def glosses(self, word: str) -> list[str]:
        """The definitions of a word."""
        return [synset.gloss for synset in self.meanings(word)]

    def mostly(self, word: str, part: str) -> bool:
        """Whether a word is this part of speech in most of the tagged texts that come with WordNet."""
        counts = self.counts.get(word, {})
        return counts.get(part, 0) > sum(counts.values()) / 2

    def bases(self, form: str, part: str) -> set[str]:
        """Words that a form can be an inflection of: the listed exception, or what the rules leave."""
        if form in self._irregular[part]:
            return set(self._irregular[part][form])
        cut = (form.removesuffix(end) + base for end, base in _ENDINGS[part] if form.endswith(end))
        return {word for word in cut if self.meanings(word, part)}

    def antonyms(self, word: str, part: str) -> set[str]:
        """Words that are antonyms of this very word (not of a synonym)."""
        return {
            self.synsets[target].words[theirs - 1]
            for synset in self.meanings(word, part)
            for symbol, target, ours, theirs in synset.pointers
            if symbol == "!" and theirs and synset.words[ours - 1].casefold() == word.casefold()
        }

    def above(
        self, word: str, part: str = "noun", symbols: tuple[str, ...] = ("@", "@i"), *, first: bool = False
    ) -> set[str]:
        """Every word of every meaning (or of the first, commonest one) above this word, through the given pointers."""
        found: set[str] = set()
        rest = [key for key in self.of_word.get(word.casefold(), []) if key[0] == part]
        rest = rest[:1] if first else rest
        seen: set[tuple[str, int]] = set()
        while rest:
            key = rest.pop()
            if key in seen or key[0] != part:
                continue
            seen.add(key)
            targets = [target for symbol, target, _, _ in self.synsets[key].pointers if symbol in symbols]
            found.update(name for target in targets for name in self.synsets[target].words)
            rest.extend(targets)
        return found
