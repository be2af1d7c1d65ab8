"""What benchmarks/compression.py measures, one function a part; each yields rows that are kept as they come."""

from __future__ import annotations

import copy
import lzma
import random
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from wheatstone.compression import Chunking
from wheatstone.compression._alphabet import Alphabet
from wheatstone.compression._bits import beside
from wheatstone.compression._blocks import stretches
from wheatstone.compression._coder import Encoder
from wheatstone.compression._container import cut_by_size
from wheatstone.compression._lanes import Lanes, Start
from wheatstone.compression._mixing import Mixer
from wheatstone.models import ResidualModel
from wheatstone.models._start import start_token
from wheatstone.texts import Document, bundled_texts

Row = dict[str, Any]
AHEAD = 64
"""Tokens read at once where all of them are known."""


def english(name: str, size: int) -> bytes:
    """The first bytes of the four bundled books (`books`), or of the English documentation (`docs`), end to end."""
    texts = (text for text in bundled_texts() if text.language == "en")
    return "".join(text.text for text in texts if text.name.startswith(f"{name}/")).encode()[:size]


def ahead(model: ResidualModel, symbols: np.ndarray, chunking: Chunking) -> Iterator[np.ndarray]:
    """What `Lanes` predicts step by step, up to the last bits of a float, read many tokens at a time.

    Args:
        model: the model.
        symbols: [lane, step], all of them tokens.
        chunking: for its window and overlap.
    """
    read = torch.from_numpy(
        np.pad(symbols[:, :-1], ((0, 0), (1, 0)), constant_values=start_token(model)).astype(np.int64)
    )
    done, length = 0, symbols.shape[1]
    while done < length:
        at = max(0, done - chunking.overlap + 1)
        last, cache = min(length, at + chunking.window), DynamicCache()
        while at < last:
            piece = read[:, at : min(at + AHEAD, last)]
            keep = max(1, at + piece.shape[1] - done) if at < done else piece.shape[1]
            with torch.inference_mode():
                logits = model.module(piece, past_key_values=cache, use_cache=True, logits_to_keep=keep).logits
                rows = logits.float().softmax(-1)
            at += piece.shape[1]
            yield from (rows[:, row].numpy() for row in range(max(0, keep - (at - done)), keep) if at > done)
        done = last


def coded(model: ResidualModel, text: str, size: int, done: set[str]) -> Iterator[Row]:
    """The coder and the mixer over the first bytes of a text, cut into lanes as `compress` does."""
    data, chunking = english(text, size), Chunking()
    alphabet = Alphabet(model.reader, model.vocabulary)
    symbols = np.array(alphabet.symbols(data).symbols, np.int32)
    general = beside(data)
    for number, group in enumerate(stretches(len(symbols), *cut_by_size(len(symbols), chunking))):
        if f"{text}/{size}/{number}" in done:
            continue
        started, lanes = time.process_time(), len(group)
        steps = len(group[0])
        table = np.stack([np.pad(symbols[at], (0, steps - len(at))) for at in group])
        plain, mixed, mixer = (
            Encoder(alphabet.tokens, lanes),
            Encoder(alphabet.tokens, lanes),
            Mixer(alphabet.tokens, lanes),
        )
        for step, probabilities in enumerate(ahead(model, table, chunking)):
            there = [lane for lane, at in enumerate(group) if step < len(at)]
            now, p = table[: len(there), step], np.ascontiguousarray(probabilities[: len(there)])
            plain.put(now, p)
            mixed.put(now, mixer.mix(np.ascontiguousarray(probabilities))[: len(there)])
            mixer.learn(now)
        yield {
            "key": f"{text}/{size}/{number}",
            "bytes": sum(len(alphabet.join(symbols[at].tolist())) for at in group),
            "symbols": int(sum(len(at) for at in group)),
            "lanes": lanes,
            "ideal_bits": plain.bits,
            "code_bytes": len(plain.finish()),
            "mixed_ideal_bits": mixed.bits,
            "mixed_code_bytes": len(mixed.finish()),
            "cpu_s": time.process_time() - started,
            "beside": general,
        }


def contexts(model: ResidualModel, text: str, done: set[str]) -> Iterator[Row]:
    """Bits a token of pieces spread over a text's first megabyte, by how far the model looks back."""
    symbols = np.array(Alphabet(model.reader, model.vocabulary).symbols(english(text, 1_000_000)).symbols, np.int64)
    firsts = [int(share * len(symbols)) for share in (0.05, 0.2, 0.4, 0.55, 0.75, 0.9)]
    for window, overlap in ((1024, 256), (1024, 512), (2048, 512), (2048, 1024), (4096, 2048)):
        if (key := f"{text}/{window}/{overlap}") in done:
            continue
        pieces = [_costs(model, symbols[first : first + 5120], Chunking(window, overlap)) for first in firsts]
        yield {
            "key": key,
            "window": window,
            "overlap": overlap,
            "steady": [float(piece[2048:].mean()) for piece in pieces],
            "start": [float(piece[:256].mean()) for piece in pieces],
        }


def _costs(model: ResidualModel, symbols: np.ndarray, chunking: Chunking) -> np.ndarray:
    """Bits of each token, read a window at a time."""
    read = np.concatenate([[start_token(model)], symbols[:-1]])
    costs, done = np.zeros(len(symbols)), 0
    while done < len(symbols):
        at = max(0, done - chunking.overlap + 1)
        last = min(len(symbols), at + chunking.window)
        with torch.inference_mode():
            logits = model.module(
                torch.from_numpy(read[None, at:last]), use_cache=False, logits_to_keep=last - done
            ).logits
            nats = torch.nn.functional.cross_entropy(
                logits[0].float(), torch.from_numpy(symbols[done:last]), reduction="none"
            )
        costs[done:last] = nats.numpy() / np.log(2)
        done = last
    return costs


def by_kind(texts: Iterable[Document]) -> dict[str, str]:
    """All texts of each kind, one after the other."""
    groups: dict[str, str] = {}
    for text in texts:
        kind = text.kind if text.language == "en" else "other languages"
        groups[kind] = groups.get(kind, "") + text.text + "\n"
    return groups


def kinds(model: ResidualModel, windows: int, done: set[str]) -> Iterator[Row]:
    """Bits of windows drawn at random from the bundled texts, by kind, with `overlap` tokens before those counted."""
    alphabet, chunking, groups = Alphabet(model.reader, model.vocabulary), Chunking(), by_kind(bundled_texts())
    for number in range(windows):
        for kind, whole in groups.items():
            key = f"{model.id}/{kind}/{number}"
            if key in done:
                continue
            # 6,000 characters hold more than a window in every kind.
            first = random.Random(f"{kind}{number}").randrange(max(1, len(whole) - 6000))
            found = alphabet.symbols(whole[first : first + 6000].encode()).symbols
            symbols = np.array(found[: chunking.window], np.int64)
            scored = torch.from_numpy(symbols[chunking.overlap :])
            started = time.process_time()
            with torch.inference_mode():
                read = torch.from_numpy(symbols[None, :-1])
                logits = model.module(read, use_cache=False, logits_to_keep=len(scored)).logits[0].float()
                cost = torch.nn.functional.cross_entropy(logits, scored, reduction="sum")
            yield {
                "key": key,
                "model": model.id,
                "kind": kind,
                "size": len(whole.encode()),
                "tokens": len(scored),
                "bytes": len(alphabet.join(scored.tolist())),
                "bits": float(cost) / float(np.log(2)),
                "xz_bytes": len(lzma.compress(whole.encode(), preset=9 | lzma.PRESET_EXTREME)),
                "cpu_s": time.process_time() - started,
            }


def throughput(model: ResidualModel, lanes: int, repeats: int) -> Iterator[Row]:
    """Processor time of a step of `compress` beside the plain cached forward pass's, alternating, at one cache length.

    Also of reading the overlap again, which `compress` does once in window − overlap steps and the plain pass never.
    """
    torch.set_num_threads(1)
    chunking, draw = Chunking(), np.random.default_rng(0)
    ours = Lanes(model, lanes, window=chunking.window, overlap=chunking.overlap, start=Start.of(model))
    for _ in range(chunking.overlap):
        ours.see(torch.from_numpy(draw.integers(0, model.vocabulary, lanes)))
    with torch.inference_mode():
        model.module(ours.seen[:, :8], use_cache=False, logits_to_keep=1)  # the first run is slower
    started = time.process_time()
    ours.probabilities()
    reread = time.process_time() - started
    plain: Any = copy.deepcopy(ours.cache)
    encoder, mixer, mixed = (
        Encoder(model.vocabulary, lanes),
        Mixer(model.vocabulary, lanes),
        Encoder(model.vocabulary, lanes),
    )
    for repeat in range(repeats + 1):
        times = [time.process_time()]
        with torch.inference_mode():
            model.module(ours.seen[:, -1:], past_key_values=plain, use_cache=True, logits_to_keep=1)
        times.append(time.process_time())
        p = ours.probabilities().numpy()
        symbols = p.argmax(-1).astype(np.int32)
        encoder.put(symbols, p)
        ours.see(torch.from_numpy(symbols.astype(np.int64)))
        times.append(time.process_time())
        mixed.put(symbols, mixer.mix(p))
        mixer.learn(symbols)
        times.append(time.process_time())
        if repeat:
            a, b, c = np.diff(times).tolist()
            yield {
                "key": f"{lanes}/{repeat}",
                "lanes": lanes,
                "plain_s": a,
                "ours_s": b,
                "mixing_s": c,
                "reread_s": reread,
            }
