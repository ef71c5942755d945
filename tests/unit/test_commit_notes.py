"""A commit is under way once for each partition, and what it does not say is said by the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connector.commits import Commits
from connector.core.offsets import PartitionOffsets
from connector.core.settled import encode
from connector.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connector.ports import Commit

TOPIC_ID = "0123456789abcdefABCDEF"


class FakeSource:
    """Takes commits; a test tells when they end."""

    def __init__(self) -> None:
        self.commits: list[tuple[int, str]] = []
        self.under_way: list[Commit] = []

    def commit(self, commits: Sequence[Commit]) -> None:
        self.commits += [(offset, note) for _, offset, note in commits]
        self.under_way += commits

    def confirm(self, commits: Commits) -> None:
        """The broker has them."""
        for owner, offset, _ in self.under_way:
            commits.ended(owner, offset, None)
        self.under_way.clear()


def test_a_commit_without_a_note_goes_again_once_the_topics_id_is_heard() -> None:
    """On a quiet topic nothing else would ever write the note, and the next owner would deliver all of it again."""
    source: Any = FakeSource()
    commits = Commits(source, Telemetry(["web"]), interval_s=1.0)
    owner = PartitionOffsets("xdm.web", 0, generation=1, start=0)
    owner.open(0, 10)
    owner.settle(0, 2)
    owner.settle(5, 9)
    for _ in range(2):
        commits.start([owner])
        source.confirm(commits)
    assert source.commits == [(2, "")]
    owner.identify(TOPIC_ID, ())
    for _ in range(2):
        commits.start([owner])
        source.confirm(commits)
    assert source.commits[1:] == [(2, encode(TOPIC_ID, 2, [(5, 9)]))]


def test_a_note_goes_also_where_nothing_is_settled_above() -> None:
    """It says which topic the commit is for: made anew while nobody reads it, the topic would begin in its middle."""
    source: Any = FakeSource()
    commits = Commits(source, Telemetry(["web"]), interval_s=1.0)
    owner = PartitionOffsets("xdm.web", 0, generation=1, start=0)
    owner.open(0, 10)
    owner.settle(0, 10)
    commits.start([owner])
    source.confirm(commits)
    owner.identify(TOPIC_ID, ())
    for _ in range(2):
        commits.start([owner])
        source.confirm(commits)
    assert source.commits == [(10, ""), (10, encode(TOPIC_ID, 10, []))]
