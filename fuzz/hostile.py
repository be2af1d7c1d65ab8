"""Files as somebody who means harm, or a failing disk, would leave them; and every reader of ours that meets them.

A reader may return or raise a `WheatstoneError`. Anything else is a mistake of ours: that is what `attempt` lets pass
through, and what `tests/test_hostile_files.py` and `fuzz/fuzz_readers.py` look for.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from starlette.testclient import TestClient

from wheatstone import WheatstoneError
from wheatstone.circuits import Circuit, open_foreign
from wheatstone.circuits._interop import from_eap_json
from wheatstone.compression._container import Header, open_checked, read_blocks
from wheatstone.editing import damaged_edits, load_edit, open_ledger, open_sound, read_cases
from wheatstone.executors._resumable import open_resumable
from wheatstone.figures import RunData, claims_of, render_figure, report_html
from wheatstone.runs import damaged_files, export_run, import_run
from wheatstone.runs._catalogue import entry_of
from wheatstone.runs._folder import read_json, read_manifest, write_hashes
from wheatstone.studio import Library, create_app
from wheatstone.tasks import read_pairs
from wheatstone.tasks._relation import read_relation

VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**62,
    1e308,
    "",
    "\x1b[31m[/red]\n\u202e",
    "../../../etc/passwd",
    "a" * 5000,
    [],
    {},
    [[]],
    {"": {}},
]
_DEEP = 100_000


def mutate(data: bytes, random: Random) -> bytes:
    """The file with one to three changes: bits flipped, cut, inserted, repeated, nested, or a JSON value replaced."""
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        change = random.choice([_flip, _cut, _insert, _repeat, _end, _nest, *[_replace] * 6])
        data = change(data, random)
    return data


def _flip(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice([1, 4, 16])):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(data: bytes, random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + data[at + random.choice([1, 8, 100]) :]


def _end(data: bytes, random: Random) -> bytes:
    return data[: random.randint(0, len(data))]


def _insert(data: bytes, random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice([b"\0", b"\xff\xff\xff\x7f", b"NaN", b"1e999", b"\\ud800", b"[", b"}"]) + data[at:]


def _repeat(data: bytes, random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + data[max(0, at - 50) : at] * random.choice([1, 20]) + data[at:]


def _nest(data: bytes, random: Random) -> bytes:
    return random.choice([b"[" * _DEEP, b'{"a":' * _DEEP, b"[" * 900 + b"]" * 900])


def _replace(data: bytes, random: Random) -> bytes:
    """Another value, or none, somewhere in the document; what is no JSON is flipped."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return _flip(data, random)
    places = list(_places(document))
    if not places:
        return data
    parent, key = random.choice(places)
    if random.random() < 0.2:
        del parent[key]
    else:
        parent[key] = random.choice(VALUES)
    return json.dumps(document).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def attempt(read: Callable[[], object]) -> WheatstoneError | None:
    """Reads; gives the refusal, which must be one line and encodable, or None."""
    try:
        read()
    except WheatstoneError as error:
        return error
    return None


@dataclass(frozen=True)
class Reader:
    """Something that reads files.

    Args:
        name: what it is.
        files: that it reads, in the folder it is given.
        read: reads the folder.
    """

    name: str
    files: tuple[str, ...]
    read: Callable[[Path], object]


def command(*words: object) -> int:
    """Runs `wheatstone WORDS` in this process; checks exit code and that a refusal is one line.

    Raises:
        AssertionError: the code is not 0, 1 or 2, or a refusal is not one line.
    """
    from wheatstone.cli import main

    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["wheatstone", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stopped:
        code = int(stopped.code or 0)
        assert code in (0, 1, 2), code
        if code == 2:
            (line,) = err.getvalue().splitlines()
            if "--json" in words:
                assert json.loads(line)["format"] == "wheatstone.error/1", line
            else:
                assert line.startswith("wheatstone: expected "), line
        assert "\x1b" not in out.getvalue() + err.getvalue()
        out.getvalue().encode()
        err.getvalue().encode()
        return code
    finally:
        sys.argv = before
    return 0


def _tables(run: Path) -> None:
    data = RunData.load(run)
    for name in ("curve", "trace", "lens", "attention"):
        getattr(data, name)


def _studio(run: Path) -> None:
    app = create_app(Library((run.parent,), examples=run / "no"), built=run / "no")
    with TestClient(app, base_url="http://127.0.0.1:8765", raise_server_exceptions=True) as client:
        listed = client.get("/api/v1/runs")
        assert listed.status_code == 200, listed.text
        for found in listed.json()["runs"]:
            for path in ("", "/verifications", "/edges", "/circuit.json", "/tables/lens", "/tables/attribution_nodes"):
                answer = client.get(f"/api/v1/runs/{found['id']}{path}")
                assert answer.status_code in (200, 404, 422), (path, answer.status_code, answer.text)


def _eap(folder: Path) -> None:
    model = Circuit.load(folder / "sound.json").model
    from_eap_json((folder / "eap.json").read_text("utf-8", "replace"), model)


def _container(folder: Path) -> None:
    with (folder / "text.whst").open("rb") as source:
        open_checked(source)
        header = Header.read(source)
        for _ in read_blocks(source, header):
            pass


def _archive(folder: Path) -> None:
    for name in ("run.zip", "run.tar.zst"):
        import_run(folder / name, folder / f"out-{name}", force=True)


_JSON = ("manifest.json", "circuit.json", "verification.json", "held_out.json", "files.json", "explain/lens.json")
_PARQUET = ("edges.parquet", "curve.parquet", "lens.parquet", "explain/attribution_nodes.parquet")
_TASK = ("manifest.json", "circuit.json", "task.json", "held_out.json", "verification.json")
OF_A_RUN = (
    Reader("manifest", ("manifest.json",), read_manifest),
    Reader("catalogue", ("manifest.json", "circuit.json"), entry_of),
    Reader("circuit", ("circuit.json",), lambda run: Circuit.load(run / "circuit.json")),
    Reader("hashes", ("files.json",), damaged_files),
    Reader("tables", _PARQUET[1:3], _tables),
    Reader("claims", ("manifest.json", "explain/lens.json", _PARQUET[3]), lambda run: list(claims_of(run))),
    Reader("studio", (*_JSON, *_PARQUET), _studio),
    Reader("runs show", _JSON[:2], lambda run: command("runs", "show", run)),
    Reader("runs show --json", _JSON[:2], lambda run: command("runs", "show", run, "--json")),
    Reader("export graphml", _JSON[:2], lambda run: command("export", run, "--format", "graphml", "--force")),
    Reader("export eap-json", _JSON[:2], lambda run: command("export", run, "--format", "eap-json", "--force")),
)
DRAWING = (
    Reader("figure", _JSON[:3], lambda run: render_figure(run, "circuit", run.parent / "circuit.svg")),
    Reader("report", (*_JSON[:4], *_PARQUET[1:3]), report_html),
)
"""Slow: pictures are drawn."""
LOADING = (
    Reader("verify", ("manifest.json", "circuit.json"), lambda run: command("verify", run, "--draws", 1)),
    Reader("verify --task", _TASK, lambda run: command("verify", run, "--split", "train", "--draws", 1, "--json")),
    Reader("explain", (*_TASK[:3], "explain/lens.json"), lambda run: command("explain", run, "--only", "lens")),
)
"""These load the run's model, a run of a task."""


def _foreign(folder: Path) -> None:
    for name in ("eap.json", "sound.json"):
        open_foreign(folder / name)


def _ledger(folder: Path) -> None:
    """As it is, and without what is damaged."""
    place = folder / "ledger"
    reads = [lambda: damaged_edits(place), lambda: open_sound(place), lambda: open_ledger(place)]
    for refusal in [attempt(read) for read in reads]:
        if refusal is not None:
            raise refusal


def _pairs(folder: Path) -> None:
    """Each file, also where an earlier one is refused; the first refusal is what counts."""
    first: WheatstoneError | None = None
    for name in ("pairs.json", "pairs.jsonl", "pairs.csv", "run/task.json"):
        first = attempt(lambda name=name: read_pairs(folder / name)) or first
    if first is not None:
        raise first


OF_OTHERS = (
    Reader("edit", ("edit/edit.json", "edit/edit.safetensors"), lambda folder: load_edit(folder / "edit")),
    Reader("ledger", ("ledger/ledger.json", "ledger/edits/1/edit.json", "ledger/edits/1/edit.safetensors"), _ledger),
    Reader("relation", ("relation.json",), lambda folder: read_relation(folder / "relation.json")),
    Reader("cases", ("cases.json",), lambda folder: read_cases(folder / "cases.json")),
    Reader("eap-json", ("eap.json",), _eap),
    Reader("compressed", ("text.whst",), _container),
    Reader("archive", ("run.zip", "run.tar.zst"), _archive),
    Reader(
        "study settings",
        ("study/study-settings.json",),
        lambda folder: open_resumable(folder / "study", "study", {"settings": {"seed": 0}}),
    ),
    Reader("import", ("eap.json", "sound.json"), _foreign),
    Reader("pairs", ("pairs.json", "pairs.jsonl", "pairs.csv", "run/task.json"), _pairs),
    Reader("task", ("run/task.json",), lambda folder: read_json(folder / "run", "task.json")),
)


def spoil(folder: Path, reader: Reader, random: Random, *, rehash: bool = True) -> dict[Path, bytes]:
    """Spoils one of a reader's files; gives what it was, for `mend`.

    A mutation whose hash is noted anew gets past what only looks at hashes.
    """
    hashes = folder / "files.json"
    paths = {*(folder / name for name in reader.files), *([hashes] if hashes.is_file() else [])}
    before = {path: path.read_bytes() for path in paths}
    path = folder / random.choice(reader.files)
    path.write_bytes(_resealed(path, mutate(before[path], random)))
    if rehash and hashes in paths and path != hashes:
        write_hashes(folder)
    return before


def mend(before: dict[Path, bytes]) -> None:
    """Puts the files back."""
    for path, data in before.items():
        path.write_bytes(data)


def _resealed(path: Path, data: bytes) -> bytes:
    """A compressed file with a checksum that is right again, an edit's arrays named by its JSON."""
    from hashlib import sha256

    if path.suffix == ".whst":
        return data[:-32] + sha256(data[:-32]).digest()
    if path.suffix == ".safetensors":
        about = path.with_suffix(".json")
        document = json.loads(about.read_text())
        about.write_text(json.dumps(document | {"tensors": sha256(data).hexdigest()}))
    return data


def make_others(folder: Path, run: Path) -> None:
    """A sound file of every other format, to be spoiled.

    Args:
        folder: to make them in.
        run: a finished run with a task.
    """
    import shutil

    import torch

    from wheatstone.circuits import to_eap_json
    from wheatstone.compression._container import CODED, STORED, Block, Chunking, Writer
    from wheatstone.editing import Edit, EditRequest, Ledger, LedgerEntry, save_edit, save_ledger
    from wheatstone.editing._delta import LowRank
    from wheatstone.runs._folder import write_json

    shutil.copytree(run, folder / "run")
    for name in ("run.zip", "run.tar.zst"):
        export_run(run, folder / name)
    circuit = Circuit.load(run / "circuit.json")
    circuit.save(folder / "sound.json")
    (folder / "eap.json").write_text(to_eap_json(circuit, d_model=576))
    (folder / "study").mkdir()
    write_json(folder / "study" / "study-settings.json", {"settings": {"seed": 0}})
    relation = {"name": "capital", "kind": "fact", "templates": ["{subject} is"]}
    facts = [{"subject": name, "answers": [f" {name}ia"]} for name in "ABCD"]
    write_json(folder / "relation.json", relation | {"facts": facts})
    pairs = [
        {"prompt": f"a {at}", "counterfactual": f"b {at}", "answers": ["c"], "distractors": ["d"]} for at in range(4)
    ]
    write_json(folder / "pairs.json", pairs)
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    rows = [";".join(map(str, pair.values())) for pair in pairs]
    (folder / "pairs.csv").write_text("\n".join(["prompt;counterfactual;answers;distractors", *rows]))
    rewrite = {"prompt": "{} is", "subject": "A", "target_new": {"str": "b"}, "target_true": {"str": "c"}}
    write_json(folder / "cases.json", [{"requested_rewrite": rewrite, "paraphrase_prompts": ["A, which is"]}])
    edit = Edit(
        method="rome",
        requests=(EditRequest(prompt="A is", subject="A", target="b", truth="c"),),
        settings={},
        model_id="tiny",
        model_sha256="0" * 64,
        before={"w": "0" * 64},
        deltas={"w": LowRank(torch.ones(4, 1), torch.ones(3, 1))},
        keys={},
        notes=(),
    )
    save_edit(edit, folder / "edit")
    hashes = {"w": "0" * 64}
    ledger = Ledger(model_id="tiny", model_sha256="0" * 64, precision="float32", base=hashes, weights=hashes)
    save_ledger(replace(ledger, entries=(LedgerEntry(1, edit),), next_number=2), folder / "ledger")
    with (folder / "text.whst").open("wb") as out:
        writer = Writer(out, Header(Chunking(), True, "0" * 64, bytes(8), "tiny", 0, rounded=True))
        writer.put(Block(STORED, 3, 0, 0, (b"abc",)))
        writer.put(Block(CODED, 9, 0, 9, (b"abcd", b"efgh"), 2))
        writer.close()
