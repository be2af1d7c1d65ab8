"""A Hugging Face decoder whose layers can be run by other code: the door all runs go through."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase

from wheatstone._errors import ModelError, RequestError
from wheatstone.checkpoints import TextReader, TransformersReading
from wheatstone.checkpoints.families import known_family
from wheatstone.models._block import Block, replaced_forward
from wheatstone.models._graph import Graph
from wheatstone.models._rotary import RotarySwitch
from wheatstone.models._tokens import Tokens
from wheatstone.models._wide import wide

_LOUD = 1e3
"""Root mean square at which directions go through the final norm: far above its epsilon."""
LayerForward = Callable[[int, Tensor, dict[str, Any]], Tensor]
"""What replaces a decoder layer: (its index, residual stream, its other arguments) -> residual stream."""


class Decoder:
    """A checkpoint, its graph and its tokenizer.

    The module's weights are neither copied nor changed. While a run lasts, each decoder layer's `forward`
    is replaced; embeddings, masks, rotary tables, final norm and unembedding stay transformers' own.

    Args:
        module: a causal language model of a supported family.
        tokenizer: its tokenizer.
        id: what the model is called in results.
        sha256: hash of its weights, for results; empty where unknown.
        title: what the weights are where `id` does not say it, such as a quantised checkpoint; otherwise empty.

    Raises:
        ModelError: the family is not supported, or the checkpoint is not wired as its family.

    When this misleads: results of two models with one `id` and an empty `sha256` cannot be distinguished.
    """

    def __init__(
        self, module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, id: str, sha256: str = "", title: str = ""
    ) -> None:
        config = module.config.get_text_config()
        self.id = id
        self.sha256 = sha256
        self.title = title
        self.family = known_family(module.config.model_type, id).variant(config)
        self.module = module.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.reader = TextReader(id, self.vocabulary, TransformersReading(tokenizer))
        heads = int(config.num_attention_heads)
        groups = int(getattr(config, "num_key_value_heads", None) or heads)
        multiplier = self.family.residual_multiplier
        scale = 1.0 if multiplier is None else float(getattr(config, multiplier))
        try:
            layers = list(module.get_submodule(self.family.layers).children())
            self.blocks = [Block(layer, i, self.family, heads, groups, scale) for i, layer in enumerate(layers)]
        except AttributeError as error:
            raise ModelError(
                expected=f"a model with the parts that family {self.family.name} names",
                got=str(error),
                do="correct the family's names; docs/guides/add-a-family.md says what each means",
            ) from error
        if not layers:
            raise ModelError(expected="a model of at least one layer", got="none", do="replace config.json")
        self.rotary = RotarySwitch(module)
        """Gives prompts of a batch the rotary tables they have alone, where tables depend on the length."""
        self.graph = Graph(len(layers), heads, groups, self.family.parallel, self.family.coupled_heads)

    @property
    def device(self) -> torch.device:
        """Where tokens, node outputs and logits are: where the first layer runs."""
        return self.blocks[0].device

    @cached_property
    def takes_keys(self) -> bool:
        """Whether the module can go on after keys and values of earlier positions, as all of transformers' can."""
        return "past_key_values" in inspect.signature(self.module.forward).parameters

    @cached_property
    def spread(self) -> bool:
        """Whether layers run on different devices; activations then move where one layer hands over to the next."""
        return len({block.device for block in self.blocks}) > 1

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.module.dtype

    @property
    def precision(self) -> str:
        """The same by the name that `load_model` takes."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.module.config.get_text_config().hidden_size)

    @property
    def vocabulary(self) -> int:
        """How many logits it gives; in many checkpoints more than the tokenizer has tokens."""
        return int(self.module.config.get_text_config().vocab_size)

    @property
    def context(self) -> int:
        """Most tokens a prompt may have."""
        return int(self.module.config.get_text_config().max_position_embeddings)

    @property
    def causal_context(self) -> int:
        """Most tokens of a text whose numbers do not depend on how the text goes on.

        The context, or less where rotary tables change with the length: above the switch, a longer text rotates its
        first tokens differently too.
        """
        return self.context if self.rotary.last is None else min(self.context, self.rotary.last)

    def head(self, name: str) -> tuple[int, int]:
        """Layer and number of a head.

        Args:
            name: such as `a23.h4`.

        Raises:
            RequestError: the model has no such head.
        """
        graph = self.graph
        node = graph.node_index.get(graph.named(name), 0)
        if node:
            layer, place = graph.place(node)
            if place < graph.heads:
                return layer, place
        raise RequestError(
            expected=f"a head of {self.id}, from a0.h0 to a{graph.layers - 1}.h{graph.heads - 1}",
            got=repr(name),
            do="name a head that the model has",
        )

    def encode(self, text: str) -> list[int]:
        """Tokenises a prompt as the model's tokenizer does by default, its own BOS rule included.

        A token that it puts at the end of every text is left out, and so is a second start token where the prompt
        begins with its own: prompts are continued.

        Raises:
            PromptError: a token has no embedding.
        """
        return self.reader.encode(text)

    def continuation(self, text: str) -> list[int]:
        """Tokenises text that follows a prompt: no special tokens, and no space that the text does not have."""
        return self.reader.continuation(text)

    def decode(self, ids: Sequence[int]) -> list[str]:
        """What each token says inside a text, its leading space included; a part of a character is bytes: `<E5 8C>`."""
        return self.reader.decode(ids)

    def written(self, ids: Sequence[int]) -> str:
        """What several tokens say inside a text."""
        return self.reader.written(ids)

    def run(
        self, tokens: Tokens, layer: LayerForward, *, all_positions: bool = False, past: Cache | None = None
    ) -> Float[Tensor, "batch vocab"] | Float[Tensor, "batch pos vocab"]:
        """Runs the model with every decoder layer replaced by `layer`.

        Prompts padded together get the numbers they get alone, also where rotary tables depend on the length.

        Args:
            tokens: the prompts.
            layer: what to compute instead of each decoder layer.
            all_positions: unembed every position; by default only each prompt's last.
            past: keys and values of earlier positions, which are not run again; this run's are added to it.

        Returns:
            Logits, [batch, vocab] or [batch, pos, vocab], in float32 or better: what is measured on them must not be
            rounded again, and NumPy has no bfloat16.

        Raises:
            ModelError: the logits are not finite.
        """
        start = 0 if past is None else past.get_seq_length()
        wanted, which = (tokens.lengths - 1 - start).unique(return_inverse=True)
        unembedded: Tensor | int = 0 if all_positions else wanted
        if self.spread and not all_positions:
            # The positions are on another device than what they would index: unembed all from the first of them on.
            unembedded, which = tokens.width - start - int(wanted[0]), tokens.lengths - 1 - start - wanted[0]

        def arrived(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
            block = self.blocks[index]
            if self.spread:
                from accelerate.utils import send_to_device

                x, call = send_to_device((x, call), block.device)
            with block.present():
                return layer(index, x, call)

        with self._swapped(arrived), self.rotary.alone(tokens.lengths):
            ids = tokens.ids[:, start:]
            cache = {"use_cache": False} if past is None else {"use_cache": True, "past_key_values": past}
            logits = wide(self.module(ids, logits_to_keep=unembedded, **cache).logits)
        if not logits.detach().sum(dtype=torch.float32).isfinite():
            raise ModelError(
                expected=f"finite logits of {self.id}",
                got=f"NaN or infinity, first {self._first_not_finite(tokens)}",
                do="load it in float32, or in bfloat16, which reaches as far; if it is, its weights are broken",
            )
        if all_positions:
            return logits
        return logits[:, 0] if len(wanted) == 1 else logits[torch.arange(tokens.batch), which]

    @torch.no_grad()
    def _first_not_finite(self, tokens: Tokens) -> str:
        """Runs the model once more as it is, to say where its numbers break."""
        found: list[str] = []

        def look(where: str) -> Callable[..., None]:
            def hook(_module: nn.Module, _args: Any, output: Any) -> None:
                if not (output[0] if isinstance(output, tuple) else output).isfinite().all():
                    found.append(where)

            return hook

        parts = [
            (part, f"in {what} layer {block.index}")
            for block in self.blocks
            for part, what in (
                (block.attention, "attention of"),
                (block.mlp, "the MLP of"),
                (block.layer, "the output of"),
            )
        ]
        embeddings = (self.module.get_input_embeddings(), "in the embedding")
        handles = [part.register_forward_hook(look(where)) for part, where in (embeddings, *parts)]
        try:
            with self.rotary.alone(tokens.lengths):
                logits = self.module(tokens.ids, use_cache=False).logits
        finally:
            for handle in handles:
                handle.remove()
        broken = not logits.isfinite().all()
        return (
            *found,
            "in the unembedding" if broken else "in the run's own changes: left alone, the model is finite",
        )[0]

    def after_sublayers(self, nodes: Float[Tensor, "node *n d_model"]) -> Float[Tensor, "half *n d_model"]:
        """The residual stream that node outputs add up to: of the input alone, then after each attention and each MLP.

        In a parallel layer the stream between the two is read by nothing; here it is what attention has added.

        Args:
            nodes: what each node writes, anywhere.

        Returns:
            One more than there are sublayers; the last is what the unembedding reads.
        """
        graph = self.graph
        ends = [place(layer).stop - 1 for layer in range(graph.layers) for place in (graph.head_nodes, graph.mlp_nodes)]
        stream = nodes.cumsum(0)[[0, *ends]]
        for block in self.blocks:
            with block.present():
                for half, bias in ((1, block.output_bias), (2, block.mlp_bias)):
                    if bias is not None:
                        stream[2 * block.index + half :] += bias.to(stream.device)
        return stream

    def after_layers(self, nodes: Float[Tensor, "node *n d_model"]) -> Float[Tensor, "depth *n d_model"]:
        """The residual stream that node outputs add up to: of the input alone, then after each layer.

        Args:
            nodes: what each node writes, anywhere.

        Returns:
            One more than there are layers; the last is what the unembedding reads.
        """
        return self.after_sublayers(nodes)[::2]

    def unembed(self, stream: Float[Tensor, "n d_model"]) -> Float[Tensor, "n vocab"]:
        """Logits of residual streams: the model's own final norm and unembedding, and any later change of the logits.

        In float32 or better, as `run` gives them. Gradients go through where the streams have them.
        """
        one_token_each = torch.zeros(len(stream), 1, dtype=torch.long, device=self.device)
        with self._swapped(lambda _index, _x, _call: stream[:, None].to(self.dtype)), self.rotary.alone():
            return wide(self.module(one_token_each, use_cache=False).logits[:, 0])

    @torch.no_grad()
    def unembedded(self, stream: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_vocab"]:
        """What the unembedding's matrix is given for residual streams: they through the model's own final norm.

        Raises:
            ModelError: the model does not say which module its unembedding is.
        """
        given: list[Tensor] = []

        def noted(x: Tensor) -> Tensor:
            given.append(x)
            return x

        with replaced_forward({self.unembedding: noted}):
            self.unembed(stream)
        return given[0].flatten(0, 1)

    def unembedded_directions(self, written: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_vocab"]:
        """Directions through the final norm as if each were a residual stream, and back to their own size.

        A norm divides by the size of what it is given, and may add a bias; both are taken out again.
        """
        centred = self.family.norm_kind == "layer"
        moved = written - written.mean(-1, keepdim=True) if centred else written
        size = wide(moved).square().mean(-1, keepdim=True).sqrt()
        loud = torch.where(size > 0, written * (_LOUD / size), 0).to(written.dtype)  # a node may write nothing
        normed, nothing = self.unembedded(loud), self.unembedded(torch.zeros_like(written[:1]))
        return (normed - nothing) * size.to(written.dtype)

    @property
    def unembedding(self) -> nn.Linear:
        """The matrix that makes logits of the normed residual stream.

        Raises:
            ModelError: the model does not say which module it is.
        """
        module = self.module.get_output_embeddings()
        if not isinstance(module, nn.Linear):
            raise ModelError(
                expected="a model that names its unembedding, a linear map",
                got=f"{type(module).__name__} in {self.id}",
                do="choose a model with one",
            )
        return module

    @contextmanager
    def _swapped(self, layer: LayerForward) -> Generator[None, None, None]:
        def stand_in(block: Block) -> Callable[..., Any]:
            signature = inspect.signature(type(block.layer).forward)

            def forward(*args: Any, **kwargs: Any) -> Any:
                call = dict(signature.bind(block.layer, *args, **kwargs).arguments)
                call.update(call.pop("kwargs", {}))
                del call["self"]
                output = layer(block.index, call.pop("hidden_states"), call)
                return (output,) if self.family.returns_tuple else output

            return forward

        with replaced_forward({block.layer: stand_in(block) for block in self.blocks}):
            yield
