from __future__ import annotations

import pytest
import torch

from wheatstone import PromptPair, ResidualModel
from wheatstone.tasks import METRICS, Targets, encode, length_batches

LENGTHS = [3, 2, 5, 3, 3, 2]
PAIRS = [
    PromptPair(
        prompt=" ".join(f"w{index + place}" for place in range(length)),
        counterfactual=" ".join(f"w{index + place + 1}" for place in range(length)),
        answers=(f" w{index}",),
        distractors=(f" w{index + 9}",),
    )
    for index, length in enumerate(LENGTHS)
]


def test_prompts_of_one_length_are_together(tiny: ResidualModel) -> None:
    assert length_batches(tiny, PAIRS) == [(1, 5), (0, 3, 4), (2,)]
    assert length_batches(tiny, PAIRS, most=2) == [(1, 5), (0, 3), (4,), (2,)]
    assert length_batches(tiny, []) == []


@pytest.mark.parametrize("metric", [*METRICS])
def test_batches_by_length_give_the_numbers_of_the_padded_batch_and_of_one_by_one(
    tiny64: ResidualModel, metric: str
) -> None:
    """Of circuits that keep every third edge, under the counterfactual ablation."""
    keep = torch.from_numpy(tiny64.graph.valid.copy())
    keep.view(-1)[::3] = False

    def values(indices: tuple[int, ...]) -> torch.Tensor:
        pairs = [PAIRS[index] for index in indices]
        encoded = encode(tiny64, pairs)
        written = tiny64.forward(encoded.counterfactual, cache=True).nodes
        assert written is not None
        targets = Targets(encoded, tiny64.forward(encoded.clean).logits.log_softmax(-1))
        return METRICS[metric](tiny64.circuit_logits(encoded.clean, written, keep[None])[0], targets)

    padded = values(tuple(range(len(PAIRS))))
    grouped = torch.empty_like(padded)
    for batch in length_batches(tiny64, PAIRS, most=2):
        grouped[list(batch)] = values(batch)
    alone = torch.cat([values((index,)) for index in range(len(PAIRS))])
    assert torch.allclose(grouped, alone, rtol=1e-9, atol=1e-12)
    assert torch.allclose(padded, alone, rtol=1e-9, atol=1e-12)
