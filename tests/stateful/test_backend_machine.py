"""The machines as others use them: in two lines, through nothing but the port."""

from __future__ import annotations

from segmenter.testing import BackendMachine
from segmenter_memory import MemoryBackend

TestMemory = BackendMachine.of(MemoryBackend, stories=10)
