"""Which part of the allowance is this member's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.share import share_of


@pytest.mark.parametrize(
    ("owned", "known", "share"),
    [
        ({"a": 4}, {"a": 4}, 1.0),
        ({"a": 1}, {"a": 4}, 0.25),
        ({"a": 2, "b": 1}, {"a": 8, "b": 4}, 0.25),
        ({"b": 3}, {"a": 9, "b": 3}, 0.25),
        ({"a": 4}, {"a": 2, "b": 4}, 0.5),  # grown since it was counted
        ({}, {"a": 4}, None),
        ({"a": 1}, {}, None),
        ({"a": 1, "b": 1}, {"a": 4}, None),
    ],
)
def test_the_share_is_the_part_of_the_partitions(
    owned: dict[str, int], known: dict[str, int], share: float | None
) -> None:
    """By partitions over all topics together; none where nothing is ours or a topic of ours is not known."""
    assert share_of(owned, known) == share


@given(st.dictionaries(st.text(max_size=2), st.integers(1, 9), min_size=1), st.integers(1, 9), st.randoms())
def test_the_group_together_has_everything(known: dict[str, int], members: int, chance: object) -> None:
    """However the partitions are dealt out, the parts of all members add up to one."""
    dealt: list[dict[str, int]] = [{} for _ in range(members)]
    for topic, count in known.items():
        for _ in range(count):
            member = chance.choice(dealt)  # type: ignore[attr-defined] # a random.Random
            member[topic] = member.get(topic, 0) + 1
    assert sum(share_of(owned, known) or 0.0 for owned in dealt) == pytest.approx(1.0)
