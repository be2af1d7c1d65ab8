"""`wheatstone compress`, `decompress` and `bits`: a model as a lossless compressor, and what a text costs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wheatstone._errors import RequestError
from wheatstone.cli._new_file import check_new, new_file
from wheatstone.cli._options import DeviceOption, DtypeOption, ModelOption
from wheatstone.cli._output import JsonOption, Output

_LONG = 3600.0
_INPUT = Annotated[Path, typer.Argument(metavar="IN", help="The file.", show_default=False)]
_OUT = Annotated[Path, typer.Option("--out", help="File to write.", metavar="FILE", show_default=False)]
_FORCE = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
_THREADS = Annotated[
    int | None,
    typer.Option("--threads", help="Parts worked on at once; all cores by default. Changes no byte.", min=1),
]


def compress(
    source: _INPUT,
    out: _OUT,
    model: ModelOption = "smollm2-135m",
    mixing: Annotated[
        bool, typer.Option("--mixing", help="Mix in what the text itself has shown so far: smaller, a little slower.")
    ] = False,
    threads: _THREADS = None,
    yes: Annotated[bool, typer.Option("--yes", help="Go on where it will take more than an hour.")] = False,
    force: _FORCE = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Compress any file by a language model's predictions of its next token, without loss.

    Some 150 to 300 tokens a second on two cores. To restore it, the same model is needed, on a machine that computes
    alike (`decompress` says so before it writes).
    """
    output = Output(as_json)
    _readable(source)
    with output.progress() as report, new_file(out, force=force) as partial:
        report("starting", 0, None)
        from wheatstone.compression import compress as run
        from wheatstone.compression import estimate_seconds
        from wheatstone.models import load_model

        loaded = load_model(model, device=device, dtype=dtype, report=report)
        size = source.stat().st_size
        if not yes and (seconds := estimate_seconds(loaded, size, threads)) > _LONG:
            raise RequestError(
                expected="a file that takes less than an hour",
                got=f"{size:,} bytes, about {seconds / 3600:,.1f} hours",
                do="compress a part, or say --yes",
            )
        report("starting", 1, 1)
        with source.open("rb") as opened, partial.open("wb") as target:
            done = run(loaded, opened, target, mixing=mixing, threads=threads, report=report)
    ratio = done.bytes_in / done.bytes_out
    output.document({**vars(done), "out": str(out), "bits_per_byte": 8 / ratio if done.bytes_in else None})
    output.print(f"{done.bytes_in:,} bytes to {done.bytes_out:,} ({ratio:.2f} times smaller): {out}", markup=False)


def decompress(
    source: _INPUT,
    out: _OUT,
    model: ModelOption = "smollm2-135m",
    threads: _THREADS = None,
    force: _FORCE = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Restore what `compress` made, byte for byte.

    A damaged file, another model or a machine that computes otherwise is refused before a byte is written.
    """
    output = Output(as_json)
    _readable(source)
    with output.progress() as report, new_file(out, force=force) as partial, source.open("rb") as opened:
        report("starting", 0, None)
        from wheatstone.compression import decompress as run
        from wheatstone.compression import open_checked
        from wheatstone.models import load_model

        open_checked(opened)  # what is no such file needs no model
        loaded = load_model(model, device=device, dtype=dtype, report=report)
        report("starting", 1, 1)
        with partial.open("wb") as target:
            size = run(loaded, opened, target, threads=threads, report=report)
    output.document({"bytes": size, "out": str(out)})
    output.print(f"{size:,} bytes restored: {out}", markup=False)


def bits(
    source: Annotated[str, typer.Argument(metavar="TEXT|FILE", help="A file; or a text, where no file is called so.")],
    model: ModelOption = "smollm2-135m",
    out: Annotated[Path | None, typer.Option("--out", help="Page to write: every token coloured by its bits.")] = None,
    force: _FORCE = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """What a text costs a model in bits, token by token, beside gzip, bzip2, xz, zstd and brotli."""
    if out is not None:
        check_new(out, force=force)
    output = Output(as_json)
    path = Path(source)
    data = path.read_bytes() if len(source) < 4096 and path.is_file() else source.encode()
    with output.progress() as report:
        report("starting", 0, None)
        from wheatstone.compression import bits as run
        from wheatstone.models import load_model

        loaded = load_model(model, device=device, dtype=dtype, report=report)
        report("starting", 1, 1)
        found = run(loaded, data, report=report)
    if out is not None:
        from wheatstone.figures import bits_page

        with new_file(out, force=force) as partial:
            page = bits_page(found, loaded.id, path.name if path.is_file() else source)
            partial.write_text(page, encoding="utf-8")
    output.document(found.to_dict())
    output.print(
        f"{found.total:,.1f} bits: {found.per_byte:.3f} a byte of {found.bytes:,}, "
        f"{found.total / max(1, len(found.tokens)):.2f} a token of {len(found.tokens):,}; "
        f"with the model's {found.weights / 1e6:,.0f} MB counted, {found.per_byte_with_weights:,.3f} a byte."
    )
    for name, size in found.beside.items():
        output.print(f"  {name:18} {size:>12,} bytes  {8 * size / max(1, found.bytes):.3f} bits a byte")
    if out is not None:
        output.print(f"Every token: {out}", markup=False)


def _readable(source: Path) -> None:
    if not source.is_file():
        raise RequestError(expected="a file to read", got=str(source), do="name a file that is there")
