"""One commit at a time for a partition, and only what the broker has confirmed counts as committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError

from connector.commits import Commits
from connector.core.offsets import PartitionOffsets
from connector.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.ports import Commit

TOPIC_ID = "0123456789abcdefABCDEF"


class Scene:
    """A partition at 10, and a source that only writes down what it is to commit."""

    def __init__(self) -> None:
        self.started: list[tuple[int, str]] = []
        source: Any = self
        self.commits = Commits(source, Telemetry(["web"]), interval_s=0.5)
        self.owner = PartitionOffsets("xdm.web", 0, generation=1, start=10, committed=10, identity=TOPIC_ID)
        self.owner.open(10, 30)

    def commit(self, commits: Sequence[Commit]) -> None:
        self.started += [(commit.offset, commit.note) for commit in commits]

    def start(self) -> list[tuple[int, str]]:
        """Start what is due; what was started by that."""
        before = len(self.started)
        self.commits.start([self.owner])
        return self.started[before:]

    def end(self, offset: int, code: int | None = None) -> None:
        self.commits.ended(self.owner, offset, None if code is None else KafkaError(code))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_partition_has_one_commit_under_way(scene: Scene) -> None:
    """Two at once could overtake each other, and the older one would win."""
    scene.owner.settle(10, 12)
    assert len(scene.start()) == 1
    scene.owner.settle(12, 15)
    assert scene.start() == []
    scene.end(12)
    assert [offset for offset, _ in scene.start()] == [15]


def test_what_settles_while_a_commit_is_under_way_is_not_committed_by_it(scene: Scene) -> None:
    """Neither the watermark nor the note of the moment of the answer is what the broker has."""
    scene.owner.settle(10, 12)
    scene.owner.settle(20, 22)
    scene.start()
    scene.owner.settle(12, 13)
    scene.owner.settle(25, 26)
    scene.end(12)
    assert (scene.owner.committed, scene.owner.noted) == (12, ((20, 22),))
    [(offset, note)] = scene.start()
    assert (offset, note) == (13, scene.owner.note)


def test_a_note_alone_is_committed_too_and_once(scene: Scene) -> None:
    """One slow event holds the watermark; what settles above it is worth a commit."""
    scene.owner.settle(20, 22)
    assert [offset for offset, _ in scene.start()] == [10]
    scene.end(10)
    assert scene.start() == []


def test_a_commit_that_failed_is_due_again(scene: Scene) -> None:
    """The broker does not have it."""
    scene.owner.settle(10, 12)
    started = scene.start()
    scene.end(12, KafkaError.REBALANCE_IN_PROGRESS)
    assert scene.owner.committed == 10
    assert scene.start() == started


@pytest.mark.parametrize("refusal", [KafkaError.OFFSET_METADATA_TOO_LARGE, KafkaError.INVALID_COMMIT_OFFSET_SIZE])
def test_a_note_that_is_too_long_for_the_broker_goes_no_more(scene: Scene, refusal: int) -> None:
    """The watermark alone does; a broker may be set to take less, and those of many partitions may be too much."""
    scene.owner.settle(10, 12)
    scene.owner.settle(20, 22)
    scene.start()
    scene.end(12, refusal)
    assert scene.start() == [(12, "")]


def test_nothing_is_awaited_for_an_assignment_that_is_over(scene: Scene) -> None:
    """Its answers are told to nobody."""
    scene.owner.settle(10, 12)
    scene.start()
    scene.commits.forget(scene.owner)
    assert len(scene.start()) == 1


def test_commits_start_once_an_interval(scene: Scene) -> None:
    """What is due earlier waits for it."""
    started = []
    for now, settled in ((100.0, 12), (100.4, 14), (100.5, 16)):
        scene.owner.settle(10, settled)
        scene.commits.start_if_due([scene.owner], now)
        started.append([offset for offset, _ in scene.started])
        scene.end(scene.started[-1][0])
    assert started == [[12], [12], [12, 16]]
