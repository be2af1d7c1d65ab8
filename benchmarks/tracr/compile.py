"""Compiles RASP programs to transformer weights whose circuit is known, and writes down the circuit.

    python -m venv .venv-tracr && .venv-tracr/bin/pip install tracr-pypi==1.0.0
    .venv-tracr/bin/python benchmarks/tracr/compile.py

Needs jax; the `.npz` files it writes beside itself are committed, and nothing else needs it.

The true edges come from the program's dataflow, never from a run with edges ablated. Every operation of a program is
compiled to a head, an MLP or (selector widths) one of each, and has residual-stream directions of its own, named
after it. So the dataflow "operation A is an operand of B" is an edge from the unit that writes A's directions to the
channel of B's unit that reads them: q for a selector's queries, k for its keys, v for what is aggregated. An edge is
true under counterfactual ablation if, besides,

1. the metric, which reads the last position, can depend on it: B is an operand of an operand … of the output;
2. its content differs: at a position that is read, A's value differs between a prompt and its counterfactual. (The
   sequence length, positions and constants do not.)
3. B heeds it: a selector whose predicate is the same for all keys does not heed its keys.

The weights are held against the edges: of each, the sender must write a direction that the channel reads. The other
pairs of which that is so carry constants, or feed operations whose value is one; they are saved beside, as `wired`.

Source: Lindner et al. 2023, Tracr (arXiv 2301.05062), section 3; programs from Weiss et al. 2021, RASP
(arXiv 2106.06981).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tracr.compiler import compiling, lib
from tracr.rasp import rasp

HERE = Path(__file__).parent
BOS = "BOS"
PAIRS = 64


@dataclass(frozen=True)
class Program:
    """A program and what to ask it.

    Args:
        name: of the file.
        source: the program as one would write it down.
        output: the program.
        vocabulary: input tokens.
        length: of every prompt; programs that look ahead need prompts of one length.
        causal: whether attention may be masked.
        valid: which inputs the program is meant for.
        gap: how much a numerical output must fall from prompt to counterfactual.
    """

    name: str
    source: str
    output: Any
    vocabulary: Sequence[Any]
    length: int
    causal: bool = False
    valid: Callable[[Sequence[Any]], bool] = lambda _tokens: True
    gap: float = 0.4

    @property
    def categorical(self) -> bool:
        """Whether the output is one of several classes."""
        return bool(rasp.is_categorical(self.output))

    def pairs(self) -> list[tuple[list[Any], list[Any]]]:
        """Prompts with counterfactuals that have another answer at the last position, drawn evenly."""
        draw = random.Random(self.name)
        found: list[tuple[list[Any], list[Any]]] = []
        while len(found) < PAIRS:
            clean, other = ([draw.choice(self.vocabulary) for _ in range(self.length)] for _ in range(2))
            if self.valid(clean) and self.valid(other):
                ours, theirs = (self.output(tokens)[-1] for tokens in (clean, other))
                if ours != theirs if self.categorical else ours - theirs >= self.gap:
                    found.append((clean, other))
        return found


def programs() -> Iterator[Program]:
    """The programs, each with operations of its own."""
    yield Program(
        "reverse",
        "reverse = aggregate(select(indices, length - indices - 1, ==), tokens)",
        lib.make_reverse(rasp.tokens),
        "abcd",
        6,
    )
    yield Program(
        "frac_prevs",
        'frac_prevs = aggregate(select(indices, indices, <=), tokens == "x")',
        lib.make_frac_prevs((rasp.tokens == "x").named("is_x")),
        "abx",
        6,
        causal=True,
    )
    yield Program(
        "sort_unique",
        "target = width(select(tokens, tokens, <)); sort = aggregate(select(target, indices, ==), tokens)",
        lib.make_sort_unique(rasp.tokens, rasp.tokens),
        range(1, 8),
        6,
        valid=lambda tokens: len(set(tokens)) == len(tokens),
    )
    yield Program("histogram", "hist = width(select(tokens, tokens, ==))", lib.make_hist(), "abcd", 6)

    previous = rasp.Aggregate(
        rasp.Select(rasp.indices, rasp.indices, lambda key, query: key == query - 1), rasp.tokens
    ).named("previous")
    yield Program(
        "induction",
        "previous = aggregate(select(indices, indices, k == q - 1), tokens); "
        "induction = aggregate(select(previous, tokens, ==), tokens)",
        rasp.Aggregate(rasp.Select(previous, rasp.tokens, lambda key, query: key == query), rasp.tokens).named(
            "induction"
        ),
        "abcdefg",
        6,
        causal=True,
        # The last token stands once before, not right before; RASP takes no mean of several tokens.
        valid=lambda tokens: len(set(tokens[:-1])) == len(tokens) - 1 and tokens[-1] in tokens[:-2],
    )

    count = rasp.SelectorWidth(rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ)).named("count")
    yield Program(
        "equally_frequent",
        "count = width(select(tokens, tokens, ==)); equally_frequent = width(select(count, count, ==))",
        rasp.SelectorWidth(rasp.Select(count, count, rasp.Comparison.EQ)).named("equally_frequent"),
        "abcd",
        6,
    )

    def back(steps: int) -> Any:
        selector = rasp.Select(rasp.indices, rasp.indices, lambda key, query: key == query - steps)
        return rasp.Aggregate(selector, rasp.tokens).named(f"back_{steps}")

    same = rasp.SequenceMap(lambda x, y: "same" if x == y else "other", back(1), back(3)).named("same")
    yield Program(
        "two_back",
        "same = back 1 == back 3, where back n = aggregate(select(indices, indices, k == q - n), tokens); "
        "two_back = (same, tokens)",
        rasp.SequenceMap(lambda match, token: f"{match}{token}", same, rasp.tokens).named("two_back"),
        "abc",
        6,
        causal=True,
    )


class Compiled:
    """A program's weights, and which directions each unit reads and writes.

    Args:
        program: the program.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.model = compiling.compile_rasp_to_model(
            program.output,
            set(program.vocabulary),
            program.length,
            causal=program.causal,
            compiler_bos=BOS,
            compiler_pad="PAD",
        )
        self.directions = list(self.model.residual_labels)
        self.layers, self.heads = self.model.model_config.num_layers, self.model.model_config.num_heads
        self.weights = self._weights()

    def _weights(self) -> dict[str, np.ndarray]:
        """Plain arrays by name; every matrix is [in, out], one a layer."""

        def stacked(part: str) -> np.ndarray:
            names = (f"transformer/layer_{layer}/{part}" for layer in range(self.layers))
            return np.stack([np.asarray(self.model.params[name]["w"]) for name in names])

        ids = self.model.input_encoder.encoding_map
        inputs = {str(word): ids[word] for word in sorted(ids, key=ids.get) if word != "PAD"}
        if self.program.categorical:
            classes = self.model.output_encoder.encoding_map
            read = {str(value): self.directions.index(f"{self.program.output.label}:{value}") for value in classes}
        else:
            read = {"value": self.directions.index(self.program.output.label), "zero": None}
        vocabulary = [*inputs, *(word for word in read if word not in inputs)]
        embed, unembed = np.zeros((2, len(vocabulary), len(self.directions)), np.float32)
        embed[: len(inputs)] = np.asarray(self.model.params["token_embed"]["embeddings"])[list(inputs.values())]
        for word, direction in read.items():
            unembed[vocabulary.index(word), direction] = direction is not None
        return {
            "vocabulary": np.array(vocabulary),
            "directions": np.array(self.directions),
            "heads": np.array(self.heads),
            "causal": np.array(self.program.causal),
            "embed": embed,
            "positions": np.asarray(self.model.params["pos_embed"]["embeddings"]),
            "query": stacked("attn/query"),
            "key": stacked("attn/key"),
            "value": stacked("attn/value"),
            "output": stacked("attn/linear"),
            "mlp_in": stacked("mlp/linear_1"),
            "mlp_out": stacked("mlp/linear_2"),
            "unembed": unembed,
        }

    def answers(self, prompts: Sequence[Sequence[Any]]) -> np.ndarray:
        """What tracr's own forward pass gives, unembedded: [prompt, pos, vocab]."""
        streams = [self.model.apply([BOS, *tokens]).transformer_output[0] for tokens in prompts]
        return np.stack(streams) @ self.weights["unembed"].T

    def _names(self, used: np.ndarray) -> set[str]:
        """Operations whose directions are not all zero; one operation's values differ after the colon."""
        return {
            BOS if name == f"tokens:{BOS}" else name.split(":")[0]
            for name, nonzero in zip(self.directions, used, strict=True)
            if nonzero and name != "tokens:PAD"
        }

    def writes(self) -> dict[str, set[str]]:
        """By node, the operations whose directions it writes."""
        w = self.weights
        written = {"input": self._names((w["embed"] != 0).any(0) | (w["positions"] != 0).any(0))}
        for layer in range(self.layers):
            heads = np.split(w["output"][layer], self.heads, axis=0)
            written |= {f"a{layer}.h{head}": self._names((out != 0).any(0)) for head, out in enumerate(heads)}
            written[f"m{layer}"] = self._names((w["mlp_out"][layer] != 0).any(0))
        return written

    def reads(self) -> dict[str, set[str]]:
        """By channel, the operations whose directions it reads."""
        w, read = self.weights, dict[str, set[str]]()
        for layer in range(self.layers):
            for part, channel in (("query", "h{}<q>"), ("key", "g{}<k>"), ("value", "g{}<v>")):
                for head, into in enumerate(np.split(w[part][layer], self.heads, axis=1)):
                    read[f"a{layer}.{channel.format(head)}"] = self._names((into != 0).any(1))
            read[f"m{layer}"] = self._names((w["mlp_in"][layer] != 0).any(1))
        return read | {"logits": self._names((w["unembed"] != 0).any(0))}


class Truth:
    """The true edges of a compiled program on some prompts; see the top of this file.

    Args:
        compiled: the program.
        prompts: prompts and counterfactuals, in pairs.
    """

    def __init__(self, compiled: Compiled, prompts: Sequence[tuple[Sequence[Any], Sequence[Any]]]) -> None:
        self.compiled, self.prompts = compiled, prompts
        self.writes, self.reads = compiled.writes(), compiled.reads()
        self.edges: set[tuple[str, str]] = set()
        self.carried: dict[tuple[str, str], str] = {}
        self.length = len(prompts[0][0])
        self._feeds(compiled.program.output, "logits", [self.length - 1])
        self._check_weights()

    def _writer(self, operation: Any, kind: str) -> str:
        """The head (`a`) or MLP (`m`) that writes an operation's directions; `input` for tokens and positions."""
        if not operation.children:
            return "input"
        name = operation.label
        if kind == "a" and isinstance(operation, rasp.SelectorWidth):
            name += "_selector_width_attn_output"
        (unit,) = (unit for unit, names in self.writes.items() if unit[0] == kind and name in names)
        return unit

    def _differs(self, operation: Any, positions: Sequence[int]) -> bool:
        """Whether an operation's value differs within a pair, at one of some positions."""
        return any(
            [operation(clean)[at] for at in positions] != [operation(other)[at] for at in positions]
            for clean, other in self.prompts
        )

    def _heeds(self, selector: Any, positions: Sequence[int]) -> tuple[bool, bool]:
        """Whether a selector's predicate depends on its query, and on its key."""
        seen = [tokens for pair in self.prompts for tokens in pair]
        queries = {selector.queries(tokens)[at] for tokens in seen for at in positions} - {None}
        keys = {value for tokens in seen for value in selector.keys(tokens)} - {None}
        table = np.array([[selector.predicate(key, query) for key in keys] for query in queries])
        return bool((table != table[:1]).any()), bool((table != table[:, :1]).any())

    def _feeds(self, operation: Any, channel: str, positions: Sequence[int]) -> None:
        """Adds the edge that brings an operation to a channel, and those that bring it its own operands."""
        if not self._differs(operation, positions):
            return
        everywhere = range(self.length)
        kind = "a" if isinstance(operation, rasp.Aggregate) else "m"
        unit = self._writer(operation, kind)
        self.edges.add((unit, channel))
        if isinstance(operation, rasp.Map):
            self._feeds(operation.inner, unit, positions)
        elif isinstance(operation, rasp.SequenceMap):
            self._feeds(operation.fst, unit, positions)
            self._feeds(operation.snd, unit, positions)
        elif isinstance(operation, rasp.Aggregate | rasp.SelectorWidth):
            head = self._writer(operation, "a")
            group = head.replace("h", "g")
            if head != unit:
                self.edges.add((head, unit))
            heeds_query, heeds_key = self._heeds(operation.selector, positions)
            if heeds_query:
                self._feeds(operation.selector.queries, f"{head}<q>", positions)
            if heeds_key:
                self._feeds(operation.selector.keys, f"{group}<k>", everywhere)
            if isinstance(operation, rasp.Aggregate):
                self._feeds(operation.sop, f"{group}<v>", everywhere)

    def _check_weights(self) -> None:
        for sender, channel in self.edges:
            assert self.writes[sender] & self.reads[channel], f"{sender} -> {channel} is in no weights"

    def wired(self) -> set[tuple[str, str]]:
        """Every pair whose weights touch: the true edges, and those that carry constants or what is not read on."""
        order = list(self.writes)

        def before(unit: str, channel: str) -> bool:
            return channel == "logits" or order.index(unit) < order.index(self._unit(channel))

        return {
            (sender, channel)
            for sender, written in self.writes.items()
            for channel, read in self.reads.items()
            if written & read and before(sender, channel) and not self._same_attention(sender, channel)
        }

    @staticmethod
    def _unit(channel: str) -> str:
        return channel.split("<")[0].replace("g", "h")

    def _same_attention(self, sender: str, channel: str) -> bool:
        return sender[0] == channel[0] == "a" and sender.split(".")[0] == channel.split(".")[0]


def main() -> None:
    for program in programs():
        compiled = Compiled(program)
        prompts = program.pairs()
        truth = Truth(compiled, prompts)
        answers = compiled.answers([tokens for pair in prompts for tokens in pair])
        words = [[_word(program, tokens) for tokens in pair] for pair in prompts]
        _check_answers(compiled, answers, prompts)
        np.savez_compressed(
            HERE / f"{program.name}.npz",
            source=np.array(program.source),
            prompts=np.array([[" ".join(map(str, tokens)) for tokens in pair] for pair in prompts]),
            words=np.array(words),
            answers=answers.astype(np.float32),
            edges=np.array([f"{sender}->{channel}" for sender, channel in sorted(truth.edges)]),
            wired=np.array([f"{sender}->{channel}" for sender, channel in sorted(truth.wired())]),
            **compiled.weights,
        )
        print(
            f"{program.name}: {compiled.layers} layers of {compiled.heads} heads, {len(compiled.directions)} directions"
        )
        for edge in sorted(truth.wired()):
            common = compiled.writes()[edge[0]] & compiled.reads()[edge[1]]
            print("  ", "true " if edge in truth.edges else "     ", *edge, sorted(common))


def _word(program: Program, tokens: Sequence[Any]) -> str:
    """The class at the last position; of a number, the word whose logit is the number."""
    return str(program.output(tokens)[-1]) if program.categorical else "value"


def _check_answers(compiled: Compiled, answers: np.ndarray, prompts: Sequence[Sequence[Sequence[Any]]]) -> None:
    """Tracr's forward pass must give what the program says."""
    vocabulary = list(compiled.weights["vocabulary"])
    for logits, tokens in zip(answers[:, -1], (tokens for pair in prompts for tokens in pair), strict=True):
        said = compiled.program.output(tokens)[-1]
        if compiled.program.categorical:
            assert vocabulary[int(logits.argmax())] == str(said), f"{compiled.program.name} of {tokens}"
        else:
            assert abs(logits[vocabulary.index("value")] - said) < 1e-3, f"{compiled.program.name} of {tokens}"


if __name__ == "__main__":
    main()
