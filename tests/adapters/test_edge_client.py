"""What is sent arrives as it was given, once; what is answered comes back as it was said."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from connector.core.codes import NoAnswer
from connector.core.verdict import Answer
from connector.local.edge import EdgeSettings, start_edge
from tests.adapters.http_clients import BODY, edge_client
from tests.adapters.raw_server import ACCEPTED, WHOLE_ANSWER, raw_server

if TYPE_CHECKING:
    from tests.adapters.raw_server import Peer

ANSWERED = Answer(status=202, body=ACCEPTED)


async def accept(peer: Peer) -> None:
    """Accept every request."""
    while True:
        await peer.receive()
        await peer.answer("202 Accepted", ACCEPTED)


async def test_a_request_arrives_byte_for_byte_with_its_headers() -> None:
    """The body is what was given, with its length; nothing is chunked and no compressed answer is asked for."""
    body = bytes(range(256)) * 250
    async with edge_client() as client, raw_server(accept) as server:
        assert await client.post(server.url, body, {"Authorization": "Bearer not-a-real-token"}) == ANSWERED
        (request,) = server.received
    assert request.body == body
    assert request.head.startswith(b"POST /ee/v2/collect?datastreamId=d&requestId=r HTTP/1.1\r\n")
    assert request.header("content-length") == str(len(body))
    assert request.header("content-type") == "application/json"
    assert request.header("authorization") == "Bearer not-a-real-token"
    assert request.header("transfer-encoding") is None
    assert request.header("accept-encoding") == "identity"
    assert request.header("cookie") is None


async def test_the_url_is_sent_as_it_was_given() -> None:
    """What is encoded in a URL already is not encoded or decoded once more."""
    async with edge_client() as client, raw_server(accept) as server:
        await client.post(f"http://127.0.0.1:{server.port}/ee/v2/collect?datastreamId=a%3Ab%2F%20c", BODY, {})
    assert server.received[0].head.startswith(b"POST /ee/v2/collect?datastreamId=a%3Ab%2F%20c HTTP/1.1\r\n")


async def test_the_local_edge_takes_what_is_sent() -> None:
    """Many requests at once over few connections all come back with the Edge's own answer."""
    edge = await start_edge(EdgeSettings(), "127.0.0.1", 0)
    async with edge_client() as client:
        url = f"{edge.url}/ee/v2/collect?datastreamId=11111111-2222-3333-4444-555555555555"
        answers = await asyncio.gather(*(client.post(url, BODY, {}) for _ in range(20)))
    await edge.close()
    assert all(isinstance(answer, Answer) and answer.status == 202 for answer in answers)


async def test_retry_after_comes_back_as_it_was_sent() -> None:
    """The header's text is passed on; what it means is not decided here."""

    async def busy(peer: Peer) -> None:
        await peer.receive()
        await peer.answer("503 Busy", b"later", "Retry-After: Wed, 21 Oct 2065 07:28:00 GMT")

    async with edge_client() as client, raw_server(busy) as server:
        answer = await client.post(server.url, BODY, {})
    assert answer == Answer(status=503, body=b"later", retry_after="Wed, 21 Oct 2065 07:28:00 GMT")


async def test_a_date_in_retry_after_is_held_against_the_servers_clock() -> None:
    """Clock step: this machine's clock may be hours off; the answer says by which one its date is meant."""

    async def busy(peer: Peer) -> None:
        await peer.receive()
        dates = ("Date: Wed, 21 Oct 2065 07:27:00 GMT", "Retry-After: Wed, 21 Oct 2065 07:28:00 GMT")
        await peer.answer("503 Busy", b"later", *dates)

    async with edge_client() as client, raw_server(busy) as server:
        answer = await client.post(server.url, BODY, {})
    assert answer == Answer(status=503, body=b"later", retry_after="60")


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    """A POST that follows a redirect may turn into a GET, or carry the token to a stranger."""

    async def elsewhere(peer: Peer) -> None:
        while True:
            await peer.receive()
            await peer.answer("307 Temporary Redirect", b"", "Location: /elsewhere", "Set-Cookie: a=b")

    async with edge_client() as client, raw_server(elsewhere) as server:
        assert await client.post(server.url, BODY, {}) == Answer(status=307)
        assert await client.post(server.url, BODY, {}) == Answer(status=307)
        assert len(server.received) == 2
    assert server.received[1].header("cookie") is None  # what is asked to be remembered is not


async def test_a_compressed_answer_is_not_inflated() -> None:
    """Nobody asked for compression; a small answer that inflates to gigabytes stays small."""

    async def compressed(peer: Peer) -> None:
        await peer.receive()
        await peer.answer("202 Accepted", b"\x1f\x8bnot-really-gzip", "Content-Encoding: gzip")

    async with edge_client() as client, raw_server(compressed) as server:
        assert await client.post(server.url, BODY, {}) == Answer(status=202, body=b"\x1f\x8bnot-really-gzip")


async def test_an_answer_that_comes_early_is_seen() -> None:
    """A gateway may refuse a large body after its head and close: its 413 is the answer, not the broken write."""

    async def too_large(peer: Peer) -> None:
        await peer.receive_head()
        await peer.answer("413 Too Large", b"big", "Connection: close")
        await peer.hang()

    async with edge_client() as client, raw_server(too_large) as server:
        assert await client.post(server.url, b"x" * 60_000, {}) == Answer(status=413, body=b"big")


async def test_a_longer_body_than_promised_stays_out_of_the_next_answer() -> None:
    """Bytes beyond the Content-Length belong to nothing, and least of all to the request after."""

    async def shorter(peer: Peer) -> None:
        while True:
            await peer.receive()
            await peer.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\n", ACCEPTED)

    async with edge_client() as client, raw_server(shorter) as server:
        for _ in range(3):
            answer = await client.post(server.url, BODY, {})
            assert answer in (Answer(status=202, body=ACCEPTED[:5]), NoAnswer.NOT_HTTP)
        assert server.connections == 3


async def test_an_answer_that_nobody_asked_for_is_not_the_next_ones() -> None:
    """A second answer on an idle connection would settle events that the Edge has never seen."""
    is_spoilt = asyncio.Event()

    async def twice(peer: Peer) -> None:
        await peer.receive()
        await peer.answer("202 Accepted", ACCEPTED)
        if server.connections == 1:
            await is_spoilt.wait()
            await peer.answer("202 Accepted", b"stale")
            await peer.hang()

    async with edge_client() as client, raw_server(twice) as server:
        assert await client.post(server.url, BODY, {}) == ANSWERED
        is_spoilt.set()
        await asyncio.sleep(0.05)  # nothing tells a test that the bytes have come to rest in the client
        assert await client.post(server.url, BODY, {}) == ANSWERED
        assert len(server.received) == server.connections == 2


async def test_a_connection_is_used_again() -> None:
    """One connection serves one request after the other."""
    async with edge_client() as client, raw_server(accept) as server:
        for _ in range(5):
            await client.post(server.url, BODY, {})
        assert server.connections == 1


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    """A server may close a kept-alive connection at any moment between requests; each body still goes out once."""
    closed = asyncio.Queue[None]()

    async def once(peer: Peer) -> None:
        await peer.receive()
        await peer.answer("202 Accepted", ACCEPTED)
        await peer.close()
        closed.put_nowait(None)

    async with edge_client() as client, raw_server(once) as server:
        for number in range(1, 6):
            assert await client.post(server.url, BODY, {}) == ANSWERED
            await closed.get()
            assert len(server.received) == number


async def test_a_body_is_never_sent_twice_by_itself() -> None:
    """When a used connection dies after the body was read, it is for the caller to decide on another try."""

    async def second_is_lost(peer: Peer) -> None:
        await peer.receive()
        await peer.answer("202 Accepted", ACCEPTED)
        await peer.receive()
        await peer.close()

    async with edge_client() as client, raw_server(second_is_lost) as server:
        assert await client.post(server.url, BODY, {}) == ANSWERED
        assert await client.post(server.url, BODY, {}) is NoAnswer.DISCONNECTED
        assert len(server.received) == 2
        assert server.connections == 1


async def test_a_new_session_leaves_requests_in_flight_alone() -> None:
    """After max_connection_age new requests get new connections; those under way end on their own."""
    all_came, go_on = asyncio.Event(), asyncio.Event()

    async def late(peer: Peer) -> None:
        await peer.receive()
        if len(server.received) == 8:
            all_came.set()
        await go_on.wait()
        await peer.answer("202 Accepted", ACCEPTED)

    async with edge_client(max_connection_age_s=0.0) as client, raw_server(late) as server:
        under_way = [asyncio.create_task(client.post(server.url, BODY, {})) for _ in range(8)]
        await all_came.wait()
        go_on.set()
        assert await asyncio.gather(*under_way) == [ANSWERED] * 8
        assert server.connections == 8  # each came after the age of the session before: more than one pool holds


async def test_replaced_sessions_are_closed() -> None:
    """Connections of a session that was replaced do not stay open longer than a request may take."""
    ended = asyncio.Queue[None]()

    async def until_closed(peer: Peer) -> None:
        await peer.receive()
        await peer.answer("202 Accepted", ACCEPTED)
        await peer.hang()
        ended.put_nowait(None)

    async with edge_client(max_connection_age_s=0.0, timeout_s=0.2) as client, raw_server(until_closed) as server:
        await client.post(server.url, BODY, {})
        await client.post(server.url, BODY, {})
        async with asyncio.timeout(10):
            await ended.get()


async def test_close_does_not_wait_for_requests_that_may_still_come() -> None:
    """A stop has its own deadline: closing does not wait for the time-out of sessions that were replaced."""
    settings = {"max_connection_age_s": 0.0, "timeout_s": 3600.0}
    async with asyncio.timeout(20), raw_server(accept) as server, edge_client(**settings) as client:
        for _ in range(3):
            await client.post(server.url, BODY, {})


async def _send_without_end(peer: Peer) -> None:
    await peer.receive()
    await peer.send(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await peer.send(b"10000\r\n", b"a" * 65536, b"\r\n")


async def test_an_answer_without_end_is_given_up_in_bounded_memory() -> None:
    """What no answer should be long enough for is read up to a bound and no further."""
    async with edge_client() as client, raw_server(_send_without_end) as server:
        gc.collect()
        tracemalloc.start()
        assert await client.post(server.url, BODY, {}) is NoAnswer.TOO_LONG
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 20 * 1024 * 1024


@pytest.mark.parametrize("size", [1, len(WHOLE_ANSWER) // 2])
async def test_an_answer_in_pieces_is_put_together(size: int) -> None:
    """However the network cuts an answer, it is read whole."""

    async def in_pieces(peer: Peer) -> None:
        await peer.receive()
        for start in range(0, len(WHOLE_ANSWER), size):
            await peer.send(WHOLE_ANSWER[start : start + size])
            await asyncio.sleep(0)
        await peer.hang()

    async with edge_client() as client, raw_server(in_pieces) as server:
        assert await client.post(server.url, BODY, {}) == ANSWERED


async def test_a_large_answer_is_read_whole() -> None:
    """An answer of a megabyte comes back to its last byte."""
    large = bytes(range(256)) * 4096

    async def decisions(peer: Peer) -> None:
        await peer.receive()
        await peer.answer("200 OK", large)

    async with edge_client() as client, raw_server(decisions) as server:
        assert await client.post(server.url, BODY, {}) == Answer(status=200, body=large)
