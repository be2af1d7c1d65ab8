"""A run as one archive: out and back, the same bytes, and nothing that an archive could do besides."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from test_catalogue import make_run

from wheatstone import RunError
from wheatstone.runs import add_text, damaged_files, export_run, import_run

ENDINGS = [".tar.zst", ".zip"]


@pytest.fixture(autouse=True)
def small_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an archive may unpack to whatever its size, a 64th of what it is."""
    monkeypatch.setattr("wheatstone.runs._archive._FREE", 1 << 20)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_of_several(folder: Path) -> Path:
    run = make_run(folder)
    (run / "pairs" / "ünï").mkdir(parents=True)
    add_text(run, "pairs/ünï/notes.txt", "x" * 1000)
    add_text(run, "pairs/ünï/files.json", "{}")
    return run


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_run_goes_out_and_comes_back_the_same(tmp_path: Path, ending: str) -> None:
    run = run_of_several(tmp_path / "run")
    (run / ".left.partial").write_text("of a killed process")
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    export_run(run, first)
    import_run(first, tmp_path / "deep" / "run")
    (run / ".left.partial").unlink()
    assert files(tmp_path / "deep" / "run") == files(run)
    export_run(tmp_path / "deep" / "run", second)
    assert first.read_bytes() == second.read_bytes()


def test_what_people_unpack_by_hand_is_a_folder_of_the_run_s_name(tmp_path: Path) -> None:
    export_run(run_of_several(tmp_path / "france"), tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"france"}


def test_a_damaged_run_is_not_exported(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "circuit.json").write_text("{}")
    with pytest.raises(RunError, match=r"where circuit\.json is damaged"):
        export_run(run, tmp_path / "run.zip")


def test_a_run_with_a_link_is_not_exported(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "link").symlink_to(tmp_path)
    with pytest.raises(RunError, match="which is a link"):
        export_run(run, tmp_path / "run.zip")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_taken_folder_is_left_alone_unless_it_is_to_be_replaced(tmp_path: Path, ending: str) -> None:
    run, other = make_run(tmp_path / "run"), make_run(tmp_path / "other", edges=3)
    export_run(run, tmp_path / f"run{ending}")
    with pytest.raises(RunError, match="already holds a run"):
        import_run(tmp_path / f"run{ending}", other)
    import_run(tmp_path / f"run{ending}", other, force=True)
    assert files(other) == files(run)


def test_another_ending_and_no_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"ending in \.tar\.zst or \.zip"):
        import_run(tmp_path / "run.tar.gz", tmp_path / "out")
    with pytest.raises(RunError, match="no file"):
        import_run(tmp_path / "run.zip", tmp_path / "out")


def sound_files(tmp_path: Path) -> dict[str, bytes]:
    return {f"run/{name}": data for name, data in files(make_run(tmp_path / "sound")).items()}


def packed(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for header, data in members:
            tar.addfile(header, io.BytesIO(data))
    return zstandard.compress(plain.getvalue())


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.type, header.linkname, header.size = kind, link, len(data)
    return header, data


HOSTILE: dict[str, list[tuple[tarfile.TarInfo, bytes]]] = {
    "climbs": [member("run/../../evil", b"x")],
    "absolute": [member("/tmp/evil", b"x")],
    "drive": [member("run/C:evil", b"x")],
    "backslash": [member("run/..\\evil", b"x")],
    "hidden": [member("run/.ssh/authorized_keys", b"x")],
    "link": [member("run/link", kind=tarfile.SYMTYPE, link="/etc/passwd")],
    "link and through it": [member("run/a", kind=tarfile.SYMTYPE, link="/tmp"), member("run/a/evil", b"x")],
    "hard link": [member("run/link", kind=tarfile.LNKTYPE, link="/etc/passwd")],
    "device": [member("run/zero", kind=tarfile.CHRTYPE)],
    "pipe": [member("run/pipe", kind=tarfile.FIFOTYPE)],
    "sparse": [member("run/sparse", kind=tarfile.GNUTYPE_SPARSE)],
    "pax": [member("run/pax", b"19 size=-1000000000\n", kind=tarfile.XHDTYPE)],
    "a second folder": [member("other/file", b"x")],
    "no folder": [member("file", b"x")],
    "twice": [member("run/manifest.json", b"{}")],
    "below a file": [member("run/manifest.json/x", b"{}")],
    "bomb": [member("run/bomb", bytes(3 << 20))],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_tar_is_refused_and_nothing_is_written(tmp_path: Path, what: str) -> None:
    sound = [member(name, data) for name, data in sound_files(tmp_path).items()]
    archive = tmp_path / "run.tar.zst"
    archive.write_bytes(packed(sound))
    import_run(archive, tmp_path / "out" / "sound")  # without the hostile member it is good
    archive.write_bytes(packed([*sound, *HOSTILE[what]]))
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(RunError, match="an archive that `wheatstone runs export` made"):
        import_run(archive, tmp_path / "out" / "hostile")
    assert sorted(path for path in tmp_path.rglob("*")) == before


def _link(archive: zipfile.ZipFile) -> None:
    header = zipfile.ZipInfo("run/link")
    header.external_attr = 0o120777 << 16
    archive.writestr(header, "/etc/passwd")


ZIPS: dict[str, Callable[[zipfile.ZipFile], None]] = {
    "climbs": lambda archive: archive.writestr("run/../../evil", "x"),
    "absolute": lambda archive: archive.writestr("/evil", "x"),
    "link": _link,
    "bomb": lambda archive: archive.writestr("run/bomb", bytes(3 << 20), zipfile.ZIP_DEFLATED),
    "another compression": lambda archive: archive.writestr("run/x", "x", zipfile.ZIP_BZIP2),
}


@pytest.mark.parametrize("what", ZIPS)
def test_a_hostile_zip_is_refused_and_nothing_is_written(tmp_path: Path, what: str) -> None:
    sound, archive = sound_files(tmp_path), tmp_path / "run.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for name, data in sound.items():
            opened.writestr(name, data)
    import_run(archive, tmp_path / "out" / "sound")
    with zipfile.ZipFile(archive, "a") as opened:
        ZIPS[what](opened)
    with pytest.raises(RunError, match="an archive that `wheatstone runs export` made"):
        import_run(archive, tmp_path / "out" / "hostile")
    assert not (tmp_path / "out" / "hostile").exists()


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "run.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("run/bomb", bytes(3 << 20))
    data = archive.read_bytes()
    real, lie = struct.pack("<I", 3 << 20), struct.pack("<I", 10)
    assert data.count(real) == 2
    archive.write_bytes(data.replace(real, lie))
    with pytest.raises(RunError, match=r"Bad CRC|unpacks to far more"):
        import_run(archive, tmp_path / "out")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_changed_file_in_it_is_found(tmp_path: Path, ending: str) -> None:
    sound = sound_files(tmp_path) | {"run/circuit.json": b'{"evaluation": {"edges": 1}}'}
    archive = tmp_path / f"run{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(archive, "w") as opened:
            for name, data in sound.items():
                opened.writestr(name, data)
    else:
        archive.write_bytes(packed([member(name, data) for name, data in sound.items()]))
    with pytest.raises(RunError, match=r"circuit\.json damaged or missing in it"):
        import_run(archive, tmp_path / "out")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_cut_or_flipped_archive_is_refused(tmp_path: Path, ending: str) -> None:
    archive = tmp_path / f"run{ending}"
    export_run(run_of_several(tmp_path / "run"), archive)
    data = archive.read_bytes()
    broken = [data[:at] for at in range(0, len(data) - 1, 37)]
    # A zip's dates and attributes are covered by no checksum, and what they say is not used.
    broken += [data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :] for at in range(0, len(data), 37)]
    for number, changed in enumerate(broken):
        archive.write_bytes(changed)
        out = tmp_path / "out" / str(number)
        try:
            import_run(archive, out)
        except RunError:
            assert not out.exists()
        else:
            assert damaged_files(out) == []
            assert files(out) == files(tmp_path / "run")


def test_names_that_refer_to_names_do_not_exhaust_the_stack(tmp_path: Path) -> None:
    archive = tmp_path / "run.tar.zst"
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 5
    block = header.tobuf(tarfile.GNU_FORMAT) + b"run/x".ljust(512, b"\0")
    archive.write_bytes(zstandard.compress(block * 5000))
    with pytest.raises(RunError, match="an archive that"):
        import_run(archive, tmp_path / "out")


def test_a_manifest_of_another_kind_is_refused_whole(tmp_path: Path) -> None:
    archive = tmp_path / "run.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("run/manifest.json", json.dumps({"format": "wheatstone.run/9"}))
        opened.writestr("run/files.json", "{}")
    with pytest.raises(RunError, match="a run of format"):
        import_run(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_without_a_name_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError) as refused:
        import_run("/", tmp_path / "out")
    assert refused.value.got == "/"
