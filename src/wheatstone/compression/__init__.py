"""Next-token prediction as lossless compression, and what a text costs a model in bits."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.compression._ablated import CircuitBits as CircuitBits
    from wheatstone.compression._ablated import circuit_bits as circuit_bits
    from wheatstone.compression._bits import Bits as Bits
    from wheatstone.compression._bits import bits as bits
    from wheatstone.compression._compress import Compressed as Compressed
    from wheatstone.compression._compress import compress as compress
    from wheatstone.compression._compress import decompress as decompress
    from wheatstone.compression._compress import estimate_seconds as estimate_seconds
    from wheatstone.compression._container import Chunking as Chunking
    from wheatstone.compression._container import open_checked as open_checked

_WHERE = {
    "Bits": "wheatstone.compression._bits",
    "bits": "wheatstone.compression._bits",
    "circuit_bits": "wheatstone.compression._ablated",
    "CircuitBits": "wheatstone.compression._ablated",
    "Chunking": "wheatstone.compression._container",
    "Compressed": "wheatstone.compression._compress",
    "compress": "wheatstone.compression._compress",
    "decompress": "wheatstone.compression._compress",
    "estimate_seconds": "wheatstone.compression._compress",
    "open_checked": "wheatstone.compression._container",
}
__all__ = sorted(_WHERE)  # pyright: ignore[reportUnsupportedDunderAll]
__getattr__ = door(__name__, _WHERE)
