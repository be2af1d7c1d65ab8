"""StableLM: llama with layer norms; some checkpoints have attention and MLP side by side on one norm."""

from dataclasses import replace

from wheatstone.checkpoints.families._family import register
from wheatstone.checkpoints.families.llama import LLAMA

_SEQUENTIAL = replace(LLAMA, name="stablelm", norm_kind="layer", norm_eps="eps")
_PARALLEL = replace(_SEQUENTIAL, parallel=True, mlp_norm="input_layernorm")
STABLELM = register(replace(_SEQUENTIAL, variants=(("use_parallel_residual", _PARALLEL),)))
