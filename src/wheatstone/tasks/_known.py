"""Which prompts a model answers: a circuit for a fact that the model does not know is noise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from wheatstone._disk import replaced
from wheatstone._home import home
from wheatstone._json import load_json
from wheatstone._progress import Reporter, silent
from wheatstone.models import ResidualModel
from wheatstone.tasks._batches import length_batches
from wheatstone.tasks._encode import encode
from wheatstone.tasks._metrics import gather
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._ranks import answer_ranks

KNOWN_RANK = 10
"""Rank within which an answer counts as known: that of the Hit@10 in Knowledge Circuits (arXiv 2405.17969)."""


@dataclass(frozen=True)
class Answered:
    """How a model takes one prompt.

    Args:
        rank: of the best-placed answer among all tokens, 1 for the top token.
        ahead: whether an answer is above every distractor; true where there are none.
    """

    rank: int
    ahead: bool

    def known(self, rank: int) -> bool:
        """Whether an answer is among the `rank` top tokens and above every distractor.

        The second half of the rule keeps out answers that rank high for any subject.
        """
        return self.rank <= rank and self.ahead


def answered(model: ResidualModel, pairs: Sequence[PromptPair], *, report: Reporter = silent) -> list[Answered]:
    """Runs the clean prompts, grouped by length. Results are kept in the cache, by model hash and prompts.

    Args:
        model: the model.
        pairs: the prompts with answers and distractors.
        report: progress callback.

    Raises:
        PromptError: see `encode`.
    """
    record = _record(model, pairs)
    kept = _read(record, len(pairs))
    if kept is not None:
        return kept
    found: dict[int, Answered] = {}
    for batch in length_batches(model, pairs):
        report("asking the model", len(found), len(pairs))
        encoded = encode(model, [pairs[index] for index in batch])
        logits = model.forward(encoded.clean).logits
        right = gather(logits, encoded.answers, -torch.inf).amax(-1)
        none = encoded.distractors.shape[1] == 0
        wrong = right - 1 if none else gather(logits, encoded.distractors, -torch.inf).amax(-1)
        rows = zip(batch, answer_ranks(logits, encoded).tolist(), (right > wrong).tolist(), strict=True)
        found |= {index: Answered(rank, ahead) for index, rank, ahead in rows}
    report("asking the model", len(pairs), len(pairs))
    result = [found[index] for index in range(len(pairs))]
    _write(record, result)
    return result


def _record(model: ResidualModel, pairs: Sequence[PromptPair]) -> Path | None:
    """Where the results are kept: nowhere for a model without a hash, such as one wrapped in memory."""
    if not model.sha256:
        return None
    key = hashlib.sha256(f"{model.sha256} {model.dtype}".encode())
    for pair in pairs:
        key.update(pair.model_dump_json(exclude={"spans", "counterfactual"}).encode())
    return home() / "known" / f"{key.hexdigest()}.json"


def _read(record: Path | None, count: int) -> list[Answered] | None:
    try:
        rows = load_json(record) if record else None
        found = [Answered(int(rank), bool(ahead)) for rank, ahead in rows or ()]
    except (OSError, ValueError, TypeError):
        return None
    return found if rows is not None and len(found) == count else None


def _write(record: Path | None, rows: Sequence[Answered]) -> None:
    if record is None:
        return
    with suppress(OSError), replaced(record) as partial:  # without a cache the model is asked again each time
        partial.write_text(json.dumps([[row.rank, row.ahead] for row in rows]), encoding="utf-8")
