"""`wheatstone compress` and `decompress`: a model as a lossless compressor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wheatstone._bounds import LANES, LOOKBACK, WORKERS
from wheatstone._errors import RequestError
from wheatstone.cli._loading import load
from wheatstone.cli._new_file import new_file
from wheatstone.cli._options import DeviceOption, DtypeOption, ModelOption, ReplaceOption, number
from wheatstone.cli._output import JsonOption, Output

if TYPE_CHECKING:
    from wheatstone.compression import Chunking

_LONG = 3600.0
_SURELY_SHORT = 100_000
"""Bytes that take less than that even at 7 tokens a second, so that nothing need be run to tell."""
_INPUT = Annotated[Path, typer.Argument(metavar="IN", help="The file.", show_default=False)]
_OUT = Annotated[Path, typer.Option("--out", help="File to write.", metavar="FILE", show_default=False)]
_THREADS = Annotated[
    int | None,
    number("--threads", WORKERS, "Parts worked on at once; all cores by default. Changes no byte."),
]


def compress(
    source: _INPUT,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; needed but for --estimate.", metavar="FILE")
    ] = None,
    model: ModelOption = "smollm2-135m",
    mixing: Annotated[
        bool, typer.Option("--mixing/--no-mixing", help="Mix in what the text itself has shown so far: smaller.")
    ] = True,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Use the weights as they are. By default those of a llama in float32 on the CPU, such as SmolLM2, are "
            "rounded to 8 bits: faster, at next to no cost in size.",
        ),
    ] = False,
    window: Annotated[
        int | None,
        number(
            "--window",
            LOOKBACK,
            "Most tokens the model looks back on, no more than its context; 1,024 by default. More are smaller, slower "
            "and take more memory.",
        ),
    ] = None,
    lanes: Annotated[
        int | None,
        number(
            "--lanes",
            LANES,
            "Stretches that each block of 1 MiB is cut into and that are read side by side; by the size by default. "
            "More are faster and larger.",
        ),
    ] = None,
    threads: _THREADS = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say about how long it would take and how small it would become.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Go on where it will take more than an hour.")] = False,
    force: ReplaceOption = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Compress any file by a language model's predictions of its next token, without loss.

    Parts of a file that LZMA makes smaller than the model would, such as most binary data, are left to LZMA.

    Slow: with SmolLM2 some 60 tokens, 240 bytes of English, a second on each core, and less where a file is short. To
    restore it takes as long and needs the same model, on a machine that computes alike (`decompress` says so before
    it writes).
    """
    output = Output("compress", as_json)
    _readable(source)
    if estimate:
        if out is not None:
            raise RequestError(expected="--estimate, which writes nothing, or --out", got="both", do="leave one out")
        _print_estimate(output, source, model, exact, window, lanes, threads, device, dtype)
        return
    if out is None:
        raise RequestError(expected="--out FILE", got="none", do="name the file to write, or add --estimate")
    with output.starting() as report, new_file(out, force=force) as partial:
        from wheatstone.compression import compress as run
        from wheatstone.compression import estimate_seconds

        loaded = load(model, device, dtype, report)
        size = source.stat().st_size
        chunking = _chunking(window)
        if not yes and size > _SURELY_SHORT:
            seconds = estimate_seconds(loaded, size, threads, exact=exact, lanes=lanes, chunking=chunking)
            if seconds > _LONG:
                raise RequestError(
                    expected="a file that takes less than an hour",
                    got=f"{size:,} bytes, about {seconds / 3600:,.1f} hours",
                    do="compress a part, or say --yes",
                )
        with source.open("rb") as opened, partial.open("wb") as target:
            done = run(
                loaded,
                opened,
                target,
                mixing=mixing,
                chunking=chunking,
                exact=exact,
                lanes=lanes,
                threads=threads,
                report=report,
            )
    ratio = done.bytes_in / done.bytes_out
    output.document({**vars(done), "out": str(out), "bits_per_byte": 8 / ratio if done.bytes_in else None})
    gain = f"{ratio:.2f} times smaller" if ratio > 1 else "no smaller: too short, or nothing that the model foresees"
    output.print(f"{done.bytes_in:,} bytes to {done.bytes_out:,} ({gain}): {out}", markup=False)


def decompress(
    source: _INPUT,
    out: _OUT,
    model: ModelOption = "smollm2-135m",
    threads: _THREADS = None,
    force: ReplaceOption = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Restore what `compress` made, byte for byte.

    A damaged file, another model or a machine that computes otherwise is refused before a byte is written.
    """
    output = Output("decompress", as_json)
    _readable(source)
    with output.starting() as report, new_file(out, force=force) as partial, source.open("rb") as opened:
        from wheatstone.compression import decompress as run
        from wheatstone.compression import open_checked

        open_checked(opened)  # what is no such file needs no model
        loaded = load(model, device, dtype, report)
        with partial.open("wb") as target:
            size = run(loaded, opened, target, threads=threads, report=report)
    output.document({"bytes": size, "out": str(out)})
    output.print(f"{size:,} bytes restored: {out}", markup=False)


def _chunking(window: int | None) -> Chunking | None:
    """Of a window, a quarter of which is read again where it is full and cannot slide."""
    from wheatstone.compression import Chunking

    return None if window is None else Chunking(window=window, overlap=max(1, window // 4))


def _print_estimate(
    output: Output,
    source: Path,
    model: str,
    exact: bool,
    window: int | None,
    lanes: int | None,
    threads: int | None,
    device: str,
    dtype: str,
) -> None:
    """`compress --estimate`."""
    with output.starting() as report, source.open("rb") as opened:
        from wheatstone.compression import estimate

        loaded = load(model, device, dtype, report)
        chunking = _chunking(window)
        found = estimate(loaded, opened, chunking=chunking, exact=exact, lanes=lanes, threads=threads, report=report)
    output.document({"estimate": True, **vars(found)})
    if found.by_model:
        how = f"in about {found.seconds:,.0f} s each way, beside loading the model; {found.lanes:,} lanes"
    else:
        how = "by LZMA or as they are: the model would need more"
    output.print(f"{found.bytes_in:,} bytes would become about {found.bytes_out:,}, {how}.", markup=False)


def _readable(source: Path) -> None:
    if not source.is_file():
        what = "which is a folder" if source.is_dir() else "which is not there"
        raise RequestError(expected="a file to read", got=f"{source}, {what}", do="check the path")
