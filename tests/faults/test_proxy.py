"""The proxy does to a connection what it is told, so that a test that survives it has survived something."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.faults.proxy import Proxy
from tests.kafka.addresses import HOST, free_ports
from tests.kafka.client import Kafka

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.conftest import ProxiedKafka

_SOON_S = 30.0
_NEVER_S = 0.3


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(ConnectionError):
            while data := self.request.recv(65_536):
                self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server that sends everything back."""
    (port,) = free_ports(1)
    with socketserver.ThreadingTCPServer((HOST, port), _Echo) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Proxy(port) as proxy:
            yield proxy
        server.shutdown()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection((HOST, proxy.port), timeout=_SOON_S)


def echo(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return receive(client, len(data))


def receive(client: socket.socket, count: int) -> bytes:
    answer = b""
    while len(answer) < count:
        answer += client.recv(65_536) or pytest.fail("the connection ended")
    return answer


def is_silent(client: socket.socket) -> bool:
    """Whether nothing comes back for a moment, not even an end."""
    client.settimeout(_NEVER_S)
    client.sendall(b"anybody?")
    try:
        client.recv(1)
    except TimeoutError:
        client.settimeout(_SOON_S)
        return True
    return False


def test_in_fair_weather_everything_passes(proxy: Proxy) -> None:
    """Bytes come through whole in both directions, and an end does."""
    data = bytes(range(256)) * 4_000
    with connect(proxy) as client, connect(proxy) as other:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert receive(client, len(data)) == data
        sender.join()
        assert echo(other, b"too") == b"too"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_a_black_hole_swallows_old_and_new_connections(proxy: Proxy) -> None:
    """Connections are accepted and stay, nothing comes back; what it has touched stays dead, what is new lives."""
    with connect(proxy) as old:
        assert echo(old, b"before") == b"before"
        proxy.swallow()
        assert is_silent(old)
        with connect(proxy) as new:
            assert is_silent(new)
            proxy.forward()
            assert is_silent(new)
        assert is_silent(old)
    with connect(proxy) as after:
        assert echo(after, b"after") == b"after"


def test_refusal_resets_and_refuses_until_it_ends(proxy: Proxy) -> None:
    """Connections are reset, new ones refused, and the port comes back."""
    with connect(proxy) as old:
        assert echo(old, b"before") == b"before"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            old.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.forward()
    with connect(proxy) as new:
        assert echo(new, b"after") == b"after"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            new.recv(1)
    with connect(proxy) as new:
        assert echo(new, b"after") == b"after"


def test_a_slow_way_delivers_everything_late(proxy: Proxy) -> None:
    """A delay counts for each direction, also of connections that exist; a throttle bounds the rate."""
    with connect(proxy) as client:
        assert echo(client, b"now") == b"now"
        proxy.delay(0.1)
        began = time.monotonic()
        assert echo(client, b"late") == b"late"
        assert time.monotonic() - began >= 0.2
        proxy.throttle(200_000)
        began = time.monotonic()
        assert echo(client, bytes(60_000)) == bytes(60_000)
        assert time.monotonic() - began >= 0.2


def test_a_server_that_is_away_ends_the_connection(proxy: Proxy) -> None:
    """Where nobody listens behind it, a connection ends at once instead of hanging."""
    with Proxy(free_ports(1)[0]) as nobody, connect(nobody) as client:
        assert client.recv(1) == b""
    with connect(proxy) as client:
        assert echo(client, b"still") == b"still"


def test_kafka_sends_its_far_clients_through_a_proxy(proxied_kafka: ProxiedKafka) -> None:
    """Who begins at the advertised address is told no other one; who begins at the node's own goes straight."""
    cluster, proxy = proxied_kafka
    near, far = Kafka(cluster.bootstrap_servers), Kafka(cluster.far_servers)
    topic = far.create_topic()
    far.produce(topic, [b"a"])

    proxy.refuse()

    near.produce(topic, [b"b"])
    assert [record.value() for record in near.read_all(topic)] == [b"a", b"b"]
    proxy.forward()
    assert [record.value() for record in far.read_all(topic)] == [b"a", b"b"]
