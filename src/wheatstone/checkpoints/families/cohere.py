"""Cohere's Command: attention and MLP read one layer norm (without bias) side by side."""

from dataclasses import replace

from wheatstone.checkpoints.families._family import register
from wheatstone.checkpoints.families.llama import LLAMA

COHERE = register(replace(LLAMA, name="cohere", mlp_norm="input_layernorm", norm_kind="layer", parallel=True))
COHERE2 = register(replace(COHERE, name="cohere2"))
