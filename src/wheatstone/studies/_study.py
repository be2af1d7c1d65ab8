"""A relation study: one circuit a relation, each proven on facts it was not found on. Goes on where it stopped.

The folder holds `study-settings.json` from the start and `relations/R/{circuit,result}.json` for every relation that
is done, each a shard, put in place whole. `study.json`, the pictures, `manifest.json` and `files.json` come last,
together, and make it a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from wheatstone._effects import gain_kept
from wheatstone._errors import RunError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Circuit
from wheatstone.executors import (
    SHARD_LIST,
    Executor,
    LocalExecutor,
    alone_in,
    finished,
    open_resumable,
    run_shards,
    settings_file,
    shard_cost,
    some_done,
)
from wheatstone.models import ResidualModel, manifest_without_prompts
from wheatstone.runs import draw, read_json, write_json
from wheatstone.studies._study_overlap import overlap
from wheatstone.studies._study_relation import RelationShard
from wheatstone.studies._study_settings import StudySettings, name_of
from wheatstone.tasks import KNOWN_RANK
from wheatstone.verification import CONDITIONS

_SETTINGS = settings_file("study")
_RANKS = {"1": range(1, 2), "2 to 3": range(2, 4), "4 to 10": range(4, KNOWN_RANK + 1)}


def run_study(
    model: ResidualModel,
    settings: StudySettings,
    out: StrPath,
    *,
    executor: Executor | None = None,
    pictures: Callable[[Path], object] | None = None,
    report: Reporter = silent,
) -> dict[str, Any]:
    """Studies every relation that is not done yet, then what they have in common.

    Args:
        model: the model.
        settings: the study's.
        out: its folder; new, or that of the same study.
        executor: who does the relations; this process by default.
        pictures: draws the pictures of the finished study into its folder.
        report: progress callback.

    Returns:
        What `study.json` holds.

    Raises:
        RequestError: a wrong setting; or not one relation could be studied.
        RunError: the folder holds something else, a study of other settings, or one that is running.

    When this misleads: see `docs/guides/relation-study.md`.
    """
    out = Path(out)
    settings.check()
    with alone_in(out, "study"):
        identity = settings.identity(model)
        open_resumable(out, "study", identity)
        shards = [RelationShard(relation, settings) for relation in settings.relations]
        failed = run_shards(model, shards, out, "relations", executor or LocalExecutor(), report)
        expected = f"a relation that {model.id} can be studied on"
        done = some_done(out, shards, failed, expected=expected, do="choose other relations or a larger model")
        document = identity | _summary(out, done, failed)
        seconds = {name: shard_cost(out / "relations" / name)["seconds"] for name in done}
        with finished(out, _SETTINGS, SHARD_LIST, "relations") as folder:
            write_json(folder / "study.json", document)
            write_json(folder / "manifest.json", _manifest(model, identity, document, seconds))
            if pictures:
                draw(folder, pictures)
    return document


def study_so_far(out: StrPath) -> dict[str, Any]:
    """What `study.json` will hold, of the relations that are done; `to_do` names the others.

    Raises:
        RunError: there is no study, or none of its relations is done.
    """
    out = Path(out)
    identity = read_json(out, _SETTINGS)
    names = [name_of(relation) for relation in identity["settings"]["relations"]]
    finished = [name for name in names if (out / "relations" / name).is_dir()]
    if not finished:
        raise RunError(expected="a study with a relation that is done", got=f"{out}, with none", do="let it go on")
    return identity | _summary(out, finished, {}) | {"to_do": [name for name in names if name not in finished]}


def _summary(out: Path, finished: Sequence[str], failed: dict[str, str]) -> dict[str, Any]:
    """The table, its averages, the overlap and what could not be used."""
    rows: list[dict[str, Any]] = []
    circuits: list[Circuit] = []
    for name in finished:
        folder = out / "relations" / name
        row = read_json(folder, "result.json")
        by_rank = _by_rank(row["test"].pop("prompts"))
        hit = row["test"]["hit_at_10"]
        rows.append(
            row | {"gain_kept": gain_kept(hit["model"], hit["circuit"], hit["empty"]), "by_model_rank": by_rank}
        )
        circuits.append(Circuit.load(folder))
    return {
        "relations": rows,
        "average": _average([row for row in rows if not row["few"]]),
        "overlap": overlap(finished, circuits),
        "failed": failed,
        "skipped_records": {row["relation"]: row["skipped_records"] for row in rows if row["skipped_records"]},
    }


def _by_rank(prompts: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Test facts by the rank that the model gives the answer: how many, and Hit@10 of circuit and empty, counted.

    An answer in the eighth place is lost by a circuit that moves a few tokens; one in the first is not.
    """
    found: dict[str, dict[str, int]] = {}
    for name, ranks in _RANKS.items():
        of = [prompt for prompt in prompts if prompt["model"]["rank"] in ranks]
        hits = {who: sum(prompt[who]["rank"] <= KNOWN_RANK for prompt in of) for who in ("circuit", "empty")}
        found[name] = {"n": len(of), **hits}
    return found


def _average(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Means over the relations with enough known test facts; None where there is none.

    `gain_kept` is the mean over the relations on which the model gains anything over the empty circuit, with their
    number beside it; `gain_kept_of_means` divides the means instead, so that small gains weigh little.
    """
    if not rows:
        return None
    curves = [row["curve"] for row in rows if row["gain_kept"] is not None]
    means = {
        measure: {condition: fmean(row["test"][measure][condition] for row in rows) for condition in CONDITIONS}
        for measure in ("hit_at_1", "hit_at_10")
    }
    hit, gains = means["hit_at_10"], [row["gain_kept"] for row in rows if row["gain_kept"] is not None]
    return {
        "relations": len(rows),
        **means,
        "gain_kept": fmean(gains) if gains else None,
        "with_gain": len(gains),
        "gain_kept_of_means": gain_kept(hit["model"], hit["circuit"], hit["empty"]),
        "edges": fmean(row["edges"] for row in rows),
        "share": fmean(row["share"] for row in rows),
        "faithfulness": fmean(row["test"]["faithfulness"] for row in rows),
        "other_templates": _other_templates(rows),
        "curve": [
            {"edges": points[0]["edges"], "share": points[0]["share"]}
            | {split: _mean_of(point[split] for point in points) for split in ("gain_kept_train", "gain_kept_test")}
            for points in zip(*curves, strict=True)
        ],
    }


def _other_templates(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the circuits keep of the gain under templates other than the first.

    `gap` is the mean of (gain kept under the first − under another), over relations and templates that have both.
    """
    both = [
        (row["gain_kept"], found["gain_kept"])
        for row in rows
        for name, found in row["transfer"].items()
        if name != "reversed" and row["gain_kept"] is not None and found.get("gain_kept") is not None
    ]
    kept, gap = _mean_of(other for _, other in both), _mean_of(first - other for first, other in both)
    return {"n": len(both), "gain_kept": kept, "gap": gap}


def _mean_of(values: Iterable[float | None]) -> float | None:
    """Of those there are."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _manifest(
    model: ResidualModel, identity: dict[str, Any], document: dict[str, Any], seconds: dict[str, float]
) -> dict[str, Any]:
    rows = document["relations"]
    settings = identity["settings"] | {"task": f"{len(rows)} relations"}
    manifest = manifest_without_prompts(model, "study", settings, seed=settings["seed"], seconds=seconds)
    return manifest | {"evaluations": sum(row["evaluations"] for row in rows)}
