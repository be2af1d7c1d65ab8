"""A run as one file: packed after its hashes were checked, unpacked whole or not at all.

The same run gives the same bytes. An archive may come from anyone: see `_archive_members` for what is refused.
"""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import zstandard

from wheatstone._errors import RunError
from wheatstone._path import StrPath, below
from wheatstone._progress import Reporter, silent
from wheatstone.runs._archive_members import SUFFIXES, Untrusted, members, reading, safe_name
from wheatstone.runs._catalogue import entry_of
from wheatstone.runs._folder import damaged_files, new_run
from wheatstone.runs._run import Run

_LEVEL = 10
_PIECE = 1 << 20
_MOST_FILES = 200_000
_FREE, _RATIO = 64 << 20, 200
"""Limits on what an archive unpacks to: bytes, and a multiple of its own size. Tables and arrays shrink far less."""


def export_run(run: StrPath, archive: StrPath, *, report: Reporter = silent) -> None:
    """Packs a run into one archive, whose files lie in a folder of the run's name.

    Args:
        run: the run's folder.
        archive: to write, ending in `.tar.zst` or `.zip`.
        report: progress callback.

    Raises:
        RunError: it is no run, it is damaged, or it holds something that is neither file nor folder.
        RunError: the archive's name has another ending.
    """
    archive = Path(archive)
    run = Path(run)
    check_ending(archive)
    Run.open(run)
    if damaged := damaged_files(run):
        raise RunError(
            expected="a run whose files are as they were written",
            got=f"{run}, where {', '.join(damaged[:5])} {'is' if len(damaged) == 1 else 'are'} damaged or missing",
            do="make the run again",
        )
    root = run.resolve().name
    files = _files(run)
    write = _write_zip if archive.name.endswith(".zip") else _write_tar
    write(archive, [(f"{root}/{path.relative_to(run).as_posix()}", path) for path in files], report)


def import_run(archive: StrPath, out: StrPath, *, force: bool = False, report: Reporter = silent) -> None:
    """Unpacks a run, checks every hash, and then puts it in place.

    Args:
        archive: that `export_run` made.
        out: the run's folder.
        force: whether a run that is there may be replaced.
        report: progress callback.

    Raises:
        RunError: the archive is damaged, would write elsewhere, holds links or devices, unpacks to far more than its
            own size, or holds no run; or `out` is taken.
        ComputationError: a file could not be written.
    """
    out = Path(out)
    archive = Path(archive)
    check_ending(archive)
    if not archive.is_file():
        raise RunError(expected="an archive", got=f"no file {archive}", do="check the path")
    with new_run(out, force=force) as work, reading(archive):
        _unpack(archive, work, report)
        if damaged := damaged_files(work):
            raise Untrusted(f"{', '.join(damaged[:5])} damaged or missing in it")
        entry_of(work)


def check_ending(archive: Path) -> None:
    """Refuses an archive's name.

    Raises:
        RunError: it says no format.
    """
    if not archive.name.endswith(SUFFIXES):
        raise RunError(expected=f"an archive ending in {' or '.join(SUFFIXES)}", got=str(archive), do="name it so")


def _files(run: Path) -> list[Path]:
    """Every file of a run but those that a killed process left half-written."""
    try:
        found = sorted(Path(entry.path) for entry in below(run, _MOST_FILES))
    except ValueError as error:
        raise RunError(
            expected="a run", got=f"{run} with {error}", do="move what is not of the run out of its folder"
        ) from error
    paths = [path for path in found if not any(part.startswith(".") for part in path.relative_to(run).parts)]
    for path in paths:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise RunError(
                expected="a run of files and folders",
                got=f"{path}, which is a link or a device",
                do="put the file itself in its place",
            )
    return [path for path in paths if path.is_file()]


def _write_tar(archive: Path, files: list[tuple[str, Path]], report: Reporter) -> None:
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with (
        archive.open("wb") as file,
        compressor.stream_writer(file) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as tar,
    ):
        for count, (name, path) in enumerate(files, 1):
            header = tarfile.TarInfo(name)
            header.size = path.stat().st_size
            with path.open("rb") as content:
                tar.addfile(header, content)
            report("pack", count, len(files))


def _write_zip(archive: Path, files: list[tuple[str, Path]], report: Reporter) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for count, (name, path) in enumerate(files, 1):
            header = zipfile.ZipInfo(name)
            header.compress_type, header.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            with path.open("rb") as content, opened.open(header, "w", force_zip64=True) as to:
                while piece := content.read(_PIECE):
                    to.write(piece)
            report("pack", count, len(files))


def _unpack(archive: Path, work: Path, report: Reporter) -> None:
    """Writes the files of the one folder in an archive."""
    left = _FREE + _RATIO * archive.stat().st_size
    roots: set[str] = set()
    for count, (name, declared, content) in enumerate(members(archive, left), 1):
        root, *inside = safe_name(name)
        roots.add(root)
        if not inside or len(roots) > 1 or count > _MOST_FILES:
            raise Untrusted(f"{name[:200]!r} beside the one folder of a run")
        if declared > left:
            raise Untrusted("it unpacks to far more than its own size")
        path = work.joinpath(*inside)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as to:
                while piece := content.read(_PIECE):
                    left -= len(piece)
                    if left < 0:
                        raise Untrusted("it unpacks to far more than its own size")
                    to.write(piece)
        except (FileExistsError, NotADirectoryError) as error:
            raise Untrusted(f"{name[:200]!r} twice") from error
        report("unpack", count, None)
