"""A reference for every run of the engine: one prompt, one head, one edge at a time, straight from the definition.

It shares no code with the engine: attention is written out, norms and MLPs are the checkpoint's modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from wheatstone.models import ResidualModel


class SlowRun:
    """Assembles what every channel reads from per-node outputs, with no sharing.

    Args:
        model: a llama or a gpt2.
        ids: one prompt.
        keep: [channel, node], as real numbers: how much of each edge is kept. All of them by default.
        ablated: [node, pos, d_model], what an edge carries as far as it is not kept. Nothing by default.
        leaves: by channel, something added to what it reads.
    """

    def __init__(
        self,
        model: ResidualModel,
        ids: list[int],
        *,
        keep: Tensor | None = None,
        ablated: Tensor | None = None,
        leaves: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.graph, self.module, self.leaves = model.graph, model.module, leaves or {}
        self.config: Any = model.module.config
        self.width = len(ids)
        self.keep = torch.from_numpy(self.graph.valid).double() if keep is None else keep
        self.ablated = torch.zeros(len(self.graph.nodes), self.width, model.d_model) if ablated is None else ablated
        self.written: dict[str, Tensor] = {}
        self.live = [0]
        self.constant = torch.zeros(model.d_model)
        self.logits = self._gpt2(torch.tensor(ids)) if model.family.name == "gpt2" else self._llama(torch.tensor(ids))

    def read(self, channel: str) -> Tensor:
        """What a channel reads: of each earlier node the kept share, and the ablated rest."""
        total = self.constant.expand(self.width, -1)
        for name, written in self.written.items():
            node = self.graph.node_index[name]
            share = self.keep[self.graph.channel_index[channel], node]
            total = total + share * written + (1 - share) * self.ablated[node]
        return total + self.leaves.get(channel, 0)

    def reached(self, name: str, written: Tensor) -> Tensor:
        """What a node wrote; its ablated output where no kept edge leads to it from the input."""
        node = self.graph.node_index[name]
        if any((self.keep[channel, other] != 0) for channel in self.graph.channels_of(node) for other in self.live):
            self.live.append(node)
            return written
        return self.ablated[node]

    def attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal attention of one head."""
        scores = (q @ k.T / q.shape[-1] ** 0.5).masked_fill(
            torch.ones(self.width, self.width).triu(1).bool(), -torch.inf
        )
        return scores.softmax(-1) @ v

    def rotary(self, x: Tensor) -> Tensor:
        """Turns each pair (i, i + d/2) of a query or key by its position's angle."""
        half = x.shape[-1] // 2
        theta = self.config.rope_parameters["rope_theta"]
        angle = torch.arange(self.width)[:, None] * (1 / theta ** (torch.arange(half) / half))
        cos, sin = angle.cos().to(x), angle.sin().to(x)  # transformers keeps these tables in float32
        a, b = x[:, :half], x[:, half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)

    def _llama(self, ids: Tensor) -> Tensor:
        body: Any = self.module.model
        self.written["input"] = body.embed_tokens(ids)
        for index, layer in enumerate(body.layers):
            attention, norm = layer.self_attn, layer.input_layernorm
            d_head = attention.head_dim
            heads: dict[str, Tensor] = {}
            for head in range(self.graph.heads):
                group = head // (self.graph.heads // self.graph.kv_groups)

                def project(module: Any, which: int, channel: str, norm: Any = norm, d_head: int = d_head) -> Tensor:
                    rows = slice(which * d_head, (which + 1) * d_head)
                    bias = 0 if module.bias is None else module.bias[rows]
                    return norm(self.read(channel)) @ module.weight[rows].T + bias

                q = project(attention.q_proj, head, f"a{index}.h{head}<q>")
                k = project(attention.k_proj, group, f"a{index}.g{group}<k>")
                v = project(attention.v_proj, group, f"a{index}.g{group}<v>")
                z = self.attention(self.rotary(q), self.rotary(k), v)
                columns = slice(head * d_head, (head + 1) * d_head)
                written = z @ attention.o_proj.weight[:, columns].T
                heads[f"a{index}.h{head}"] = self.reached(f"a{index}.h{head}", written)
            self.written |= heads
            if attention.o_proj.bias is not None:
                self.constant = self.constant + attention.o_proj.bias
            mlp = layer.mlp(layer.post_attention_layernorm(self.read(f"m{index}")))
            self.written[f"m{index}"] = self.reached(f"m{index}", mlp)
        return self.module.lm_head(body.norm(self.read("logits")[-1]))

    def _gpt2(self, ids: Tensor) -> Tensor:
        body: Any = self.module.transformer
        self.written["input"] = body.wte(ids) + body.wpe(torch.arange(self.width))
        for index, layer in enumerate(body.h):
            weight, bias = layer.attn.c_attn.weight, layer.attn.c_attn.bias
            d_model = weight.shape[0]
            d_head = d_model // self.graph.heads
            heads: dict[str, Tensor] = {}
            for head in range(self.graph.heads):
                names = f"a{index}.h{head}<q>", f"a{index}.g{head}<k>", f"a{index}.g{head}<v>"
                parts: list[Tensor] = []
                for kind, channel in enumerate(names):
                    columns = slice(kind * d_model + head * d_head, kind * d_model + (head + 1) * d_head)
                    parts.append(layer.ln_1(self.read(channel)) @ weight[:, columns] + bias[columns])
                rows = slice(head * d_head, (head + 1) * d_head)
                written = self.attention(*parts) @ layer.attn.c_proj.weight[rows]
                heads[f"a{index}.h{head}"] = self.reached(f"a{index}.h{head}", written)
            self.written |= heads
            self.constant = self.constant + layer.attn.c_proj.bias
            self.written[f"m{index}"] = self.reached(f"m{index}", layer.mlp(layer.ln_2(self.read(f"m{index}"))))
        return self.module.lm_head(body.ln_f(self.read("logits")[-1]))
