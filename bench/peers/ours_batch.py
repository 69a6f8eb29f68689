"""segmenter in batches."""

from __future__ import annotations

from harness import Seen, main, messages

from segmenter import Segmenter

SETTINGS = "8 partitions; send_many of all; read in batches of 500, ack each; session 2 s"


async def send(url: str, count: int) -> None:
    async with Segmenter(url, namespace="peers") as segmenter:
        stream = await segmenter.register_stream("s", partitions=8, partition_size=10**7)
        await stream.send_many([(key, data.encode()) for key, data in messages(count)])


async def consume(url: str, seen: Seen) -> None:
    async with Segmenter(url, namespace="peers") as segmenter:
        await segmenter.register_stream("s", partitions=8, partition_size=10**7)
        async with segmenter.register_consumer("s", group="g", batch_size=500, session_timeout=2) as consumer:
            while True:
                for message in await consumer.read(timeout=60):
                    seen(message.data.decode())
                    message.ack()


if __name__ == "__main__":
    main(("redis", "hiredis"), SETTINGS, send, consume)
