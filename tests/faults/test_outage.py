"""The promise about outages, on Apache Kafka: everything at once for a while, and nothing is lost or poisoned by it.

A route without faults flows as if nothing were; one that is held waits; those that are battered lag behind; and when it
is over everything drains by itself. `make outage` runs it for minutes; OUTAGE_SEED runs the same weather again.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.faults.events import BAD_KINDS
from tests.faults.outage import (
    HELD_CAUSE,
    PROBE_INTERVAL_S,
    SECRETS,
    TOKEN_LIFETIME_S,
    TOKEN_PREFIX,
    Outage,
)
from tests.faults.tally import deliveries, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.child import Child
    from tests.faults.rig import Rig
    from tests.faults.tally import Delivered
    from tests.kafka.client import Kafka

SECONDS = float(os.environ.get("OUTAGE_SECONDS", "20"))
SEED = int(os.environ.get("OUTAGE_SEED") or secrets.randbelow(1_000_000))

SLOWEST_S = 12.0
"""How far behind its feed the healthy route may ever be: a batch lingers for 200 ms, the rest is the machine's load."""

TOKENS_AGAIN_S = 12.0
"""How long after its return the token endpoint may go without a question: 5 to 10 s, and the load."""

SETTLED_S = 5.0
"""After so long a hold is settled: nothing that was sent before it is under way any more."""

DRAINED_S = 60.0 + SECONDS / 2
"""The backlog is as large as the outage was long, and one route sends its events one by one."""

REQUESTS_BEFORE_THE_HOLD = 10


@pytest.fixture
def outage(kafka: Kafka, make_rig: Callable[..., Rig], tmp_path: Path) -> tuple[Rig, Outage]:
    """A rig whose tokens live for seconds, and an outage on it."""
    print(f"\nseed {SEED}; the same again: make outage OUTAGE_SEED={SEED} OUTAGE_SECONDS={SECONDS:.0f}")
    rig = make_rig(kafka, token_lifetime_s=TOKEN_LIFETIME_S)
    return rig, Outage(rig, tmp_path, seconds=SECONDS, seed=SEED)


def test_an_outage_costs_time_and_nothing_else(outage: tuple[Rig, Outage]) -> None:
    """Faults of every kind, tokens that expire, are revoked and cannot be had, a rotated secret: lost 0."""
    rig, storm = outage
    connector = storm.start()
    storm.run(connector)
    rig.until_accepted(rig.edge.accepted_count() + 500)  # it flows again while more comes
    storm.feed.stop()
    rig.until_settled(*storm.topics.values(), timeout_s=DRAINED_S)
    recovery_s = time.monotonic() - storm.ended_ms / 1000
    exit_code = connector.stop()

    findings = rig.findings()
    delivered = deliveries(rig.feed.sent, storm.feed.fed_ms, rig.edge.ledger())
    letters = rig.kafka.read_all(rig.dead_letter_topic)
    print(table(storm.topics, rig.feed.sent, delivered, letters, findings))
    print(f"drained {recovery_s:.1f} s after the end; log by event: {_log_by_event(connector)}")

    findings.assert_clean(max_duplicates=findings.duplicate_count)
    assert not rig.unexplained(findings)
    assert len(letters) == rig.feed.count(*BAD_KINDS)
    assert exit_code == 0
    _assert_healthy_kept_up(storm, delivered)
    _assert_held_waited(rig, storm)
    _assert_membership_was_kept(connector)
    _assert_the_rotated_secret_is_in_use(rig)
    _assert_nothing_was_given_away(connector)


def _assert_healthy_kept_up(storm: Outage, delivered: list[Delivered]) -> None:
    """The route without faults was never far behind its feed, but for the stretch in which there were no tokens."""
    again_ms = storm.tokens_back_ms + TOKENS_AGAIN_S * 1000
    late = [
        each
        for each in delivered
        if each.topic == storm.topics["healthy"]
        and each.seconds > SLOWEST_S
        and not (storm.tokenless_ms - SLOWEST_S * 1000 < each.fed_ms < again_ms and each.accepted_ms < again_ms)
    ]
    assert not late, f"{len(late)} events of the healthy route were late, such as {late[:3]}"


def _assert_held_waited(rig: Rig, storm: Outage) -> None:
    """All through the outage it was held, visibly, dead-lettered nothing and was hardly asked."""
    held = [sample.routes["held"] for sample in storm.samples if sample.at_s > SETTLED_S]
    assert {route["held"] for route in held} == {HELD_CAUSE}
    assert len({(route["dead_lettered"], route["accepted"]) for route in held}) == 1
    probes = sum(line["code"] == HELD_CAUSE for line in rig.edge.ledger())
    assert storm.seconds / PROBE_INTERVAL_S / 3 < probes < storm.seconds / PROBE_INTERVAL_S + REQUESTS_BEFORE_THE_HOLD


def _assert_membership_was_kept(connector: Child) -> None:
    """Nobody else took part, so the partitions were given out once."""
    assert connector.lines("partitions_lost") == []
    assert len(connector.lines("partitions_assigned")) == 1
    assert len(connector.lines("partitions_revoked")) <= 1, "one, at the stop"


def _assert_the_rotated_secret_is_in_use(rig: Rig) -> None:
    tokens = rig.edge.tokens()
    assert tokens["refused"] == 0
    assert tokens["issued"] >= SECONDS / TOKEN_LIFETIME_S / 2


def _assert_nothing_was_given_away(connector: Child) -> None:
    """No secret, no token and no visitor is in the log, debug lines included."""
    text = connector.text()
    assert not [given_away for given_away in (*SECRETS, TOKEN_PREFIX, "visitor-") if given_away in text]


def _log_by_event(connector: Child) -> dict[str, int]:
    """How many lines of each event an operator would see."""
    lines = [orjson.loads(line) for line in connector.text().splitlines() if line.endswith("}")]
    return dict(Counter(line["event"] for line in lines if line["level"] != "debug").most_common())
