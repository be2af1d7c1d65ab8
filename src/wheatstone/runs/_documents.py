"""What the JSON documents of a run hold, checked in one place when one is read.

A shape is written as the document is: a type, a range of whole numbers, `[shape]` for a list of it, a dictionary for a
record (`?` marks a name that may be missing; other names are allowed), `Each(shape)` for a record of any names, and a
tuple of shapes for any one of them. These are not pydantic models, since a list of runs should not load pydantic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from wheatstone._bounds import HEADS, LAYERS, WIDTH, Bounds
from wheatstone._errors import RunError
from wheatstone._text import shown

_COUNT = Bounds(0, 10**9)
_LARGEST = 1e15
"""Of a number that is measured or timed: beyond it, float64 no longer tells whole numbers apart."""
_SHOWN = 5
"""Names that an error lists."""


@dataclass(frozen=True)
class Each:
    """A record whose values all have one shape.

    Args:
        shape: of a value.
    """

    shape: Any


_NUMBER = float
_CONDITIONS = dict.fromkeys(("model", "circuit", "complement", "random", "empty"), _NUMBER)
_INTERVAL = (None, [_NUMBER])
_INTERVALS = {f"{name}?": _INTERVAL for name in _CONDITIONS}
_BY_CONDITION = ("metric_value", "kl", "hit_at_1", "hit_at_10")
_VERIFICATION = {
    "n": _COUNT,
    "split": str,
    "ablation": str,
    "metric": str,
    "faithfulness": _NUMBER,
    "completeness": _NUMBER,
    **dict.fromkeys(_BY_CONDITION, _CONDITIONS),
    "ci95": {
        "faithfulness?": _INTERVAL,
        "completeness?": _INTERVAL,
        **{f"{name}?": _INTERVALS for name in _BY_CONDITION},
    },
    "random_draws": _COUNT,
    "prompts": [{"prompt": str}],
    "weak?": _COUNT,
    "warnings?": [str],
    "pairs?": (None, _COUNT),
}
_ESTIMATE = {"value": _NUMBER, "low": (None, _NUMBER), "high": (None, _NUMBER), "n": _COUNT}
_EVALUATION = {"edges?": _COUNT, "total_edges?": _COUNT, "faithfulness?": _NUMBER}
_SETTINGS = {"model?": {"id": str, "sha256": str}, "settings": dict}
SHAPES: dict[str, Any] = {
    "manifest.json": {
        "verb": str,
        "created": str,
        "model": {
            "id": str,
            **dict.fromkeys(("sha256?", "family?", "dtype?", "device?"), str),
            "layers?": LAYERS,
            "heads?": HEADS,
            "kv_groups?": HEADS,
            "d_model?": WIDTH,
        },
        "settings": {"task?": (None, str), "texts?": [str]},
        "prompts?": [{"prompt": str}],
        "versions?": dict,
        "timings?": Each(_NUMBER),
        "computed_on?": dict,
        "notes?": list,
        "seed?": int,
        "evaluations?": int,
        "title?": str,
        "missing?": Each(str),
        **dict.fromkeys(("counted?", "tokens?"), _COUNT),
        "documents?": (dict, _COUNT),
    },
    "circuit.json": {
        "edges?": [{"from": str, "to": str, **dict.fromkeys(("score?", "effect?"), (None, _NUMBER))}],
        "evaluation?": (None, _EVALUATION),
    },
    "verification.json": _VERIFICATION,
    "held_out.json": [_VERIFICATION],
    "by_share.json": [dict],
    "task.json": {"name?": str, "pairs": Each([{"prompt": str}])},
    "study.json": {"relations": [{"relation": str, "test": dict}]},
    "graph.json": {
        "prompt": str,
        "tokens": [str],
        "counterfactuals": [str],
        "target": {"name": str, **dict.fromkeys(("clean", "ablated"), (None, _NUMBER))},
        "nodes": _COUNT,
        "edges": _COUNT,
        "enough": bool,
        "learned?": bool,
        "proofs": [
            {
                "baseline": str,
                "nodes": _COUNT,
                "answer?": str,
                "enough": bool,
                **dict.fromkeys(("faithfulness", "completeness", "kl?", "agreement?"), _NUMBER),
            }
        ],
        "curve?": [{"ablation": str, "split": str, "units": _COUNT, "faithfulness": _NUMBER}],
        "chosen?": Each((None, _COUNT)),
        "held_out?": [{"counterfactual": str, "faithfulness": _NUMBER, "keeps_top": bool}],
        "supernodes": [{"name": str, "nodes": [str], "suppresses": [str], "weight": _NUMBER}],
        "linear_residual": (None, _NUMBER),
    },
    "supernodes.json": {"supernodes": [{"name": str, "members": [str]}]},
    "sweep.json": {"pairs": _COUNT, "failed": dict, "heads": [{"node": str, "share": _NUMBER}]},
    "selectivity.json": {
        "circuits": [{"circuit": str, "own": (None, _ESTIMATE), "others": (None, _ESTIMATE), "place": (None, _COUNT)}],
        "failed": dict,
        **dict.fromkeys(("own", "others", "difference"), (None, _ESTIMATE)),
    },
    "pairs.json": Each(dict),
    "studied-facts.json": Each([dict]),
    "shards.json": {"folder": str, "shards": Each(str)},
    "shard.json": {"key": str, "seconds": _NUMBER, "processor_seconds": _NUMBER},
    "study-settings.json": _SETTINGS,
    "scan-settings.json": _SETTINGS,
    "pages-settings.json": _SETTINGS,
    "sweep-settings.json": _SETTINGS,
    "selectivity-settings.json": _SETTINGS,
}
"""By name of the file; any other document is a record."""


def check_document(run: Path, name: str, document: Any) -> None:
    """Refuses a document of a run whose fields are missing, of other types or out of range.

    Args:
        run: folder of the run.
        name: of the file in it, such as `explain/lens.json`.
        document: what it holds.

    Raises:
        RunError: that is so.
    """
    if wrong := list(islice(_wrong(document, SHAPES.get(Path(name).name, dict)), _SHOWN)):
        names = ", ".join(shown(field.removeprefix(".")) or "whole content" for field in wrong)
        raise RunError(
            expected=f"a {name} as Wheatstone writes it",
            got=f"{run}, whose {names} is not",
            do="check the run with `wheatstone runs check`, or make it again",
        )


def _wrong(value: Any, shape: Any) -> Iterator[str]:
    """Names of what does not have its shape, such as `.kl.model`; they are built on the way back, as most is right."""
    if isinstance(shape, dict) and isinstance(value, dict):
        for key, inner in shape.items():
            field = key.removesuffix("?")
            if field in value or field == key:
                yield from _inside(f".{field}", value.get(field, _Missing), inner)
    elif isinstance(shape, Each) and isinstance(value, dict):
        for key, one in value.items():
            yield from _inside(f".{key}"[:80], one, shape.shape)
    elif isinstance(shape, list) and isinstance(value, list):
        for place, one in enumerate(value):
            yield from _inside(f"[{place}]", one, shape[0])
    elif isinstance(shape, tuple) and not isinstance(shape, Bounds):
        if all(next(iter(_inside("", value, one)), None) is not None for one in shape):
            yield from _wrong(value, shape[-1])
    elif not _is(value, shape):
        yield ""


def _inside(name: str, value: Any, shape: Any) -> Iterable[str]:
    """The same of what is inside something, after its name there."""
    if shape is None or isinstance(shape, type):  # nearly all: no more work for them than the check
        return () if _is(value, shape) else (name,)
    return (f"{name}{rest}" for rest in _wrong(value, shape))


class _Missing:
    """Where a name is not there."""


def _is(value: Any, shape: Any) -> bool:
    """Whether a single value has its type, or lies in its range."""
    if isinstance(shape, Bounds):
        return shape.holds(value)
    if shape is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value) and abs(value) <= _LARGEST
    if shape is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return value is None if shape is None else isinstance(shape, type) and isinstance(value, shape)
