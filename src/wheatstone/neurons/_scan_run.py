"""A corpus scan as a run: read in batches, saved after each, and gone on with where it stopped.

The folder holds `scan-settings.json` from the start. `windows/` and `documents/` grow by a file every `shard` batches;
`progress.safetensors` is everything else, replaced as a whole after every batch. Anything in the folder beyond
what that file says is overwritten with the same when the scan goes on. What is found (`Subject.write`),
`manifest.json` and `files.json` come last and make it a run. Neurons and heads are scanned alike; a `Subject` is what
differs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from wheatstone._disk import write_tensors
from wheatstone._errors import RequestError, RunError, reason
from wheatstone._json import parse_json
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.executors import alone_in, finished, open_resumable, settings_file
from wheatstone.models import ResidualModel, manifest_without_prompts
from wheatstone.neurons._scan import CorpusScan, NeuronScan
from wheatstone.neurons._scan_bins import BINS, bin_edges
from wheatstone.neurons._scan_settings import ScanSettings
from wheatstone.neurons._scan_tables import write_documents, write_examples, write_neurons, write_windows
from wheatstone.neurons._scan_windows import Window, batches_of, windows_of
from wheatstone.runs import Run, write_json
from wheatstone.texts import Document, Skipped, read_documents

_PROGRESS = "progress.safetensors"


@dataclass(frozen=True)
class Subject(Brief):
    """What a scan is of.

    Args:
        name: in words, such as `neurons`.
        verb: of the run.
        begin: makes an empty scan.
        facts: what the manifest says of a finished one.
        write: writes what was found into a folder, given the number of files of windows.
    """

    name: str
    verb: str
    begin: Callable[[ResidualModel, ScanSettings], CorpusScan]
    facts: Callable[[ResidualModel, Any], dict[str, Any]]
    write: Callable[[Path, Any, int], None]


def _begin(model: ResidualModel, settings: ScanSettings) -> NeuronScan:
    return NeuronScan(model, layers=settings.which(model), top=settings.top, width=settings.window, seed=settings.seed)


def _write(folder: Path, scan: NeuronScan, shards: int) -> None:
    write_neurons(folder, scan)
    write_examples(folder, scan, shards)


NEURONS = Subject(
    "neurons",
    "scan",
    _begin,
    lambda model, scan: {"neurons": {str(layer): model.blocks[layer].neurons for layer in scan.layers}},
    _write,
)


@dataclass
class _Progress:
    """How far a scan is.

    Args:
        batches: done.
        windows: in them.
        tokens: in those.
        counted: positions that statistics were made of.
        read: documents begun.
        digest: of their texts.
        shards: of each file of windows, how many windows and documents it and the file of documents hold.
        inside: windows that the last document of the last such file had given by then.
        seconds: spent.
    """

    batches: int = 0
    windows: int = 0
    tokens: int = 0
    counted: int = 0
    read: int = 0
    digest: str = ""
    shards: list[list[int]] = field(default_factory=list)
    inside: int = 0
    seconds: float = 0.0


def run_scan(
    model: ResidualModel,
    settings: ScanSettings,
    out: StrPath,
    *,
    of: Subject = NEURONS,
    report: Reporter = silent,
) -> dict[str, Any]:
    """Scans texts, or goes on with it, or says what a finished scan holds.

    Args:
        model: the model.
        settings: the scan's.
        out: its folder; new, or that of the same scan.
        of: what to scan: `NEURONS` or `HEADS`.
        report: progress callback, in tokens.

    Returns:
        The run's manifest.

    Raises:
        ModelError: an MLP has no neurons, or numbers that are not finite.
        RequestError: a wrong setting; a source that is not there; or nothing to read in it.
        RunError: the folder holds something else, a scan of other settings, or one that is running; or the texts are
            not those that the scan began with.

    When this misleads: see `docs/guides/neurons.md`.
    """
    out = Path(out)
    settings.check_values(out)
    settings.check(model)
    scan = of.begin(model, settings)
    with alone_in(out, "scan"):
        identity = settings.identity(model) | ({} if of is NEURONS else {"of": of.name})
        open_resumable(out, "scan", identity)
        if (out / "manifest.json").is_file() and not (out / _PROGRESS).exists():
            return dict(Run.open(out).manifest)
        try:
            return _Scanning(model, settings, out, of, scan, report).run()
        except RequestError:
            if not (out / _PROGRESS).exists():
                shutil.rmtree(out)  # it never began
            raise


class _Scanning:
    """One process's work on a scan."""

    def __init__(
        self,
        model: ResidualModel,
        settings: ScanSettings,
        out: Path,
        of: Subject,
        scan: CorpusScan,
        report: Reporter,
    ) -> None:
        self.model, self.settings, self.out, self.of, self.report = model, settings, out, of, report
        self.scan = scan
        self.skipped = Skipped()
        self.at = self._restored()
        self.pending: list[Window] = []
        """Windows that are in no file yet."""
        self.documents: list[Document] = []
        """Documents that are in no file yet."""
        self._read, self._digest = 0, hashlib.sha256()

    def run(self) -> dict[str, Any]:
        started, spent = time.perf_counter(), self.at.seconds
        batches = batches_of(self._up_to_limit(self._again(self._windows())), self.settings.batch)
        while not self._enough and (batch := next(batches, None)):
            self.report("reading texts", self.at.tokens, self.settings.tokens)
            self.scan.see(batch)
            self.pending += batch
            at = self.at
            at.batches, at.windows = at.batches + 1, self.scan.windows
            at.tokens += sum(len(window.ids) for window in batch)
            at.counted += sum(map(self.scan.counted, batch))
            at.read, at.digest = self._read, self._digest.hexdigest()
            at.seconds = spent + time.perf_counter() - started
            if at.batches % self.settings.shard == 0:
                self._write_shard()
            self._save()
        return self._finish()

    @property
    def _enough(self) -> bool:
        return self.settings.tokens is not None and self.at.tokens >= self.settings.tokens

    def _up_to_limit(self, windows: Iterable[Window]) -> Generator[Window]:
        """Windows until the settings' number of tokens is reached: a batch may be larger than what is left to read."""
        tokens = self.at.tokens
        for window in windows:
            if self.settings.tokens is not None and tokens >= self.settings.tokens:
                return
            tokens += len(window.ids)
            yield window

    def _windows(self) -> Generator[Window]:
        """Windows from the first one that is in no file yet, or that of the same document, on."""
        written = sum(documents for _, documents in self.at.shards)
        for number, document in enumerate(read_documents(self.settings.texts, self.skipped)):
            self._read = number + 1
            self._digest.update(hashlib.sha256(document.text.encode()).digest())
            if number < written - 1:
                continue
            if number >= written:
                self.documents.append(document)
            for window in windows_of(self.model, document.text, number, self.settings.window):
                if self.settings.draws(window):
                    yield window

    def _again(self, stream: Generator[Window]) -> Generator[Window]:
        """The stream from where the scan stopped; what is done but in no file yet is only taken in again."""
        at = self.at
        done = at.windows - sum(windows for windows, _ in at.shards)
        again = list(islice(stream, at.inside + done))
        self.pending += again[at.inside :]
        if at.batches and (len(again), self._read, self._digest.hexdigest()) != (at.inside + done, at.read, at.digest):
            raise RunError(
                expected=f"the texts that the scan in {self.out} began with",
                got="others",
                do="give those, or choose another --out",
            )
        return stream

    def _write_shard(self) -> None:
        at, number = self.at, len(self.at.shards)
        first_window, first_document = (sum(shard[each] for shard in at.shards) for each in (0, 1))
        write_windows(self.out, number, first_window, self.pending)
        write_documents(self.out, number, first_document, self.documents)
        last = self.pending[-1].document
        before = at.inside if not self.documents else 0
        at.inside = before + sum(window.document == last for window in self.pending)
        at.shards.append([len(self.pending), len(self.documents)])
        self.pending, self.documents = [], []

    def _save(self) -> None:
        partial = self.out / f".{_PROGRESS}.partial"
        write_tensors(self.scan.state(), partial, {"progress": json.dumps(asdict(self.at))})
        os.replace(partial, self.out / _PROGRESS)

    def _restored(self) -> _Progress:
        path = self.out / _PROGRESS
        if not path.exists():
            return _Progress()
        try:
            with safe_open(path, "pt") as saved:
                at = _Progress(**parse_json(saved.metadata()["progress"]))
                arrays = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, TypeError, ValueError) as error:
            raise RunError(
                expected=f"a readable {_PROGRESS}",
                got=f"{path}: {reason(error)}",
                do="delete the folder and begin again",
            ) from error
        self.scan.restore(arrays, at.windows, at.counted)
        return at

    def _finish(self) -> dict[str, Any]:
        at, settings = self.at, self.settings
        if not at.counted:
            left = ", ".join(f"{count} {why}" for why, count in self.skipped.counts.items())
            raise RequestError(
                expected="texts with a document of two tokens or more",
                got=f"none in {', '.join(map(str, settings.texts))}" + (f" (left out: {left})" if left else ""),
                do="name others",
            )
        if self.pending:
            self._write_shard()
        self.report("writing", 0, 1)
        identity = settings.identity(self.model)
        documents, texts = sum(shard[1] for shard in at.shards), ", ".join(map(str, settings.texts))
        about = identity["settings"] | {"task": f"{self.of.name} on {texts}"}
        taken = {"scan": at.seconds}
        manifest = manifest_without_prompts(self.model, self.of.verb, about, seed=settings.seed, seconds=taken) | {
            "documents": documents,
            "windows": at.windows,
            "tokens": at.tokens,
            "counted": at.counted,
            "skipped": self.skipped.counts,
            **self.of.facts(self.model, self.scan),
            "shards": at.shards,
            "bins": {"count": BINS, "edges": list(bin_edges()[1:-1])},
        }
        with finished(self.out, settings_file("scan"), "windows", "documents") as folder:
            self.of.write(folder, self.scan, len(at.shards))
            write_json(folder / "manifest.json", manifest)
        self.report("writing", 1, 1)
        return manifest
