"""Fixtures for pytest: a Segmenter on virtual time, and the seeds of simulations. Importing this brings nothing heavy.

pytest finds it by itself where the library is installed. An ``async def`` test that takes ``segmenter`` or ``virtual``
runs on virtual time, without any other plugin.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from segmenter.segmenter import Segmenter
    from segmenter.testing.virtual import Virtual

__all__ = ["segmenter", "segmenter_seeds", "virtual"]

SEEDS = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take ``--segmenter-seed``."""
    options = parser.getgroup("segmenter")
    options.addoption("--segmenter-seed", type=int, metavar="N", help="play the simulations of this seed only")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an ``async def`` test that takes ``virtual`` on virtual time."""
    virtual: Any = pyfuncitem.funcargs.get("virtual")
    ours = type(virtual).__module__ == "segmenter.testing.virtual"  # and not somebody else's fixture of that name
    if not ours or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    virtual.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def virtual() -> Generator[Virtual]:
    """Virtual time: ``virtual.run(coroutine)``, ``virtual.now``; an hour passes in a moment."""
    from segmenter.testing.virtual import Virtual  # noqa: PLC0415 - brings asyncio

    with Virtual() as time:
        yield time


@pytest.fixture
def segmenter(virtual: Virtual) -> Generator[Segmenter]:
    """A Segmenter on virtual time and in a memory of its own."""
    from segmenter.segmenter import Segmenter  # noqa: PLC0415 - brings the library
    from segmenter.testing.virtual import virtual_host  # noqa: PLC0415

    opened = Segmenter("memory://", host=virtual_host(virtual.loop))
    yield opened
    virtual.run(opened.aclose())


@pytest.fixture(scope="session")
def segmenter_seeds(pytestconfig: pytest.Config) -> Iterable[int]:
    """The seeds to play, for ``check_ordering(seeds=)``: twenty of them, or the one of ``--segmenter-seed``."""
    seed: int | None = pytestconfig.getoption("--segmenter-seed")
    return range(SEEDS) if seed is None else range(seed, seed + 1)
