from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from wheatstone.records import SPLITS
from wheatstone.tasks import FRACTIONS
from wheatstone.tasks._split import plain, split_subjects


def test_ten_subjects_are_cut_as_stated() -> None:
    parts = split_subjects([f"s{index}" for index in range(10)], seed=0)
    assert {split: len(part) for split, part in parts.items()} == {"train": 4, "validation": 2, "test": 4}
    assert sum(FRACTIONS.values()) == 1


def test_few_subjects_still_reach_every_split() -> None:
    sizes = [tuple(len(part) for part in split_subjects(list("abcde")[:count], 0).values()) for count in range(6)]
    assert sizes == [(0, 0, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (2, 1, 1), (2, 1, 2)]


def test_another_seed_is_another_division() -> None:
    names = [f"s{index}" for index in range(40)]
    assert split_subjects(names, 0) != split_subjects(names, 1)


@given(st.lists(st.text(max_size=4), max_size=30), st.integers(0, 5), st.randoms())
def test_splits_are_disjoint_whole_and_know_no_order(names: list[str], seed: int, chance: Random) -> None:
    parts = split_subjects(names, seed)
    assert tuple(parts) == SPLITS
    assert frozenset().union(*parts.values()) == frozenset(names)
    spellings = [{plain(name) for name in part} for part in parts.values()]
    assert sum(map(len, spellings)) == len(set().union(*spellings))
    shuffled = list(names)
    chance.shuffle(shuffled)
    assert split_subjects(shuffled, seed) == parts
