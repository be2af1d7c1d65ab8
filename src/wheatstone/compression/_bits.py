"""What a text costs a model, token by token, beside what other compressors make of it."""

from __future__ import annotations

import bz2
import gzip
import lzma
from dataclasses import dataclass

import numpy as np
import torch

from wheatstone._errors import RequestError
from wheatstone._progress import Reporter, silent
from wheatstone._text import with_bytes
from wheatstone._view import Brief
from wheatstone.compression._alphabet import Alphabet
from wheatstone.compression._coder import escape_share
from wheatstone.models import ResidualModel, Tokens, start_token


@dataclass(frozen=True)
class Bits(Brief):
    """What a text costs.

    Args:
        tokens: what each token says; of a part of a character, its bytes, such as `<E5 8C>`.
        surprise: what each symbol costs in bits, after the start token and the symbols before it in its window. A token
            costs −log₂ p − log₂ (1 − e), with p the model's probability and e the share that the coder sets aside there
            for bytes that are no token. Such an escaped byte costs 8 − log₂ e.
        bytes: size of the text.
        characters: in the text.
        weights: bytes of the model's weights in the precision it ran in, which whoever decompresses needs once.
        beside: bytes that general compressors make of the same text, by name.
        start: token that every window begins with, the model's start token.
        start_text: what it says.
        escaped: bytes that are coded one by one, because the tokenizer's tokens do not give them back.
        escapes: the part of each `surprise` that is not the model's: −log₂ (1 − e) of a token, all of an escaped byte.
    """

    tokens: tuple[str, ...]
    surprise: tuple[float, ...]
    bytes: int
    characters: int
    weights: int
    beside: dict[str, int]
    start: int
    start_text: str
    escaped: int
    escapes: tuple[float, ...] = ()

    @property
    def total(self) -> float:
        """What all symbols cost, in bits."""
        return float(np.sum(self.surprise))

    @property
    def escape_bits(self) -> float:
        """The part of `total` that is not the model's. The rest is its own −Σ log₂ p over the tokens."""
        return float(np.sum(self.escapes))

    @property
    def per_byte(self) -> float:
        """Bits per byte; 0 of an empty text."""
        return self.total / self.bytes if self.bytes else 0.0

    @property
    def per_byte_with_weights(self) -> float:
        """Bits per byte where the weights count as part of what is sent."""
        return (self.total + 8 * self.weights) / self.bytes if self.bytes else 0.0

    def to_dict(self) -> dict[str, object]:
        """As JSON has it, the tokens left out."""
        beside = {
            name: {"bytes": size, "bits_per_byte": 8 * size / max(1, self.bytes)} for name, size in self.beside.items()
        }
        return {**self.of_model(), "bytes": self.bytes, "characters": self.characters, "beside": beside}

    def of_model(self) -> dict[str, object]:
        """The part of `to_dict` that depends on the model."""
        return {
            "bits": self.total,
            "escape_bits": self.escape_bits,
            "tokens": len(self.tokens),
            "start_token": self.start_text,
            "start_token_id": self.start,
            "bytes_escaped": self.escaped,
            "bits_per_token": self.total / max(1, len(self.tokens)),
            "bits_per_byte": self.per_byte,
            "bits_per_character": self.total / max(1, self.characters),
            "weights_bytes": self.weights,
            "bits_per_byte_with_weights": self.per_byte_with_weights,
        }


@torch.inference_mode()
def bits(
    model: ResidualModel,
    text: str | bytes,
    *,
    window: int = 1024,
    overlap: int | None = None,
    batch: int = 4,
    report: Reporter = silent,
) -> Bits:
    """What a text costs a model: the bits that a perfect arithmetic coder would need.

    Windows are run side by side, which gives the same numbers as `compress` up to float error, many times as fast.

    Args:
        model: the model.
        text: a text, or any bytes.
        window: most tokens the model looks at at once.
        overlap: how many of them belong to the window before, so that no token lacks context; a quarter
            by default.
        batch: windows run at once.
        report: progress callback, in tokens.

    Raises:
        RequestError: a window that the model cannot read, or an overlap that leaves nothing new.

    When this misleads: a model that saw the text in training knows it by heart, and its bits then say nothing about
    other texts. Bits per token compare only models of one tokenizer; bits per byte compare all.

    Source: Delétang et al. 2024, Language Modeling Is Compression (arXiv 2309.10668), section 3.
    """
    window = min(window, model.causal_context)
    overlap = window // 4 if overlap is None else overlap
    if not 0 < overlap < window:
        raise RequestError(
            expected=f"an overlap of at least 1 and less than the window of {window} tokens",
            got=str(overlap),
            do="choose another",
        )
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    alphabet = Alphabet(model.reader, model.vocabulary)
    symbols, prefixed = alphabet.symbols(data)
    escaped = np.array(symbols, dtype=np.int64) >= alphabet.tokens
    start = start_token(model)
    read = [start if off else symbol for symbol, off in zip(symbols, escaped.tolist(), strict=True)]
    # Each window predicts what the one before did not, and begins with the start token.
    firsts = list(range(0, max(1, len(symbols) - overlap), window - overlap) if symbols else ())
    surprise = np.zeros(len(symbols))
    for at in range(0, len(firsts), batch):
        some = firsts[at : at + batch]
        pieces = [[start, *read[first : first + window]] for first in some]
        targets = Tokens.of([piece[1:] for piece in pieces], model.device).ids
        logits = model.forward(Tokens.of([piece[:-1] for piece in pieces], model.device), all_positions=True).logits
        costs = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
        for first, piece, cost in zip(some, pieces, costs.unflatten(0, targets.shape).cpu().numpy(), strict=True):
            known = 0 if first == 0 else overlap
            surprise[first + known : first + len(piece) - 1] = cost[known : len(piece) - 1] / np.log(2)
        report("reading", min(len(symbols), some[-1] + window), len(symbols))
    share = escape_share(escaped)
    escapes = np.where(escaped, 8 - np.log2(share), -np.log2(1 - share))
    surprise = np.where(escaped, 0.0, surprise) + escapes
    texts = [with_bytes(alphabet.join([symbol])) for symbol in symbols]
    if prefixed:
        texts[0] = texts[0].removeprefix(" ")
    return Bits(
        tuple(texts),
        tuple(surprise.tolist()),
        len(data),
        len(data.decode("utf-8", "replace")),
        sum(weight.numel() * weight.element_size() for weight in model.module.parameters()),
        beside(data),
        start,
        model.written([start]),
        int(escaped.sum()),
        tuple(escapes.tolist()),
    )


def beside(data: bytes) -> dict[str, int]:
    """Bytes that general compressors make of some bytes, each at its strongest setting."""
    import brotli
    import zstandard

    return {
        "gzip -9": len(gzip.compress(data, 9)),
        "bzip2 -9": len(bz2.compress(data, 9)),
        "xz -9e": len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)),
        "zstd --ultra -22": len(zstandard.ZstdCompressor(level=22).compress(data)),
        "brotli -q 11": len(brotli.compress(data, quality=11)),
    }
