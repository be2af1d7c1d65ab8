"""How far a circuit can be trusted: the card of a run, one line for each claim."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.cards._add import add_card as add_card
    from wheatstone.cards._add import read_card as read_card
    from wheatstone.cards._card import make_card as make_card
    from wheatstone.cards._selectivity import SelectivitySettings as SelectivitySettings
    from wheatstone.cards._selectivity import run_selectivity as run_selectivity
    from wheatstone.cards._settings import CardSettings as CardSettings

__getattr__ = door(__name__)
