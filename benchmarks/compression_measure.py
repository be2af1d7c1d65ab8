"""Bits as a measure: over the training of a small model beside its circuit, and of numbers that continue a sequence."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from compiled_programs import tokenizer_of
from induction import WORDS, InductionModel, train_induction
from transformers import LlamaForCausalLM

from wheatstone.circuits import Circuit, ModelInfo
from wheatstone.compression import circuit_bits
from wheatstone.models import ResidualModel, Tokens, wrap_model

Row = dict[str, Any]
EVERY = 20
LENGTH, TEXTS = 12, 6
MECHANISM = {
    ("input", "a0.g0<v>"),
    ("a0.h0", "a1.g0<k>"),
    ("input", "a1.h0<q>"),
    ("input", "a1.g0<v>"),
    ("a1.h0", "logits"),
}
"""What the trained model does (benchmarks/induction.py): previous-token head, then the head that copies."""

SEQUENCES = {
    "counting": ("1, 2, 3, 4, 5,", " 6"),
    "even": ("2, 4, 6, 8, 10,", " 12"),
    "fives": ("5, 10, 15, 20, 25,", " 30"),
    "down": ("50, 45, 40, 35, 30,", " 25"),
    "sevens": ("7, 14, 21, 28, 35,", " 42"),
    "powers of two": ("1, 2, 4, 8, 16, 32,", " 64"),
    "squares": ("1, 4, 9, 16, 25, 36,", " 49"),
    "squares of odds": ("1, 9, 25, 49, 81,", " 121"),
    "cubes": ("1, 8, 27, 64, 125,", " 216"),
    "primes": ("2, 3, 5, 7, 11, 13,", " 17"),
    "primes from 41": ("41, 43, 47, 53, 59,", " 61"),
    "Fibonacci": ("1, 1, 2, 3, 5, 8, 13,", " 21"),
    "Fibonacci from 3, 7": ("3, 7, 10, 17, 27,", " 44"),
    "triangular": ("1, 3, 6, 10, 15,", " 21"),
    "sum": ("2 + 3 = 5\n4 + 5 = 9\n6 + 2 =", " 8"),
    "sum of two digits": ("12 + 13 = 25\n24 + 31 = 55\n42 + 17 =", " 59"),
    "product": ("2 * 3 = 6\n4 * 5 = 20\n6 * 7 =", " 42"),
}


def training(seed: int) -> Iterator[Row]:
    """An attention-only model while it learns to repeat: loss, attention of its heads, what its circuit is worth."""
    draw = torch.Generator().manual_seed(100)
    words = [torch.randperm(len(WORDS), generator=draw)[:LENGTH].tolist() for _ in range(TEXTS + 1)]
    texts = [" ".join(WORDS[word] for word in some * 2) for some in words]
    kept: list[tuple[int, LlamaForCausalLM, float]] = []

    def watch(step: int, module: LlamaForCausalLM, loss: float) -> None:
        if step % EVERY == 0 or step == 1 or loss < 0.01:
            kept.append((step, copy.deepcopy(module), loss))

    train_induction(seed=seed, watch=watch)
    for step, module, loss in kept:
        model = wrap_model(module.eval(), tokenizer_of(WORDS), id=f"induction-{step}")
        scores = InductionModel(model, loss, step).attention_scores(length=LENGTH)
        keep = torch.zeros(model.graph.valid.shape, dtype=torch.bool)
        for sender, receiver in MECHANISM:
            keep[model.graph.edge(sender, receiver)] = True
        circuit = Circuit.of_mask(ModelInfo.of(model), keep, ablation="counterfactual", metric="logit_diff")
        found = [circuit_bits(model, circuit, text, counterfactual=other) for text, other in pairwise(texts)]
        second = slice(LENGTH, None)  # prices begin at the second token, and the first of the second copy is a surprise

        def mean(name: str, found: list[Any] = found, second: slice = second) -> float:
            return float(torch.tensor([getattr(one, name)[second] for one in found]).mean())

        yield {
            "key": f"{seed}/{step}",
            "seed": seed,
            "step": step,
            "loss_nats": loss,
            "previous": scores["a0.h0"][0],
            "follower": scores["a1.h0"][1],
            "intact": mean("intact"),
            "ablated": mean("ablated"),
            "alone": mean("alone"),
            "n": TEXTS,
        }


def sequences(model: ResidualModel) -> Iterator[Row]:
    """Which number comes next: its bits, and whether the model, left to itself, says it."""
    prompts = {name: (model.encode(prompt), model.continuation(answer)) for name, (prompt, answer) in SEQUENCES.items()}
    tokens = Tokens.of([prompt + answer for prompt, answer in prompts.values()], model.device)
    logits = model.forward(tokens, all_positions=True).logits
    for row, (name, (prompt, answer)) in enumerate(prompts.items()):
        log_p = logits[row, len(prompt) - 1 : len(prompt) + len(answer) - 1].log_softmax(-1)
        right = torch.tensor(answer)
        bits = -log_p.gather(1, right[:, None]).sum() / torch.log(torch.tensor(2.0))
        said = log_p.argmax(-1)
        yield {
            "key": f"{model.id}/{name}",
            "model": model.id,
            "name": name,
            "prompt": SEQUENCES[name][0],
            "answer": SEQUENCES[name][1],
            "bits": float(bits),
            "right": bool((said == right).all()),
            "first_said": model.decode(said[:1].tolist())[0],
        }
