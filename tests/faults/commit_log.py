"""Every commit that the brokers took for a group, one by one, from the topic in which they keep them.

Promise: nothing between two looks is missed, as it would be by asking again and again. `assert_commits_follow_verdicts`
fails where a commit went backwards, or stood above an event that was neither accepted nor dead-lettered by then.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.events import Kind

if TYPE_CHECKING:
    from confluent_kafka import Message

    from tests.faults.rig import Rig

_OFFSETS_TOPIC = "__consumer_offsets"
_COMMIT_KEYS = (0, 1)  # the versions of a key that stand for a commit
_CLOCKS_MS = 50  # two clocks, both read to the millisecond, and two processes
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit that was taken; `at_ms` is the broker's wall clock."""

    topic: str
    partition: int
    offset: int
    at_ms: int


def read_commits(rig: Rig) -> list[Commit]:
    """Every commit of the rig's group, those of a partition in the order in which they were taken."""
    found = (_parse(message, rig.group) for message in rig.kafka.read_all(_OFFSETS_TOPIC))
    return [commit for commit in found if commit is not None]


def assert_commits_follow_verdicts(rig: Rig) -> None:
    """Fail where a commit went backwards, or passed an event that had no verdict yet."""
    commits = read_commits(rig)
    assert commits, "the group has committed nothing"
    backwards = _backwards(commits)
    assert not backwards, f"commits went backwards: {backwards[:_SHOWN]}"
    hasty = _hasty(rig, commits)
    assert not hasty, f"commits above events without a verdict: {hasty[:_SHOWN]}"


def _backwards(commits: list[Commit]) -> list[tuple[Commit, Commit]]:
    last: dict[tuple[str, int], Commit] = {}
    found = []
    for commit in commits:
        before = last.get((commit.topic, commit.partition))
        if before is not None and commit.offset < before.offset:
            found.append((before, commit))
        last[commit.topic, commit.partition] = commit
    return found


def _hasty(rig: Rig, commits: list[Commit]) -> list[str]:
    """The commits that stand above a good event which the Edge had not accepted by then."""
    accepted_ms = _first_acceptances(rig)
    found = []
    for (topic, partition), mine in _by_partition(commits).items():
        good = [each for each in rig.feed.sent if (each.topic, each.partition) == (topic, partition)]
        good = sorted((each for each in good if each.kind is Kind.GOOD), key=lambda each: each.offset)
        at = 0
        latest_ms = 0.0
        for commit in mine:
            while at < len(good) and good[at].offset < commit.offset:
                identity = f"{good[at].run}-{good[at].number}"
                latest_ms = max(
                    latest_ms, accepted_ms.get(identity, accepted_ms.get(good[at].derived_id, float("inf")))
                )
                at += 1
            if latest_ms > commit.at_ms + _CLOCKS_MS:
                found.append(f"{commit}, the last event below it accepted at {latest_ms:.0f}")
    return found


def _first_acceptances(rig: Rig) -> dict[str, float]:
    """By event id, the wall clock at which it was first accepted, in milliseconds."""
    shift_ms = (time.time() - time.monotonic()) * 1000
    first: dict[str, float] = {}
    for line in rig.edge.ledger():
        if line["fate"] == "accepted":
            for identity in line["ids"]:
                first.setdefault(identity, line["t_ms"] + shift_ms)
    return first


def _by_partition(commits: list[Commit]) -> dict[tuple[str, int], list[Commit]]:
    found: dict[tuple[str, int], list[Commit]] = {}
    for commit in commits:
        found.setdefault((commit.topic, commit.partition), []).append(commit)
    return found


def _parse(message: Message, group: str) -> Commit | None:
    key, value = message.key(), message.value()
    if key is None or value is None or struct.unpack_from(">h", key)[0] not in _COMMIT_KEYS:
        return None
    name, at = _text(key, 2)
    if name != group:
        return None
    topic, at = _text(key, at)
    (partition,) = struct.unpack_from(">i", key, at)
    (offset,) = struct.unpack_from(">q", value, 2)  # after the version, which all that follows depends on
    return Commit(topic=topic, partition=partition, offset=offset, at_ms=message.timestamp()[1])


def _text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + length].decode(), at + 2 + length
