"""What a model's config claims, compared with the weights that are there before anything of that size is built."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wheatstone._errors import ModelError
from wheatstone._json import parse_json
from wheatstone._path import regular
from wheatstone.checkpoints._quiet import quiet

_LAYERS = re.compile("layer|block_count")
_SIZES = re.compile("size|dim|head|embd|embed|inner|experts|rank|position|window|length|ctx|groups")
_LONGEST = 1 << 24
"""Tokens of a context, at most, and what any other size may be in a small model."""
_HEADER = 100_000_000
"""Bytes of a safetensors file's header, at most, as that format has it."""
_SLACK = 1 << 22
"""Numbers that a model may hold besides its weights and as many again, such as masks."""


class Stored(NamedTuple):
    """What files of weights hold.

    Args:
        tensors: how many there are.
        numbers: of all of them together.
    """

    tensors: int
    numbers: int

    @classmethod
    def of(cls, weights: Sequence[Path]) -> Stored | None:
        """By the headers of safetensors files; None where one cannot be read, which is said when it is loaded."""
        try:
            sizes = [math.prod(shape) for path in weights for shape in _shapes(path)]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None
        return cls(len(sizes), sum(sizes))

    def check_settings(self, where: Path, settings: Mapping[str, Any]) -> None:
        """Refuses counts that these weights cannot have: a dimension has at least one number for each of its places.

        Raises:
            ModelError: there is one.
        """
        for name, value in _counts(settings):
            most = self.tensors if _LAYERS.search(name) else max(self.numbers, _LONGEST)
            if value > most and (_LAYERS.search(name) or _SIZES.search(name)):
                raise ModelError(
                    expected=f"{name} of at most {most:,} in {where}, whose weights are {self.tensors:,} tensors of "
                    f"{self.numbers:,} numbers",
                    got=f"{value:,}",
                    do="replace the config or the weights; they belong to different models",
                )

    def check_model(self, where: Path, config: Any) -> None:
        """Refuses a model that is much larger than these weights, without allocating it.

        Raises:
            ModelError: it is.
        """
        import torch  # a list of models does not wait for it
        from transformers import AutoModelForCausalLM

        try:
            with quiet(), torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config)
        except Exception:  # said when it is loaded
            return
        claimed = sum(part.numel() for part in (*model.parameters(), *model.buffers()))
        if claimed > 2 * self.numbers + _SLACK:
            raise ModelError(
                expected=f"a config that goes with the {self.numbers:,} numbers of the weights in {where}",
                got=f"one of a model of {claimed:,}",
                do="replace the config or the weights; they belong to different models",
            )


def _shapes(path: Path) -> list[list[int]]:
    """The shapes of a safetensors file's tensors, read from its header: mapping a file larger than memory can fail.

    Raises:
        OSError: it cannot be read.
        ValueError, LookupError, TypeError, AttributeError: it is no such file, or not as long as its header says.
    """
    with regular(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _HEADER:
            raise ValueError(f"a header of more than {_HEADER:,} bytes")
        tensors = [tensor for name, tensor in parse_json(file.read(length)).items() if name != "__metadata__"]
    ends = max((tensor["data_offsets"][1] for tensor in tensors), default=0)
    if 8 + length + ends != path.stat().st_size:
        raise ValueError("a file that was cut short")
    return [tensor["shape"] for tensor in tensors]


def _counts(settings: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The whole numbers of a config that are counts or sizes, those of its parts included."""
    for name, value in settings.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                yield from _counts(each)
            elif isinstance(each, int) and not isinstance(each, bool):
                yield name, each
