"""A GGUF file turned into float32 safetensors, config and tokenizer by transformers' own reader.

transformers parses a file's metadata three times and builds the table of tensor names once per module (397
times for SmolLM2-135M), which is most of the time it takes. Inside `_parsed_once` each is done once and kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from wheatstone._disk import system_errors
from wheatstone._errors import ModelError, WheatstoneError, reason
from wheatstone._progress import Reporter
from wheatstone.checkpoints._cache import require_space
from wheatstone.checkpoints._claims import Stored
from wheatstone.checkpoints._quiet import quiet
from wheatstone.checkpoints.families._family import known_family

# For these vocabularies llama.cpp splits off each digit before it applies the GPT-2 pattern; transformers'
# reader only does the latter, and gives "\n\n5" and "  7" other tokens than the model was trained on.
_SINGLE_DIGITS = {"codeshell", "command-r", "exaone", "minerva-7b", "refact", "smollm", "starcoder"}


def dequantise(path: Path, out: Path, report: Reporter) -> str:
    """Writes the model in `path` into the folder `out`, as `save_pretrained` would.

    Args:
        path: a `.gguf` file of a decoder-only language model.
        out: an empty folder.
        report: progress callback, in tensors.

    Returns:
        How most weights of the file are stored, such as `Q4_1` or `F16`.

    Raises:
        ModelError: not a GGUF file, damaged, or of an architecture transformers does not read.
        ComputationError: too little disk.

    When this misleads: the weights are those of the quantised file, not of the model it was made from. A
    vocabulary whose pre-tokeniser transformers does not know is split as GPT-2's.
    """
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(expected="a GGUF file", got=f"{path}, which is not one", do="check the file")
    with quiet():
        try:
            with _parsed_once(report):
                model, tokenizer, stored = _read(path, out, report)
        except WheatstoneError:
            raise
        except Exception as error:  # A damaged file can make the readers raise anything.
            raise ModelError(
                expected="a GGUF file that transformers reads",
                got=f"{path}: {type(error).__name__}: {reason(error)}",
                do="fetch the file again, or use the model's safetensors",
            ) from error
        report("write safetensors", 0, None)
        _write(model, tokenizer, out)
    return stored


def _read(path: Path, out: Path, report: Reporter) -> tuple[Any, Any, str]:
    import gguf
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    where: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
    report("read the GGUF file", 0, None)
    reader = gguf.GGUFReader(path)
    weights: Counter[str] = Counter()
    for tensor in reader.tensors:
        weights[tensor.tensor_type.name] += int(tensor.n_elements)
    require_space(out, 4 * weights.total())
    stored = Stored(len(reader.tensors), weights.total())
    stored.check_settings(path, {name: _number(field) for name, field in reader.fields.items()})
    config = AutoConfig.from_pretrained(path.parent, **where)
    stored.check_model(path, config)
    known_family(config.model_type, str(path))  # refused before its weights are written
    model = AutoModelForCausalLM.from_pretrained(path.parent, config=config, dtype=torch.float32, **where)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
    split = reader.fields.get("tokenizer.ggml.pre")
    if split is not None and split.contents() in _SINGLE_DIGITS:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    return model, tokenizer, max(weights, key=weights.__getitem__)


def _number(field: Any) -> int | None:
    """A whole number among a file's metadata; None for anything else."""
    value = field.contents() if len(field.data) == 1 else None
    return value if isinstance(value, int) else None


def _write(model: Any, tokenizer: Any, out: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    # transformers will not save a model it read from GGUF: an empty one of the same config saves its weights.
    config = model.config.to_dict()
    del config["quantization_config"]
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    with system_errors(out):
        empty.save_pretrained(out, state_dict=model.state_dict(), max_shard_size="1000GB")
        tokenizer.save_pretrained(out)


@contextmanager
def _parsed_once(report: Reporter) -> Generator[None, None, None]:
    import gguf
    import numpy as np
    from transformers import modeling_gguf_pytorch_utils as transformers_reader

    class PlainReader(gguf.GGUFReader):
        """Parses through a plain array: slicing a `numpy.memmap` a million times takes thrice as long."""

        def _build_fields(self, offs: int, count: Any) -> int:
            self.data: Any = self.data.view(np.ndarray)
            return super()._build_fields(offs, count)

    @lru_cache
    def read(path: str) -> gguf.GGUFReader:
        return PlainReader(path)

    def counted(tensors: Iterable[Any], **_: object) -> Iterator[Any]:
        every = list(tensors)
        for done, tensor in enumerate(every):
            report("de-quantise (tensors)", done, len(every))
            yield tensor
        report("de-quantise (tensors)", len(every), len(every))

    by_name: Callable[..., Any] = lru_cache(gguf.get_tensor_name_map)
    with (
        _replaced(gguf, "GGUFReader", lambda path: read(str(path))),
        _replaced(gguf, "get_tensor_name_map", by_name),
        _replaced(transformers_reader, "tqdm", counted),
    ):
        yield


@contextmanager
def _replaced(module: ModuleType, name: str, value: object) -> Generator[None, None, None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
