"""The files inside an archive that anyone may have made: read one after another, nothing trusted.

Only regular files with plain relative names come out. The tar reader takes the four kinds of header that `export_run`
writes or that packing a folder by hand gives; the others (links, devices, sparse files, PAX records of any length) are
refused before the standard library acts on them.
"""

from __future__ import annotations

import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import zstandard

from wheatstone._errors import RunError

SUFFIXES = (".tar.zst", ".zip")
_LONGEST_NAME = 4096
_WINDOW = 1 << 27
"""Bytes that a zstd stream may make us keep."""
_PART = re.compile(r"[^\\/:\0]{1,255}")


class Untrusted(ValueError):
    """An archive that is damaged or meant to do harm."""


Member = tuple[str, int, IO[bytes]]
"""Name, declared size and content."""


@contextmanager
def reading(archive: Path) -> Generator[None, None, None]:
    """Turns what reading an archive raises into a refusal.

    Raises:
        RunError: it is damaged, or not such an archive.
    """
    try:
        yield
    except (
        Untrusted,
        tarfile.TarError,
        zipfile.BadZipFile,
        zstandard.ZstdError,
        zlib.error,
        EOFError,
        ValueError,  # a number or name that is none
        RuntimeError,  # an encrypted member; a name that refers to a name that refers … (RecursionError)
        NotImplementedError,  # another compression than deflate
        MemoryError,
    ) as error:
        raise RunError(
            expected="an archive that `wheatstone runs export` made",
            got=f"{archive}: {error or type(error).__name__}",
            do="export the run again, or copy the archive again; nothing was written",
        ) from error


def members(archive: Path, most: int) -> Generator[Member, None, None]:
    """The files of an archive, in its order.

    Args:
        archive: the archive.
        most: bytes that a compressed tar may come to, headers and all.

    Raises:
        Untrusted: a member that is not a plain file, or more than `most` bytes.
    """
    yield from _zip(archive) if archive.name.endswith(".zip") else _tar(archive, most)


def safe_name(name: str) -> tuple[str, ...]:
    """The parts of a member's name.

    Raises:
        Untrusted: it is absolute, climbs, is hidden, or means something else on another system.
    """
    parts = tuple(name.split("/"))
    if len(name) > _LONGEST_NAME or not all(_PART.fullmatch(part) and not part.startswith(".") for part in parts):
        raise Untrusted(f"a member named {name[:200]!r}")
    return parts


class _Header(tarfile.TarInfo):
    """A header that is looked at before anything is done with it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Any:
        header = super().frombuf(buf, encoding, errors)
        plain = header.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
        long_name = header.type == tarfile.GNUTYPE_LONGNAME and header.size <= _LONGEST_NAME
        if header.size < 0 or not (plain or long_name):
            raise Untrusted(f"a member of kind {header.type!r}, which is neither file nor folder")
        return header


class _Bounded:
    """A stream that may not go on for ever."""

    def __init__(self, stream: zstandard.ZstdDecompressionReader, most: int) -> None:
        self.stream, self.left = stream, most

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise Untrusted("it unpacks to far more than its own size")
        return data


def _tar(archive: Path, most: int) -> Generator[Member, None, None]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    with archive.open("rb") as file, decompressor.stream_reader(file) as decompressed:
        stream: Any = _Bounded(decompressed, most)
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is not None:
                    yield member.name, member.size, content
        while stream.read(1 << 16):  # to the end, where zstd's checksum is
            pass


def _zip(archive: Path) -> Generator[Member, None, None]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG) or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Untrusted(f"{member.filename[:200]!r}, which is no file that export writes")
            with opened.open(member) as content:
                yield member.filename, member.file_size, content
