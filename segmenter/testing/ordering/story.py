"""What happened to a user's handlers as a story, a line for each event."""

from __future__ import annotations

from segmenter.core.partition import Claim, Claimed, Release, Released
from segmenter.core.retention import Append, Appended
from segmenter.testing.ordering.events import Died, Ended, Event, Finished, Lost, Started
from segmenter.testing.ordering.promises import Account
from segmenter.testing.simulation.history import Executed, Happened

__all__ = ["story_of"]

LEGEND = """\
seconds  |what
         |!  a fault, or its end            >  a handler is called with key/number, counted from 1
         |+  the server took in messages    <  it has ended
         |@  a partition changes hands      ~  the last task that it had left behind has ended"""


def story_of(account: Account) -> str:
    """Return a legend and the lines."""
    teller = _Teller(account)
    lines = [f"{event.at:8.3f} |{words}" for event in account.events if (words := teller.words(event))]
    return "\n".join([LEGEND, *lines])


class _Teller:
    """Knows which delivery is of which message."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._called: dict[int, str] = {}
        self._last = 0

    def words(self, event: Event) -> str:
        """The event in words; nothing for what is only kept for the checks."""
        match event:
            case Happened(_, what):
                return f"! {what}"
            case Started():
                self._last = event.delivery
                return f"> {self._call(event)}"
            case Ended():
                self._last = event.delivery
                return f"< {self._called[event.delivery]}: {event.outcome}"
            case Finished() if event.delivery != self._last:
                return f"~ {self._called[event.delivery]}"
            case Lost():
                return f"@ {event.process} has lost partition {event.partition} of {event.slot.stream}"
            case Executed():
                return self._executed(event)
            case Finished() | Died():
                return ""

    def _call(self, event: Started) -> str:
        names = " ".join(self._account.name(call) for call in event.calls)
        attempt = f", attempt {event.calls[0].attempt}" if event.calls[0].attempt > 1 else ""
        where = f"{event.slot.stream} {event.partition} for {event.slot.group}"
        self._called[event.delivery] = f"{event.process} {names}"
        return f"{event.process} {names} ({where}{attempt})"

    def _executed(self, event: Executed) -> str:
        match event:
            case Executed(command=Append() as append, reply=Appended()):
                return f"+ {len(append.records)} to {append.slot.stream} {append.slot.partition}"
            case Executed(command=Claim() as claim, reply=Claimed()):
                return f"@ {claim.slot.stream} {claim.slot.partition} for {claim.group}: now {claim.member}'s"
            case Executed(command=Release() as release, reply=Released()):
                return f"@ {release.slot.stream} {release.slot.partition} for {release.group}: now nobody's"
            case _:
                return ""
