"""The same API for blocking code: no ``await``, and everything else as in ``segmenter``.

::

    from segmenter import sync

    with sync.Segmenter("redis://localhost:6379") as seg:
        orders = seg.register_stream("orders")
        orders.send("customer-42", b"created")
        with seg.register_consumer("orders", group="billing") as consumer:
            for message in consumer:
                message.ack()

A ``Segmenter`` runs the async one in a thread of its own. In this order it is read: ``portal`` is the thread and the
way into it; ``facade`` makes blocking methods of async ones; ``desk`` is where messages and their acknowledgements
change hands, in bulk; the rest is what users hold.
"""

from segmenter.sync.consumer import Consumer
from segmenter.sync.segmenter import Segmenter
from segmenter.sync.shelves import Shelves
from segmenter.sync.stream import Stream
from segmenter.sync.worker import Worker

__all__ = ["Consumer", "Segmenter", "Shelves", "Stream", "Worker"]
