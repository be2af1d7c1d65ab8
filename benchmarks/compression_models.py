"""Bits a byte beside what a model can do, SmolLM2 and weakened forms of it; and what its induction heads save."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from compression_parts import by_kind
from torch import nn

from wheatstone.compression._alphabet import Alphabet
from wheatstone.models import KnockOut, ResidualModel, Tokens, wrap_model
from wheatstone.tasks import PromptPair, answered, bundled_relations, load_task
from wheatstone.texts import bundled_texts

Row = dict[str, Any]
Weaken = Callable[[nn.Module], None]
SEEN, SCORED, WINDOWS = 32, 96, 8
"""Tokens of context before those counted, tokens counted, windows of each kind of text."""
FACTS, GENERATED = 4, 24
"""Facts of each relation, and prompts of the generated tasks."""
LENGTH, TEXTS, SETS, HEADS = 40, 4, 8, 10
"""Random tokens before they repeat; texts of each sort; sets of random heads; heads of a set."""


def rounded(bits: int) -> Weaken:
    """Linear layers' weights rounded to a grid of 2^bits − 1 steps between ± the largest of each row."""

    def weaken(module: nn.Module) -> None:
        for linear in _linears(module):
            scale = linear.weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
            linear.weight.copy_((linear.weight / scale).round() * scale)

    return weaken


def without_layers(*layers: int) -> Weaken:
    """Layers that write nothing."""

    def weaken(module: nn.Module) -> None:
        for name, weight in module.named_parameters():
            if any(f"layers.{layer}." in name for layer in layers) and ("o_proj" in name or "down_proj" in name):
                weight.zero_()

    return weaken


def without_heads(share: float) -> Weaken:
    """A share of all attention heads, drawn at random, writes nothing."""

    def weaken(module: nn.Module) -> None:
        draw, heads = random.Random(0), int(module.config.num_attention_heads)  # pyright: ignore
        outputs = [weight for name, weight in module.named_parameters() if "o_proj" in name]
        every = [(layer, head) for layer in range(len(outputs)) for head in range(heads)]
        for layer, head in draw.sample(every, round(share * len(every))):
            outputs[layer].view(len(outputs[layer]), heads, -1)[:, head] = 0

    return weaken


FORMS: dict[str, Weaken] = {
    "float32": lambda _: None,
    "rounded to 6 bits": rounded(6),
    "rounded to 5 bits": rounded(5),
    "rounded to 4 bits": rounded(4),
    "without layer 12": without_layers(12),
    "without layers 8 and 20": without_layers(8, 20),
    "without layers 6, 12, 18 and 24": without_layers(6, 12, 18, 24),
    "without 5% of heads": without_heads(0.05),
    "without 15% of heads": without_heads(0.15),
    "without 30% of heads": without_heads(0.3),
}


def models(model: ResidualModel, done: set[str]) -> Iterator[Row]:
    """Each form's bits by kind of text, and its accuracy on facts, indirect objects and repeated tokens."""
    asked = questions(model)
    texts = {kind: windows_of(model, kind, whole) for kind, whole in by_kind(bundled_texts()).items()}
    for name, weaken in FORMS.items():
        if name in done:
            continue
        started, module = time.process_time(), copy.deepcopy(model.module)
        with torch.no_grad():
            weaken(module)
        form = wrap_model(module, model.tokenizer, id=name)
        found = {task: answered(form, pairs) for task, pairs in asked.items()}
        yield {
            "key": name,
            "bits": {kind: [bits_of(form, window) for window in windows] for kind, windows in texts.items()},
            "bytes": {kind: [window[1] for window in windows] for kind, windows in texts.items()},
            "facts": [float(one.rank == 1) for one in found["facts"]],
            "ioi": [float(one.ahead) for one in found["ioi"]],
            "induction": [float(one.rank == 1) for one in found["induction"]],
            "cpu_s": time.process_time() - started,
        }


def questions(model: ResidualModel) -> dict[str, list[PromptPair]]:
    """Prompts of the tasks, those too that the model does not know."""

    def pairs(name: str, size: int) -> list[PromptPair]:
        task = load_task(name, model, known=None, size=size, strict=False)
        return [pair for split in ("train", "validation", "test") for pair in task.split(split)]

    facts = [pair for name in sorted(bundled_relations()) for pair in pairs(f"facts/{name}", 10)[:FACTS]]
    return {"facts": facts, "ioi": pairs("ioi", GENERATED), "induction": pairs("induction", GENERATED)}


def windows_of(model: ResidualModel, kind: str, whole: str) -> list[tuple[np.ndarray, int]]:
    """Windows drawn at random from a kind's texts, and how many bytes of each are counted."""
    alphabet, found = Alphabet(model.reader, model.vocabulary), []
    for number in range(WINDOWS):
        first = random.Random(f"{kind}{number}").randrange(len(whole) - 2000)
        symbols = np.array(alphabet.symbols(whole[first : first + 2000].encode()).symbols[: SEEN + SCORED], np.int64)
        found.append((symbols, len(alphabet.join(symbols[SEEN:].tolist()))))
    return found


@torch.inference_mode()
def bits_of(model: ResidualModel, window: tuple[np.ndarray, int]) -> float:
    """−Σ log₂ p of the tokens counted."""
    symbols = torch.from_numpy(window[0])
    logits = model.module(symbols[None, :-1], use_cache=False, logits_to_keep=SCORED).logits[0].float()
    cost = nn.functional.cross_entropy(logits, symbols[SEEN:], reduction="sum")
    return float(cost) / float(np.log(2))


def induction(model: ResidualModel) -> Iterator[Row]:
    """What its induction heads save a token, where random tokens repeat and in prose, beside as many random heads.

    The heads are those that look most at the token after the last occurrence, on texts that are not priced.
    """
    heads = [f"a{layer}.h{head}" for layer in range(model.graph.layers) for head in range(model.graph.heads)]
    scores = follower_attention(model, repeated(model, 1))
    ours = sorted(heads, key=lambda head: -scores[head])[:HEADS]
    others = [head for head in heads if head not in ours]
    sets = {"none": [], "induction": ours}
    sets |= {f"random {number}": random.Random(number).sample(others, HEADS) for number in range(SETS)}
    prose = by_kind(bundled_texts())["prose"]
    alphabet = Alphabet(model.reader, model.vocabulary)
    starts = [random.Random(number).randrange(len(prose) - 2000) for number in range(TEXTS)]
    natural = [alphabet.symbols(prose[at : at + 2000].encode()).symbols[: 4 * LENGTH] for at in starts]
    texts = {"repeated": Tokens.of(repeated(model, 2)), "prose": Tokens.of(natural)}
    for name, some in sets.items():
        knocked = [KnockOut(at=head) for head in some]
        found: dict[str, list[list[float]]] = {}
        for kind, tokens in texts.items():
            logits = model.forward_with(tokens, knocked, all_positions=True).logits[:, :-1]
            costs = nn.functional.cross_entropy(logits.transpose(1, 2), tokens.ids[:, 1:], reduction="none")
            found[kind] = (costs / np.log(2)).tolist()
        yield {"key": f"{model.id}/{name}", "heads": some, "scores": [scores[head] for head in some], **found}


def repeated(model: ResidualModel, seed: int) -> list[list[int]]:
    """Random tokens, each text twice over."""
    draw = random.Random(seed)
    return [draw.sample(range(1000, model.vocabulary - 1000), LENGTH) * 2 for _ in range(TEXTS)]


def follower_attention(model: ResidualModel, texts: Sequence[Sequence[int]]) -> dict[str, float]:
    """Of each head, mean attention in the second copy to the token after the last occurrence."""
    patterns = model.attention(Tokens.of(texts))
    second = torch.arange(LENGTH, 2 * LENGTH)
    mean = patterns[..., second, second - LENGTH + 1].mean((1, 3))
    return {f"a{layer}.h{head}": float(mean[layer, head]) for layer, head in np.ndindex(*mean.shape)}


def _linears(module: nn.Module) -> Iterator[nn.Linear]:
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear) and "lm_head" not in name:
            yield part
