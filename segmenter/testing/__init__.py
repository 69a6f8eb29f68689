"""Tools to test code that uses the library, and the library itself."""

from segmenter.testing.virtual import Deadlock, VirtualLoop, run_virtually, virtual_host

__all__ = ["Deadlock", "VirtualLoop", "run_virtually", "virtual_host"]
