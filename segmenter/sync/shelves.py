"""What a group has set aside, as blocking code holds it."""

from __future__ import annotations

from segmenter.shelves import Shelves as AsyncShelves
from segmenter.sync.facade import Facade, blocking

__all__ = ["Shelves"]


class Shelves(Facade[AsyncShelves]):
    """The parked messages and the dead letters of one group. Get it from ``Segmenter.shelves``.

    Every call raises ``NonExistentStream`` if there is no such stream, and ``StreamError`` if there is no such group.
    """

    parked = blocking(AsyncShelves.parked)
    dead = blocking(AsyncShelves.dead)

    redrive = blocking(AsyncShelves.redrive)
    discard = blocking(AsyncShelves.discard)

    replay = blocking(AsyncShelves.replay)
    purge = blocking(AsyncShelves.purge)
