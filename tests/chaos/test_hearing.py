"""What is overheard of leases: a member has one from its joining on, though the answer to that may be lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from segmenter import Segmenter
from segmenter.core.command import Command
from segmenter.core.group import UpdateGroup
from segmenter.core.observations import Admitted, Observation
from segmenter.errors import BackendError
from segmenter.testing import run_virtually, virtual_host
from segmenter_memory import MemoryBackend
from segmenter_memory.backend import MemorySession
from tests.chaos.hearing import Heard
from tests.chaos.notes import Beaten, Notebook, read_notes


class LossyBackend(MemoryBackend):
    """Loses the answer to the first joining."""

    def __init__(self) -> None:
        super().__init__()
        self.to_lose = 1

    async def session(self) -> MemorySession:
        return LossySession(self)


class LossySession(MemorySession):
    def __init__(self, backend: LossyBackend) -> None:
        super().__init__(backend.store)
        self._backend = backend

    def execute(self, command: Command[Any, Any]) -> asyncio.Future[Any]:
        answered = super().execute(command)
        if not (isinstance(command, UpdateGroup) and command.event.cause == "joined" and self._backend.to_lose):
            return answered
        self._backend.to_lose -= 1
        lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        lost.set_exception(BackendError("no answer", retriable=True))
        return lost


@pytest.mark.parametrize("backend", [MemoryBackend, LossyBackend])
def test_a_lease_is_heard_of_before_the_first_beat(backend: type[MemoryBackend], tmp_path: Path) -> None:
    path = tmp_path / "notes"
    heard_of: list[list[str]] = []

    def observe(seen: Observation) -> None:
        if isinstance(seen, Admitted):
            heard_of.append([beat.member for beat in read_notes(path, Beaten)])
            assert heard_of == [[seen.member]]

    async def story() -> None:
        heard = Heard(backend(), notebook)
        async with Segmenter(backend=heard, host=virtual_host(asyncio.get_running_loop())) as segmenter:
            await segmenter.register_stream("orders", partitions=1)
            async with segmenter.register_consumer("orders", group="g", observer=observe):
                assert len(heard_of) == 1

    with Notebook(path) as notebook:
        run_virtually(story)
