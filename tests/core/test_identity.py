"""Ids tell people which process they are, and stay short."""

from __future__ import annotations

import re

import pytest

from segmenter.core.group import ProcessInfo
from segmenter.runtime.host import Host
from segmenter.runtime.identity import member_id, this_process

NONCE = "0123456789ab"


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("node-a", "node-a"),
        ("ip-10-0-12-34.ec2.internal", "ip-10-0-12-34"),
        ("billing-worker-7d9f8b6c5-x2x4z", "billing-.6c5-x2x4z"),
        ("Zoë's laptop", "Zo-s-laptop"),
        (".", "host"),
        ("\u202e" * 99, "host"),
    ],
)
def test_an_id_names_host_and_pid(host: str, shown: str) -> None:
    found = member_id(None, ProcessInfo(host, 4_194_304), NONCE)
    assert found == f"{shown}-4194304-{NONCE}"
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,40}", found)


def test_an_instance_id_stands_in_their_place() -> None:
    assert member_id("pod-1", ProcessInfo("node-a", 1), NONCE) == f"pod-1-{NONCE}"
    assert member_id(None, ProcessInfo(), NONCE) == f"c-{NONCE}"


def test_this_process_knows_its_name() -> None:
    this = this_process()
    assert this == Host().process()
    assert this.pid > 0
    assert re.match(r"\d+\.", this.version)
