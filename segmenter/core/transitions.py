"""The transition tables of a member: one for each partition, one for its membership.

For each partition a member is in one of seven states. Whatever happens is first turned into a symbol; ``TABLE`` says
what state follows and what is to be done. Nothing else decides a transition, and the diagrams in the documentation
are drawn from here.

The way of an ordinary hand-off: the old owner goes ``OWNED``, ``DRAINING``, ``RELEASING``, ``FREE``; the new one
``FREE``, ``CLAIMING``, ``WAITING`` (if it was too early), ``CLAIMING``, ``OWNED``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

__all__ = ["IGNORED", "STANDINGS", "TABLE", "Action", "Standing", "State", "Symbol", "Table", "Turn"]


class State(Enum):
    """Where a partition stands for this member."""

    FREE = auto()
    CLAIMING = auto()
    WAITING = auto()
    OWNED = auto()
    DRAINING = auto()
    RELEASING = auto()
    ABANDONING = auto()


class Symbol(Enum):
    """What happened to a partition."""

    ASSIGNED = auto()  # the document means it for me
    REVOKED = auto()  # it does not
    GRANTED = auto()  # my claim went through
    HELD = auto()  # my claim met another owner
    CHANGED = auto()  # my claim named an old epoch, and nobody else owns it
    BEHIND = auto()  # my claim came from an old document, or there is no lane
    POKED = auto()  # it may be free by now
    WANTED = auto()  # another member says that I own it
    DRAINED = auto()  # nothing of it is in flight
    RELEASED = auto()  # my release went through
    FENCED = auto()  # my release was refused: I am not the owner
    ORPHANED = auto()  # it was refused since a claim that I had given up went through
    REFUSED = auto()  # a commit of mine was refused
    UNANSWERED = auto()  # my claim or release got no answer
    DROPPED = auto()  # I may not act as a member any more


class Action(Enum):
    """What is to be done on a transition; each is a method of the same name."""

    NONE = auto()
    CLAIM = auto()
    REPEAT = auto()  # the same command again: it is made so that repeating it is harmless
    ABANDON = auto()  # make sure that the unanswered claim cannot succeed later
    FETCH = auto()
    STOP = auto()
    RELEASE = auto()
    WAIT = auto()
    REFRESH = auto()
    FREED = auto()
    LOSE = auto()


Table = Mapping[tuple[State, Symbol], tuple[State, Action]]

_S, _Y, _A = State, Symbol, Action

TABLE: Table = {
    (_S.FREE, _Y.ASSIGNED): (_S.CLAIMING, _A.CLAIM),
    (_S.FREE, _Y.WANTED): (_S.RELEASING, _A.RELEASE),
    (_S.CLAIMING, _Y.GRANTED): (_S.OWNED, _A.FETCH),
    (_S.CLAIMING, _Y.HELD): (_S.WAITING, _A.WAIT),
    (_S.CLAIMING, _Y.CHANGED): (_S.CLAIMING, _A.CLAIM),
    (_S.CLAIMING, _Y.BEHIND): (_S.WAITING, _A.REFRESH),
    (_S.CLAIMING, _Y.UNANSWERED): (_S.CLAIMING, _A.REPEAT),
    (_S.CLAIMING, _Y.REVOKED): (_S.ABANDONING, _A.NONE),
    (_S.CLAIMING, _Y.DROPPED): (_S.FREE, _A.NONE),
    (_S.WAITING, _Y.POKED): (_S.CLAIMING, _A.CLAIM),
    (_S.WAITING, _Y.REVOKED): (_S.FREE, _A.NONE),
    (_S.WAITING, _Y.DROPPED): (_S.FREE, _A.NONE),
    (_S.OWNED, _Y.REVOKED): (_S.DRAINING, _A.STOP),
    (_S.OWNED, _Y.REFUSED): (_S.FREE, _A.LOSE),
    (_S.OWNED, _Y.DROPPED): (_S.FREE, _A.LOSE),
    (_S.DRAINING, _Y.DRAINED): (_S.RELEASING, _A.RELEASE),
    (_S.DRAINING, _Y.REFUSED): (_S.FREE, _A.LOSE),
    (_S.DRAINING, _Y.DROPPED): (_S.FREE, _A.LOSE),
    (_S.RELEASING, _Y.RELEASED): (_S.FREE, _A.FREED),
    (_S.RELEASING, _Y.FENCED): (_S.FREE, _A.REFRESH),
    (_S.RELEASING, _Y.ORPHANED): (_S.RELEASING, _A.RELEASE),
    (_S.RELEASING, _Y.UNANSWERED): (_S.RELEASING, _A.REPEAT),
    (_S.RELEASING, _Y.DROPPED): (_S.FREE, _A.NONE),
    (_S.ABANDONING, _Y.ASSIGNED): (_S.CLAIMING, _A.NONE),
    (_S.ABANDONING, _Y.GRANTED): (_S.RELEASING, _A.RELEASE),
    (_S.ABANDONING, _Y.HELD): (_S.FREE, _A.NONE),
    (_S.ABANDONING, _Y.CHANGED): (_S.FREE, _A.NONE),
    (_S.ABANDONING, _Y.BEHIND): (_S.FREE, _A.NONE),
    (_S.ABANDONING, _Y.UNANSWERED): (_S.RELEASING, _A.ABANDON),
    (_S.ABANDONING, _Y.DROPPED): (_S.FREE, _A.NONE),
}

# Symbols that may come at any time; without a row they change nothing. Any other missing row is an error.
IGNORED = frozenset({Symbol.ASSIGNED, Symbol.REVOKED, Symbol.POKED, Symbol.WANTED, Symbol.REFUSED, Symbol.DROPPED})


class Standing(Enum):
    """Where the member stands in its group."""

    OUTSIDE = auto()
    JOINING = auto()
    STABLE = auto()
    LEAVING = auto()
    DISPLACED = auto()  # another process took the seat: hand over what is held


class Turn(Enum):
    """What happened to the membership."""

    JOIN = auto()
    LEAVE = auto()
    ADMITTED = auto()  # the document lists me
    DISPLACED = auto()  # it lists another in my seat
    DEPARTED = auto()  # I am out, as I wished, and own nothing
    EXPELLED = auto()  # I am out, or my lease is over


STANDINGS: dict[tuple[Standing, Turn], Standing] = {
    (Standing.OUTSIDE, Turn.JOIN): Standing.JOINING,
    (Standing.JOINING, Turn.ADMITTED): Standing.STABLE,
    (Standing.JOINING, Turn.LEAVE): Standing.LEAVING,
    (Standing.JOINING, Turn.DISPLACED): Standing.DISPLACED,
    (Standing.STABLE, Turn.LEAVE): Standing.LEAVING,
    (Standing.STABLE, Turn.DISPLACED): Standing.DISPLACED,
    (Standing.LEAVING, Turn.DISPLACED): Standing.DISPLACED,
    (Standing.LEAVING, Turn.DEPARTED): Standing.OUTSIDE,
    (Standing.DISPLACED, Turn.DEPARTED): Standing.OUTSIDE,
    (Standing.JOINING, Turn.EXPELLED): Standing.OUTSIDE,
    (Standing.STABLE, Turn.EXPELLED): Standing.OUTSIDE,
    (Standing.LEAVING, Turn.EXPELLED): Standing.OUTSIDE,
    (Standing.DISPLACED, Turn.EXPELLED): Standing.OUTSIDE,
}
