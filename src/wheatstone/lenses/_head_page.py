"""What is said of one head: where it looks and what it moves in running text, who writes what it reads, its circuits.

All of it as plain values: what `head show --json` prints, and what the page is made of without the model.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wheatstone._errors import WheatstoneError
from wheatstone._progress import Reporter, silent
from wheatstone._version import __version__
from wheatstone.circuits import Circuit
from wheatstone.lenses._head_corpus import HeadCorpus, HeadExample, ScannedHead
from wheatstone.lenses._head_places import Place, place_of, places_by_window, read_places
from wheatstone.models import BIASES, ResidualModel
from wheatstone.runs import CIRCUITS, Run, catalogue_entries, sound

SHOWN = {("effect", "max"): 8, ("effect", "min"): 4, ("attention", "max"): 8, ("effect", "bin"): 6}
"""Examples that are read again, by signal and kind."""
_TOKENS, _SENDERS = 12, 8
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
        report: progress callback, in windows.

    Raises:
        ModelError: the scan is of another model.
        RequestError: no such head, or one of a layer that was not scanned.

    When this misleads: examples are the strongest of their kind, not the usual ones; the drawn ones show more. Shares
    of attention say where a head looks, not what it takes. A direct effect leaves out what later layers make of the
    write. Senders are of these examples, with the norms' scales held.
    """
    corpus.check(model)
    layer, number = model.head(head)
    name = f"a{layer}.h{number}"
    found = corpus.head(name)
    windows = places_by_window({name: chosen(found)})
    places: dict[Place, dict[str, Any]] = {}
    for done, window in enumerate(windows):
        report("reading the examples again", done, len(windows))
        places |= {place_of(row): row for row in read_places(model, window)}
    report("reading the examples again", len(windows), len(windows))
    return facts_of(model, name, corpus, found, places, circuits_by_head(model.sha256))


def facts_of(
    model: ResidualModel,
    head: str,
    corpus: HeadCorpus,
    found: ScannedHead,
    places: Mapping[Place, Mapping[str, Any]],
    circuits: Mapping[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    """The same, of what was read before.

    Args:
        model: the model that was scanned.
        head: such as `a23.h4`.
        corpus: the scan.
        found: what it holds of the head.
        places: what `read_places` gives of its examples.
        circuits: by head, from `circuits_by_head`.
    """
    layer, number = model.head(head)
    shown = [(example, places[head, example.window, example.position]) for example in chosen(found)]
    return {
        "head": head,
        "layer": layer,
        "number": number,
        "model": {
            "id": model.id,
            "title": model.title,
            "family": model.family.name,
            "sha256": model.sha256,
            "heads": model.graph.heads,
        },
        "scanned": corpus.manifest["created"],
        "wheatstone": __version__,
        "texts": corpus.manifest["settings"]["texts"],
        "documents": corpus.manifest["documents"],
        "counted": found.counted,
        "first": found.first,
        "places": {place: {"share": share, "even": even} for place, (share, even) in found.places.items()},
        "looks_at": _looks_at(model, found),
        "effect": found.effect,
        "attention": found.attention,
        "examples": [_context(model, example, place) for example, place in shown],
        "senders": _senders(model, [place for example, place in shown if example.kind == "max"]),
        "circuits": circuits.get(head, []),
    }


def circuits_by_head(sha256: str | None) -> dict[str, list[dict[str, Any]]]:
    """The listed circuits of a model by the heads that write or are read in them, the newest first.

    Args:
        sha256: of the model's weights.

    Returns:
        Of each circuit of a head: the run's path and subject, how many of its edges are the head's own, and the roles
        that the section `roles` of its explanation gives the head.
    """
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in [entry for entry in catalogue_entries() if entry.verb in CIRCUITS and entry.exists][:_CIRCUITS]:
        with suppress(WheatstoneError):  # a damaged run is another command's subject
            circuit = Circuit.load(entry.path)
            if circuit.model.sha256 != sha256:
                continue
            ends = [{edge.sender.partition("@")[0], edge.receiver.partition("<")[0]} for edge in circuit]
            own = Counter(node for nodes in ends for node in nodes if ".h" in node)
            roles = _roles(Path(entry.path))
            for head, edges in own.items():
                found[head].append(
                    {
                        "run": entry.path,
                        "task": entry.task,
                        "edges": len(circuit),
                        "own": edges,
                        "roles": roles.get(head, []),
                    }
                )
    return found


def _roles(run: Path) -> dict[str, list[str]]:
    explained = Run.open(run).sections().get("roles")
    if explained is None or "summary" not in explained.about:
        return {}
    found: defaultdict[str, list[str]] = defaultdict(list)
    with sound(run):
        for role, rows in explained.about["summary"]["roles"].items():
            for row in rows:
                found[row["head"]].append(role)
    return found


def chosen(found: ScannedHead) -> list[HeadExample]:
    """The strongest of each end, and some of those drawn from bins: from the largest value down, evenly."""
    shown: list[HeadExample] = []
    for (signal, kind), most in SHOWN.items():
        same = [one for one in found.examples if (one.signal, one.kind) == (signal, kind)]
        if kind == "bin":
            same.sort(key=lambda one: -one.value)
            places = np.unique(np.linspace(0, len(same) - 1, min(most, len(same))).round().astype(int))
            shown += [same[place] for place in places]
        else:
            shown += sorted(same, key=lambda one: one.rank)[:most]
    return shown


def _context(model: ResidualModel, example: HeadExample, place: Mapping[str, Any]) -> dict[str, Any]:
    """An example with the head's attention token by token, and the tokens that its write promotes."""
    about = {name: value for name, value in example._asdict().items() if name != "ids"}
    read = {name: place[name] for name in ("weights", "promoted", "suppressed")}
    return about | {"tokens": model.decode(example.ids)} | read


def _senders(model: ResidualModel, places: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Who writes what the query and the key read, averaged over the strongest examples."""
    found: dict[str, Any] = {"n": len(places)}
    for side in ("query", "key"):
        means = np.mean([place[side] for place in places], axis=0) if places else np.zeros(0)
        senders = [*model.graph.nodes[: len(means) - len(BIASES)], *BIASES]
        order = np.argsort(-np.abs(means), kind="stable")[:_SENDERS]
        found[side] = [{"sender": senders[at], "logits": float(means[at])} for at in order]
    return found


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
