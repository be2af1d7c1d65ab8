"""`ResidualModel`: a decoder whose residual stream can be taken apart and rewired.

Longer than other files because the contract of every run is written here; each run is computed in a module of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone.models._attention import attention_patterns, attention_values
from wheatstone.models._backward import BackwardRules
from wheatstone.models._few_tokens import logits_of
from wheatstone.models._gradient_memory import (
    channel_gradient_bytes,
    circuit_gradient_bytes,
    prompts_in_pieces,
    values_of_rows,
)
from wheatstone.models._gradients import ChannelGradients, Rewrite, Values, channel_gradients, first_run
from wheatstone.models._graph import Graph, MlpParts, Split
from wheatstone.models._head_split import HeadSplit, Look, split_heads
from wheatstone.models._interactive import Interactive
from wheatstone.models._interventions import Intervention, position_of
from wheatstone.models._last_cuts import last_cut_logits
from wheatstone.models._masked import PieceLoss, mask_gradients
from wheatstone.models._memory import circuit_bytes, in_pieces, memory_budget, run_in_pieces
from wheatstone.models._neuron import Neuron, neuron_of
from wheatstone.models._neuron_runs import NeuronRecording, record_neurons, stream_neurons
from wheatstone.models._node_outputs import Ablated, NodeOutputs, ablated_rows, record_outputs
from wheatstone.models._patched import patched_logits
from wheatstone.models._paths import Paths
from wheatstone.models._record import Recording, record
from wheatstone.models._rewired import CircuitRun, CircuitState, Rewired
from wheatstone.models._single_edge import SingleEdges
from wheatstone.models._spans import Span
from wheatstone.models._streams import Streams, record_streams
from wheatstone.models._texts import Texts
from wheatstone.models._tokens import Tokens

_PATCHED = 6
"""Copies of the residual stream that a patched run keeps: what changes, and around each sublayer."""


@final
class ResidualModel(Interactive):
    """A checkpoint as a residual-stream graph: nodes that write, channels that read.

    Made by `wheatstone.load_model`. Its runs are all batched and leave the checkpoint as it was.
    """

    def split(self, layers: Mapping[int, MlpParts]) -> ResidualModel:
        """The same checkpoint as a graph with some MLPs split: their parts are nodes, all other MLPs whole.

        Args:
            layers: by layer, `neurons` (`m31.n0`, `m31.n1`, … in place of `m31`) or `experts` (`m3.e0`, …).

        Returns:
            A model that shares its weights with this one.

        Raises:
            RequestError: no such layer, or one without such parts.

        When this misleads: parts are split where they write. They read one channel, so that a circuit cannot say
        which neuron reads what. Memory grows with every part as with a head.
        """
        for layer in layers:
            if not 0 <= layer < self.graph.layers:
                raise RequestError(
                    expected=f"a layer of {self.id} to split, from 0 to {self.graph.layers - 1}",
                    got=str(layer),
                    do="choose one of these",
                )
        other = copy.copy(self)
        other.blocks = [block.split(layers.get(block.index)) for block in self.blocks]
        split = (Split(block.index, block.parts.into, block.parts.count) for block in other.blocks if block.parts)
        other.graph = replace(self.graph, split=tuple(split))
        return other

    def like(self, graph: Graph) -> ResidualModel:
        """This model with the MLPs split that are split in a graph, such as that of a circuit found earlier."""
        return self if graph.split == self.graph.split else self.split({part.layer: part.into for part in graph.split})

    def forward(self, tokens: Texts, *, cache: bool = False, all_positions: bool = False) -> Recording:
        """The plain forward pass.

        Args:
            tokens: the prompts.
            cache: also return what each node writes; their sum (with the attention biases) is the residual stream.
            all_positions: logits at every position; by default only at each prompt's last.
        """
        return record(self, self.tokens(tokens), cache=cache, all_positions=all_positions)

    def outputs(self, tokens: Tokens) -> tuple[Float[Tensor, "batch vocab"], NodeOutputs]:
        """The plain forward pass with what every node writes, in a fifth of the memory of `forward` with `cache`.

        Args:
            tokens: the prompts.

        Returns:
            Logits at each prompt's last position, and what nodes write, spread out where it is read.
        """
        return record_outputs(self, tokens)

    def forward_with(
        self,
        tokens: Texts,
        interventions: Sequence[Intervention],
        *,
        cache: bool = False,
        all_positions: bool = False,
    ) -> Recording:
        """The forward pass with interventions on nodes, neurons and attention edges.

        Args:
            tokens: the prompts.
            interventions: of `wheatstone.models`, such as `Replace`, in the order they act.
            cache: also return what each node writes, intervened on or not.
            all_positions: logits at every position; by default only at each prompt's last.

        Raises:
            RequestError: a place or position that is not there, or a query that would have no key left.
        """
        return record(self, self.tokens(tokens), cache=cache, all_positions=all_positions, interventions=interventions)

    def streams(self, tokens: Texts) -> Streams:
        """The plain forward pass, with the residual stream at every place: where patched runs leave from.

        Args:
            tokens: the prompts.
        """
        return record_streams(self, self.tokens(tokens))

    def patched_logits(
        self,
        plain: Streams,
        nodes: Sequence[int],
        changes: Float[Tensor, "patch batch pos d_model"],
        *,
        budget: int | None = None,
    ) -> Float[Tensor, "patch batch vocab"]:
        """Logits at each prompt's last position with one node's output changed in each run (activation patching).

        Args:
            plain: the prompts' plain run, from `streams`.
            nodes: whose output is changed in each run, by position on the node axis. Layers before the first of them
                are not run, so that runs of neighbours belong together.
            changes: what is added to that output.
            budget: bytes that a batch may take beside its logits; default `memory_budget`.

        Raises:
            ComputationError: memory runs out with one patch on one prompt.

        Warns:
            MemoryWarning: memory ran out and smaller batches were tried.
        """

        def piece(patches: slice, rows: slice) -> Tensor:
            return patched_logits(self, plain.rows(rows), nodes[patches], changes[patches, rows])

        whole = (len(nodes), plain.tokens.batch)
        return in_pieces(piece, whole, self._most(plain.tokens, budget))

    def neuron(self, name: str) -> Neuron:
        """A neuron by its name, such as `m31.n892`.

        Raises:
            ModelError: its layer's MLP has no neurons.
            RequestError: there is no such layer or neuron, or it is no neuron's name.
        """
        return neuron_of(self, name)

    def neurons(
        self, tokens: Texts, *, layers: Collection[int] | None = None, all_positions: bool = False
    ) -> NeuronRecording:
        """The plain forward pass with the activations of neurons.

        Args:
            tokens: the prompts.
            layers: whose neurons; all by default.
            all_positions: logits at every position; by default only at each prompt's last.

        Raises:
            ModelError: an MLP of these layers has no neurons.
        """
        layers = range(self.graph.layers) if layers is None else layers
        return record_neurons(self, self.tokens(tokens), layers, all_positions=all_positions)

    def stream_neurons(
        self,
        tokens: Tokens,
        use: Callable[[int, Float[Tensor, "batch pos neuron"]], None],
        *,
        layers: Collection[int] | None = None,
    ) -> None:
        """The plain forward pass, which hands over each layer's neurons as they are computed and keeps nothing.

        Args:
            tokens: the prompts; what neurons do after a prompt's end means nothing.
            use: called with a layer and its activations, which are not to be changed.
            layers: whose neurons; all by default.

        Raises:
            ModelError: an MLP of these layers has no neurons.
        """
        stream_neurons(self, tokens, use, range(self.graph.layers) if layers is None else layers)

    def neuron_gradients(
        self, tokens: Tokens, values: Values, use: Callable[[slice, NeuronRecording], Tensor], budget: int | None = None
    ) -> list[Tensor]:
        """The forward pass with every neuron's activation and the gradient of a metric at it, then one backward.

        Args:
            tokens: the prompts; as many at once as fit in memory.
            values: the metric: logits [batch, vocab] -> values [batch], each of its own row.
            use: what to make of some prompts' recording, which is gone after it.
            budget: bytes that prompts may take at once; default `memory_budget`.

        Returns:
            What `use` gives, piece by piece in the order of the prompts.

        Raises:
            ComputationError: memory runs out with one prompt.
            ModelError: an MLP has no neurons.

        Warns:
            MemoryWarning: memory ran out and fewer prompts at once were tried.
        """
        layers = range(self.graph.layers)

        def piece(rows: slice) -> Tensor:
            of_rows = values_of_rows(values, rows, tokens.batch)
            return use(rows, record_neurons(self, tokens.rows(rows), layers, all_positions=False, values=of_rows))

        budget = memory_budget(self.device) if budget is None else budget
        return prompts_in_pieces(piece, tokens.batch, budget // channel_gradient_bytes(self, tokens, 1))

    def path_logits(
        self,
        plain: Streams,
        ablated: Float[Tensor, "node batch pos d_model"],
        senders: Bool[Tensor, "path node"],
        receivers: Sequence[int],
        *,
        mlps: bool = True,
        budget: int | None = None,
    ) -> Float[Tensor, "path batch vocab"]:
        """Logits at each prompt's last position with senders ablated along paths to receivers alone (path patching).

        Args:
            plain: the prompts' plain run, from `streams`.
            ablated: what a node writes along such a path.
            senders: of each run, the nodes where the paths begin, on the CPU.
            receivers: the channels where they end, by position on the channel axis.
            mlps: whether paths may lead through MLPs between; heads between are frozen.
            budget: bytes that a batch may take beside its logits; default `memory_budget`.

        Raises:
            ComputationError: memory runs out with one run on one prompt.

        Warns:
            MemoryWarning: memory ran out and smaller batches were tried.
        """

        def piece(paths: slice, rows: slice) -> Tensor:
            return Paths(self, plain.rows(rows), ablated[:, rows], senders[paths], receivers, mlps=mlps).run()

        return in_pieces(piece, (len(senders), plain.tokens.batch), self._most(plain.tokens, budget))

    def _most(self, tokens: Tokens, budget: int | None) -> tuple[int, int]:
        """How many patched runs on how many prompts fit."""
        each, _ = circuit_bytes(self, tokens, _PATCHED)
        fit = max(1, (memory_budget(self.device) if budget is None else budget) // each)
        return max(1, fit // tokens.batch), min(fit, tokens.batch)

    def attention(
        self, tokens: Texts, layers: Sequence[int] | None = None, *, interventions: Sequence[Intervention] = ()
    ) -> Float[Tensor, "layer batch head query key"]:
        """Attention weights, by transformers' eager implementation.

        Args:
            tokens: the prompts.
            layers: which layers, in this order; all by default.
            interventions: as in `forward_with`.

        Returns:
            Weights that sum to 1 over keys; 0 for queries after a prompt's end.

        Raises:
            RequestError: no such layer, or see `forward_with`.

        When this misleads: a weight says where a head looks, not what it takes from there or whether that matters.
        """
        return attention_patterns(self, self.tokens(tokens), layers, interventions)

    def head_split(self, tokens: Texts, head: str, query: int = -1) -> HeadSplit:
        """A head's query, keys and values at one query position, each as a sum over who writes what they read.

        Args:
            tokens: one prompt.
            head: such as `a23.h4`.
            query: position that looks; negative ones count from the prompt's end.

        Returns:
            In float64, computed from what the run has in the model's own precision. Memory grows with senders x
            positions x d_head.

        Raises:
            ModelError: the attention code computes no scores from queries and keys.
            RequestError: no such head or position.

        When this misleads: the scales of all norms are held at what they are in this run. A sender that were not there
        would change them too.
        """
        return self.head_splits(tokens, [(head, query)])[0]

    def head_splits(self, tokens: Texts, looks: Sequence[tuple[str, int]]) -> list[HeadSplit]:
        """`head_split` of several heads and query positions of one prompt, in one run.

        Args:
            tokens: one prompt.
            looks: head and query position of each.
        """
        tokens = self.tokens(tokens)
        length = int(tokens.lengths[0])
        chosen = [Look(*self.head(head), position_of(query, length)) for head, query in looks]
        return split_heads(self, tokens.rows(slice(0, 1)), chosen)

    def attention_values(self, tokens: Tokens) -> list[Float[Tensor, "batch pos group d_head"]]:
        """What each position offers to the heads that look at it, before the output projection, layer by layer.

        Args:
            tokens: the prompts.
        """
        return attention_values(self, tokens)

    def last_cut_logits(
        self,
        tokens: Tokens,
        cuts: Bool[Tensor, "cut layer batch key"],
        *,
        done: Callable[[int], None] = lambda _count: None,
    ) -> Float[Tensor, "cut batch vocab"]:
        """Logits at each prompt's last position with the last token's attention knocked out, in many ways.

        The same as `forward_with` and `KnockOutAttention` of all heads at the last token, but only the last token is
        run again.

        Args:
            tokens: the prompts.
            cuts: of each way, the positions that the last token must not look at, layer by layer.
            done: called with the number of ways that are finished.

        Raises:
            RequestError: a last token would have no key left.
        """
        return last_cut_logits(self, tokens, cuts, done)

    def forward_circuit(
        self,
        tokens: Tokens,
        ablated: Ablated,
        keep: Bool[Tensor, "circuit channel sender"],
        *,
        resume: CircuitState | None = None,
        spans: Sequence[Span] = (),
        start: int = 0,
        all_positions: bool = False,
    ) -> CircuitRun:
        """Runs many circuits on many prompts in one pass.

        Args:
            tokens: the clean prompts.
            ablated: what each node writes on an ablated edge, at the same positions.
            keep: kept edges of each circuit, on the CPU.
            resume: state of a circuit that contains all of these: layers before the first difference are not run.
            spans: a partition of the positions; senders then are (node, span), see `SpannedGraph`. Nodes by default.
            start: positions before it are known to be the same in both runs, such as tokens that prompts share with
                their counterfactuals; nothing is computed there.
            all_positions: logits at every position, [circuit, batch, pos, vocab]; default only at each prompt's last.

        Returns:
            Logits [circuit, batch, vocab], and the first circuit's state.
            Memory grows with circuits x prompts x positions x nodes in the circuits; `models._memory` has the constant.
        """
        with torch.no_grad():
            rewired = Rewired(self, tokens, ablated, keep, resume=resume, spans=spans, start=start)
            return rewired.run(all_positions=all_positions)

    def circuit_logits(
        self,
        tokens: Tokens,
        ablated: Ablated,
        keep: Bool[Tensor, "circuit channel sender"],
        *,
        resume: CircuitState | None = None,
        spans: Sequence[Span] = (),
        start: int = 0,
        vocabulary: Int[Tensor, " vocab"] | None = None,
        budget: int | None = None,
    ) -> Float[Tensor, "circuit batch vocab"]:
        """As `forward_circuit`, for any number of circuits and prompts: as many at once as fit in memory.

        Args:
            tokens: the clean prompts.
            ablated: what each node writes on an ablated edge, at the same positions.
            keep: kept edges of each circuit, on the CPU.
            resume: state of a circuit that contains all of these.
            spans: as in `forward_circuit`.
            start: as in `forward_circuit`.
            vocabulary: token ids to give logits of, in this order; all by default. A few cost less.
            budget: bytes that a batch may take beside its logits; default `memory_budget`.

        Raises:
            ComputationError: memory runs out with one circuit on one prompt.

        Warns:
            MemoryWarning: memory ran out and smaller batches were tried.

        When this misleads: a matrix product's last bits depend on its size: logits of two budgets differ by rounding.
        """

        def run(prompts: Tokens, written: Ablated, circuits: Tensor, state: CircuitState | None) -> Tensor:
            return self.forward_circuit(prompts, written, circuits, resume=state, spans=spans, start=start).logits

        most = memory_budget(self.device) if budget is None else budget

        def every() -> Tensor:
            return run_in_pieces(self, run, tokens, ablated, keep, resume, most)

        return every() if vocabulary is None else logits_of(self.module, vocabulary, every)

    def without_each_edge(
        self,
        tokens: Tokens,
        ablated: Float[Tensor, "node batch pos d_model"],
        *,
        vocabulary: Int[Tensor, " vocab"] | None = None,
        budget: int | None = None,
    ) -> Iterator[tuple[Int[Tensor, "edge 2"], Float[Tensor, "edge batch vocab"]]]:
        """Runs the model once for every edge of the graph, with that edge alone ablated.

        The same logits as `forward_circuit` of the whole graph less one edge, in many edges a batch.

        Args:
            tokens: the clean prompts.
            ablated: what each node writes on an ablated edge, at the same positions.
            vocabulary: token ids to give logits of, in this order; all by default. A few cost much less.
            budget: bytes that a batch may take; default `memory_budget`.

        Yields:
            Some edges as (channel, node), and the logits at each prompt's last position without each of them. Every
            edge comes once, those into late channels first.

        Raises:
            ComputationError: memory runs out with one edge on one prompt.

        Warns:
            MemoryWarning: memory ran out and smaller batches were tried.
        """
        budget = memory_budget(self.device) if budget is None else budget
        with torch.no_grad():
            runs = SingleEdges(self, tokens, ablated, budget, vocabulary)
            for edges in runs.batches():
                yield torch.tensor(edges), runs.run(edges)

    def circuit_gradients(
        self,
        tokens: Tokens,
        ablated: Ablated,
        keep: Bool[Tensor, "channel sender"],
        values: Values,
        *,
        spans: Sequence[Span] = (),
        start: int = 0,
        budget: int | None = None,
    ) -> Float[Tensor, "channel sender"]:
        """Derivative of a metric by every entry of one circuit's mask, between the nodes the circuit computes.

        Args:
            tokens: the clean prompts.
            ablated: what each node writes on an ablated edge.
            keep: kept edges, on the CPU.
            values: the metric: logits [batch, vocab] -> values [batch], each of its own row; their sum is
                differentiated.
            spans: as in `forward_circuit`.
            start: as in `forward_circuit`.
            budget: bytes that prompts may take at once; default `memory_budget`.

        Raises:
            ComputationError: memory runs out with one prompt.

        Warns:
            MemoryWarning: memory ran out and fewer prompts at once were tried.

        When this misleads: it is the slope at the present circuit; removing an edge is a whole step.
        """

        def slopes(rows: slice) -> Tensor:
            with torch.enable_grad():
                some = tokens.rows(rows), ablated_rows(ablated, rows)
                rewired = Rewired(self, *some, keep[None], gradients=True, spans=spans, start=start)
                of_rows = values_of_rows(values, rows, tokens.batch)
                return rewired.edge_gradients(of_rows(rewired.run().logits[0])[None])[0]

        budget = memory_budget(self.device) if budget is None else budget
        most = budget // circuit_gradient_bytes(self, tokens)
        return torch.stack(prompts_in_pieces(slopes, tokens.batch, most)).sum(0)

    def mask_gradients(
        self,
        tokens: Tokens,
        ablated: Ablated,
        mask: Float[Tensor, "*batch channel node"],
        loss: PieceLoss,
        *,
        start: int = 0,
        budget: int | None = None,
    ) -> tuple[float, Float[Tensor, "*batch channel node"]]:
        """A loss under a mask of real shares, and its gradient by every entry: what masks are learned with.

        Args:
            tokens: the clean prompts.
            ablated: what each node writes where an edge's share is 0.
            mask: the share of each edge that is kept, for all prompts or for each, on the CPU. A mask of 0 and 1 is a
                circuit.
            loss: a sum over prompts: (logits of some prompts, which prompts) -> their part.
            start: as in `forward_circuit`.
            budget: bytes that a batch of prompts may take; default `memory_budget`.

        Returns:
            The loss, and its gradient by the mask, on the CPU.
        """
        budget = memory_budget(self.device) if budget is None else budget
        return mask_gradients(self, tokens, ablated, mask, loss, budget, start)

    def channel_gradients(
        self,
        tokens: Tokens,
        values: Values,
        *,
        inputs: Float[Tensor, "step batch pos d_model"] | None = None,
        cache: bool = False,
        rewrite: Rewrite | None = None,
        rules: BackwardRules | None = None,
    ) -> ChannelGradients:
        """Gradient of a metric at every channel's input, without a copy of the residual stream per head.

        Args:
            tokens: the prompts.
            values: the metric: logits [step*batch, vocab] -> values [step*batch]; their sum is differentiated.
            inputs: what the `input` node writes at each integration step; the prompts' own by default.
            cache: also return what each node writes at the last step.
            rewrite: changes what sublayers write: (2·layer + 1 for attention, 2·layer + 2 for the MLP; what it wrote
                [step*batch, pos, d_model]) -> what goes into the residual stream.
            rules: of the backward pass; the model's own gradients by default.

        Raises:
            ModelError: the rules found nothing to act on in some layer.

        Returns:
            Gradients summed over steps, read layer by layer.
        """
        return channel_gradients(self, tokens, values, inputs=inputs, cache=cache, rewrite=rewrite, rules=rules)

    def channel_gradients_in_pieces(
        self,
        tokens: Tokens,
        values: Values,
        use: Callable[[slice, ChannelGradients], Tensor],
        *,
        inputs: Float[Tensor, "step batch pos d_model"] | None = None,
        cache: bool = False,
        rewrite: Callable[[slice], Rewrite] | None = None,
        rules: BackwardRules | None = None,
        start: int = 0,
        budget: int | None = None,
    ) -> list[Tensor]:
        """As `channel_gradients`, for any number of prompts: as many at once as fit in memory.

        Args:
            tokens: the prompts.
            values: the metric: logits [step*batch, vocab] -> values [step*batch], each of its own row.
            use: what to make of some prompts' gradients, which are gone after it.
            inputs: as in `channel_gradients`.
            cache: as in `channel_gradients`.
            rewrite: as in `channel_gradients`, for some of the prompts.
            rules: as in `channel_gradients`.
            start: positions before it write nothing that `use` reads: their gradients are left out, and with `inputs`
                they are run once for all steps.
            budget: bytes that prompts may take at once; default `memory_budget`. Where one prompt takes more, only
                what layers read is kept, and each layer is run again on the way back.

        Returns:
            What `use` gives, piece by piece in the order of the prompts.

        Raises:
            ComputationError: memory runs out with one prompt.

        Warns:
            MemoryWarning: memory ran out and fewer prompts at once were tried.
        """

        budget = memory_budget(self.device) if budget is None else budget
        steps = 1 if inputs is None else len(inputs)
        first = 0 if inputs is None else first_run(self, tokens, start)

        def prompts(keep: bool) -> int:
            each = channel_gradient_bytes(
                self, tokens, steps, rules, start=first, keep=keep, rewritten=rewrite is not None
            )
            return budget // each

        keep = prompts(True) > 0

        def piece(rows: slice) -> Tensor:
            gradients = channel_gradients(
                self,
                tokens.rows(rows),
                values_of_rows(values, rows, tokens.batch),
                inputs=None if inputs is None else inputs[:, rows],
                cache=cache,
                rewrite=rewrite and rewrite(rows),
                rules=rules,
                start=start,
                keep=keep,
            )
            return use(rows, gradients)

        return prompts_in_pieces(piece, tokens.batch, prompts(keep))
