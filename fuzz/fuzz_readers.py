"""Spoils real files for as long as asked, and reports what a reader did with them but return or refuse.

    python fuzz/fuzz_readers.py [--seconds 60] [--seed 0] [--only edit …] [--drawing] [--loading]
    python fuzz/fuzz_readers.py --atheris -- [libFuzzer options, such as -max_total_time=60]

The first mutates one file of a finished run, or of another format, at random. `--atheris` lets libFuzzer draw the bytes
(PyPI `atheris`, Linux, not among the development dependencies) for the readers that are plain Python and take bytes:
JSON, circuits, compressed files and archives; these are not instrumented, so that coverage does not lead it. Exit code
1 if anything was found; the seed of each find is printed, and `--seed N --seconds 0` does it again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random

from hostile import DRAWING, LOADING, OF_A_RUN, OF_OTHERS, Reader, attempt, make_others, mend, spoil

from wheatstone._home import home
from wheatstone.studio._library import EXAMPLES

SLOW = 10.0
"""Seconds that a reader may take."""


def blind(readers: list[tuple[Reader, Path]], seconds: float, seed: int) -> int:
    """Spoils and reads; gives how many finds there were."""
    finds, tried, started = 0, 0, time.monotonic()
    while not tried or time.monotonic() - started < seconds:
        random = Random(seed + tried)
        reader, folder = random.choice(readers)
        before = spoil(folder, reader, random, rehash=random.random() < 0.9)
        begun = time.monotonic()
        try:
            attempt(lambda reader=reader, folder=folder: reader.read(folder))
        except Exception:  # every kind is a find
            finds += 1
            print(f"--seed {seed + tried}: {reader.name}\n{traceback.format_exc(limit=-4)}", flush=True)
        finally:
            mend(before)
        if (took := time.monotonic() - begun) > SLOW:
            finds += 1
            print(f"--seed {seed + tried}: {reader.name} took {took:.0f} s", flush=True)
        tried += 1
    print(f"{tried:,} files tried in {time.monotonic() - started:.0f} s, {finds} finds")
    return finds


def led(folder: Path, options: list[str]) -> None:
    """Lets atheris lead; does not return."""
    import atheris  # pyright: ignore[reportMissingImports]

    with atheris.instrument_imports(include=["wheatstone", "zipfile", "tarfile", "json"]):
        from wheatstone._json import parse_json
        from wheatstone.circuits import Circuit
        from wheatstone.runs import import_run

    chosen = {reader.name: reader for reader in OF_OTHERS}

    def one(data: bytes) -> None:
        kind, data = data[:1], data[1:]
        if kind < b"\x40":
            try:
                parse_json(data)
            except ValueError:
                return
        elif kind < b"\x80":
            (folder / "circuit.json").write_bytes(data)
            attempt(lambda: Circuit.load(folder / "circuit.json"))
        elif kind < b"\xc0":
            (folder / "text.whst").write_bytes(data)
            attempt(lambda: chosen["compressed"].read(folder))
        else:
            name = "run.zip" if kind < b"\xe0" else "run.tar.zst"
            (folder / name).write_bytes(data)
            attempt(lambda: import_run(folder / name, folder / "out", force=True))

    corpus = folder / "corpus"
    corpus.mkdir()
    kinds = {b"\0": "run/manifest.json", b"\x40": "run/circuit.json", b"\x80": "text.whst"}
    kinds |= {b"\xc0": "run.zip", b"\xe0": "run.tar.zst"}
    for at, (kind, path) in enumerate(kinds.items()):
        (corpus / str(at)).write_bytes(kind + (folder / path).read_bytes())
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


def main() -> None:
    """Runs one of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of readers")
    parser.add_argument("--drawing", action="store_true", help="also the readers that draw, which are slow")
    parser.add_argument("--loading", action="store_true", help="also those that load the run's model, SmolLM2-135M")
    parser.add_argument("--atheris", action="store_true")
    parser.add_argument("options", nargs="*", help="of libFuzzer")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        own = Path(work) / "home"
        own.mkdir()
        if asked.loading:
            (own / "models").symlink_to(home() / "models")
        os.environ["WHEATSTONE_HOME"] = str(own)
        run, others = Path(work) / "runs" / "run", Path(work) / "others"
        shutil.copytree(EXAMPLES / "a-fact", run)
        others.mkdir()
        make_others(others, EXAMPLES / "a-or-an")
        if asked.atheris:
            led(others, asked.options)
        of_run = [*OF_A_RUN, *(DRAWING if asked.drawing else ())]
        readers = [*((reader, run) for reader in of_run), *((reader, others) for reader in OF_OTHERS)]
        readers += [(reader, others / "run") for reader in LOADING if asked.loading]
        wanted = [(reader, folder) for reader, folder in readers if not asked.only or reader.name in asked.only]
        sys.exit(bool(blind(wanted, asked.seconds, asked.seed)))


if __name__ == "__main__":
    main()
