"""The examples run: on a server where they are processes, in memory where they are parts of a test."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from segmenter import Segmenter
from tests.docs.site import ROOT
from tests.servers import Server, newest

EXAMPLES = ROOT / "examples"
SHOP = EXAMPLES / "django_shop"
TAKE_IN = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from shop.models import Order
call_command("migrate", "--run-syncdb", verbosity=0)
for number in range(6):
    assert Client().post("/orders", {"customer": f"customer-{number % 2}", "cents": number}).status_code == 202
try:
    Client().post("/orders", {"customer": "customer-0", "cents": "nonsense"})
except ValueError:
    assert Order.objects.count() == 6
"""
BILLED = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()
from shop.models import Bill
print(*sorted(bill.order.cents for bill in Bill.objects.select_related("order")))
"""


def loaded(path: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{Path(path).stem}", EXAMPLES / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def memory(namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in this process, of this test's own."""
    monkeypatch.setenv("SEGMENTER_URL", f"memory://{namespace}")


@pytest.fixture
def own_server() -> Iterator[Server]:
    """The namespace is the example's own, so the server has to be, too."""
    server = Server(newest())
    yield server
    server.stop()


def test_every_example_is_in_the_list() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir() and f"| [{path.name}]" not in listed} == set()


@pytest.mark.usefixtures("memory")
def test_the_pipeline_sends_a_bill_for_each_order_and_rejects_what_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = loaded("orders/pipeline.py", monkeypatch)

    async def play() -> None:
        async with Segmenter(namespace="shop") as seg:
            orders = await seg.register_stream("orders", type=pipeline.Order)
            await orders.send_many([(f"customer-{n % 3}", pipeline.Order(n, n % 5, 100)) for n in range(20)])
            working = asyncio.create_task(pipeline.worker.run())
            async with asyncio.timeout(20):
                while not await all_settled(seg):  # noqa: ASYNC110 - memory answers without giving way
                    await asyncio.sleep(0)
            await pipeline.worker.stop()
            await working
            bills = [json.loads(message.data) async for message in seg.tail("bills", start="earliest", follow=False)]
            owed = [{"order": n, "cents": n % 5 * 100} for n in range(20) if n % 5]
            assert sorted(bills, key=lambda bill: bill["order"]) == owed
            shelves = await seg.shelves("orders", "billing")
            assert [letter.reason for letter in await shelves.dead()] == ["0 pieces"] * 4

    asyncio.run(play())


async def all_settled(seg: Segmenter) -> bool:
    if "billing" not in await seg.groups("orders"):
        return False
    return (await seg.describe("orders", "billing")).lag == 0


@pytest.mark.usefixtures("memory")
def test_the_web_application_bills_what_it_takes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    web = loaded("fastapi_orders/app.py", monkeypatch)

    async def play() -> None:
        transport = httpx.ASGITransport(web.app)
        async with (
            asyncio.timeout(20),
            web.lifespan(web.app),
            httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
        ):
            for number in range(5):
                answer = await client.post("/orders", json={"customer": "customer-42", "number": number})
                assert answer.status_code == 202
                assert "-" in answer.json()["id"]
            assert (await client.post("/orders", json={"customer": "customer-42"})).status_code == 422
            while len(web.billed) < 5:  # noqa: ASYNC110 - the example tells nobody
                await asyncio.sleep(0)

    asyncio.run(play())
    assert [order.number for order in web.billed] == [0, 1, 2, 3, 4]
    assert not web.worker.ready, "it ended with the application"


def test_the_shop_bills_what_was_committed(own_server: Server, tmp_path: Path) -> None:
    """Its view sends, and its command works until it is told to stop."""
    environment = os.environ | {"SEGMENTER_URL": own_server.url, "DATABASE": str(tmp_path / "shop.sqlite3")}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=SHOP,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("-c", TAKE_IN)
    working = subprocess.Popen([sys.executable, "manage.py", "work"], cwd=SHOP, env=environment)
    try:
        asyncio.run(settled(own_server.url))
        working.send_signal(signal.SIGTERM)
        assert working.wait(30) == 0
    finally:
        working.kill()
        working.wait()
    assert run("-c", BILLED).split() == ["0", "1", "2", "3", "4", "5"]


async def settled(url: str) -> None:
    async with Segmenter(url, namespace="shop") as seg, asyncio.timeout(30):
        assert (await seg.describe_stream("orders")).messages == 6, "the order that was rolled back was not sent"
        while not await all_settled(seg):
            pass
