"""`wheatstone compress`, `decompress` and `bits`: a model as a lossless compressor, and what a text costs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from wheatstone._bounds import WORKERS
from wheatstone._errors import RequestError
from wheatstone._json import read_bounded
from wheatstone._path import expanded, is_file
from wheatstone.cli._loading import load
from wheatstone.cli._new_file import new_file, reserved_file
from wheatstone.cli._options import DeviceOption, DtypeOption, ModelOption, number
from wheatstone.cli._output import JsonOption, Output

_LONG = 3600.0
_LARGEST = 10_000_000
"""Bytes of a text for `bits`: two days of one core."""
_SURELY_SHORT = 100_000
"""Bytes that take less than that even at 7 tokens a second, so that nothing need be run to tell."""
_INPUT = Annotated[Path, typer.Argument(metavar="IN", help="The file.", show_default=False)]
_OUT = Annotated[Path, typer.Option("--out", help="File to write.", metavar="FILE", show_default=False)]
_FORCE = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
_THREADS = Annotated[
    int | None,
    number("--threads", WORKERS, "Parts worked on at once; all cores by default. Changes no byte."),
]


def compress(
    source: _INPUT,
    out: _OUT,
    model: ModelOption = "smollm2-135m",
    mixing: Annotated[
        bool, typer.Option("--mixing/--no-mixing", help="Mix in what the text itself has shown so far: smaller.")
    ] = True,
    threads: _THREADS = None,
    yes: Annotated[bool, typer.Option("--yes", help="Go on where it will take more than an hour.")] = False,
    force: _FORCE = False,
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
    with output.starting() as report, new_file(out, force=force) as partial:
        from wheatstone.compression import compress as run
        from wheatstone.compression import estimate_seconds

        loaded = load(model, device, dtype, report)
        size = source.stat().st_size
        if not yes and size > _SURELY_SHORT and (seconds := estimate_seconds(loaded, size, threads)) > _LONG:
            raise RequestError(
                expected="a file that takes less than an hour",
                got=f"{size:,} bytes, about {seconds / 3600:,.1f} hours",
                do="compress a part, or say --yes",
            )
        with source.open("rb") as opened, partial.open("wb") as target:
            done = run(loaded, opened, target, mixing=mixing, threads=threads, report=report)
    ratio = done.bytes_in / done.bytes_out
    output.document({**vars(done), "out": str(out), "bits_per_byte": 8 / ratio if done.bytes_in else None})
    gain = f"{ratio:.2f} times smaller" if ratio > 1 else "no smaller: too short, or nothing that the model foresees"
    output.print(f"{done.bytes_in:,} bytes to {done.bytes_out:,} ({gain}): {out}", markup=False)


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


def bits(
    source: Annotated[str, typer.Argument(metavar="TEXT|FILE", help="A file; or a text, where no file is called so.")],
    model: ModelOption = "smollm2-135m",
    out: Annotated[Path | None, typer.Option("--out", help="Page to write: every token coloured by its bits.")] = None,
    ablate: Annotated[
        Path | None,
        typer.Option("--ablate", help="Run, or circuit.json: what its circuit is worth on each token.", metavar="RUN"),
    ] = None,
    counterfactual: Annotated[
        str | None,
        typer.Option(
            "--counterfactual",
            help="With --ablate, a text of as many tokens; ablated edges carry what nodes write there. By default that "
            "of the circuit's own prompt where the text goes on from it, or else their mean over the text's tokens "
            "after the first.",
        ),
    ] = None,
    as_text: Annotated[
        bool, typer.Option("--text", help="Read the argument as a text, also where it looks like the name of a file.")
    ] = False,
    force: _FORCE = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """What a text costs a model in bits, token by token, beside gzip, bzip2, xz, zstd and brotli.

    With --ablate: what each token costs with a circuit's edges ablated, and with all others ablated, next to the model
    intact. The difference is what the circuit is worth; compare it with that of the control circuits, the same wiring
    between other heads.
    """
    if counterfactual is not None and ablate is None:
        raise RequestError(expected="--ablate RUN with --counterfactual", got="none", do="name a run")
    output = Output("bits", as_json)
    path = Path(source) if as_text else expanded(source)
    from_file = not as_text and is_file(path)
    if not from_file and not as_text and _like_a_path(source):
        raise RequestError(
            expected="a text or a file",
            got=f"the folder {source}" if os.path.isdir(path) else f"{source[:200]}, which is not there",
            do="check the path, or add --text if it is a text",
        )
    data = _text_in(path) if from_file else os.fsencode(source)
    name = path.name if from_file else source
    with reserved_file(out, force=force):
        if ablate is None:
            _print_bits(output, data, model, out, name, force, device, dtype)
        else:
            text = data.decode("utf-8", "replace")
            _print_worth(output, ablate, text, counterfactual, model, out, name, force, device, dtype)


def _print_bits(
    output: Output, data: bytes, model: str, out: Path | None, name: str, force: bool, device: str, dtype: str
) -> None:
    """`bits` of a text alone."""
    with output.starting() as report:
        from wheatstone.checkpoints import shown_name
        from wheatstone.compression import bits as run

        loaded = load(model, device, dtype, report)
        found = run(loaded, data, report=report)
    output.document(found.to_dict())
    output.print(
        f"{found.total:,.1f} bits: {found.per_byte:.3f} a byte of {found.bytes:,}, "
        f"{found.total / max(1, len(found.tokens)):.2f} a token of {len(found.tokens):,}; "
        f"with the model's {found.weights / 1e6:,.0f} MB counted, {found.per_byte_with_weights:,.3f} a byte."
    )
    output.print(f"The text begins after the start token {found.start_text!r}, and so does every window.", markup=False)
    if found.escaped:
        output.print(f"{found.escaped:,} bytes are coded one by one: the tokenizer does not give them back.")
    for coder, size in found.beside.items():
        output.print(f"  {coder:18} {size:>12,} bytes  {8 * size / max(1, found.bytes):.3f} bits a byte")
    if out is not None:  # last: the numbers are there even where the page cannot be written
        from wheatstone.figures import bits_page

        with new_file(out, force=force) as partial:
            shown = shown_name({"id": loaded.id, "title": loaded.title})
            partial.write_text(bits_page(found, shown, name), encoding="utf-8")
        output.print(f"Every token: {out}", markup=False)


def _print_worth(
    output: Output,
    ablate: Path,
    text: str,
    counterfactual: str | None,
    model: str,
    out: Path | None,
    name: str,
    force: bool,
    device: str,
    dtype: str,
) -> None:
    """`bits --ablate`."""
    with output.starting() as report:
        from wheatstone.checkpoints import shown_name
        from wheatstone.circuits import Circuit, same_weights
        from wheatstone.compression import circuit_bits

        circuit = Circuit.load(ablate)
        loaded = load(model, device, dtype, report)
        same_weights(loaded, circuit)
        found = circuit_bits(loaded, circuit, text, counterfactual=counterfactual)
    output.document({"edges": len(circuit), **found.to_dict()})
    output.print(f"{'intact':>8} {'ablated':>8} {'alone':>8} {'worth':>8}  token")
    output.print(" ".join(["       -"] * 4) + f"  {found.first!r}", markup=False)
    for token, *bits in zip(found.tokens, found.intact, found.ablated, found.alone, found.worth, strict=True):
        output.print(" ".join(f"{value:z8.2f}" for value in bits) + f"  {token!r}", markup=False)
    output.print(
        f"{len(circuit)} edges ({found.ablation} ablation) are worth {sum(found.worth):,.1f} bits of this text: "
        f"{sum(found.ablated):,.1f} without them, {sum(found.intact):,.1f} with.",
        markup=False,
    )
    output.print(found.compared, markup=False)
    if out is not None:
        from wheatstone.figures import circuit_bits_page

        with new_file(out, force=force) as partial:
            shown = shown_name({"id": loaded.id, "title": loaded.title})
            partial.write_text(circuit_bits_page(found, len(circuit), shown, name), encoding="utf-8")
        output.print(f"Every token: {out}", markup=False)


def _text_in(path: Path) -> bytes:
    try:
        return read_bounded(path, _LARGEST)
    except ValueError as error:
        raise RequestError(
            expected=f"a text of at most {_LARGEST / 1e6:.0f} MB", got=str(path), do="take a part of it"
        ) from error


def _like_a_path(source: str) -> bool:
    """Whether a text may be meant as a file's name: one word with a folder or an ending."""
    return len(source) < 4096 and source.split() == [source] and bool("/" in source or Path(source).suffix)


def _readable(source: Path) -> None:
    if not source.is_file():
        what = "which is a folder" if source.is_dir() else "which is not there"
        raise RequestError(expected="a file to read", got=f"{source}, {what}", do="check the path")
