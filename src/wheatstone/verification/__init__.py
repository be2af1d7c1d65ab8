"""Proving circuits: how a circuit does alone, what is left without it, and what chance would give."""

from wheatstone.verification._verify import CONDITIONS as CONDITIONS
from wheatstone.verification._verify import PromptResult as PromptResult
from wheatstone.verification._verify import Reading as Reading
from wheatstone.verification._verify import Verification as Verification
from wheatstone.verification._verify import verify as verify
from wheatstone.verification._verify import verify_in as verify_in
from wheatstone.verification._verify import verify_on as verify_on
