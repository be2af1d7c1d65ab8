"""What a corpus scan depends on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wheatstone._bounds import BATCH, EXAMPLES, SEED
from wheatstone._errors import RequestError
from wheatstone._path import StrPath, keep_as_text
from wheatstone._version import __version__
from wheatstone._view import Brief
from wheatstone.models import ResidualModel
from wheatstone.neurons._scan_windows import Window, ranks
from wheatstone.texts import BUNDLED, check_sources

_SHARE_BITS = 30


@dataclass(frozen=True)
class ScanSettings(Brief):
    """What to read, and what to keep of it.

    Args:
        texts: `bundled`, files, folders, or ids of Hugging Face datasets.
        layers: whose neurons or heads; None for all.
        window: tokens that are run together, of one document.
        top: examples kept at either end.
        share: of the windows that are read, drawn over the whole corpus.
        tokens: stop once this many are read; None reads to the end.
        batch: tokens after which the state is saved, so that no more than that is lost.
        shard: batches whose windows make one file.
        seed: of what is drawn.
    """

    texts: tuple[StrPath, ...] = (BUNDLED,)
    layers: tuple[int, ...] | None = None
    window: int = 128
    top: int = 20
    share: float = 1.0
    tokens: int | None = None
    batch: int = 8192
    shard: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        keep_as_text(self, "texts", self.texts)

    def check_values(self, out: StrPath | None = None) -> None:
        """Refuses what can be refused before a model is loaded.

        Args:
            out: folder of the scan, where it is known.

        Raises:
            RequestError: a wrong setting, or texts that cannot be read; see `check_sources`.
        """
        check_sources(self.texts, out)
        SEED.check("a seed", self.seed)
        EXAMPLES.check("a number of examples (--top)", self.top)
        BATCH.check("a number of tokens (--batch)", self.batch)
        if self.window < 2:
            raise _wrong("a window of at least 2 tokens", str(self.window), "--window")
        if not 0 < self.share <= 1:
            raise _wrong("a share above 0, at most 1", str(self.share), "--share")
        for name in ("top", "batch", "shard") if self.tokens is None else ("top", "batch", "shard", "tokens"):
            if getattr(self, name) < 1:
                raise _wrong(f"at least 1 for {name}", str(getattr(self, name)), f"--{name}")

    def check(self, model: ResidualModel) -> None:
        """Refuses what cannot be done.

        Raises:
            RequestError: a wrong setting.
        """
        self.check_values()
        last, most = model.graph.layers - 1, model.context
        if self.layers is not None and not (self.layers and all(0 <= layer <= last for layer in self.layers)):
            raise _wrong(f"layers of {model.id}, from 0 to {last}", str(list(self.layers)), "--layers")
        if not 2 <= self.window <= most:
            raise _wrong(f"a window of 2 to {most} tokens, the most {model.id} reads", str(self.window), "--window")

    def which(self, model: ResidualModel) -> tuple[int, ...]:
        """The layers, ascending."""
        return tuple(range(model.graph.layers)) if self.layers is None else tuple(sorted(set(self.layers)))

    def draws(self, window: Window) -> bool:
        """Whether a window is among the share that is read."""
        place = np.array([window.document << 32 | window.start])
        return self.share >= 1 or bool(ranks(place, self.seed, _SHARE_BITS)[0] < self.share * 2**_SHARE_BITS)

    def identity(self, model: ResidualModel) -> dict[str, Any]:
        """All that the results depend on, as JSON has it."""
        return {
            "wheatstone": __version__,
            "model": {
                "id": model.id,
                "family": model.family.name,
                "sha256": model.sha256,
                "dtype": model.precision,
            },
            "settings": asdict(self) | {"texts": list(self.texts), "layers": list(self.which(model))},
        }


def _wrong(expected: str, got: str, option: str) -> RequestError:
    return RequestError(expected=expected, got=got, do=f"choose another {option}")
