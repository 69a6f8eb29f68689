"""Whether all that the servers of a test were asked is lawful: heard of each before it ends, judged by the replay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from tests.audit.look import heard
from tests.audit.replay import Asked, disagreements
from tests.audit.scripts import AUDIT
from tests.servers import Server

__all__ = ["Watch", "watching"]

SHOWN = 3  # disagreements; what follows from the first may be many


@define
class Watch:
    """What has been heard during a test."""

    commands: int = 0
    tampered: bool = False
    _heard: list[tuple[str, list[Asked]]] = field(factory=list[tuple[str, list[Asked]]])  # of each server

    def hear(self, server: Server) -> None:
        """Hear what a server has done since its data began, unless somebody has tampered with them."""
        if server.tampered:
            self.tampered = True
            return
        with server.client as client:
            done, looked = heard(client)
        self.commands += len(done)
        self._heard.append((f"{server.binary} at {server.url}", [*done, *looked]))

    def wrong(self) -> list[str]:
        """Return what is not by the law."""
        return [f"{server}: {each}" for server, done in self._heard for each in disagreements(done)]

    def complaint(self, *, passed: bool, tampers: bool, unheard: bool) -> str | None:
        """Return what is wrong with a test; nothing if all is well.

        Args:
            passed: whether it came to its end.
            tampers: it says that it tampers with what is stored.
            unheard: it says that it asks nothing of a server that writes it down.
        """
        if wrong := self.wrong():
            return "\n\n".join([f"answers that are not by the law: {len(wrong)}", *wrong[:SHOWN]])
        if not passed:
            return None
        if tampers != self.tampered:
            return f"it {'says' if tampers else 'does not say'} that it tampers with what is stored (Server.tampering)"
        if unheard and self.commands:
            return f"it says that nothing of it is heard, and {self.commands} commands were"
        if not (self.commands or tampers or unheard):
            return "no server has written anything down, so nothing was replayed"
        return None


@contextmanager
def watching() -> Iterator[Watch]:
    """Hear whatever servers are asked meanwhile: of each when it ends, and of the others at the end."""
    watch = Watch()
    for server in Server.alive:
        server.tampered = False
        with server.client as client:
            client.delete(AUDIT)
    Server.listeners.append(watch.hear)
    try:
        yield watch
        for server in Server.alive:
            if server.runs:
                watch.hear(server)
    finally:
        Server.listeners.remove(watch.hear)
