"""A compiled Tracr program as a transformers model that Wheatstone can take apart.

No norms, no biases, ReLU MLPs, learned positions, attention masked or not: tracr's own forward pass
(Lindner et al. 2023, arXiv 2301.05062), behind the names that a model of transformers has. `TRACR` is what
docs/guides/add-a-family.md asks for.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from wheatstone.checkpoints.families import Family

TRACR = Family(
    name="tracr",
    layers="layers",
    attention="attention",
    mlp="mlp",
    qkv=("query", "key", "value"),
    attention_output="output",
    attention_norm=None,
    mlp_norm=None,
    mlp_output="output",
    norm_kind="rms",
    norm_eps=0.0,
)


class TracrConfig(PreTrainedConfig):
    """Sizes of a compiled program, and whether it may look ahead."""

    model_type = "tracr"

    def __init__(
        self,
        vocab_size: int = 8,
        hidden_size: int = 16,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 2,
        head_dim: int = 8,
        intermediate_size: int = 8,
        max_position_embeddings: int = 8,
        causal: bool = True,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.head_dim = head_dim
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.causal = causal
        super().__init__(**kwargs)


class TracrAttention(nn.Module):
    """Softmax attention over all positions, or over the earlier ones."""

    def __init__(self, config: TracrConfig) -> None:
        super().__init__()
        inner = config.num_attention_heads * config.head_dim
        self.d_head, self.causal = config.head_dim, config.causal
        self.query = nn.Linear(config.hidden_size, inner, bias=False)
        self.key = nn.Linear(config.hidden_size, inner, bias=False)
        self.value = nn.Linear(config.hidden_size, inner, bias=False)
        self.output = nn.Linear(inner, config.hidden_size, bias=False)

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v = (
            part(hidden_states).unflatten(-1, (-1, self.d_head)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(-1, -2) / self.d_head**0.5
        if self.causal:
            ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(ahead, -torch.inf)
        weights = scores.softmax(-1)
        return self.output((weights @ v).transpose(1, 2).flatten(2)), weights


class TracrMLP(nn.Module):
    """Two projections with a ReLU between."""

    def __init__(self, config: TracrConfig) -> None:
        super().__init__()
        self.input = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.output = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.activation = nn.ReLU()

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.output(self.activation(self.input(hidden_states)))


class TracrLayer(nn.Module):
    """Attention, then the MLP, each added to the residual stream as it is."""

    def __init__(self, config: TracrConfig) -> None:
        super().__init__()
        self.attention, self.mlp = TracrAttention(config), TracrMLP(config)

    def forward(self, hidden_states: Tensor) -> Tensor:
        hidden_states = hidden_states + self.attention(hidden_states)[0]
        return hidden_states + self.mlp(hidden_states)


class TracrModel(PreTrainedModel):
    """A compiled program with its unembedding: a logit for each class, or a number as the logit of one word."""

    config_class = TracrConfig
    config: TracrConfig

    def __init__(self, config: TracrConfig) -> None:
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.layers = nn.ModuleList(TracrLayer(config) for _ in range(config.num_hidden_layers))
        self.unembed = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embed

    def forward(self, input_ids: Tensor, logits_to_keep: int | Tensor = 0, use_cache: bool = False) -> CausalLMOutput:
        x = self.embed(input_ids) + self.positions.weight[: input_ids.shape[1]]
        for layer in self.layers:
            x = layer(x)
        kept = slice(-logits_to_keep or None, None) if isinstance(logits_to_keep, int) else logits_to_keep
        return CausalLMOutput(logits=self.unembed(x[:, kept]))
