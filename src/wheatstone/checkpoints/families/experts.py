"""Mixtures of experts: the routed MLP, router and experts together, is one node unless it is split."""

from dataclasses import replace

from wheatstone.checkpoints.families._family import register
from wheatstone.checkpoints.families.llama import LLAMA

MIXTRAL = register(replace(LLAMA, name="mixtral", experts="experts"))
QWEN3_MOE = register(replace(LLAMA, name="qwen3_moe", experts="experts"))
OLMOE = register(replace(LLAMA, name="olmoe", experts="experts", normed_across_heads=True, clamps_in_place=True))
