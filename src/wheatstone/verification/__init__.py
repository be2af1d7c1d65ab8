"""Proving circuits: how a circuit does alone, what is left without it, and what chance would give."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.verification._backup import backup_heads as backup_heads
    from wheatstone.verification._card import LINES as LINES
    from wheatstone.verification._card import NOT_SUPPORTED as NOT_SUPPORTED
    from wheatstone.verification._card import NOT_TESTED as NOT_TESTED
    from wheatstone.verification._card import SUPPORTED as SUPPORTED
    from wheatstone.verification._card import VERDICTS as VERDICTS
    from wheatstone.verification._card import BackupRow as BackupRow
    from wheatstone.verification._card import Card as Card
    from wheatstone.verification._card import CoreLine as CoreLine
    from wheatstone.verification._card import EdgeRow as EdgeRow
    from wheatstone.verification._card import Estimate as Estimate
    from wheatstone.verification._card import HeldOutLine as HeldOutLine
    from wheatstone.verification._card import Line as Line
    from wheatstone.verification._card import NullLine as NullLine
    from wheatstone.verification._card import NullRow as NullRow
    from wheatstone.verification._card import SecondLine as SecondLine
    from wheatstone.verification._card import SelectivityLine as SelectivityLine
    from wheatstone.verification._card import SelectivityRow as SelectivityRow
    from wheatstone.verification._card import SpecificationLine as SpecificationLine
    from wheatstone.verification._card import SpecificationRow as SpecificationRow
    from wheatstone.verification._card import Verdict as Verdict
    from wheatstone.verification._card import percents as percents
    from wheatstone.verification._card import words_of as words_of
    from wheatstone.verification._card_held_out import held_out_line as held_out_line
    from wheatstone.verification._card_null import EVEN as EVEN
    from wheatstone.verification._card_null import EXCHANGED as EXCHANGED
    from wheatstone.verification._card_null import SHUFFLED as SHUFFLED
    from wheatstone.verification._card_null import Null as Null
    from wheatstone.verification._card_null import no_circuits as no_circuits
    from wheatstone.verification._card_null import null_line as null_line
    from wheatstone.verification._card_null import shuffled_answers as shuffled_answers
    from wheatstone.verification._card_selectivity import SELECTIVITY_CLAIM as SELECTIVITY_CLAIM
    from wheatstone.verification._card_selectivity import selectivity_line as selectivity_line
    from wheatstone.verification._card_specification import SPECIFICATION_CLAIM as SPECIFICATION_CLAIM
    from wheatstone.verification._card_specification import specification_line as specification_line
    from wheatstone.verification._carried import Carried as Carried
    from wheatstone.verification._carried import carried as carried
    from wheatstone.verification._carried import carried_without as carried_without
    from wheatstone.verification._carried import ratio_estimate as ratio_estimate
    from wheatstone.verification._exact_effects import exact_effects as exact_effects
    from wheatstone.verification._selection import SelectionResult as SelectionResult
    from wheatstone.verification._selection import verify_nodes as verify_nodes
    from wheatstone.verification._verify import CONDITIONS as CONDITIONS
    from wheatstone.verification._verify import PromptResult as PromptResult
    from wheatstone.verification._verify import Reading as Reading
    from wheatstone.verification._verify import Verification as Verification
    from wheatstone.verification._verify import verify as verify
    from wheatstone.verification._verify import verify_in as verify_in
    from wheatstone.verification._verify import verify_on as verify_on

__getattr__ = door(__name__)
