"""A reference for every family: one prompt, one channel at a time, out of transformers' own modules.

It knows where a layer keeps its parts (from `Family`) and nothing else of the engine: projections are whole
modules whose outputs are cut up, a head's write is the output projection of z with the other heads at zero, and
its share of an output norm is read off the norm's own output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wheatstone.models import ResidualModel


class AssembledRun:
    """A circuit's logits at the last position, every channel's input assembled from node outputs.

    Args:
        model: the model.
        ids: one prompt.
        keep: [channel, node], as real numbers: how much of each edge is kept. All of them by default.
        ablated: [node, pos, d_model], what an edge carries as far as it is not kept. Nothing by default.
        leaves: by channel, something added to what it reads.
        frozen_norms: whether the factor of an output norm is a constant in the backward pass.
    """

    def __init__(
        self,
        model: ResidualModel,
        ids: Sequence[int],
        *,
        keep: Tensor | None = None,
        ablated: Tensor | None = None,
        leaves: Mapping[str, Tensor] | None = None,
        frozen_norms: bool = False,
    ) -> None:
        self.frozen_norms = frozen_norms
        self.model, self.graph, self.family = model, model.graph, model.family
        self.keep = torch.from_numpy(self.graph.valid).to(model.dtype) if keep is None else keep
        self.ablated = ablated
        self.leaves = leaves or {}
        self.layers: Any = model.module.get_submodule(self.family.layers)
        self.ids = torch.tensor([list(ids)])
        self.calls: list[tuple[Any, dict[str, Any]]] = []
        embedded = self._listen()
        self.written = {"input": embedded}
        self.constant = torch.zeros_like(embedded)
        for index in range(len(self.layers)):
            self._layer(index)
        self.logits = self._unembed(self.read("logits"))

    def _listen(self) -> Tensor:
        """Runs the model as it is; notes what it calls each attention with. Returns the first residual stream."""
        first: list[Tensor] = []

        def note(_module: nn.Module, args: Any, kwargs: Any) -> None:
            self.calls.append((args, kwargs))

        def embedded(_module: nn.Module, args: Any, kwargs: Any) -> None:
            first.append(args[0] if args else kwargs["hidden_states"])

        handles = [self.layers[0].register_forward_pre_hook(embedded, with_kwargs=True)]
        handles += [
            layer.get_submodule(self.family.attention).register_forward_pre_hook(note, with_kwargs=True)
            for layer in self.layers
        ]
        with torch.no_grad():
            self.model.module(self.ids, use_cache=False)
        for handle in handles:
            handle.remove()
        return first[0]

    def _unembed(self, residual: Tensor) -> Tensor:
        """The model's own way from the last residual stream to logits."""

        def instead(_module: nn.Module, _args: Any, output: Any) -> Any:
            return (residual, *output[1:]) if isinstance(output, tuple) else residual

        handle = self.layers[-1].register_forward_hook(instead)
        logits = self.model.module(self.ids, use_cache=False).logits[0, -1]
        handle.remove()
        return logits

    def read(self, channel: str) -> Tensor:
        """What a channel reads: of each earlier node the kept share, and the ablated rest."""
        total = self.constant + self.leaves.get(channel, 0)
        for name, written in self.written.items():
            node = self.graph.node_index[name]
            share = self.keep[self.graph.channel_index[channel], node]
            total = total + share * written
            if self.ablated is not None:
                total = total + (1 - share) * self.ablated[node]
        return total

    def _norm(self, layer: nn.Module, name: str | None, x: Tensor) -> Tensor:
        return x if name is None else layer.get_submodule(name)(x)

    def _project(self, layer: nn.Module, kind: int, row: int, x: Tensor) -> Tensor:
        """One head's query, or one group's key or value."""
        attention = layer.get_submodule(self.family.attention)
        outputs = [attention.get_submodule(name)(x) for name in self.family.qkv]
        heads, groups = self.graph.heads, self.graph.kv_groups
        if len(outputs) == 3:
            return outputs[kind].unflatten(-1, ((heads, groups, groups)[kind], -1))[:, :, row]
        if self.family.interleaved:
            return outputs[0].unflatten(-1, (heads, -1))[:, :, row].chunk(3, dim=-1)[kind]
        return outputs[0].unflatten(-1, (heads + 2 * groups, -1))[:, :, (0, heads, heads + groups)[kind] + row]

    def _layer(self, index: int) -> None:
        layer, family, graph = self.layers[index], self.family, self.graph
        attention = layer.get_submodule(family.attention)
        parts = [
            [
                self._project(layer, kind, row, self._norm(layer, family.attention_norm, self.read(name.format(row))))
                for row in range(count)
            ]
            for kind, (name, count) in enumerate(
                (
                    (f"a{index}.h{{}}<q>", graph.heads),
                    (f"a{index}.g{{}}<k>", graph.kv_groups),
                    (f"a{index}.g{{}}<v>", graph.kv_groups),
                )
            )
        ]
        if family.interleaved:
            supplied = [torch.cat([part for head in zip(*parts, strict=True) for part in head], dim=-1)]
        else:
            supplied = [torch.cat(part, dim=-1) for part in parts]
            supplied = supplied if len(family.qkv) == 3 else [torch.cat(supplied, dim=-1)]
        scale = (
            1 if family.residual_multiplier is None else getattr(self.model.module.config, family.residual_multiplier)
        )
        project = attention.get_submodule(family.attention_output)
        z = self._attend(attention, index, supplied)
        bias = project(torch.zeros_like(z))
        total = project(z)
        # Without a norm there is no factor; what a rule of the backward pass makes of a norm is read off its output.
        norm = family.attention_output_norm
        factor = torch.ones(()) if norm is None else self._norm(layer, norm, total) / total
        if self.frozen_norms and norm is not None:
            factor = factor.detach()
        heads: dict[str, Tensor] = {}
        for head in range(graph.heads):
            mine = (
                torch.zeros(graph.heads)
                .index_fill(0, torch.tensor([head]), 1)
                .repeat_interleave(z.shape[-1] // graph.heads)
            )
            heads[f"a{index}.h{head}"] = (project(z * mine.to(z.dtype)) - bias) * factor * scale
        if not graph.parallel:
            self.written |= heads
            self.constant = self.constant + bias * scale
        x = self._norm(layer, family.mlp_norm, self.read(f"m{index}"))
        mlp, mlp_bias = self._mlp(index, x)
        if graph.parallel:
            self.written |= heads
            self.constant = self.constant + bias * scale
        self.written |= {name: written * scale for name, written in mlp.items()}
        self.constant = self.constant + mlp_bias * scale

    def _mlp(self, index: int, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """What the MLP or each of its parts writes, found by running it with the others silenced; and its bias."""
        layer, family = self.layers[index], self.family
        modules = [layer.get_submodule(name) for name in ([family.mlp] if isinstance(family.mlp, str) else family.mlp)]

        def run(at: nn.Module | None = None, silence: Any = None) -> Tensor:
            handle = None if at is None else at.register_forward_pre_hook(silence)
            y = x
            for module in modules:
                y = module(y)
            if handle is not None:
                handle.remove()
            return y

        whole = run()
        written = self._norm(layer, family.mlp_output_norm, whole)
        split = next((split for split in self.graph.split if split.layer == index), None)
        if split is None:
            return {f"m{index}": written}, torch.zeros_like(whole)
        factor = written / whole
        owner = modules[0] if isinstance(family.mlp, str) else layer
        if split.into == "experts":
            assert family.experts is not None
            at, bias = owner.get_submodule(family.experts), torch.zeros_like(whole)
        else:
            at = owner.get_submodule(family.mlp_output)
            bias = run(at, lambda _module, args: (args[0] * 0,))
        parts: dict[str, Tensor] = {}
        for part in range(split.parts):

            def silence(_module: nn.Module, args: Any, part: int = part) -> Any:
                if split.into == "experts":
                    return (*args[:2], args[2] * (args[1] == part))
                return (args[0] * torch.eye(split.parts, dtype=x.dtype)[part],)

            parts[f"m{index}.{split.into[0]}{part}"] = (run(at, silence) - bias) * factor
        return parts, bias

    def _attend(self, attention: nn.Module, index: int, supplied: list[Tensor]) -> Tensor:
        """Attention on given projections, up to its output projection."""
        seen: list[Tensor] = []

        def see(_module: nn.Module, args: Any) -> None:
            seen.append(args[0])

        handles = [attention.get_submodule(self.family.attention_output).register_forward_pre_hook(see)]
        for name, value in zip(self.family.qkv, supplied, strict=True):

            def instead(_module: nn.Module, _args: Any, _output: Any, value: Tensor = value) -> Tensor:
                return value

            handles.append(attention.get_submodule(name).register_forward_hook(instead))
        args, kwargs = self.calls[index]
        attention(*args, **kwargs)
        for handle in handles:
            handle.remove()
        return seen[0]
