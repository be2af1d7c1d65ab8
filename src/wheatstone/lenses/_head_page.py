"""What is said of one head: where it looks and what it moves in running text, who writes what it reads, its circuits.

All of it as plain values: what `head show --json` prints, and what the page is made of without the model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wheatstone._errors import WheatstoneError
from wheatstone._progress import Reporter, silent
from wheatstone._version import __version__
from wheatstone.circuits import Circuit
from wheatstone.lenses._attention_score import score_of
from wheatstone.lenses._head_corpus import HeadCorpus, HeadExample, ScannedHead
from wheatstone.lenses._readout import Readout
from wheatstone.models import ResidualModel, Tokens, stream_heads
from wheatstone.runs import CIRCUITS, Run, catalogue_entries, sound

SHOWN = {("effect", "max"): 8, ("effect", "min"): 4, ("attention", "max"): 8, ("effect", "bin"): 6}
"""Examples that are read again, by signal and kind."""
_TOKENS, _WORDS, _SENDERS = 12, 3, 8
_RARE = 5.0
"""Even attention, in whole keys, below which a token is not named: it was seen too rarely to compare."""
_CIRCUITS = 200
"""Newest circuits of the catalogue that are looked through."""


def head_facts(model: ResidualModel, head: str, corpus: HeadCorpus, *, report: Reporter = silent) -> dict[str, Any]:
    """Everything that can be said of a head.

    Args:
        model: the model that was scanned.
        head: such as `a23.h4`.
        corpus: the scan.
        report: progress callback.

    Raises:
        ModelError: the scan is of another model.
        RequestError: no such head, or one of a layer that was not scanned.

    When this misleads: examples are the strongest of their kind, not the usual ones; the drawn ones show more. Shares
    of attention say where a head looks, not what it takes. A direct effect leaves out what later layers make of the
    write. Senders are of these examples, with the norms' scales held.
    """
    corpus.check(model)
    layer, number = model.head(head)
    name = model.graph.named(head)
    found = corpus.head(name)
    shown = _chosen(found.examples)
    report("reading the examples again", 0, len(shown))
    contexts = _contexts(model, layer, number, shown)
    senders = _senders(model, name, shown, contexts, report)
    return {
        "head": name,
        "layer": layer,
        "number": number,
        "model": {
            "id": model.id,
            "title": model.title,
            "family": model.family.name,
            "sha256": model.sha256,
            "heads": model.graph.heads,
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "wheatstone": __version__,
        "texts": corpus.manifest["settings"]["texts"],
        "documents": corpus.manifest["documents"],
        "counted": found.counted,
        "first": found.first,
        "places": {place: {"share": share, "even": even} for place, (share, even) in found.places.items()},
        "looks_at": _looks_at(model, found),
        "effect": found.effect,
        "attention": found.attention,
        "examples": contexts,
        "senders": senders,
        "circuits": circuits_with(name, model.sha256),
    }


def circuits_with(head: str, sha256: str | None) -> list[dict[str, Any]]:
    """The listed circuits of a model in which a head writes or is asked, the newest first.

    Args:
        head: such as `a23.h4`.
        sha256: of the model's weights.

    Returns:
        Of each: the run's path and subject, how many of its edges are the head's own, and the roles that the section
        `roles` of its explanation gives the head.
    """
    found: list[dict[str, Any]] = []
    for entry in [entry for entry in catalogue_entries() if entry.verb in CIRCUITS and entry.exists][:_CIRCUITS]:
        with suppress(WheatstoneError):  # a damaged run is another command's subject
            circuit = Circuit.load(entry.path)
            if circuit.model.sha256 != sha256:
                continue
            own = [edge for edge in circuit if edge.sender == head or edge.receiver.startswith(f"{head}<")]
            if own:
                roles = _roles(Path(entry.path), head)
                found.append(
                    {"run": entry.path, "task": entry.task, "edges": len(circuit), "own": len(own), "roles": roles}
                )
    return found


def _roles(run: Path, head: str) -> list[str]:
    explained = Run.open(run).sections().get("roles")
    if explained is None or "summary" not in explained.about:
        return []
    with sound(run):
        given = explained.about["summary"]["roles"]
        return [role for role, rows in given.items() if any(row["head"] == head for row in rows)]


def _chosen(examples: Sequence[HeadExample]) -> list[HeadExample]:
    """The strongest of each end, and some of those drawn from bins: from the largest value down, evenly."""
    found: list[HeadExample] = []
    for (signal, kind), most in SHOWN.items():
        same = [one for one in examples if (one.signal, one.kind) == (signal, kind)]
        if kind == "bin":
            same.sort(key=lambda one: -one.value)
            places = np.unique(np.linspace(0, len(same) - 1, min(most, len(same))).round().astype(int))
            found += [same[place] for place in places]
        else:
            found += sorted(same, key=lambda one: one.rank)[:most]
    return found


def _contexts(model: ResidualModel, layer: int, number: int, shown: Sequence[HeadExample]) -> list[dict[str, Any]]:
    """The examples with the head's attention token by token, and the tokens that its write promotes."""
    seen, writes, streams = list[list[float]](), list[Tensor](), list[Tensor]()
    for example in shown:
        tokens, at, patterns = Tokens.of([example.ids], model.device), example.position, dict[int, Tensor]()
        given, stream = stream_heads(model, tokens, patterns.__setitem__)
        writes.append(model.blocks[layer].head_outputs(given[layer][:, at : at + 1], [number])[0, 0, 0])
        streams.append(stream[0, at])
        seen.append(patterns[layer][0, number, at].tolist())
    if not shown:
        return []
    every = Readout.at(model, torch.stack(streams)).logits(torch.stack(writes))
    found: list[dict[str, Any]] = []
    for example, weights, logits in zip(shown, seen, every - every.mean(-1, keepdim=True), strict=True):
        ends = {
            name: [
                {"text": model.decode([token])[0], "logits": float(logits[token])}
                for token in logits.topk(_WORDS, largest=name == "promoted").indices.tolist()
            ]
            for name in ("promoted", "suppressed")
        }
        found.append(
            {name: value for name, value in example._asdict().items() if name != "ids"}
            | {"tokens": model.decode(example.ids), "weights": weights, **ends}
        )
    return found


def _senders(
    model: ResidualModel,
    head: str,
    shown: Sequence[HeadExample],
    contexts: Sequence[dict[str, Any]],
    report: Reporter,
) -> dict[str, Any]:
    """Who writes what the query and the key read, averaged over the strongest examples.

    Of the key of the largest weight after the first token, less the mean of the other keys.
    """
    sums = {side: defaultdict[str, list[float]](list) for side in ("query", "key")}
    ends = [(one, context) for one, context in zip(shown, contexts, strict=True) if one.kind == "max"]
    for done, (example, context) in enumerate(ends):
        report("splitting attention scores", done, len(ends))
        key = int(np.argmax(context["weights"][1 : example.position + 1])) + 1
        pairs = score_of(model, example.ids[: example.position + 1], head, key=key).against()
        for side, terms in (("query", pairs.by_query()), ("key", pairs.by_key())):
            for term in terms:
                sums[side][term.sender].append(term.value)
    report("splitting attention scores", len(ends), len(ends))
    return {"n": len(ends)} | {
        side: [
            {"sender": sender, "logits": sum(values) / len(ends)}
            for sender, values in sorted(each.items(), key=lambda item: -abs(sum(item[1])))[:_SENDERS]
        ]
        for side, each in sums.items()
    }


def _looks_at(model: ResidualModel, found: ScannedHead) -> list[dict[str, Any]]:
    """The tokens that take most attention beyond what even attention would give them."""
    beyond = torch.from_numpy(np.where(found.tokens_even >= _RARE, found.tokens - found.tokens_even, -np.inf))
    spent = float(found.tokens_even.sum())
    best = beyond.topk(min(_TOKENS, int(beyond.isfinite().sum()))).indices.tolist()
    return [
        {
            "text": model.decode([token])[0],
            "share": float(found.tokens[token]) / spent,
            "even": float(found.tokens_even[token]) / spent,
        }
        for token in best
        if found.tokens[token] > found.tokens_even[token]
    ]
