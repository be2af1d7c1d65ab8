"""Compiled programs with prompts and their true edges, read from benchmarks/tracr/*.npz.

How the truth is derived from the program is written in benchmarks/tracr/compile.py, which makes the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn
from tracr_model import TRACR, TracrConfig, TracrModel
from transformers import PreTrainedTokenizerFast

from wheatstone.checkpoints.families import register
from wheatstone.models import ResidualModel
from wheatstone.tasks import PromptPair

FOLDER = Path(__file__).parent / "tracr"
PROGRAMS = tuple(sorted(file.stem for file in FOLDER.glob("*.npz")))


@dataclass(frozen=True, eq=False)
class CompiledProgram:
    """A program, what to ask it, and its circuit.

    Args:
        name: of the program.
        source: the program, written down.
        model: the compiled weights.
        pairs: prompts with counterfactuals of another answer.
        answers: tracr's own logits on prompts and counterfactuals, [pair, 2, pos, vocab].
        edges: the true edges under counterfactual ablation, `sender->channel`.
        wired: every edge whose sender writes a direction that the channel's weights read.
    """

    name: str
    source: str
    model: ResidualModel
    pairs: tuple[PromptPair, ...]
    answers: Tensor
    edges: frozenset[str]
    wired: frozenset[str]

    @property
    def truth(self) -> Tensor:
        """The true edges as a mask, [channel, node]."""
        keep = torch.zeros(self.model.graph.valid.shape, dtype=torch.bool)
        for edge in self.edges:
            keep[self.model.graph.edge(*edge.split("->"))] = True
        return keep


def compiled_program(name: str) -> CompiledProgram:
    """Reads a program; its family is registered, as a program that uses a model of its own would.

    Args:
        name: one of `PROGRAMS`.
    """
    register(TRACR)
    with np.load(FOLDER / f"{name}.npz") as file:
        saved = dict(file)
    vocabulary: list[str] = saved["vocabulary"].tolist()
    model = ResidualModel(_module(saved), tokenizer_of(vocabulary), id=f"tracr/{name}")
    pairs = tuple(
        PromptPair(
            prompt=prompt,
            counterfactual=counterfactual,
            answers=(f" {answer}",),
            distractors=(" zero" if answer == other else f" {other}",),
        )
        for (prompt, counterfactual), (answer, other) in zip(
            saved["prompts"].tolist(), saved["words"].tolist(), strict=True
        )
    )
    return CompiledProgram(
        name=name,
        source=str(saved["source"]),
        model=model,
        pairs=pairs,
        answers=torch.from_numpy(saved["answers"]).unflatten(0, (-1, 2)),
        edges=frozenset(saved["edges"].tolist()),
        wired=frozenset(saved["wired"].tolist()),
    )


def tokenizer_of(vocabulary: list[str]) -> PreTrainedTokenizerFast:
    """A token for each word; a vocabulary with BOS puts it before every prompt."""
    words = Tokenizer(WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token=vocabulary[0]))
    words.pre_tokenizer = Whitespace()
    if "BOS" in vocabulary:
        words.post_processor = TemplateProcessing(single="BOS $A", special_tokens=[("BOS", vocabulary.index("BOS"))])
    return PreTrainedTokenizerFast(tokenizer_object=words)


def _module(saved: dict[str, np.ndarray]) -> TracrModel:
    layers, d_model, inner = saved["query"].shape
    heads = int(saved["heads"])
    module = TracrModel(
        TracrConfig(
            vocab_size=len(saved["vocabulary"]),
            hidden_size=d_model,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            head_dim=inner // heads,
            intermediate_size=saved["mlp_in"].shape[-1],
            max_position_embeddings=len(saved["positions"]),
            causal=bool(saved["causal"]),
        )
    )

    def fill(parameter: Tensor, value: np.ndarray) -> None:
        parameter.data.copy_(torch.from_numpy(value))

    fill(module.embed.weight, saved["embed"])
    fill(module.positions.weight, saved["positions"])
    fill(module.unembed.weight, saved["unembed"])
    for index, layer in enumerate(module.layers):
        for part, name in (
            ("query", "attention.query"),
            ("key", "attention.key"),
            ("value", "attention.value"),
            ("output", "attention.output"),
            ("mlp_in", "mlp.input"),
            ("mlp_out", "mlp.output"),
        ):
            linear = layer.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            fill(linear.weight, saved[part][index].T)
    return module
