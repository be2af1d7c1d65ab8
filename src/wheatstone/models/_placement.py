"""Where a decoder layer's weights are, and having them there while it runs.

accelerate spreads a model by hooks on its modules: before a module's `forward` its inputs are moved to the device it
runs on and weights that are kept elsewhere (on the CPU, on disk) are fetched; afterwards these are dropped again.
Taking a layer apart reads weights outside any `forward`, so here a whole layer's are fetched at once, by the same
hooks, and the hooks are idle meanwhile. A model on one device has none, and nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from wheatstone._errors import ModelError


def execution_device(layer: nn.Module, name: str) -> torch.device:
    """Where a decoder layer runs.

    Args:
        layer: the layer.
        name: what to call it.

    Raises:
        ModelError: it is split over several devices, or its weights are nowhere.
    """
    devices: set[torch.device] = set()
    for module in layer.modules():
        hook = getattr(module, "_hf_hook", None)
        for weight in module.parameters(recurse=False):
            devices.add(torch.device(hook.execution_device) if hook is not None and weight.is_meta else weight.device)
    if len(devices) != 1 or devices == {torch.device("meta")}:
        raise ModelError(
            expected=f"the weights of {name} on one device, or offloaded from one by accelerate",
            got=f"weights on {', '.join(sorted(map(str, devices)))}",
            do="load the model again; keep each decoder layer whole in a device map",
        )
    return devices.pop()


@contextmanager
def present(layer: nn.Module) -> Generator[None, None, None]:
    """While this lasts, a layer's weights are on the device that it runs on; then offloaded ones are dropped.

    Inside another of the same layer it does nothing.

    A backward pass that goes through them does not keep them alive: it fetches each again when it comes by.
    """
    if not any(weight.is_meta for weight in layer.parameters()):
        yield
        return
    from accelerate.hooks import ModelHook

    hooks: dict[Any, Any] = {module: module._hf_hook for module in layer.modules() if hasattr(module, "_hf_hook")}
    with ExitStack() as after:
        for module, hook in hooks.items():
            hook.pre_forward(module)
            after.callback(hook.post_forward, module, None)
        for module, hook in hooks.items():
            module._hf_hook = ModelHook()
            after.callback(setattr, module, "_hf_hook", hook)
        after.enter_context(torch.autograd.graph.saved_tensors_hooks(_dropped(hooks), lambda fetch: fetch()))
        yield


def _dropped(hooks: dict[Any, Any]) -> Callable[[Tensor], Callable[[], Tensor]]:
    """Makes of a tensor that autograd saves a way to have it again; of a view of an offloaded weight, by fetching."""
    offloaded = {
        weight.untyped_storage().data_ptr(): (hook.weights_map, name)
        for module, hook in hooks.items()
        if getattr(hook, "offload", False)
        for name, weight in module.named_parameters(recurse=False)
    }

    def pack(saved: Tensor) -> Callable[[], Tensor]:
        found = offloaded.get(saved.untyped_storage().data_ptr())
        if found is None:
            return lambda: saved
        weights, name = found
        size, stride, offset = saved.size(), saved.stride(), saved.storage_offset()
        device, dtype = saved.device, saved.dtype
        return lambda: weights[name].to(device, dtype).as_strided(size, stride, offset)

    return pack
