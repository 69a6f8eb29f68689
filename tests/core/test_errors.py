"""What each answer of a server calls for, and whether anything was done."""

from __future__ import annotations

import ssl

import pytest
from redis import exceptions

from segmenter.errors import BackendError, ServerFull
from segmenter_redis.errors import Kind, backend_error, kind_of, redacted

ANSWERS: list[tuple[Exception, Kind, bool]] = [
    (exceptions.ResponseError("BUSY Redis is busy running a script"), Kind.RETRIABLE, True),
    (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), Kind.RETRIABLE, True),
    (exceptions.ResponseError("MISCONF Errors writing to the AOF file"), Kind.RETRIABLE, True),
    (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write"), Kind.RETRIABLE, True),
    (exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'"), Kind.RETRIABLE, True),
    (exceptions.ReadOnlyError("You can't write against a read only replica"), Kind.FENCED, True),
    (exceptions.MasterDownError("Link with MASTER is down"), Kind.FENCED, True),
    (exceptions.AuthenticationError("invalid username-password pair"), Kind.FATAL, True),
    (exceptions.NoPermissionError("this user has no permissions"), Kind.FATAL, True),
    (exceptions.ResponseError("The user executing the script can't run this command"), Kind.FATAL, False),
    (exceptions.ResponseError("WRONGTYPE Operation against a key"), Kind.FATAL, False),
    (exceptions.ResponseError("ERR something that nobody foresaw"), Kind.FATAL, False),
    (exceptions.ConnectionError("Connection reset by peer"), Kind.RETRIABLE, False),
    (TimeoutError("no answer within 2 s"), Kind.RETRIABLE, False),
    (OSError("No route to host"), Kind.RETRIABLE, False),
]


@pytest.mark.parametrize(("error", "kind", "refused"), ANSWERS, ids=[str(answer[0])[:30] for answer in ANSWERS])
def test_every_answer_is_of_one_kind(error: Exception, kind: Kind, refused: bool) -> None:
    ours = backend_error(error, "Append", "redis://host:6379")
    assert kind_of(error) is kind
    assert (ours.retriable, ours.refused) == (kind is not Kind.FATAL, refused)
    assert ours.__cause__ is error
    assert "Append at redis://host:6379" in str(ours)


def test_full_memory_has_a_class_of_its_own() -> None:
    error = backend_error(exceptions.OutOfMemoryError("OOM"), "Append", "redis://host")
    assert isinstance(error, ServerFull)


def test_what_never_left_was_certainly_not_done() -> None:
    error: BackendError = backend_error(ConnectionRefusedError(), "Append", "redis://host", sent=False)
    assert error.refused


def test_a_certificate_that_does_not_verify_is_not_tried_again() -> None:
    wrapped = exceptions.ConnectionError("Error 1 connecting")
    wrapped.__cause__ = ssl.SSLCertVerificationError("certificate verify failed")
    assert kind_of(wrapped) is Kind.FATAL


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:s3cret@host:1/2?password=s3cret", "redis://host:1/2"),
        ("rediss://:s3cret@host", "rediss://host"),
        ("redis://host", "redis://host"),
        ("unix://user:s3cret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    assert redacted(url) == shown
