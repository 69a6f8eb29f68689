"""segmenter, as its README shows it: sends awaited by a task for each key, messages iterated over."""

from __future__ import annotations

from harness import Seen, main, send_by_key

from segmenter import Segmenter

SETTINGS = "8 partitions; a task for each key awaits send; async for, ack each; session 2 s"


async def send(url: str, count: int) -> None:
    async with Segmenter(url, namespace="peers") as segmenter:
        stream = await segmenter.register_stream("s", partitions=8, partition_size=10**7)
        await send_by_key(count, lambda key, data: stream.send(key, data.encode()))


async def consume(url: str, seen: Seen) -> None:
    async with Segmenter(url, namespace="peers") as segmenter:
        await segmenter.register_stream("s", partitions=8, partition_size=10**7)
        async with segmenter.register_consumer("s", group="g", session_timeout=2) as consumer:
            async for message in consumer:
                seen(message.data.decode())
                message.ack()


if __name__ == "__main__":
    main(("redis", "hiredis"), SETTINGS, send, consume)
