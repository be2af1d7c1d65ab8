"""The pages of all heads of SmolLM2-135M-Instruct (Q4_1) over bundled text: what they cost, and a killed scan's bytes.

    python benchmarks/head_pages.py [--kilobytes 1000] [--layers 0-29] [--write]

Takes the first kilobytes of the bundled texts, and runs `wheatstone head scan` and `wheatstone head pages` on them as
commands. Then both once more, each killed with SIGKILL after about half of the time it took, and started again: the
scan's numbers and examples, what was read for the pages, and the pages must be the same bytes. Only the first passes
are timed. `--layers` measures a part of the model.
`--write` puts the table into docs/results/attention.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wheatstone._home import home
from wheatstone.texts import bundled_texts

PAGE = Path(__file__).parent.parent / "docs" / "results" / "attention.md"
TITLE = "## The pages of all heads"
GOAL = 20 * 60
COMMAND = [sys.executable, "-c", "from wheatstone.cli import main; raise SystemExit(main())", "head"]


def texts(folder: Path, kilobytes: int) -> list[str]:
    """The first bundled texts as files."""
    left, files = kilobytes * 1000, list[str]()
    for number, document in enumerate(bundled_texts()):
        text = document.text.encode()[:left].decode(errors="ignore")
        if not text:
            break
        left -= len(text.encode())
        path = folder / f"{number:04}.txt"
        path.write_text(text, encoding="utf-8")
        files.append(str(path))
    return files


def own_home(folder: Path) -> Path:
    """A home with the user's models and no listed runs: a page names the circuits that are listed as it is written."""
    folder.mkdir()
    (folder / "models").symlink_to(home() / "models")
    return folder


def timed(words: list[str]) -> float:
    """Runs a command; seconds on the clock."""
    begun = time.perf_counter()
    subprocess.run([*COMMAND, *words], check=True, stdout=subprocess.DEVNULL)
    clock = time.perf_counter() - begun
    print(f"head {words[0]}: {clock:,.0f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    return clock


def killed_and_continued(words: list[str], after: float) -> None:
    """Kills a command and all its processes after some seconds, and runs it again."""
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(after)
        raise SystemExit(f"`head {words[0]}` ended before it was killed; give more --kilobytes")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([*COMMAND, *words], check=True, stdout=subprocess.DEVNULL)


def same(left: Path, right: Path, patterns: list[str]) -> int:
    """How many files of two folders match the patterns; all must be the same bytes."""
    names = sorted(path.relative_to(left) for pattern in patterns for path in left.glob(pattern))
    assert names == sorted(path.relative_to(right) for pattern in patterns for path in right.glob(pattern))
    for name in names:
        if (left / name).read_bytes() != (right / name).read_bytes():
            raise SystemExit(f"{name} has other bytes after a kill")
    return len(names)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kilobytes", type=int, default=1000, help="of bundled text")
    parser.add_argument("--layers", default="0-29", help="layers whose heads get a page")
    parser.add_argument("--write", action="store_true", help="write docs/results/attention.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["WHEATSTONE_HOME"] = str(own_home(folder / "home"))
        (folder / "texts").mkdir()
        files = texts(folder / "texts", options.kilobytes)

        def scan(out: str) -> list[str]:
            return ["scan", *files, "--layers", options.layers, "--out", str(folder / out)]

        def pages(out: str) -> list[str]:
            return ["pages", "--scan", str(folder / "heads"), "--out", str(folder / out), "--executor", "processes"]

        times = {"scan": timed(scan("heads")), "pages": timed(pages("pages"))}
        killed_and_continued(scan("heads-killed"), times["scan"] / 2)
        killed_and_continued(pages("pages-killed"), times["pages"] / 2)
        numbers = ["heads.safetensors", "head_examples.parquet", "windows/*", "documents/*"]
        files_same = same(folder / "heads", folder / "heads-killed", numbers)
        files_same += same(folder / "pages", folder / "pages-killed", ["*.html", "places/*/places.json"])
        heads = len(list((folder / "pages").glob("a*.html")))
    section = "\n".join(
        [
            TITLE,
            "",
            f"Made by `python benchmarks/head_pages.py --write`: {heads} heads over {options.kilobytes:,} kB of "
            f"bundled text, {os.cpu_count()} cores, as commands, loading the model included. Both commands once more, "
            f"killed halfway and started again: {files_same:,} files with the same bytes.",
            "",
            "| command | seconds | goal |",
            "|---|---|---|",
            *(f"| `head {name}` | {seconds:,.0f} | |" for name, seconds in times.items()),
            f"| both | {sum(times.values()):,.0f} | {GOAL:,} |",
        ]
    )
    print(section)
    if options.write:
        before = PAGE.read_text(encoding="utf-8").partition(f"\n{TITLE}")[0].rstrip()
        PAGE.write_text(f"{before}\n\n{section}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
