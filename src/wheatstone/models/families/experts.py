"""Mixtures of experts: the routed MLP, router and experts together, is one node."""

from dataclasses import replace

from wheatstone.models.families._family import register
from wheatstone.models.families.llama import LLAMA

MIXTRAL = register(replace(LLAMA, name="mixtral", mlp_output=None))
QWEN3_MOE = register(replace(LLAMA, name="qwen3_moe", mlp_output=None))
OLMOE = register(replace(LLAMA, name="olmoe", mlp_output=None, normed_across_heads=True, clamps_in_place=True))
