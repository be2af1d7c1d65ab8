"""Granite: llama with multipliers; the one on the residual stream is ours to apply."""

from dataclasses import replace

from wheatstone.checkpoints.families._family import register
from wheatstone.checkpoints.families.llama import LLAMA

GRANITE = register(replace(LLAMA, name="granite", residual_multiplier="residual_multiplier"))
