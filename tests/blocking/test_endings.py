"""How processes end: by their last line, by an exception, by Ctrl-C, with a server that is gone."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time

import pytest

from segmenter import sync
from segmenter.sync.portal import EXIT_S, JOIN_S
from tests.servers import Server, newest

LIMIT_S = 30.0

BEGINNING = """
    import os, signal, sys
    from segmenter import sync

    segmenter = sync.Segmenter(sys.argv[1], namespace=sys.argv[2])
    orders = segmenter.register_stream("orders", partitions=2)
    orders.send_many((f"k{n}", b"") for n in range(100))
    consumer = segmenter.register_consumer("orders", group="g")
    next(consumer).ack()
    held = next(consumer)
"""


def _run(url: str, namespace: str, ending: str) -> subprocess.CompletedProcess[str]:
    code = textwrap.dedent(BEGINNING) + textwrap.dedent(ending)
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", code, url, namespace]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


ENDINGS = {
    "nothing is closed": ("", 0, ""),
    "an exception": ("raise OSError('of the user')", 1, "OSError: of the user"),
    "an exit within the blocks": ("with segmenter, consumer:\n    sys.exit(3)", 3, ""),
    "Ctrl-C while it waits": (
        """
        consumer.pause()
        import threading
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with segmenter, consumer:
            next(consumer)
        """,
        -2,
        "KeyboardInterrupt",
    ),
    "a thread of the user's that still waits": (
        "import threading\nconsumer.pause()\nthreading.Thread(target=list, args=[consumer], daemon=True).start()",
        0,
        "",
    ),
}


@pytest.mark.parametrize(("ending", "status", "words"), ENDINGS.values(), ids=ENDINGS)
def test_a_process_that_ends_leaves_its_group(
    newest_server: Server, namespace: str, ending: str, status: int, words: str
) -> None:
    """Otherwise its partitions stand still for a session, each time that a script ends."""
    ended = _run(newest_server.url, namespace, ending)
    assert ended.returncode == status, ended.stderr
    assert words in ended.stderr
    assert words or not ended.stderr
    with sync.Segmenter(newest_server.url, namespace=namespace) as segmenter:
        group = segmenter.describe("orders", "g")
        assert group.members == ()
        assert [partition.owner for partition in group.partitions] == [None, None]
        assert group.lag == 99, "what was acknowledged is stored"


def test_a_process_ends_though_the_server_does_not_answer(namespace: str) -> None:
    server = Server(newest())
    try:
        began = time.monotonic()
        ended = _run(server.url, namespace, f"os.kill({server.process.pid}, signal.SIGSTOP)")
        assert ended.returncode == 0, ended.stderr
        assert time.monotonic() - began < EXIT_S + JOIN_S + 5.0
    finally:
        server.stop()
