"""The part of the allowance follows the partitions, whatever the brokers say and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from connector.core.rate import Rate
from connector.pace import Pace
from connector.shares import Shares
from connector.telemetry import Telemetry
from tests.builders import owner_at
from tests.virtual_time import virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connector.core.offsets import PartitionOffsets
    from connector.route import Route


@dataclass(frozen=True)
class FakeRoute:
    """A route that reads topics of a prefix."""

    prefix: str

    def reads(self, topic: str) -> bool:
        return topic.startswith(self.prefix)


@dataclass
class FakeBrokers:
    """Brokers that know topics, or say nothing; they may take a while."""

    topics: dict[str, int] | None
    asked: int = 0
    latency_s: float = 0.0

    async def partition_counts(self, reads: Callable[[str], bool]) -> Mapping[str, int] | None:
        self.asked += 1
        await asyncio.sleep(self.latency_s)
        return None if self.topics is None else {name: count for name, count in self.topics.items() if reads(name)}


@dataclass
class Scene:
    """A member with two routes to collect and one to interact."""

    brokers: FakeBrokers
    owners: dict[PartitionOffsets, None] = field(default_factory=dict)
    paces: dict[str, Pace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clock = asyncio.get_running_loop().time
        self.paces = {name: Pace(Rate(1000.0), clock=clock) for name in ("collect", "interact")}
        routes = {FakeRoute("web"): "collect", FakeRoute("app"): "collect", FakeRoute(""): "interact"}
        self.shares = Shares(
            self.paces,
            cast("Mapping[Route, str]", routes),
            self.owners,
            source=self.brokers,
            telemetry=Telemetry([]),
        )
        self.running = asyncio.create_task(self.shares.run())

    def own(self, topic: str, *partitions: int) -> None:
        """Partitions of a topic are ours, and no others of it."""
        for owner in [owner for owner in self.owners if owner.topic == topic]:
            del self.owners[owner]
        self.owners.update(dict.fromkeys(owner_at(topic=topic, partition=partition) for partition in partitions))
        self.shares.assignment_changed()

    def parts(self) -> tuple[float, float]:
        """The shares of collect and interact."""
        return self.paces["collect"].share, self.paces["interact"].share


@virtually
async def test_the_share_is_that_of_the_endpoints_topics() -> None:
    """Topics of all routes of an endpoint count, and those of other endpoints do not."""
    scene = Scene(FakeBrokers({"web.a": 4, "app.b": 4, "other": 2}))
    scene.own("web.a", 0, 1)
    assert scene.parts() == (1.0, 1.0), "unknown: a member alone must not crawl"
    await asyncio.sleep(0.01)
    assert scene.parts() == (0.25, 1.0)
    scene.own("other", 1)
    scene.own("app.b", 0, 1, 2, 3)
    assert scene.parts() == (0.75, 0.5), "known: at once"
    assert scene.paces["collect"].units_per_s == pytest.approx(750)


@virtually
async def test_nothing_is_asked_before_the_first_assignment() -> None:
    """The source has not started then."""
    scene = Scene(FakeBrokers({"web.a": 4}))
    await asyncio.sleep(1000)
    assert scene.brokers.asked == 0


@virtually
async def test_a_topic_that_grows_is_noticed() -> None:
    """Now and then the brokers are asked again, without a rebalance."""
    scene = Scene(FakeBrokers({"web.a": 4}))
    scene.own("web.a", 0, 1)
    await asyncio.sleep(1)
    assert scene.parts()[0] == 0.5
    scene.brokers.topics = {"web.a": 4, "web.new": 4}
    await asyncio.sleep(61)
    assert scene.parts()[0] == 0.25


@virtually
async def test_while_the_brokers_say_nothing_the_last_answer_counts() -> None:
    """And they are asked again soon."""
    scene = Scene(FakeBrokers(None))
    scene.own("web.a", 0)
    await asyncio.sleep(1)
    assert scene.parts()[0] == 1.0
    scene.brokers.topics = {"web.a": 4}
    await asyncio.sleep(5)
    assert scene.parts()[0] == 0.25
    scene.brokers.topics = None
    scene.own("web.a", 0, 1)
    await asyncio.sleep(1)
    assert scene.parts()[0] == 0.5


@virtually
async def test_without_partitions_the_share_stays() -> None:
    """What was sent before still may have to be sent again; and nothing new comes."""
    scene = Scene(FakeBrokers({"web.a": 4}))
    scene.own("web.a", 0)
    await asyncio.sleep(1)
    scene.own("web.a")
    await asyncio.sleep(1)
    assert scene.parts()[0] == 0.25


@virtually
async def test_a_change_while_the_brokers_are_asked_is_not_lost() -> None:
    """It is asked for once more."""
    scene = Scene(FakeBrokers({"web.a": 4}, latency_s=2.0))
    scene.own("web.a", 0)
    await asyncio.sleep(1)
    scene.own("web.a", 0, 1)
    await asyncio.sleep(4)
    assert scene.brokers.asked == 2
    assert scene.parts()[0] == 0.5


@virtually
async def test_a_change_is_told_once() -> None:
    """One line for each change, with what it means."""
    scene = Scene(FakeBrokers({"web.a": 4}))
    with capture_logs() as lines:
        scene.own("web.a", 0)
        await asyncio.sleep(200)
    assert lines == [
        {"event": "share_changed", "log_level": "info", "endpoint": "collect", "share": 0.25, "units_per_s": 250}
    ]
