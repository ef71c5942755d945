"""A topic of which everything is bad waits for a person, and none of it is lost."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

from tests.faults.events import Kind
from tests.faults.rig import CONNECTOR, PARTITIONS, QUICK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.rig import Rig, Settings


def test_a_topic_that_is_all_bad_waits_until_a_person_says_go_on(rig: Rig, tmp_path: Path) -> None:
    """Of 3,000 bad events 1,000 are dead-lettered before each release; another route flows; each comes once."""
    other = rig.kafka.create_topic("other", partitions=PARTITIONS)
    listen: Settings = {"status": {"listen": f"127.0.0.1:{_free_port()}"}}
    routes: Settings = {"routes": [rig.route(), rig.route(name="other", topics=[other])]}
    connector = rig.start(QUICK, _brake(1_000), listen, routes)
    rig.send(3_000, all_bad)
    _until_dead_lettered(rig, 1_000)

    rig.send(2_000, topic=other)
    rig.until_settled(other)
    assert _dead_lettered(rig) == 1_000

    for number in (2, 3):
        rig.until_logged(connector, "brake_applied", number - 1)
        released = _release(tmp_path)
        assert (released.returncode, released.stdout) == (0, "web: the brake is released\n"), released.stderr
        _until_dead_lettered(rig, number * 1_000)
    rig.until_settled(rig.topic, other)
    assert [line["by"] for line in connector.lines("brake_released")] == ["command", "command"]
    assert _release(tmp_path).returncode == 3
    assert not connector.lines("partitions_lost")
    assert not connector.lines("partitions_revoked")
    assert connector.stop() == 0
    rig.findings().assert_clean(max_duplicates=0, max_repeated_dead_letters=0)


def test_a_restart_with_the_brake_switched_off_goes_on(rig: Rig) -> None:
    """What waits at a stop is given up at once, and the next start dead-letters it."""
    connector = rig.start(QUICK, _brake(100))
    rig.send(1_000, all_bad)
    rig.until_logged(connector, "brake_applied")
    _until_dead_lettered(rig, 100)
    assert connector.stop() == 0
    (stopped,) = connector.lines("connector_stopped")
    assert stopped["seconds"] < 10
    assert stopped["open_records"] > 0
    assert _dead_lettered(rig) == 100

    mended = rig.start(QUICK, _brake(100, max_share_percent=100))
    rig.until_settled()
    assert not mended.lines("brake_applied")
    assert mended.stop() == 0
    # Those that were written while one before them waited are read again, for their offsets could not be committed.
    rig.findings().assert_clean(max_duplicates=0, max_repeated_dead_letters=100)


def all_bad(_: int) -> Kind:
    """As after a release that writes what the schema does not know."""
    return Kind.NAMED


def _brake(min_events: int, *, max_share_percent: int = 20) -> Settings:
    limits = {"window_events": 2_000, "min_events": min_events, "max_share_percent": max_share_percent}
    return {"dead_letter": {"brake": limits}}


def _dead_lettered(rig: Rig) -> int:
    return len(rig.kafka.read_all(rig.dead_letter_topic))


def _until_dead_lettered(rig: Rig, count: int) -> None:
    rig.until(f"{count} dead letters", lambda: _dead_lettered(rig) >= count)
    assert _dead_lettered(rig) == count


def _release(directory: Path) -> subprocess.CompletedProcess[str]:
    """Release the brake of the first connector as a person would."""
    command = [CONNECTOR, "release", "--config", str(directory / "connector-1.yaml"), "--route", "web"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])
