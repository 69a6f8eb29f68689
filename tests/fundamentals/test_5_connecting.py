"""From a URL to a namespace on a backend."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

import pytest

from segmenter import (
    ConsumerDead,
    EmptyGroupName,
    EmptyStreamName,
    InvalidArgument,
    InvalidBatchSize,
    InvalidName,
    InvalidPartitionCount,
    InvalidPartitionSize,
    Segmenter,
)


def _run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_without_a_url_it_says_where_one_could_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGMENTER_URL", raising=False)
    with pytest.raises(InvalidArgument, match="no URL: pass one, such as redis://localhost:6379, or set SEGMENTER_URL"):
        Segmenter()
    monkeypatch.setenv("SEGMENTER_URL", "memory://")
    assert Segmenter().namespace == "default"


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(InvalidArgument, match="no backend for the scheme 'kafka': there are memory, redis"):
        Segmenter("kafka://localhost")


def test_private_memory_is_private_and_named_memory_is_shared_within_a_namespace() -> None:
    async def main() -> None:
        await Segmenter("memory://shared", namespace="a").register_stream("s", partitions=2)
        assert (await Segmenter("memory://shared", namespace="a").get_stream("s")).partitions == 2
        for other in (Segmenter("memory://shared", namespace="b"), Segmenter("memory://")):
            with pytest.raises(Exception, match="there is no stream 's'"):
                await other.get_stream("s")

    _run(main())


def test_values_that_cannot_be_are_refused_by_name() -> None:
    async def main() -> None:
        seg = Segmenter("memory://")
        refused: list[tuple[type[Exception], str, Any]] = [
            (EmptyStreamName, "name is empty", lambda: seg.register_stream("")),
            (InvalidName, "'a b' is not a name", lambda: seg.register_stream("a b")),
            (InvalidName, "'{x}' is not a name", lambda: seg.register_stream("{x}")),
            (InvalidPartitionCount, "partitions is 0", lambda: seg.register_stream("s", partitions=0)),
            (InvalidPartitionCount, "partitions is 1025", lambda: seg.register_stream("s", partitions=1025)),
            (InvalidPartitionSize, "partition_size is -1", lambda: seg.register_stream("s", partition_size=-1)),
            (InvalidArgument, "on_full is 'explode'", lambda: seg.register_stream("s", on_full="explode")),  # type: ignore[arg-type]
        ]
        for error, words, call in refused:
            with pytest.raises(error, match=words):
                await call()
        for error, words, options in (
            (EmptyGroupName, "name is empty", {"group": ""}),
            (InvalidBatchSize, "batch_size is 0", {"group": "g", "batch_size": 0}),
            (InvalidArgument, "session_timeout_s is 0.1", {"group": "g", "session_timeout": 0.1}),
            (InvalidArgument, "start 'yesterday'", {"group": "g", "start": "yesterday"}),
            (InvalidArgument, "has no time zone", {"group": "g", "start": datetime(2026, 1, 1)}),
            (InvalidArgument, "takeover is 'never'", {"group": "g", "takeover": "never"}),
        ):
            with pytest.raises(error, match=words):
                seg.register_consumer("s", **options)  # pyright: ignore[reportArgumentType]

    _run(main())


def test_durations_may_be_seconds_or_timedeltas() -> None:
    async def main() -> None:
        async with Segmenter("memory://") as seg:
            await seg.register_stream("s")
            async with seg.register_consumer("s", group="g", session_timeout=timedelta(seconds=2)):
                assert (await seg.describe("s", "g")).session_timeout == 2.0

    _run(main())


def test_a_registration_is_used_once_and_a_closed_segmenter_not_at_all() -> None:
    async def main() -> None:
        seg = Segmenter("memory://")
        await seg.register_stream("s")
        registration = seg.register_consumer("s", group="g")
        await registration
        with pytest.raises(InvalidArgument, match="was used already"):
            await registration
        await seg.aclose()
        await seg.aclose()
        with pytest.raises(ConsumerDead, match="was closed"):
            await seg.get_stream("s")

    _run(main())
