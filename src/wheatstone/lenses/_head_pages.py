"""The pages of all heads of a scan, in a folder that resumes.

The examples of all heads are read again window by window, a shard of some windows at a time; then every head's page is
made of what was read. `places/` holds the shards and `pages-settings.json` what the pages are of; the pages come last,
whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheatstone._errors import ComputationError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._version import __version__
from wheatstone.executors import (
    SHARD_LIST,
    Executor,
    LocalExecutor,
    alone_in,
    finished,
    open_resumable,
    run_shards,
    settings_file,
)
from wheatstone.lenses._head_corpus import HeadCorpus
from wheatstone.lenses._head_page import chosen, circuits_by_head, facts_of
from wheatstone.lenses._head_places import Place, WindowPlaces, place_of, places_by_window, read_places
from wheatstone.models import ResidualModel
from wheatstone.runs import read_json, sound, write_json

_PLACES, _ROWS = "places", "places.json"
_WINDOWS = 16
"""Of a shard: what a killed process loses of its work."""


@dataclass(frozen=True)
class PlacesShard:
    """Some windows read again for every head with an example there; see `Shard`.

    Args:
        windows: what is read of each.
    """

    windows: tuple[WindowPlaces, ...]

    @property
    def name(self) -> str:
        """The number of its first window."""
        return f"{self.windows[0].window:08}"

    @property
    def content(self) -> dict[str, Any]:
        """All windows and places."""
        return {"windows": self.windows}

    def run(self, model: ResidualModel, folder: Path, report: Reporter) -> None:
        """Writes what `read_places` gives."""
        rows: list[dict[str, Any]] = []
        for done, window in enumerate(self.windows):
            report("reading windows", done, len(self.windows))
            rows += read_places(model, window)
        write_json(folder / _ROWS, {"places": rows})


def run_head_pages(
    model: ResidualModel,
    corpus: HeadCorpus,
    out: StrPath,
    write: Callable[[Path, Iterator[dict[str, Any]]], None],
    *,
    executor: Executor | None = None,
    report: Reporter = silent,
) -> list[str]:
    """Makes the page of every head that a scan has, or continues with it.

    Args:
        model: the model that was scanned.
        corpus: the scan.
        out: folder of the pages; new, or that of the same pages.
        write: writes the pages into a folder, given what `head_facts` says of each head in turn.
        executor: who reads the windows; this process by default.
        report: progress callback.

    Returns:
        The heads.

    Raises:
        ModelError: the scan is of another model.
        RunError: the folder holds something else, pages of another scan, or pages that are being made; or a file of
            the scan is damaged.
        ComputationError: some windows could not be read.

    When this misleads: see `head_facts`. The circuits of a page are those that are listed when the pages are written.
    """
    out = Path(out)
    corpus.check(model)
    heads = corpus.heads
    with alone_in(out, "pages"):
        about = {name: corpus.manifest[name] for name in ("model", "settings")}
        open_resumable(out, "pages", {"wheatstone": __version__, "scanned": corpus.manifest["created"], **about})
        windows = places_by_window({head: chosen(corpus.head(head)) for head in heads})
        shards = [PlacesShard(tuple(windows[at : at + _WINDOWS])) for at in range(0, len(windows), _WINDOWS)]
        refused = run_shards(model, shards, out, _PLACES, executor or LocalExecutor(), report)
        if refused:
            raise ComputationError(
                expected="every window of the scan read again",
                got=next(iter(refused.values())),
                do="start it again; what is finished is kept",
            )
        with finished(out, settings_file("pages"), SHARD_LIST, _PLACES) as folder:
            places = _places_of(out, shards)
            circuits = circuits_by_head(model.sha256)

            def facts() -> Iterator[dict[str, Any]]:
                for done, head in enumerate(heads):
                    report("writing pages", done, len(heads))
                    yield facts_of(model, head, corpus, corpus.head(head), places, circuits)

            write(folder, facts())
    return heads


def _places_of(out: Path, shards: Sequence[PlacesShard]) -> dict[Place, dict[str, Any]]:
    """What was read, by place."""
    with sound(out):
        rows = [row for shard in shards for row in read_json(out / _PLACES / shard.name, _ROWS)["places"]]
        return {place_of(row): row for row in rows}
