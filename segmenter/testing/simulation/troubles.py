"""What befalls processes: they stand still, are cut off, and have networks that lose, double and delay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from segmenter.testing.simulation.history import Happened, History
from segmenter.testing.simulation.plan import Fault
from segmenter.testing.simulation.process import SESSION_S, Process

__all__ = ["SPELL_S", "Troubles"]

SPELL_S = 1.0  # that a bad network lasts


class Troubles:
    """How each kind of fault strikes a process; whom it strikes is counted over those that live then."""

    loop: asyncio.AbstractEventLoop
    history: History

    @property
    def processes(self) -> Sequence[Process]:
        """All that live."""
        raise AssertionError("say who lives")

    def _worker(self, fault: Fault) -> Process | None:
        """The worker that a fault is meant for, if any lives."""
        raise AssertionError("say who works")

    def _process(self, fault: Fault) -> Process:
        return self.processes[fault.target % len(self.processes)]

    def _befall(self, fault: Fault) -> None:
        getattr(self, "_" + fault.kind.replace(" ", "_"))(fault)

    def _pause(self, fault: Fault) -> None:
        self._stop(self._process(fault), 2.5 * SESSION_S * fault.amount, "stands still", heart=True)

    def _block(self, fault: Fault) -> None:
        if (worker := self._worker(fault)) is not None:
            self._stop(worker, 2.5 * SESSION_S * fault.amount, "has its loop blocked", heart=False)

    def _stop(self, process: Process, for_s: float, what: str, *, heart: bool) -> None:
        self._happen(f"{process.name} {what} for {for_s:.2f} s")
        process.stop(heart=heart)

        def go_on() -> None:
            if not process.dead:
                self._happen(f"{process.name} goes on")
                process.go_on()

        self.loop.call_later(for_s, go_on)

    def _cut_off(self, fault: Fault) -> None:
        process, for_s = self._process(fault), 2 * SESSION_S * fault.amount
        process.network.down = True
        self._happen(f"{process.name} has no network for {for_s:.2f} s")
        self.loop.call_later(for_s, setattr, process.network, "down", False)

    def _lossy(self, fault: Fault) -> None:
        share = 0.5 * fault.amount
        self._spoil(fault, f"loses {share:.0%} of requests and of replies", lose_request=share, lose_reply=share)

    def _late(self, fault: Fault) -> None:
        share = 0.6 * fault.amount
        what = f"has {share:.0%} of its requests arrive late, after it gave them up"
        self._spoil(fault, what, late=share, late_s=SESSION_S)

    def _doubled(self, fault: Fault) -> None:
        self._spoil(fault, "has its requests arrive twice", double=fault.amount, late_s=SESSION_S)

    def _slow(self, fault: Fault) -> None:
        self._spoil(fault, "is slow", delay_s=0.5 * SESSION_S * fault.amount)

    def _spoil(self, fault: Fault, what: str, **trouble: float) -> None:
        process = self._process(fault)
        self._happen(f"{process.name} {what}")
        for name, much in trouble.items():
            setattr(process.network, name, much)
        self.loop.call_later(SPELL_S, process.network.mend_spell, tuple(trouble))

    def _happen(self, what: str) -> None:
        self.history.events.append(Happened(self.loop.time(), what))
