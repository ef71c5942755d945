"""What the system grants too little of is said, and costs time alone."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.request import urlopen

from connector.app import ExitCode
from tests.faults.edge_process import HOST, slow
from tests.faults.rig import QUICK, free_port

if TYPE_CHECKING:
    from tests.faults.rig import Rig, Settings

_CROWDED: Settings = {"edge": {"max_in_flight": 128, "retry": {"max_ms": 500}}}


def test_too_few_files_slow_the_delivery_and_end_by_themselves(rig: Rig) -> None:
    """fd limit: connections that cannot be opened are tried again; nothing is blamed, held or doubled for it."""
    rig.edge.set_faults(slow(300))
    rig.send(3_000)
    one_place_each = {"routes": [rig.route(batch={"max_events": 5})]}
    connector = rig.start(QUICK, _CROWDED, one_place_each, through='ulimit -n 90; exec "$@"')
    rig.until_settled()

    (low,) = connector.lines("file_limit_low")
    assert (low["limit"], low["needed"]) == (90, 256)
    failed = connector.lines("request_failed")
    assert {line["cause"] for line in failed} == {"too_few_files"}
    assert not any(line["ambiguous"] for line in failed)
    assert "ulimit -n" in failed[0]["remedy"]
    assert connector.lines("route_held") == []
    assert connector.stop() == ExitCode.STOPPED
    rig.findings().assert_clean(max_duplicates=0)


def test_too_few_threads_end_the_process_with_a_word(rig: Rig) -> None:
    """Thread limit: at its start it says how many threads it has and needs, before a client is made."""
    # Stacks of a gigabyte each in a bounded space: what any limit of threads looks like from inside.
    connector = rig.start(QUICK, through='ulimit -s 1024000; ulimit -v 12000000; exec "$@"')

    assert connector.wait() == ExitCode.CONFIGURATION
    assert "threads and needs 32" in connector.text()
    assert "ulimit -u" in connector.text()
    assert rig.committed() == {}


def test_clients_of_the_status_port_that_hang_stop_nothing(rig: Rig) -> None:
    """fd limit: hundreds of connections that never ask a whole question take no files from the delivery."""
    port = free_port()
    rig.edge.set_faults(slow(50))
    connector = rig.start(QUICK, {"status": {"listen": f"{HOST}:{port}"}}, through='ulimit -n 200; exec "$@"')
    rig.until_logged(connector, "partitions_assigned")
    with ExitStack() as hanging:
        for _ in range(300):
            client = hanging.enter_context(socket.create_connection((HOST, port), timeout=30))
            client.send(b"GET /metrics HTTP/1.1\r\nHost:")
        rig.send(3_000)
        rig.until_settled()
        with urlopen(f"http://{HOST}:{port}/readyz", timeout=30) as answer:
            assert answer.status == 200
        assert connector.stop() == ExitCode.STOPPED
    assert connector.lines("request_failed") == []
    rig.findings().assert_clean(max_duplicates=0)
