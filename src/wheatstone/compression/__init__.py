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
    from wheatstone.compression._container import Chunking as Chunking
    from wheatstone.compression._container import open_checked as open_checked
    from wheatstone.compression._estimate import Estimate as Estimate
    from wheatstone.compression._estimate import estimate as estimate
    from wheatstone.compression._estimate import estimate_seconds as estimate_seconds

__getattr__ = door(__name__)
