"""Fixtures: one server of each kind for the whole run, a namespace of its own for each test."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import Server, ServerMissing, fake_server, newest, oldest

settings.register_profile("pr", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "pr"))


def _signals_as_in_a_terminal() -> None:
    """Have programs that tests start end by Ctrl-C and SIGHUP, even if the tests run in the background or by nohup.

    A signal that is ignored stays ignored in child processes; one that is handled has its default effect there.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)  # the tests themselves go on, as asked for


_signals_as_in_a_terminal()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="make what happens the expectation, in text files")


@pytest.fixture
def rewriting(request: pytest.FixtureRequest) -> bool:
    """Whether text files are to be rewritten."""
    return bool(request.config.getoption("--rewrite", default=False)) or os.environ.get("REWRITE") == "1"


@contextmanager
def where_it_is_installed() -> Iterator[None]:
    """Skip what needs a server that the system lacks, and say so; in CI it is a failure."""
    try:
        yield
    except ServerMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    with where_it_is_installed():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    with where_it_is_installed():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the servers said beside a failure."""
    report = yield
    if report.failed:
        report.sections += [(f"log of {server.binary} at {server.url}", server.said) for server in Server.alive]
    return report


@pytest.fixture(scope="session")
def newest_server() -> Iterator[Server]:
    """A Redis 8.2 that all tests share; whoever disturbs a server starts one of its own."""
    server = Server(newest())
    yield server
    server.stop()


@pytest.fixture(scope="session")
def oldest_server() -> Iterator[Server]:
    """A Redis 7.0 that all tests share."""
    server = Server(oldest())
    yield server
    server.stop()


@pytest.fixture(scope="session")
def fake_url() -> Iterator[str]:
    with fake_server() as url:
        yield url


@pytest.fixture(params=["redis-8.2", "redis-7.0", pytest.param("fakeredis", marks=pytest.mark.unheard("an imitation"))])
def redis_url(request: pytest.FixtureRequest) -> str:
    """The URL of each kind of server in turn."""
    match request.param:
        case "redis-8.2":
            server: Server = request.getfixturevalue("newest_server")
            return server.url
        case "redis-7.0":
            server = request.getfixturevalue("oldest_server")
            return server.url
        case _:
            url: str = request.getfixturevalue("fake_url")
            return url


@pytest.fixture(params=["redis-8.2", "redis-7.0"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A real server of the test's own, to be disturbed at will."""
    server = Server(newest() if request.param == "redis-8.2" else oldest())
    yield server
    server.stop()


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"
