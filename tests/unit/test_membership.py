"""What is known to be settled goes with a partition from one assignment to the next, and no further."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import structlog

from connector.core.settled import encode
from connector.membership import Membership
from connector.ports import Commit, Start
from connector.progress import Progress
from connector.telemetry import Telemetry
from tests.virtual_time import virtually

if TYPE_CHECKING:
    from connector.core.offsets import PartitionOffsets

TOPIC_ID = "0123456789abcdefABCDEF"
OTHER_ID = "fedcba9876543210FEDCBA"


class Scene:
    """A member of one route, whose source and gate are watched by nobody."""

    def __init__(self, *routes: str) -> None:
        gate = SimpleNamespace(cut=lambda: None)
        names = routes or ("web",)
        found: Any = [
            SimpleNamespace(settings=SimpleNamespace(name=name), reads=lambda _: True, is_paused=False, gate=gate)
            for name in names
        ]
        source: Any = SimpleNamespace(pause=lambda _: None)
        commits: Any = SimpleNamespace(forget=lambda _: None, start=lambda _: None)
        self.membership = Membership(
            found,
            source,
            commits=commits,
            telemetry=Telemetry(["web"]),
            progress=Progress(),
            revoke_timeout_s=5.0,
            monotonic_s=lambda: 0.0,
            flush=lambda: None,
        )

    async def assigned(self, committed: int | None, **more: Any) -> PartitionOffsets:  # noqa: ANN401 - a start's fields
        start = Start("xdm.web", 0, committed, committed, **{"identity": TOPIC_ID, **more})
        [owner] = await self.membership.assigned([start])
        return owner

    async def half_settled(self) -> PartitionOffsets:
        """A partition of which 10 to 13 and 16 settled, 14 and 15 are open, and 10 was committed."""
        owner = await self.assigned(10)
        owner.open(10, 17)
        owner.settle(10, 14)
        owner.settle(16, 17)
        owner.abandon(2)
        return owner


@virtually
async def test_a_partition_that_was_lost_and_comes_back_is_not_delivered_again() -> None:
    """Nothing could be committed; this process knows all the same."""
    scene = Scene()
    lost = await scene.half_settled()
    await scene.membership.lost([lost])
    assert lost.settle(14, 16) is False
    again = await scene.assigned(10)
    assert again.restored == ((10, 14), (16, 17))
    assert again is not lost


@virtually
async def test_what_was_committed_elsewhere_is_added_to_what_is_known_here() -> None:
    """Another owner moved the watermark and settled more above it."""
    scene = Scene()
    await scene.membership.lost([await scene.half_settled()])
    again = await scene.assigned(12, settled=((17, 20), (30, 31)))
    assert again.restored == ((12, 14), (16, 20), (30, 31))


@virtually
async def test_a_revoke_commits_the_watermark_with_its_note() -> None:
    """What is settled above it goes along; and is remembered, as the commit may yet fail."""
    scene = Scene()
    owner = await scene.half_settled()
    assert await scene.membership.revoked([owner]) == [Commit(owner, 14, encode(TOPIC_ID, 14, [(16, 17)]))]
    assert (await scene.assigned(10)).restored == ((10, 14), (16, 17))


@virtually
async def test_a_topic_made_anew_is_read_from_its_beginning_and_nothing_of_the_old_one_counts() -> None:
    """Found while it is read: the old assignment is over, and what it settled is forgotten."""
    scene = Scene()
    with structlog.testing.capture_logs() as lines:
        old = await scene.half_settled()
        new = await scene.membership.recreated(old, OTHER_ID)
    assert old.is_closed
    assert (new.watermark, new.committed, new.restored, new.identity) == (None, None, (), OTHER_ID)
    assert [line["event"] for line in lines] == ["partitions_assigned", "topic_recreated"]
    await scene.membership.lost([new])
    assert (await scene.assigned(None)).restored == ()


@virtually
async def test_a_position_behind_what_was_read_is_another_topics() -> None:
    """Nothing that settled at these offsets before says anything about the records there now."""
    scene = Scene()
    old = await scene.half_settled()
    new = await scene.membership.repositioned(old, 0)
    assert (old.is_closed, new.watermark, new.restored) == (True, 0, ())


@virtually
async def test_records_that_are_gone_are_settled_without_waiting_for_one_that_follows() -> None:
    """What is in memory is still delivered, and what was gone is not found to be gone again by the next owner."""
    scene = Scene()
    owner = await scene.half_settled()
    with structlog.testing.capture_logs() as lines:
        assert await scene.membership.repositioned(owner, 40) is owner
    assert [(line["event"], line["records_missing"]) for line in lines] == [("offset_out_of_range", 23)]
    assert (owner.watermark, owner.next_offset, owner.settled_ranges) == (14, 40, ((16, 40),))
    owner.settle(14, 16)
    assert owner.committable == 40


@virtually
async def test_what_the_config_skips_is_told() -> None:
    """A start at the latest leaves records out: how many, and of which partitions; nothing is told where none are."""
    scene = Scene()
    with structlog.testing.capture_logs() as lines:
        await scene.assigned(None, skipped=7)
        await scene.assigned(None, skipped=0)
    told = [(line["partitions"], line["records"]) for line in lines if line["event"] == "records_skipped"]
    assert told == [(["xdm.web[0]"], 7)]


@virtually
async def test_what_is_not_used_of_a_commit_is_told() -> None:
    """One line says why records come again, another that a topic is not the one it was."""
    scene = Scene()
    with structlog.testing.capture_logs() as lines:
        await scene.assigned(3, ignored="unreadable")
        await scene.assigned(None, is_recreated=True)
    told = [(line["event"], line["log_level"]) for line in lines if line["event"] != "partitions_assigned"]
    assert told == [("commit_note_ignored", "warning"), ("topic_recreated", "error")]


@virtually
async def test_a_topic_that_two_routes_match_goes_to_the_first_and_that_is_told() -> None:
    """Which topics two patterns match is only known when those topics exist."""
    scene = Scene("web", "all")
    with structlog.testing.capture_logs() as lines:
        owner = await scene.assigned(3)
    assert scene.membership.owners[owner].settings.name == "web"
    assert [line["routes"] for line in lines if line["event"] == "topic_claimed_twice"] == [["web", "all"]]


@virtually
async def test_an_id_that_is_heard_later_binds_the_commits_from_then_on() -> None:
    """Brokers may not tell it at the time of the assignment."""
    scene = Scene()
    owner = await scene.assigned(3, identity="")
    assert owner.note == ""
    scene.membership.identified(owner, TOPIC_ID)
    assert owner.note == encode(TOPIC_ID, 3, [])


@virtually
async def test_a_gap_ahead_is_a_gap() -> None:
    """Records expired before they were read: what is in memory is still delivered, and settles."""
    scene = Scene()
    owner = await scene.half_settled()
    assert await scene.membership.repositioned(owner, 30) is owner
    assert not owner.is_closed


@virtually
async def test_a_note_that_only_the_id_makes_readable_is_not_lost_in_the_next_commit() -> None:
    """What was opened before the id was heard is under way again; what was not is left out."""
    scene = Scene()
    unread = encode(TOPIC_ID, 10, [(12, 14), (16, 18)])
    owner = await scene.assigned(10, identity="", ignored="topic_unknown", unread_note=unread)
    owner.open(10, 17)
    scene.membership.identified(owner, TOPIC_ID)
    assert (owner.restored, owner.open_count) == (((17, 18),), 7)
    owner.settle(10, 11)
    assert owner.note == encode(TOPIC_ID, 11, [(12, 14), (16, 18)])
    owner.settle(11, 17)
    assert owner.note == encode(TOPIC_ID, 17, [(17, 18)])


@virtually
async def test_what_this_process_remembers_waits_for_the_id_too() -> None:
    """But not beyond the assignment: nobody can tell for which topic was committed meanwhile."""
    scene = Scene()
    await scene.membership.lost([await scene.half_settled()])
    owner = await scene.assigned(10, identity="")
    scene.membership.identified(owner, TOPIC_ID)
    assert owner.restored == ((10, 14), (16, 17))
    scene = Scene()
    await scene.membership.lost([await scene.half_settled()])
    await scene.membership.lost([await scene.assigned(10, identity="")])
    assert (await scene.assigned(10)).restored == ()


@virtually
async def test_a_commit_may_turn_out_to_be_for_another_topic() -> None:
    """The id that is heard later is not the one in the note: all records of the new topic are waiting."""
    scene = Scene()
    unread = encode(TOPIC_ID, 10, [])
    owner = await scene.assigned(10, identity="", ignored="topic_unknown", unread_note=unread)
    assert owner.is_for_another(OTHER_ID)
    assert not owner.is_for_another(TOPIC_ID)
    assert not (await scene.assigned(10, identity="")).is_for_another(OTHER_ID)
