"""The JSON documents of a run are checked in one place, and a damaged one is refused before any work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wheatstone import RunError
from wheatstone._bounds import Bounds
from wheatstone._parquet import parquet_writer, write_parquet
from wheatstone.figures import RunData, report_html
from wheatstone.runs import Run, damaged_files, write_hashes
from wheatstone.runs._documents import SHAPES, Each, check_document
from wheatstone.runs._folder import read_json, read_sound_manifest
from wheatstone.studio._detail import verifications
from wheatstone.studio._library import EXAMPLES

WRONG: dict[str, tuple[str, Any]] = {
    "a word for a number": ("faithfulness", "0.9"),
    "a truth value for a number": ("completeness", True),
    "a huge number": ("kl", {"model": 1e300, "circuit": 0, "complement": 0, "random": 0, "empty": 0}),
    "a huge count": ("n", 10**15),
    "a negative count": ("random_draws", -1),
    "a list for a record": ("metric_value", []),
    "a condition that is missing": ("hit_at_1", {"model": 1.0}),
    "prompts that are not records": ("prompts", ["The"]),
    "an interval of words": ("ci95", {"faithfulness": ["a", "b"]}),
    "nothing": ("hit_at_10", None),
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return shutil.copytree(EXAMPLES / "a-or-an", tmp_path / "run")


def spoil(run: Path, name: str, field: str, value: Any) -> None:
    document = json.loads((run / name).read_text())
    record = document[0] if isinstance(document, list) else document
    record[field] = value
    (run / name).write_text(json.dumps(document))
    write_hashes(run)


@pytest.mark.parametrize("example", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_what_wheatstone_wrote_passes(example: Path) -> None:
    document = {"discover": "circuit.json", "graph": "graph.json"}[read_sound_manifest(example)["verb"]]
    assert damaged_files(example) == []
    check_document(example, document, json.loads((example / document).read_text()))


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("name", ["verification.json", "held_out.json"])
def test_a_field_is_named_by_whatever_reads_it(run: Path, name: str, kind: str) -> None:
    field, value = WRONG[kind]
    spoil(run, name, field, value)
    readers = [read_json, lambda run, _: verifications(Run.open(run)), lambda run, _: read_sound_manifest(run)]
    readers += [lambda run, _: RunData.load(run).held_out, lambda run, _: report_html(run)]
    for reader in readers:
        with pytest.raises(
            RunError, match=rf"expected a {name} as Wheatstone writes it; got .*{field}.* is not; check"
        ):
            reader(run, name)
    assert damaged_files(run) == [name]


@pytest.mark.parametrize("name", ["edges", "total_edges", "faithfulness"])
@pytest.mark.parametrize("value", ["5", 1e300, True, [], {}])
def test_the_numbers_of_a_circuit_that_are_listed(run: Path, name: str, value: Any) -> None:
    circuit = json.loads((run / "circuit.json").read_text())
    spoil(run, "circuit.json", "evaluation", circuit["evaluation"] | {name: value})
    with pytest.raises(RunError, match=rf"evaluation\.{name}"):
        read_json(run, "circuit.json")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


def sound(shape: Any) -> Any:
    """A value of a shape."""
    match shape:
        case Bounds():
            return int(shape.least)
        case tuple():
            return sound(shape[-1])
        case dict():
            return {name.removesuffix("?"): sound(inner) for name, inner in shape.items()}
        case Each():
            return {"any": sound(shape.shape)}
        case [inner]:
            return [sound(inner)]
        case _:
            return shape()


@pytest.mark.parametrize("name", SHAPES)
@given(data=st.data())
@settings(max_examples=30)
def test_a_shape_takes_what_has_it_and_names_what_has_not(name: str, data: st.DataObject) -> None:
    document = sound(SHAPES[name])
    check_document(Path("run"), name, document)
    record = document[0] if isinstance(document, list) else document
    if record:
        record[data.draw(st.sampled_from(sorted(record)))] = data.draw(ANY)
        try:
            check_document(Path("run"), name, document)
        except RunError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most are refused, some are of the shape


def test_a_card_that_a_link_leads_to_is_not_of_the_run(run: Path, tmp_path: Path) -> None:
    assert set(Run.open(run).decisions().values()) == {"in", "out", "undecided"}
    table = run / "card" / "edges.parquet"
    table.rename(tmp_path / "outside.parquet")
    table.symlink_to(tmp_path / "outside.parquet")
    with pytest.raises(RunError, match="a link out of it"):
        Run.open(run).decisions()


def test_a_table_is_parquet_by_any_name(tmp_path: Path) -> None:
    """Arrow compresses a whole stream by the ending of its name."""
    path = tmp_path / "run.gz"
    write_parquet(pa.table({"x": [1]}), path)
    assert pq.read_table(path).to_pydict() == {"x": [1]}
    with parquet_writer(path, pa.schema({"x": pa.int64()})) as writer:
        writer.write_table(pa.table({"x": [2]}))
    assert pq.read_table(path).to_pydict() == {"x": [2]}
