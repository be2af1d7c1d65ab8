"""What a public result looks like at a prompt: it fits a screen, however much it holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import wheatstone
from wheatstone import RequestError, ResidualModel, logit_attribution
from wheatstone._lazy import opens
from wheatstone._view import Brief, Tabular
from wheatstone.runs import Table

SCREEN = 24 * 80
ROOT = Path(wheatstone.__file__).parent
ROOMS = ["wheatstone", *(f"wheatstone.{door.parent.name}" for door in sorted(ROOT.glob("[!_]*/__init__.py")))]


def public() -> Iterator[tuple[str, type[Any]]]:
    """Every public dataclass, by the first name it has."""
    seen: set[object] = set()
    for room in ROOMS:
        module = import_module(room)
        for name in opens(room):
            value = getattr(module, name)
            if isinstance(value, type) and dataclasses.is_dataclass(value) and value not in seen:
                seen.add(value)
                yield f"{room}.{name}", value


CLASSES = dict(public())


def own_way(of: Any) -> bool:
    """Whether a class has a display of its own: neither what `dataclass` writes nor the shared one."""
    return of.__repr__ is not Brief.__repr__ and of.__repr__.__code__.co_filename != dataclasses.__file__


def filled(of: Any) -> Any:
    """As much as a field of this type may hold."""
    text = str(of)
    if "Tensor" in text or "ndarray" in text:
        return torch.zeros(300, 300) if "Tensor" in text else np.zeros((300, 300))
    if any(kind in text for kind in ("tuple[", "list[", "Sequence", "frozenset")):
        return tuple(f"{at} of many" for at in range(1000))
    if any(kind in text for kind in ("Mapping", "dict[")):
        return {f"{at}": at for at in range(1000)}
    return "x" * 60 if "str" in text else 1.5


@pytest.mark.parametrize("name", [name for name, of in CLASSES.items() if not own_way(of)])
def test_every_public_result_fits_a_screen(name: str) -> None:
    """Each field holds as much as its type allows."""
    of = CLASSES[name]
    value = object.__new__(of)
    for field in dataclasses.fields(of):
        object.__setattr__(value, field.name, filled(field.type))
    assert len(repr(value)) <= SCREEN
    assert repr(value).startswith(f"{of.__name__}(")


def test_a_class_that_holds_much_and_says_all_of_it_would_fail() -> None:
    @dataclasses.dataclass(frozen=True)
    class Loud:
        values: tuple[str, ...]

    @dataclasses.dataclass(frozen=True)
    class Quiet(Brief):
        values: tuple[str, ...]
        hidden: str = dataclasses.field(default="", repr=False)

    many = filled("tuple[str, ...]")
    assert len(repr(Loud(many))) > SCREEN
    assert repr(Quiet(many)).endswith("Quiet(values=tuple of 1000)")


class Row(NamedTuple):
    node: str
    effect: float | None


def test_rows_go_to_data_frames(tiny64: ResidualModel) -> None:
    """To pandas and polars where they are installed; else the error says how to."""
    table, shares = Table.of(Row, [("a0.h1", 0.5), ("m2", None)]), logit_attribution(tiny64("w3 w1"), "w7", "w5")
    assert repr(table).splitlines()[0] == "2 rows of Row"
    for rows in (table, shares):
        arrow = rows.to_arrow()
        for package, convert in (("pandas", rows.to_pandas), ("polars", rows.to_polars)):
            if find_spec(package) is None:
                with pytest.raises(RequestError, match=f"pip install {package}"):
                    convert()
            else:
                frame = convert()
                assert (list(frame.columns), len(frame)) == (arrow.column_names, arrow.num_rows)


def test_every_table_of_rows_has_both() -> None:
    tables = [of for of in CLASSES.values() if hasattr(of, "to_arrow")]
    assert len(tables) >= 8
    assert all(issubclass(of, Tabular) for of in tables)
