"""Files of records that anyone may bring: their rows, their cells, and what is wrong with them."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.records._cells import column_of as column_of
    from wheatstone.records._cells import columns_in_words as columns_in_words
    from wheatstone.records._cells import flat as flat
    from wheatstone.records._cells import ids_in as ids_in
    from wheatstone.records._cells import list_in as list_in
    from wheatstone.records._cells import optional_of as optional_of
    from wheatstone.records._cells import text_of as text_of
    from wheatstone.records._cells import texts_in as texts_in
    from wheatstone.records._cells import value_of as value_of
    from wheatstone.records._problems import Problem as Problem
    from wheatstone.records._problems import problems_in_words as problems_in_words
    from wheatstone.records._problems import refuse_problems as refuse_problems
    from wheatstone.records._rows import FORMATS as FORMATS
    from wheatstone.records._rows import SPLITS as SPLITS
    from wheatstone.records._rows import Content as Content
    from wheatstone.records._rows import Row as Row
    from wheatstone.records._rows import content_of as content_of
    from wheatstone.records._rows import hub_rows as hub_rows
    from wheatstone.records._rows import read_rows as read_rows
    from wheatstone.records._rows import rows_of as rows_of
    from wheatstone.records._rows import sampled as sampled

__getattr__ = door(__name__)
