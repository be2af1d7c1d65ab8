"""The file: a header, blocks, and a checksum over both.

    magic "WHST", version 4                                   5 bytes
    header                                                    see `Header.pack`
    blocks: kind, bytes, CRC-32 of them, symbols, lanes, code until kind `end`
    bytes in all, SHA-256 of everything before it             8 + 32 bytes

Earlier versions are still read. Version 3 does not say how a block is cut into lanes (see `cut_by_size`) nor whether
weights are rounded, which they are not. Version 2 has no blocks of kind `LZMA` either, and version 1 no start token in
its header (see `Start.of_version_1`).

All numbers are little-endian. Each block is read alone, so that memory does not grow with the file.
"""

from __future__ import annotations

import hashlib
import lzma
import struct
import zlib
from collections.abc import Generator
from dataclasses import astuple, dataclass, replace
from io import BufferedIOBase

from wheatstone._errors import RequestError

MAGIC, VERSIONS = b"WHST", (1, 2, 3, 4)
END, CODED, STORED, PREFIXED, LZMA = 0, 1, 2, 3, 4
_HEADER = struct.Struct("<HHHIIB32s8sB")
_BLOCK = struct.Struct("<BIIIHB")
_BLOCK_OF_VERSION_3 = struct.Struct("<BIIIB")
_LENGTH = struct.Struct("<I")
_START = struct.Struct("<I")
_ROUNDED = struct.Struct("<B")
_TOTAL = struct.Struct("<Q")
_DIGEST = 32
# No container of xz around it: a block has its own checksum. The dictionary is as large as a block is by default.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 20}]
# What a file may ask of its reader, whoever wrote it.
_CODER = 1 << 10
"""Bytes of a part of a block's code beyond what its text explains, at most."""
_MOST_BLOCK, _MOST_LANES, _MOST_SYMBOLS = 1 << 26, 1024, 2


@dataclass(frozen=True)
class Chunking:
    """How text is cut up. What is read back depends on it, so it is in the header.

    Args:
        window: most tokens the model looks back on.
        overlap: how many of them are read again when the window is full.
        lanes: stretches of a block that are read side by side.
        stretch: fewest tokens of a stretch where there are several groups of lanes.
        block: bytes that are coded together, at most.
    """

    window: int = 1024
    overlap: int = 256
    lanes: int = 16
    stretch: int = 4096
    block: int = 1 << 20

    def within(self, most: int) -> Chunking:
        """The same with a window of at most `most` tokens, a quarter of them read again."""
        return self if self.window <= most else replace(self, window=most, overlap=max(1, most // 4))


@dataclass(frozen=True)
class Header:
    """What a file says about how it was made.

    Args:
        chunking: how text was cut up.
        mixing: whether an adaptive model was mixed in.
        sha256: of the model's weights.
        arithmetic: fingerprint of how this machine computed with them.
        model: what the model is called.
        start: token that a text begins after; None in a file of version 1, which does not say.
        rounded: whether the model's weights were rounded to 8 bits (`Llama`).
        version: of the format.
    """

    chunking: Chunking
    mixing: bool
    sha256: str
    arithmetic: bytes
    model: str
    start: int | None
    rounded: bool
    version: int = VERSIONS[-1]

    def pack(self) -> bytes:
        """As bytes, in the newest version of the format.

        Raises:
            ValueError: there is no start token.
        """
        if self.start is None:
            raise ValueError("files are written with their start token")
        name = self.model.encode()[:255].decode("utf-8", "ignore").encode()  # no part of a character
        numbers = (*astuple(self.chunking), self.mixing, bytes.fromhex(self.sha256), self.arithmetic, len(name))
        start = MAGIC + bytes([VERSIONS[-1]]) + _HEADER.pack(*numbers) + name
        return start + _START.pack(self.start) + _ROUNDED.pack(self.rounded)

    @classmethod
    def read(cls, source: BufferedIOBase) -> Header:
        """The header of a file that `open_checked` has seen.

        Raises:
            RequestError: it says what no header says: the checksum tells damage, not who wrote the file.
        """
        source.seek(len(MAGIC))
        (version,) = source.read(1)
        try:
            *numbers, mixing, sha256, arithmetic, length = _HEADER.unpack(source.read(_HEADER.size))
            chunking, model = Chunking(*numbers), source.read(length).decode()
            start = _START.unpack(source.read(_START.size))[0] if version > 1 else None
            rounded = _ROUNDED.unpack(source.read(_ROUNDED.size))[0] if version > 3 else 0
        except (struct.error, UnicodeDecodeError) as error:
            raise _unsound(f"a header that cannot be read ({error})") from error
        if not (0 < chunking.overlap < chunking.window and chunking.stretch and 0 < chunking.block <= _MOST_BLOCK):
            raise _unsound(f"{chunking}")
        if not 0 < chunking.lanes <= _MOST_LANES:
            raise _unsound(f"{chunking.lanes} lanes")
        if rounded > 1:
            raise _unsound(f"weights rounded in way {rounded}")
        return cls(chunking, bool(mixing), sha256.hex(), arithmetic, model, start, bool(rounded), version)


@dataclass(frozen=True)
class Block:
    """One block.

    Args:
        kind: `CODED` by the model; `PREFIXED` likewise, after a space that is not the data's; `LZMA` where a general
            compressor does better; or `STORED` as it is where neither gains anything.
        size: bytes it restores.
        crc: of these bytes.
        symbols: how many symbols were coded.
        codes: of each group of lanes; of the other kinds, one.
        lanes: stretches of each group; 0 without the model.
    """

    kind: int
    size: int
    crc: int
    symbols: int
    codes: tuple[bytes, ...]
    lanes: int = 0

    def pack(self) -> bytes:
        """As bytes."""
        start = _BLOCK.pack(self.kind, self.size, self.crc, self.symbols, self.lanes, len(self.codes))
        return start + b"".join(_LENGTH.pack(len(code)) + code for code in self.codes)

    @classmethod
    def plain(cls, data: bytes) -> Block:
        """Data without the model: as LZMA makes it, or as it is where that is no larger."""
        packed = lzma.compress(data, lzma.FORMAT_RAW, filters=_FILTERS)
        kind, code = (LZMA, packed) if len(packed) < len(data) else (STORED, data)
        return cls(kind, len(data), zlib.crc32(data), 0, (code,))

    def unpacked(self) -> bytes:
        """The data of a block that was made without the model; never more than `size` bytes.

        Raises:
            ValueError: the code has no meaning.
        """
        if self.kind == STORED:
            return self.codes[0]
        try:
            return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS).decompress(self.codes[0], self.size)
        except lzma.LZMAError as error:
            raise ValueError(str(error)) from error

    def __len__(self) -> int:
        return _BLOCK.size + sum(_LENGTH.size + len(code) for code in self.codes)


class Writer:
    """Writes a file from its start.

    Args:
        out: where to.
        header: what it says first.
    """

    def __init__(self, out: BufferedIOBase, header: Header) -> None:
        self.out, self.hash, self.restored, self.written = out, hashlib.sha256(), 0, 0
        self._put(header.pack())

    def put(self, block: Block) -> None:
        """Adds a block."""
        self._put(block.pack())
        self.restored += block.size

    def close(self) -> None:
        """Ends the file."""
        self._put(bytes([END]) + _TOTAL.pack(self.restored))
        self.out.write(self.hash.digest())
        self.written += _DIGEST

    def _put(self, data: bytes) -> None:
        self.out.write(data)
        self.hash.update(data)
        self.written += len(data)


def read_blocks(source: BufferedIOBase, header: Header) -> Generator[Block]:
    """The blocks after the header, one at a time.

    Raises:
        RequestError: one says that it is larger than the header allows, or is cut off.
    """
    try:
        while (kind := source.read(1)) != bytes([END]):
            form = _BLOCK if header.version > 3 else _BLOCK_OF_VERSION_3
            kind, size, crc, symbols, *lanes, count = form.unpack(kind + source.read(form.size - 1))
            known = kind in (CODED, STORED, PREFIXED, LZMA)
            if not known or size > header.chunking.block or symbols > _MOST_SYMBOLS * size:
                raise _unsound(f"a block of kind {kind}, {size:,} bytes and {symbols:,} symbols")
            codes = tuple(_code(source, size) for _ in range(count))
            if kind in (STORED, LZMA) and len(codes) != 1:
                raise _unsound(f"a block without the model in {len(codes)} parts")
            by_model = kind in (CODED, PREFIXED)
            together, groups = (lanes[0], count) if lanes else cut_by_size(symbols, header.chunking)
            if by_model and (together > _MOST_LANES or groups != count or (lanes and together * groups > symbols)):
                raise _unsound(f"{symbols:,} symbols in {count} groups of {together:,} lanes")
            if by_model and symbols and not together * groups:
                raise _unsound(f"{symbols:,} symbols in no lane")
            yield Block(kind, size, crc, symbols, codes, together)
    except struct.error as error:
        raise _unsound(f"a block that is cut off ({error})") from error


def cut_by_size(symbols: int, chunking: Chunking) -> tuple[int, int]:
    """Lanes of each group and groups of a block by its size, as in all files up to version 3.

    A short text is one lane or a few; a long one as many full groups as leave each lane a long stretch.
    """
    groups = symbols // (chunking.lanes * chunking.stretch)
    if groups > 1:
        return chunking.lanes, groups
    return min(chunking.lanes, 1 + symbols // (chunking.stretch // 8 + 1)), min(1, symbols)


def _code(source: BufferedIOBase, size: int) -> bytes:
    """One part of a block's code; never much larger than the block: that would have been stored as it is."""
    (length,) = _LENGTH.unpack(source.read(_LENGTH.size))
    if length > 2 * size + _CODER:
        raise _unsound(f"a block of {size:,} bytes coded in {length:,}")
    return source.read(length)


def _unsound(got: str) -> RequestError:
    return RequestError(
        expected="a file that `wheatstone compress` made", got=f"one with {got}", do="do not use what sent it"
    )


def open_checked(source: BufferedIOBase) -> int:
    """Makes sure that a file is ours and whole, before anything is made of it; leaves it at its header.

    Args:
        source: the file.

    Returns:
        How many bytes it restores.

    Raises:
        RequestError: it is not such a file, or of another version, or bytes of it are missing or differ.
    """
    length = source.seek(0, 2)
    source.seek(0)
    start = source.read(len(MAGIC) + 1)
    if not start.startswith(MAGIC):
        raise RequestError(
            expected="a file that `wheatstone compress` made",
            got=f"one that begins with {start[:4]!r}" if start else "an empty one",
            do="name the compressed file",
        )
    if not start[len(MAGIC) :] or start[-1] not in VERSIONS:
        raise RequestError(
            expected=f"version {' or '.join(map(str, VERSIONS))} of the format",
            got=f"version {start[-1]}" if len(start) > len(MAGIC) else "a file that ends before it",
            do="use the release that made it",
        )
    digest, left, tail = hashlib.sha256(start), length - len(start) - _DIGEST, b""
    while left > 0 and (piece := source.read(min(left, 1 << 20))):
        digest.update(piece)
        tail, left = (tail + piece)[-_TOTAL.size :], left - len(piece)
    if len(tail) < _TOTAL.size or source.read() != digest.digest():
        raise RequestError(
            expected="a file as it was written",
            got="one with bytes changed, missing or added",
            do="copy or download it again",
        )
    source.seek(len(start))
    return int(_TOTAL.unpack(tail)[0])
