"""Every way in which an answer can be missing has its own name, which tells whether the body left."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from connector.core.codes import NOT_SENT, NoAnswer
from connector.core.verdict import Answer
from tests.adapters.http_clients import BODY, edge_client
from tests.adapters.raw_server import ACCEPTED, WHOLE_ANSWER, raw_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.adapters.raw_server import Peer

CERTIFICATE = Path(__file__).with_name("not-a-real-certificate.pem")
HEAD = b"HTTP/1.1 202 Accepted\r\n"


async def close_at_once(peer: Peer) -> None:
    await peer.close()


async def close_before_the_body(peer: Peer) -> None:
    await peer.receive_head()
    await peer.close()


async def close_after_the_body(peer: Peer) -> None:
    await peer.receive()
    await peer.close()


async def reset_at_once(peer: Peer) -> None:
    peer.reset()


async def reset_after_the_body(peer: Peer) -> None:
    await peer.receive()
    peer.reset()


async def close_in_the_head(peer: Peer) -> None:
    await peer.receive()
    await peer.send(HEAD, b"Content-Le")
    await peer.close()


async def close_in_the_body(peer: Peer) -> None:
    await peer.receive()
    await peer.send(HEAD, b"Content-Length: 100\r\n\r\n", ACCEPTED)
    await peer.close()


async def close_in_a_chunk(peer: Peer) -> None:
    await peer.receive()
    await peer.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n64\r\n", ACCEPTED)
    await peer.close()


async def close_between_chunks(peer: Peer) -> None:
    await peer.receive()
    await peer.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(ACCEPTED), ACCEPTED))
    await peer.close()


async def speak_another_protocol(peer: Peer) -> None:
    await peer.receive()
    await peer.send(b"SSH-2.0-nothing\r\n")
    await peer.hang()


async def send_a_broken_length(peer: Peer) -> None:
    await peer.receive()
    await peer.send(HEAD, b"Content-Length: many\r\n\r\n", ACCEPTED)
    await peer.hang()


async def send_a_broken_chunk(peer: Peer) -> None:
    await peer.receive()
    await peer.send(HEAD, b"Transfer-Encoding: chunked\r\n\r\nmany\r\n", ACCEPTED)
    await peer.hang()


async def send_headers_without_end(peer: Peer) -> None:
    await peer.receive()
    await peer.send(HEAD)
    while True:
        await peer.send(b"X-Filler: %s\r\n" % (b"a" * 1000))


async def send_one_header_without_end(peer: Peer) -> None:
    await peer.receive()
    await peer.send(HEAD, b"X-Filler: ")
    while True:
        await peer.send(b"a" * 1000)


async def send_a_body_without_end(peer: Peer) -> None:
    await peer.receive()
    await peer.send(HEAD, b"Content-Length: 1000000000000\r\n\r\n")
    while True:
        await peer.send(b"a" * 65536)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (close_at_once, NoAnswer.DISCONNECTED),
        (close_before_the_body, NoAnswer.DISCONNECTED),
        (close_after_the_body, NoAnswer.DISCONNECTED),
        (reset_at_once, NoAnswer.DISCONNECTED),
        (reset_after_the_body, NoAnswer.DISCONNECTED),
        (close_in_the_head, NoAnswer.DISCONNECTED),
        (close_in_the_body, NoAnswer.HALF_ANSWER),
        (close_in_a_chunk, NoAnswer.HALF_ANSWER),
        (close_between_chunks, NoAnswer.HALF_ANSWER),
        (speak_another_protocol, NoAnswer.NOT_HTTP),
        (send_a_broken_length, NoAnswer.NOT_HTTP),
        (send_a_broken_chunk, NoAnswer.NOT_HTTP),
        (send_headers_without_end, NoAnswer.NOT_HTTP),
        (send_one_header_without_end, NoAnswer.NOT_HTTP),
        (send_a_body_without_end, NoAnswer.TOO_LONG),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_server_that_misbehaves_gives_no_answer(
    script: Callable[[Peer], Awaitable[None]], kind: NoAnswer
) -> None:
    """Each misbehaviour has its name, none raises, the body went out once at most, and the next request is whole."""
    asked = 0

    async def first_misbehaves(peer: Peer) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            await script(peer)
            return
        await peer.receive()
        await peer.answer("202 Accepted", ACCEPTED)

    async with edge_client() as client, raw_server(first_misbehaves) as server:
        assert await client.post(server.url, BODY, {}) is kind
        assert len(server.received) <= 1
        assert asked == 1
        assert not isinstance(await client.post(server.url, BODY, {}), NoAnswer)
    assert {request.body for request in server.received} == {BODY}


async def answer_nothing(peer: Peer) -> None:
    await peer.receive()
    await peer.hang()


async def answer_well(peer: Peer) -> None:
    await peer.receive()
    await peer.send(WHOLE_ANSWER)
    await peer.hang()


async def answer_drop_by_drop(peer: Peer) -> None:
    await peer.receive()
    for byte in WHOLE_ANSWER:
        await peer.send(bytes([byte]))
        await asyncio.sleep(0.05)
    await peer.hang()


async def answer_the_body_drop_by_drop(peer: Peer) -> None:
    await peer.receive()
    await peer.send(HEAD, b"Content-Length: 1000\r\n\r\n")
    while True:
        await peer.send(b"a")
        await asyncio.sleep(0.05)


async def read_nothing(peer: Peer) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("script", [answer_nothing, answer_drop_by_drop, answer_the_body_drop_by_drop, read_nothing])
async def test_one_deadline_ends_whatever_does_not_end(script: Callable[[Peer], Awaitable[None]]) -> None:
    """Silence and single bytes that keep a connection busy end at the request's deadline, as a time-out."""
    async with edge_client(connect_timeout_s=0.2, timeout_s=0.3) as client, raw_server(script) as server:
        assert await client.post(server.url, b"x" * 1_000_000, {}) is NoAnswer.TIMEOUT


async def test_a_closed_port_refuses() -> None:
    """Where nobody listens, nothing was sent."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with edge_client() as client:
            assert await client.post(f"http://127.0.0.1:{unused.getsockname()[1]}/", BODY, {}) is NoAnswer.REFUSED


class NoSuchName(AbstractResolver):
    """A resolver that finds nothing."""

    def __init__(self, **_: object) -> None: ...

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        raise OSError(None, f"no address for {host}:{port} in family {family}")

    async def close(self) -> None: ...


class SilentResolver(NoSuchName):
    """A resolver whose servers are away."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        await asyncio.Event().wait()
        raise AssertionError(host, port, family)


@pytest.mark.parametrize(("resolver", "kind"), [(NoSuchName, NoAnswer.DNS), (SilentResolver, NoAnswer.CONNECT_TIMEOUT)])
async def test_a_name_that_is_not_resolved_sends_nothing(
    monkeypatch: pytest.MonkeyPatch, resolver: type[NoSuchName], kind: NoAnswer
) -> None:
    """A name that does not exist and a name server that is silent are both known not to have sent the body."""
    monkeypatch.setattr("aiohttp.connector.DefaultResolver", resolver)
    async with edge_client(connect_timeout_s=0.2) as client:
        assert await client.post("http://edge.invalid/", BODY, {}) is kind


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse where Linux is silent")
async def test_a_host_that_does_not_answer_is_a_connect_timeout() -> None:
    """A firewall that swallows packets: the connection is given up before anything was sent."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):  # fill the queue: whoever comes next is not answered
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        async with edge_client(connect_timeout_s=0.2) as client:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            assert await client.post(url, BODY, {}) is NoAnswer.CONNECT_TIMEOUT


async def test_a_host_without_a_route_is_unreachable() -> None:
    """The kernel itself refuses: nothing was sent."""
    async with edge_client() as client:
        assert await client.post("http://255.255.255.255:9/", BODY, {}) is NoAnswer.UNREACHABLE


async def test_a_socket_that_cannot_be_opened_sends_nothing() -> None:
    """fd limit: with no more files to open the cause is named, and once some are closed requests go out again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with edge_client() as client, raw_server(answer_well) as server:
        next_file = os.open("/dev/null", os.O_RDONLY)
        os.close(next_file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_file, hard))
        try:
            answer = await client.post(server.url, BODY, {})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert answer is NoAnswer.NO_FILES
        assert server.received == []
        assert await client.post(server.url, BODY, {}) == Answer(status=202, body=ACCEPTED)
    assert NoAnswer.NO_FILES in NOT_SENT


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    """A self-signed certificate ends the connection before the body or the token is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    async with edge_client() as client, raw_server(answer_nothing, tls=context) as server:
        assert await client.post(server.url, BODY, {"Authorization": "Bearer not-a-real-token"}) is NoAnswer.TLS
        assert server.received == []


async def refuse_in_plain_text(peer: Peer) -> None:
    await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await peer.hang()


async def hang(peer: Peer) -> None:
    await peer.hang()


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (refuse_in_plain_text, NoAnswer.TLS),
        (hang, NoAnswer.CONNECT_TIMEOUT),
        (close_at_once, NoAnswer.UNREACHABLE),
        (reset_at_once, NoAnswer.UNREACHABLE),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_tls_to_a_port_that_has_none_sends_nothing(
    script: Callable[[Peer], Awaitable[None]], kind: NoAnswer
) -> None:
    """However a port without TLS takes the greeting, the body is known not to have left."""
    async with edge_client(connect_timeout_s=0.2) as client, raw_server(script) as server:
        assert await client.post(server.url.replace("http:", "https:"), BODY, {}) is kind
    assert kind in NOT_SENT
