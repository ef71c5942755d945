"""Random troubles from a seed, for as long as one likes: `make soak MINUTES=60`; SOAK_SEED runs the same again."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.events import BAD_KINDS
from tests.faults.soak import Soak

if TYPE_CHECKING:
    from tests.faults.child import Child
    from tests.faults.rig import Rig
    from tests.kafka.broker import Cluster

SECONDS = float(os.environ.get("SOAK_MINUTES", "2")) * 60
SEED = int(os.environ.get("SOAK_SEED") or secrets.randbelow(1_000_000))

DRAINED_S = 120.0 + SECONDS / 2
"""Until everything is delivered after the last trouble; the feed does not wait for troubles."""


@pytest.mark.long
def test_soak(trio_rig: Rig, kafka_trio: Cluster) -> None:
    """Soak: members and brokers that die, freeze, come and go, an Edge in every weather: lost 0, in bounded memory."""
    print(f"\nseed {SEED}; the same again: make soak MINUTES={SECONDS / 60:g} SOAK_SEED={SEED}")
    soak = Soak(trio_rig, kafka_trio, seconds=SECONDS, seed=SEED)
    soak.run()
    ended_s = time.monotonic()
    trio_rig.until_settled(timeout_s=DRAINED_S)
    drained_s = time.monotonic() - ended_s
    for member in soak.members():
        trio_rig.until_logged(member, "connector_started")
    exit_codes = {member.name: member.stop() for member in soak.members()}

    findings = trio_rig.findings()
    sent = len(trio_rig.feed.sent)
    bad = trio_rig.feed.count(*BAD_KINDS)
    print(f"troubles: {dict(soak.told)}; drained {drained_s:.1f} s after the last; exit codes {exit_codes}")
    print(
        f"events {sent}, lost {len(findings.lost)}, corrupt {len(findings.corrupt)}, phantom {len(findings.phantom)}, "
        f"wrongly dead-lettered {len(findings.wrongly_dead_lettered)}, dead-lettered {bad}, "
        f"delivered twice {findings.duplicate_count} ({findings.duplicate_count / max(1, sent):.2%})"
    )
    print(f"memory of a member in MB, every 5 s: {[kb // 1024 for kb in soak.memory_kb]}")
    findings.assert_clean(max_duplicates=findings.duplicate_count, max_repeated_dead_letters=sent)
    assert set(exit_codes.values()) == {0}
    assert not [line for member in trio_rig.connectors for line in _defects(member)]


def _defects(member: Child) -> list[object]:
    """Lines that no fault explains."""
    return [line for line in member.lines("connector_failed") if line["cause"] == "defect"]
