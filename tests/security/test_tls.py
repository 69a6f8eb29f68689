"""``rediss://`` against a server with a certificate: end to end, and refused where the certificate is not right."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from segmenter import BackendError, Segmenter
from segmenter_redis import RedisBackend
from tests.servers import Server, free_port, oldest

LIMIT_S = 30


class Secured:
    """A server that speaks TLS on a port of its own, with a certificate for ``localhost``."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        self.authority = folder / "authority.pem"
        self.stranger = folder / "stranger.pem"
        key, chain = folder / "key.pem", folder / "chain.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        trustme.CA().cert_pem.write_to_path(str(self.stranger))
        certificate.private_key_pem.write_to_path(str(key))
        certificate.cert_chain_pems[0].write_to_path(str(chain))
        self.port = free_port()
        files = {"tls-cert-file": chain, "tls-key-file": key, "tls-ca-cert-file": self.authority}
        options = {"tls-port": self.port, **files}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.server = Server(oldest(), *words, "--tls-auth-clients", "no")

    def url(self, host: str = "localhost", authority: Path | None = None) -> str:
        return f"rediss://{host}:{self.port}?ssl_ca_certs={authority or self.authority}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    secured = Secured(tmp_path_factory.mktemp("tls"))
    yield secured
    secured.server.stop()


def test_everything_works_over_tls(secured: Secured) -> None:
    async def main() -> None:
        async with asyncio.timeout(LIMIT_S), Segmenter(secured.url(), namespace="shop") as segmenter:
            orders = await segmenter.register_stream("orders", partitions=2)
            sent = await orders.send_many([(f"k{number}", b"x" * 1_000) for number in range(500)])
            async with segmenter.register_consumer("orders", group="g", session_timeout=1.0) as consumer:
                handled = 0
                while handled < len(sent):
                    batch = await consumer.read(timeout=LIMIT_S)
                    handled += len(batch)
                    await consumer.ack(*batch)

    asyncio.run(main())


async def refused(url: str) -> BackendError:
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(BackendError) as caught:
            await RedisBackend(url, reply_timeout_s=1.0).session()
    return caught.value


def test_a_certificate_of_another_authority_is_refused_and_not_tried_again(secured: Secured) -> None:
    error = asyncio.run(refused(secured.url(authority=secured.stranger)))
    assert "check the server's certificate, its host name, and ssl_ca_certs" in str(error)
    assert not error.retriable


def test_a_certificate_for_another_host_is_refused(secured: Secured) -> None:
    error = asyncio.run(refused(secured.url(host="127.0.0.1")))
    assert "check the server's certificate, its host name" in str(error)
    assert not error.retriable


def test_speaking_plainly_to_a_tls_port_ends_in_bounded_time(secured: Secured) -> None:
    error = asyncio.run(refused(f"redis://localhost:{secured.port}"))
    assert "check that the server runs and that the URL names it" in str(error)
