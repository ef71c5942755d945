"""A visitor's requests follow the region that answered last, and come back when it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from connector.core.envelope import INTERACT
from connector.core.verdict import Answer
from connector.regions import Regions
from connector.request import Request, RouteTarget, Shipment
from tests.builders import FakeRecord, event_at, owner_at
from tests.virtual_time import virtually

if TYPE_CHECKING:
    from collections.abc import Mapping

_URL = "http://127.0.0.1/ee/v2/interact?requestId="
_HINT = {"scope": "EdgeNetwork", "hint": "irl1", "ttlSeconds": 1800}
_HANDLE = orjson.dumps({"type": "locationHint:result", "payload": [_HINT]})


class _World:
    """An Edge whose regions can disappear."""

    def __init__(self) -> None:
        self.regions = {"irl1"}
        self.paths: list[str] = []

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:  # noqa: ARG002 - a port's
        self.paths.append(url.split("?", maxsplit=1)[0].removeprefix("http://127.0.0.1"))
        hint = self.paths[-1].split("/")[2]
        return Answer(status=200 if hint == "v2" or hint in self.regions else 404)


def _request(key: bytes | None) -> Request:
    owner = owner_at()
    event = event_at(owner, 0)
    record = FakeRecord(topic_name="xdm.web", partition_number=0, offset_number=0, key_bytes=key)
    return Request.of(Shipment.of([type(event)(record, 0, event.fragment, owner)]), (0,))


def _regions(world: _World) -> Regions:
    target = RouteTarget(
        route="web",
        datastream_id="d",
        url=_URL,
        kind="interact",
        is_silent=False,
        upstreams=1,
        envelope=INTERACT,
        foreign_answer_tries=3,
        unexpected_error_tries=3,
        hint_at=_URL.index("v2"),
    )
    return Regions(target, world, monotonic_s=lambda: 0.0)


@virtually
async def test_requests_follow_the_region_of_their_key() -> None:
    """What one visitor's answer named is kept for that visitor alone."""
    world = _World()
    regions = _regions(world)
    regions.learn(_request(b"one"), [_HANDLE])
    await regions.post(_request(b"one"), b"", {})
    await regions.post(_request(b"other"), b"", {})
    assert world.paths == ["/ee/irl1/v2/interact", "/ee/v2/interact"]


@virtually
async def test_a_region_that_is_gone_is_left_at_once() -> None:
    """A 404 from it never comes out: the request goes to any region, and so do the next ones."""
    world = _World()
    regions = _regions(world)
    regions.learn(_request(b"one"), [_HANDLE])
    world.regions.clear()
    assert (await regions.post(_request(b"one"), b"", {})).status == 200  # type: ignore[union-attr] # an answer
    await regions.post(_request(b"one"), b"", {})
    assert world.paths == ["/ee/irl1/v2/interact", "/ee/v2/interact", "/ee/v2/interact"]
