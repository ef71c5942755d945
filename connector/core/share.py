"""Which part of an endpoint's allowance is this member's, so that the group together keeps it without a coordinator.

Promise: while every member knows the same partitions, the parts of all members add up to at most one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def share_of(owned: Mapping[str, int], known: Mapping[str, int]) -> float | None:
    """The partitions that are ours as a part of all, both counted by topic; None where that cannot be said.

    It cannot while nothing is ours, because then nothing is sent either, and while one of our topics is unknown.
    """
    if not any(owned.values()) or not owned.keys() <= known.keys():
        return None
    # A topic that has just grown may be ours in more partitions than were counted.
    every = sum(max(count, owned.get(topic, 0)) for topic, count in known.items())
    return sum(owned.values()) / every
