"""Builds the bundled texts out of two source packages from PyPI.

    pip download --no-deps --no-binary :all: django==5.2 brotli==1.2.1
    python scripts/texts.py FOLDER_OF_THE_TWO_ARCHIVES

Brotli's test data holds four public-domain texts of the Canterbury corpus; Django (BSD-3-Clause) gives technical prose,
code, and one page of short sentences in each of many languages.
"""

from __future__ import annotations

import io
import json
import lzma
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

OUT = Path(__file__).parents[1] / "src/wheatstone/texts/data/texts.jsonl.xz"
BOOKS = {"alice29": "prose", "asyoulik": "drama", "lcet10": "proceedings", "plrabn12": "verse"}
LANGUAGES = (
    "ar bg ca cs da de el es et fa fi fr he hi hu id it ja ko lt lv nb nl "  # the folders of Django's translations
    "pl pt pt_BR ro ru sk sl sr sv tr uk vi zh_Hans"
)
LIMITS = {"docs": 1_300_000, "code": 600_000}
_MESSAGE = re.compile(r'^msgstr(?:\[\d\])? ((?:".*"\n?)+)', re.MULTILINE)


def members(archive: Path) -> dict[str, bytes]:
    """The files of a source archive by their path inside it."""
    with tarfile.open(archive) as opened:
        found = ((entry.name.split("/", 1)[-1], opened.extractfile(entry)) for entry in opened if entry.isfile())
        return {name: file.read() for name, file in found if file}


def books(files: dict[str, bytes]) -> Iterator[dict[str, str]]:
    """The Canterbury texts."""
    for name, kind in BOOKS.items():
        text = files[f"tests/testdata/{name}.txt"].decode("latin-1").replace("\r\n", "\n").rstrip("\x1a\0")
        yield {"name": f"books/{name}", "kind": kind, "language": "en", "licence": "public domain", "text": text}


def django(files: dict[str, bytes]) -> Iterator[dict[str, str]]:
    """Documentation, code and translations of Django."""
    wanted = (
        ("docs", r"docs/(topics|ref|howto|faq|intro)/.*\.txt", "docs"),
        ("code", r"django/(core|db|forms|http|template|utils|views)/.*\.py", "code"),
    )
    for kind, pattern, folder in wanted:
        size = 0
        for name in sorted(files):
            data = files[name]
            if re.fullmatch(pattern, name) and len(data) > 4000 and size < LIMITS[kind]:
                size += len(data)
                yield document(f"{folder}/{name}", kind, "en", data.decode())
    for language in LANGUAGES.split():
        catalogue = files[f"django/conf/locale/{language}/LC_MESSAGES/django.po"].decode()
        parts = (
            "".join(json.loads(line) for line in match[1].split("\n") if line) for match in _MESSAGE.finditer(catalogue)
        )
        lines = [line for line in (re.sub(r"%\(?\w*\)?[sd]", "…", part).strip() for part in parts) if len(line) > 20]
        yield document(f"languages/{language}", "messages", language.split("_")[0], "\n".join(lines[1:]))


def document(name: str, kind: str, language: str, text: str) -> dict[str, str]:
    """One of Django's."""
    return {"name": name, "kind": kind, "language": language, "licence": "BSD-3-Clause", "text": text}


def main() -> None:
    """Writes the file and says what is in it."""
    folder = Path(sys.argv[1])
    found = list(books(members(next(folder.glob("brotli-*.tar.gz")))))
    found += django(members(next(path for path in folder.glob("*.tar.gz") if path.name.lower().startswith("django-"))))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with lzma.open(buffer, "wt", preset=9 | lzma.PRESET_EXTREME, encoding="utf-8", newline="\n") as file:
        for row in found:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    OUT.write_bytes(buffer.getvalue())
    for kind in dict.fromkeys(row["kind"] for row in found):
        texts = [row["text"] for row in found if row["kind"] == kind]
        print(f"{kind:12} {len(texts):4} texts {sum(len(text.encode()) for text in texts):10,} bytes")
    print(
        f"{'in all':12} {len(found):4} texts {sum(len(row['text'].encode()) for row in found):10,} bytes; "
        f"{len(buffer.getvalue()):,} in the package"
    )


if __name__ == "__main__":
    main()
