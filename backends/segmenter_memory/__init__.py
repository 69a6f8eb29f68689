"""Streams in the memory of this process: for unit tests, simulations, and programs that need no more.

``memory://`` is private to the ``Segmenter`` that opens it; ``memory://name`` is shared by all in the process that
name it. Nothing survives the process.
"""

from segmenter_memory.backend import MemoryBackend, Store

__all__ = ["MemoryBackend", "Store"]
