"""A worker process: it writes down what it handles, a line for each message."""

import asyncio
import os

from segmenter import Worker

worker = Worker(namespace="shop")  # SEGMENTER_URL says where


@worker.handler("orders", group="billing", type=str, key_concurrency=8, session_timeout=1.0)
async def bill(order: str) -> None:
    """Take a moment, as whoever asks a database does."""
    await asyncio.sleep(0.002)
    with open(os.environ["BILLS"], "a", encoding="utf-8") as bills:  # noqa: ASYNC230, PTH123 - a line, appended at once
        bills.write(f"{os.getpid()} {order}\n")


if __name__ == "__main__":
    worker.main()
