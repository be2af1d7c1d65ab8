"""A two-layer attention-only model that learns induction in seconds: … A B … A → B.

Trained on random sequences said twice, of a length that changes, so that no fixed distance gives the answer. What
it has to learn is known (Elhage et al. 2021, A Mathematical Framework for Transformer Circuits, "induction heads";
Olsson et al. 2022, arXiv 2209.11895, section 2): a head of the first layer attends to the previous token, and a head
of the second looks, through its keys, for the position whose previous token is the present one (K-composition), and
copies the token that stands there.

It is a llama whose MLPs write zero, so that every part of Wheatstone that takes a checkpoint takes this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from compiled_programs import tokenizer_of
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from wheatstone.models import ResidualModel, wrap_model
from wheatstone.tasks import PromptPair

WORDS = [f"w{index}" for index in range(24)]
SHORTEST, LONGEST = 8, 16
GOAL = 0.01
"""Loss, in nats, at which training ends."""


@dataclass(frozen=True, eq=False)
class InductionModel:
    """The trained model and what it does with repeated sequences.

    Args:
        model: two layers, MLPs that write zero.
        loss: of the last batch, nats per token of the second copy.
        steps: batches it was trained on.
    """

    model: ResidualModel
    loss: float
    steps: int

    def pairs(self, count: int, *, seed: int = 0) -> tuple[PromptPair, ...]:
        """Prompts that end within the second copy, beside prompts with other words and another length of copy.

        Had both one length, heads would look to the same place in both, and queries and keys would carry nothing
        that the counterfactual does not: circuits without them would answer rightly.

        Args:
            count: how many.
            seed: of words and lengths.
        """
        draw = torch.Generator().manual_seed(seed)
        found: list[PromptPair] = []
        while len(found) < count:
            ours, theirs = torch.randint(SHORTEST, LONGEST + 1, (2,), generator=draw).tolist()
            total = max(ours, theirs) + 1 + int(torch.randint(1, SHORTEST - 1, (), generator=draw))
            if ours == theirs or total >= 2 * min(ours, theirs):
                continue
            clean, other = (_sequences(1, length, draw)[0].repeat(2)[: total + 1].tolist() for length in (ours, theirs))
            if clean[-1] != other[-1]:
                prompt, counterfactual = (" ".join(WORDS[word] for word in ids[:-1]) for ids in (clean, other))
                answer, distractor = (f" {WORDS[ids[-1]]}" for ids in (clean, other))
                found.append(
                    PromptPair(
                        prompt=prompt, counterfactual=counterfactual, answers=(answer,), distractors=(distractor,)
                    )
                )
        return tuple(found)

    def attention_scores(self, *, length: int = 12, batch: int = 64, seed: int = 0) -> dict[str, tuple[float, float]]:
        """By head: mean attention to the previous token, in the first copy; and, in the second, to the token that
        followed the present one in the first.

        Args:
            length: of the sequences.
            batch: how many.
            seed: of the words.
        """
        ids = _sequences(batch, length, torch.Generator().manual_seed(seed)).repeat(1, 2)
        patterns = self.model.attention(self.model.tokens([" ".join(WORDS[word] for word in row) for row in ids]))
        first = torch.arange(1, length)
        second = torch.arange(length, 2 * length)
        previous = patterns[..., first, first - 1].mean((1, 3))
        follower = patterns[..., second, second - length + 1].mean((1, 3))
        return {
            f"a{layer}.h{head}": (float(previous[layer, head]), float(follower[layer, head]))
            for layer in range(len(patterns))
            for head in range(previous.shape[1])
        }

    def roles(self, *, threshold: float = 0.3) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Previous-token heads and induction heads: those whose score is above a threshold.

        Args:
            threshold: even attention scores 0.2 on the previous token of so short a copy, and 0.06 on the follower.
        """
        scores = self.attention_scores()
        previous = tuple(head for head, score in scores.items() if score[0] > threshold)
        return previous, tuple(head for head, score in scores.items() if score[1] > threshold)

    def edges(self) -> set[str]:
        """The mechanism's edges, with the heads that attention shows to play it."""
        previous, induction = self.roles()
        values = {head.replace("h", "g") for head in previous}
        groups = {head.replace("h", "g") for head in induction}
        return (
            {f"input->{value}<v>" for value in values}
            | {f"{head}->{group}<k>" for head in previous for group in groups}
            | {f"input->{head}<q>" for head in induction}
            | {f"input->{group}<v>" for group in groups}
            | {f"{head}->logits" for head in induction}
        )


Watch = Callable[[int, LlamaForCausalLM, float], None]
"""StoredSection of (batches trained on, the module as it is, the last batch's loss)."""


def train_induction(
    *, heads: int = 1, seed: int = 0, most_steps: int = 600, watch: Watch | None = None
) -> InductionModel:
    """Trains the model until it repeats sequences; some five seconds of one core.

    Args:
        heads: per layer; of 32 dimensions in all.
        seed: of weights and sequences.
        most_steps: after how many batches to give up.
        watch: told of every batch.

    Raises:
        RuntimeError: the loss is still above `GOAL`.
    """
    draw = torch.Generator().manual_seed(seed)
    module = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(WORDS),
            hidden_size=32,
            intermediate_size=1,
            num_hidden_layers=2,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=2 * LONGEST,
        )
    )
    for name, weight in module.named_parameters():
        if weight.ndim == 2:
            weight.data = 0.1 * torch.randn(weight.shape, generator=draw)
        if ".mlp." in name:
            weight.requires_grad_(False).zero_()
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=1e-2, betas=(0.9, 0.98))
    loss = torch.tensor(torch.inf)
    for step in range(most_steps):
        length = int(torch.randint(SHORTEST, LONGEST + 1, (), generator=draw))
        ids = _sequences(64, length, draw).repeat(1, 2)
        logits = module(ids[:, :-1], use_cache=False).logits[:, length:]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, length + 1 :].flatten())
        optimiser.param_groups[0]["lr"] = 1e-2 * min(1, (step + 1) / 50) * (1 - 0.9 * step / most_steps)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        if watch:
            watch(step + 1, module, loss.item())
        if loss < GOAL:
            model = wrap_model(module, tokenizer_of(WORDS), id=f"induction-{heads}-{seed}")
            return InductionModel(model, loss.item(), step + 1)
    raise RuntimeError(f"induction was not learnt in {most_steps} steps (seed {seed}): loss {loss.item():.2f}")


def _sequences(count: int, length: int, draw: torch.Generator) -> Tensor:
    """Words in random order, none twice."""
    return torch.rand(count, len(WORDS), generator=draw).argsort(-1)[:, :length]
