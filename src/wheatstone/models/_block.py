"""One decoder layer seen as its parts: norms, per-head projections, attention core, MLP.

Every array here is a view of the checkpoint's own parameter; every computation inside attention and MLP is
transformers' own code, called with inputs of our choosing. Where accelerate keeps weights on the CPU or on disk, they
are to be read inside `present` only.

Longer than other files because a layer's parts, its heads and its neurons are views of the same weights, and which of
them a family has is decided once, here.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wheatstone._errors import ModelError
from wheatstone.checkpoints.families import Family
from wheatstone.models._graph import MlpParts
from wheatstone.models._norm import Norm, norm_of
from wheatstone.models._parts import Experts, Neurons, weight_of
from wheatstone.models._placement import execution_device, present

HeadWeights = Float[Tensor, "head d_head d_model"]


@dataclass(frozen=True)
class QKV:
    """Queries, keys and values of one layer, before any rotary embedding: [batch, pos, head or group, d_head]."""

    q: Tensor
    k: Tensor
    v: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.q, self.k, self.v))


class Block:
    """The parts of decoder layer `index`.

    Args:
        layer: the checkpoint's decoder layer.
        index: its position, from 0.
        family: names and flags.
        heads: query heads.
        kv_groups: key/value heads.
        multiplier: of what attention and MLP write.

    Raises:
        AttributeError: the layer lacks a part that the family names.
        ModelError: attention has an output bias and an output norm. Scaled by the norm, the bias is no head's
            share, nor is it constant. Or the layer is split over several devices.
    """

    def __init__(
        self, layer: nn.Module, index: int, family: Family, heads: int, kv_groups: int, multiplier: float = 1.0
    ) -> None:
        self.layer = layer
        self.index = index
        self.family = family
        self.heads = heads
        self.kv_groups = kv_groups
        self.device = execution_device(layer, f"layer {index}")
        """Where the layer runs."""
        self._offloaded = any(weight.is_meta for weight in layer.parameters())
        self.attention = layer.get_submodule(family.attention)
        self.attention_norm = norm_of(layer, family.attention_norm, family, self.device)
        self.mlp_norm = norm_of(layer, family.mlp_norm, family, self.device)
        self._attention_output_norm = norm_of(layer, family.attention_output_norm, family, self.device)
        self._mlp_output_norm = norm_of(layer, family.mlp_output_norm, family, self.device)
        self.mlp = _chain(layer, family.mlp)
        self._qkv = tuple(self.attention.get_submodule(name) for name in family.qkv)
        self._output = self.attention.get_submodule(family.attention_output)
        self._multiplier = multiplier
        self.parts: Neurons | Experts | None = None
        """Of the MLP, where it is split into nodes."""

        out_in, output_bias = weight_of(self._output)
        if output_bias is not None and self._attention_output_norm.module is not None:
            raise ModelError(
                expected=f"attention without an output bias in a model of family {family.name}, which norms its output",
                got=f"a bias in layer {index}",
                do="choose a checkpoint without one: its share of the norm belongs to no head",
            )
        self.d_model = out_in.shape[0]
        self.d_head = out_in.shape[1] // heads

    def present(self) -> AbstractContextManager[None]:
        """While this lasts, the layer's weights can be read."""
        return present(self.layer) if self._offloaded else nullcontext()

    @property
    def output_weight(self) -> HeadWeights:
        """Each head's slice of the output projection."""
        return weight_of(self._output)[0].T.unflatten(0, (self.heads, self.d_head))

    @property
    def head_weights(self) -> HeadWeights:
        """What each head writes per unit of its value; where a norm follows, times the norm's weight alone."""
        scale = self._attention_output_norm.weight
        return self._scaled(self.output_weight if scale is None else self.output_weight * scale)

    @property
    def qkv_weights(self) -> tuple[HeadWeights, ...]:
        """Each head's or group's slice of the query, key and value projections."""
        return self._by_head([weight_of(module)[0] for module in self._qkv])

    @property
    def qkv_biases(self) -> tuple[Tensor, ...] | None:
        """Each head's or group's part of the biases of these projections; None where there are none."""
        biases = [bias for _, bias in map(weight_of, self._qkv) if bias is not None]
        return self._by_head(biases) if biases else None

    @property
    def norms(self) -> list[Norm]:
        """Those there are."""
        norms = (self.attention_norm, self.mlp_norm, self._attention_output_norm, self._mlp_output_norm)
        return [norm for norm in norms if norm.module is not None]

    @property
    def query_key_norms(self) -> list[Norm]:
        """Norms inside attention: of the queries and of the keys, in some families one for each head."""
        projections = {*self._qkv, self._output}
        named = self.attention.named_modules()
        # What holds parameters inside attention is a projection or a norm.
        names = [name for name, part in named if part not in projections and list(part.parameters(False))]
        return [norm_of(self.attention, name, self.family, self.device) for name in names]

    @property
    def output_bias(self) -> Float[Tensor, " d_model"] | None:
        """What attention writes in addition to its heads."""
        return self._scaled(weight_of(self._output)[1])

    @property
    def mlp_bias(self) -> Float[Tensor, " d_model"] | None:
        """What the MLP writes in addition to its parts; None where it is one node."""
        return None if self.parts is None else self._scaled(self.parts.bias)

    def split(self, into: MlpParts | None) -> Block:
        """This layer with its MLP in parts, or whole. The weights are the same.

        Raises:
            ModelError: the MLP has no such parts, or an output bias and an output norm: scaled by the norm, the bias is
                no part's share, nor is it constant.
        """
        other = copy.copy(self)
        other.parts = None
        if into is not None:
            other.parts = Neurons(self.neurons_in) if into == "neurons" else Experts(self.experts_in)
            if other.parts.bias is not None and self._mlp_output_norm.module is not None:
                raise ModelError(
                    expected=f"an MLP without an output bias in layer {self.index}, whose output is normed",
                    got="a bias",
                    do="leave it whole: the bias's share of the norm belongs to no neuron",
                )
        return other

    @property
    def neurons_in(self) -> nn.Module:
        """The MLP's last projection; its input is the neurons.

        Raises:
            ModelError: tokens are routed to experts.
        """
        if self._experts is not None:
            raise ModelError(
                expected="an MLP with neurons",
                got=f"a mixture of experts in layer {self.index}",
                do="ask about its node or its experts",
            )
        try:
            return self.mlp.get_submodule(self.family.mlp_output)
        except AttributeError as error:
            raise ModelError(
                expected=f"an MLP whose last projection is {self.family.mlp_output!r}, as in family {self.family.name}",
                got=f"none of that name in layer {self.index}",
                do="correct the family's mlp_output; docs/guides/add-a-family.md says what it means",
            ) from error

    @property
    def neurons(self) -> int:
        """How many neurons the MLP has.

        Raises:
            ModelError: it has none.
        """
        return weight_of(self.neurons_in)[0].shape[1]

    @property
    def neuron_weights(self) -> Float[Tensor, "neuron d_model"]:
        """What each neuron writes per unit of its activation; where a norm follows, times the norm's weight alone.

        Raises:
            ModelError: the MLP has no neurons.
        """
        columns, scale = weight_of(self.neurons_in)[0].T, self._mlp_output_norm.weight
        return self._scaled(columns if scale is None else columns * scale)

    @property
    def experts_in(self) -> nn.Module:
        """The experts of a routed MLP, as one module.

        Raises:
            ModelError: the MLP is dense.
        """
        if self._experts is None:
            raise ModelError(
                expected="a mixture of experts",
                got=f"a dense MLP in layer {self.index}",
                do="ask about its node or its neurons",
            )
        return self._experts

    @property
    def dense(self) -> bool:
        """Whether the MLP has neurons: tokens are not routed to experts."""
        return self._experts is None

    @property
    def _experts(self) -> nn.Module | None:
        return None if self.family.experts is None else getattr(self.mlp, self.family.experts, None)

    def _by_head(self, parts: Sequence[Tensor], dim: int = 0) -> tuple[Tensor, ...]:
        """Queries, keys and values as [head or group, d_head] along `dim`, out of the family's projections."""
        if len(parts) == 1 and self.family.interleaved:
            return parts[0].unflatten(dim, (self.heads, 3, self.d_head)).unbind(dim + 1 if dim >= 0 else dim - 1)
        if len(parts) == 1:
            rows = [heads * self.d_head for heads in (self.heads, self.kv_groups, self.kv_groups)]
            parts = parts[0].split(rows, dim=dim)
        return tuple(part.unflatten(dim, (-1, self.d_head)) for part in parts)

    def qkv(self, normed: Float[Tensor, "batch pos d_model"]) -> QKV:
        """Projects one input shared by all heads, through the checkpoint's own modules."""
        return QKV(*self._by_head([type(module).forward(module, normed) for module in self._qkv], dim=-1))

    def project(self, kind: int, inputs: Float[Tensor, "channel tokens d_model"], rows: list[int]) -> Tensor:
        """Projects each head's own input.

        Args:
            kind: 0 for queries, 1 for keys, 2 for values.
            inputs: normed input of each channel.
            rows: which heads (or groups) these channels are, in their order.

        Returns:
            [channel, tokens, d_head].
        """
        weights = self.qkv_weights[kind]
        if len(rows) < len(weights):  # a copy, which a backward pass would hold
            weights = weights[rows]
        projected = torch.bmm(inputs, weights.transpose(1, 2))
        biases = self.qkv_biases
        return projected if biases is None else projected + biases[kind][rows][:, None]

    @torch.no_grad()
    def offsets(self) -> QKV:
        """What q, k and v are at a standardised input of zero: the norm's bias projected, plus the biases."""
        bias = self.attention_norm.bias
        zero = self.output_weight.new_zeros(self.d_model) if bias is None else bias
        return QKV(*(part[0, 0] for part in self.qkv(zero[None, None])))

    def attend(self, qkv: QKV, call: dict[str, Any]) -> Float[Tensor, "batch pos head_d_head"]:
        """Runs the checkpoint's attention on given queries, keys and values, up to its output projection."""
        if self.family.interleaved:
            supplied = [torch.stack(list(qkv), dim=-2).flatten(-3)]
        else:
            supplied = [part.flatten(-2) for part in qkv]
            if len(self._qkv) == 1:
                supplied = [torch.cat(supplied, dim=-1)]
        if self.family.clamps_in_place:
            supplied = [part.clone() for part in supplied]
        # The value fed in is never read: it gives the attention code its batch and position shape.
        shape_only = qkv.q.new_empty(1).expand(*qkv.q.shape[:2], self.d_model)
        instead = {module: _returning(part) for module, part in zip(self._qkv, supplied, strict=True)}
        with replaced_forward({**instead, self._output: lambda z: z}):
            return self.attention(hidden_states=shape_only, **call)[0]

    def head_outputs(
        self,
        z: Float[Tensor, "batch pos head_d_head"],
        heads: list[int] | None = None,
        out: Float[Tensor, "head batch pos d_model"] | None = None,
    ) -> Float[Tensor, "head batch pos d_model"]:
        """What each head writes: its slice of z through its slice of the output projection, without the bias.

        Where a norm follows, each head has its share: its slice times the factor that the norm takes from all.

        Args:
            z: what attention gives its output projection.
            heads: which heads; all by default.
            out: where to write it, without gradients; a copy less.
        """
        per_head = z.flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(0, 1)
        weight = self.output_weight
        if heads is not None and len(heads) < self.heads:
            per_head, weight = per_head[heads], weight[heads]
        into = None if out is None or out.device != z.device else out.flatten(1, 2)
        outputs = torch.bmm(per_head, weight, out=into).unflatten(1, z.shape[:2])
        if self._attention_output_norm.module is not None:
            outputs = (outputs * self._attention_output_norm.factor(self._whole(z))).to(z.dtype)
        outputs = self._scaled(outputs)
        return outputs if out is None or outputs.data_ptr() == out.data_ptr() else out.copy_(outputs)

    def values_of(self, z: Float[Tensor, "batch pos head_d_head"]) -> Float[Tensor, "batch pos head_d_head"]:
        """z times the scale of the norm that follows: what heads write is linear in it, see `writes_of`."""
        return z if self._attention_output_norm.module is None else (z * self.output_scale(z)).to(z.dtype)

    def writes_of(
        self, values: Float[Tensor, "batch pos head_d_head"], out: Float[Tensor, "head batch pos d_model"] | None = None
    ) -> Float[Tensor, "head batch pos d_model"]:
        """What each head writes, given `values_of` what attention gives its output projection; `out` as above."""
        per_head = values.flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(0, 1)
        into = None if out is None or out.device != values.device else out.flatten(1, 2)
        outputs = torch.bmm(per_head, self.head_weights.to(values.dtype), out=into).unflatten(1, values.shape[:2])
        return outputs if out is None or into is not None else out.copy_(outputs)

    def output_scale(self, z: Float[Tensor, "batch pos head_d_head"]) -> Float[Tensor, "batch pos 1"]:
        """What `head_weights` lack of what a head writes: the scale of the norm that follows; 1 where none does."""
        norm = self._attention_output_norm
        return z.new_ones(*z.shape[:2], 1) if norm.module is None else norm.scale(self._whole(z))

    def attention_output(self, z: Tensor) -> Tensor:
        """What the whole attention layer writes, bias included."""
        return self._scaled(self._attention_output_norm(self._whole(z)))

    def mlp_output(self, normed: Tensor) -> Tensor:
        """What the MLP writes, given its normed input."""
        return self._scaled(self._mlp_output_norm(self.mlp(normed)))

    def mlp_outputs(
        self, normed: Float[Tensor, "batch pos d_model"], parts: list[int] | None = None
    ) -> Float[Tensor, "part batch pos d_model"]:
        """What each part of the MLP writes, given its normed input; the MLP itself where it is one node.

        Where a norm follows, each part has its share: its own output times the factor that the norm takes from all.

        Args:
            normed: the input.
            parts: which parts; all by default.
        """
        if self.parts is None:
            return self.mlp_output(normed)[None]
        whole, given = self._opened(self.parts.module, normed)
        outputs = self.parts.outputs(*given, parts=parts).view(-1, *normed.shape)
        if self._mlp_output_norm.module is not None:
            outputs = (outputs * self._mlp_output_norm.factor(whole)).to(normed.dtype)
        return self._scaled(outputs)

    def mlp_opened(self, normed: Tensor) -> tuple[Tensor, Tensor]:
        """What the MLP writes, given its normed input, and its neurons as its last projection is given them.

        Raises:
            ModelError: it has no neurons.
        """
        whole, (neurons,) = self._opened(self.neurons_in, normed)
        return self._scaled(self._mlp_output_norm(whole)), neurons

    def mlp_gated(self, normed: Tensor, gate: Callable[[Tensor], Tensor]) -> Tensor:
        """What the MLP writes, given its normed input, with something done to its neurons.

        Args:
            normed: the input.
            gate: gives what the last projection reads in place of its input.

        Raises:
            ModelError: it has no neurons.
        """
        module = self.neurons_in
        instead = module.forward
        with replaced_forward({module: lambda neurons: instead(gate(neurons))}):
            return self.mlp_output(normed)

    def neuron_scale(self, activations: Float[Tensor, "batch pos neuron"]) -> Float[Tensor, "batch pos 1"]:
        """What `neuron_weights` lack of what a neuron writes: the scale of the norm that follows; 1 where none does."""
        return self._mlp_output_norm.scale(type(self.neurons_in).forward(self.neurons_in, activations))

    def mlp_of_neurons(self, activations: Float[Tensor, "batch pos neuron"]) -> Float[Tensor, "batch pos d_model"]:
        """What the MLP writes with given neurons.

        Raises:
            ModelError: the MLP has no neurons.
        """
        return self.mlp_written(type(self.neurons_in).forward(self.neurons_in, activations))

    def mlp_written(self, projected: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """What the MLP writes, given what its last projection gives."""
        return self._scaled(self._mlp_output_norm(projected))

    def neuron_changes(
        self,
        activations: Float[Tensor, "batch pos neuron"],
        neurons: list[int],
        changes: Float[Tensor, "patch batch pos"],
    ) -> Float[Tensor, "patch batch pos d_model"]:
        """How what the MLP writes changes with one neuron's activation, through the norm where one follows.

        Args:
            activations: of all neurons as they are.
            neurons: whose activation changes, one in each patch.
            changes: what is added to it.

        Raises:
            ModelError: the MLP has no neurons.
        """
        columns = weight_of(self.neurons_in)[0].T[neurons]
        written = changes[..., None] * columns[:, None, None]
        if self._mlp_output_norm.module is not None:
            whole = type(self.neurons_in).forward(self.neurons_in, activations)
            written = self._mlp_output_norm(whole + written) - self._mlp_output_norm(whole)
        return self._scaled(written)

    def _opened(self, module: nn.Module, normed: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Runs the MLP: its output before any norm, and what one of its modules was given."""
        given = list[Tensor]()
        instead = module.forward

        def forward(*arguments: Tensor) -> Tensor:
            given.extend(arguments)
            return instead(*arguments)

        with replaced_forward({module: forward}):
            return self.mlp(normed), given

    def _scaled(self, output: Any) -> Any:
        return output if output is None or self._multiplier == 1 else output * self._multiplier

    def _whole(self, z: Tensor) -> Tensor:
        return type(self._output).forward(self._output, z)


def _chain(layer: nn.Module, names: str | tuple[str, ...]) -> nn.Module:
    """A part of the layer, or several run one after another."""
    if isinstance(names, str):
        return layer.get_submodule(names)
    return nn.Sequential(OrderedDict((name, layer.get_submodule(name)) for name in names))


def _returning(value: Tensor) -> Callable[..., Tensor]:
    return lambda *_args, **_kwargs: value


@contextmanager
def replaced_forward(forwards: dict[nn.Module, Callable[..., Any]]) -> Generator[None, None, None]:
    """Gives modules another `forward` for a while and leaves them exactly as they were."""
    before = {module: module.__dict__.get("forward") for module in forwards}
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module, old in before.items():
            if old is None:
                del module.forward
            else:
                module.forward = old
