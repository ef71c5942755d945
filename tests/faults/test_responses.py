"""Each accepted event is answered in the responses topic, whatever happens on the way."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest

from connector.app import ExitCode
from tests.faults.edge_process import slow
from tests.faults.events import Kind, make_record
from tests.faults.rig import DATASTREAM, PARTITIONS, QUICK
from tests.parts import RESPONSES, join

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

    from tests.faults.feed import Sent
    from tests.faults.rig import Rig, Settings
    from tests.kafka.broker import Cluster
    from tests.parts import Whole

Place = tuple[str, int, int]
"""Topic, partition, offset."""

LATENCY_MS = 50
PROMPT: Settings = {
    "kafka": {"message.timeout.ms": 2000},
    "edge": {"retry": {"max_ms": 500}, "probe_interval_ms": 200},
}
"""A responses topic that is away is noticed and tried again soon."""
STATIC: Settings = {"kafka": {"group.instance.id": "the-only-one"}}
"""A member that comes back under its name gets its partitions at once."""


@pytest.fixture
def answers(rig: Rig) -> str:
    """An empty responses topic."""
    return rig.kafka.create_topic("responses", partitions=3)


def answering(rig: Rig, topic: str, *types: str, **changes: Any) -> Settings:  # noqa: ANN401 - a configuration
    """The rig's one route, as one that hands answers on."""
    responses = {"topic": topic, "types": list(types), **changes}
    return {"routes": [rig.route(endpoint="interact", responses=responses)]}


def some_bad(number: int) -> Kind:
    """One event in fifty is bad, each in one of three ways, or a tombstone."""
    if number % 50:
        return Kind.GOOD
    return (Kind.NOT_JSON, Kind.NAMED, Kind.UNNAMED, Kind.TOMBSTONE)[number // 50 % 4]


def by_place(messages: list[Message]) -> dict[Place, list[Whole]]:
    """Responses by the record that they answer."""
    found: dict[Place, list[Whole]] = {}
    for response in join(messages, RESPONSES):
        found.setdefault(origin(response), []).append(response)
    return found


def headers_of(message: Message | Whole) -> dict[str, str]:
    """The headers as texts."""
    headers = cast("list[tuple[str, bytes]]", message.headers())
    return {name: value.decode() for name, value in headers}


def origin(message: Message | Whole) -> Place:
    """The record that a response answers."""
    headers = headers_of(message)
    return headers["xdm.source.topic"], int(headers["xdm.source.partition"]), int(headers["xdm.source.offset"])


def place_of(sent: Sent) -> Place:
    """Where a record stands."""
    return sent.topic, sent.partition, sent.offset


def assert_answered(rig: Rig, topic: str) -> Counter[Place]:
    """Every good record has a response, nothing else has; returns how many each has."""
    found = by_place(rig.kafka.read_all(topic))
    good = {place_of(sent) for sent in rig.feed.sent if sent.kind is Kind.GOOD}
    assert good - found.keys() == set(), "without a response"
    assert found.keys() - good == set(), "answered and not accepted"
    return Counter({place: len(messages) for place, messages in found.items()})


def assert_commits_follow(rig: Rig, topic: str, committed: dict[int, int]) -> None:
    """Below a committed offset every record has its response."""
    found = by_place(rig.kafka.read_all(topic))
    early = [
        sent for sent in rig.feed.sent if sent.offset < committed.get(sent.partition, 0) and place_of(sent) not in found
    ]
    assert not early, early[:5]


def test_each_accepted_event_is_answered_once(rig: Rig, answers: str) -> None:
    """Key, headers and handles of every one; what is refused or skipped has none; commits stand at the ends."""
    rig.send(1_000, some_bad)
    connector = rig.start(answering(rig, answers))
    rig.until_settled()

    assert connector.stop() == ExitCode.STOPPED
    assert set(assert_answered(rig, answers).values()) == {1}
    rig.findings().assert_clean(max_duplicates=0)
    sent_at = {place_of(sent): sent for sent in rig.feed.sent}
    ids = {line["request_id"] for line in rig.edge.ledger()}
    for message in rig.kafka.read_all(answers):
        sent = sent_at[origin(message)]
        headers = headers_of(message)
        assert message.key() == make_record(sent.run, sent.number, sent.kind).key
        assert (headers["xdm.route"], headers["xdm.datastream"]) == ("web", DATASTREAM)
        assert headers["xdm.request_id"] in ids
        handles = orjson.loads(message.value() or b"")
        assert [handle["type"] for handle in handles] == [
            "identity:result", "locationHint:result", "state:store", "personalization:decisions"
        ]  # fmt: skip


def test_only_the_handles_that_are_wanted_are_handed_on(rig: Rig, answers: str) -> None:
    """Each event is answered by the named types alone."""
    rig.send(200)
    connector = rig.start(QUICK, answering(rig, answers, "state:store"))
    rig.until_settled()

    assert connector.stop() == ExitCode.STOPPED
    assert set(assert_answered(rig, answers).values()) == {1}
    for message in rig.kafka.read_all(answers):
        assert [handle["type"] for handle in orjson.loads(message.value() or b"")] == ["state:store"]


def test_kill_9_leaves_no_event_unanswered(rig: Rig, answers: str) -> None:
    """Killed in mid-flow: no commit passes a record without its response, and the restart answers the rest."""
    in_flight = 8
    few: Settings = {"edge": {"max_in_flight": in_flight}, "consume": {"commit_interval_ms": 100}}
    rig.edge.set_faults(slow(LATENCY_MS))
    rig.send(1_000)
    for _ in range(2):
        before = rig.edge.accepted_count()
        connector = rig.start(QUICK, STATIC, few, answering(rig, answers))
        rig.until_accepted(before + 200)
        connector.kill()
        assert_commits_follow(rig, answers, rig.committed())
    assert sum(rig.committed().values()) > 0
    assert rig.edge.accepted_count() < 1_000, "the flow ended before the kills"

    rig.edge.set_faults()
    connector = rig.start(QUICK, STATIC, answering(rig, answers))
    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    repeated = assert_answered(rig, answers)
    rig.findings().assert_clean(max_duplicates=1_000)
    assert repeated.total() < 2 * 1_000, "a kill repeats a few"


@pytest.mark.long
def test_a_broker_that_is_killed_and_comes_back_leaves_no_event_unanswered(
    crash_rig: Rig, kafka_cluster: Cluster
) -> None:
    """kill -9 of the only broker in mid-flow, and its restart: the connector goes on by itself."""
    rig = crash_rig
    answers = rig.kafka.create_topic("responses", partitions=3)
    rig.edge.set_faults(slow(LATENCY_MS))
    rig.send(1_000)
    connector = rig.start(PROMPT, answering(rig, answers), {"edge": {"max_in_flight": 8}})
    rig.until_accepted(200)

    kafka_cluster.nodes[0].kill()
    kafka_cluster.start()
    assert_commits_follow(rig, answers, rig.committed())
    assert rig.edge.accepted_count() < 1_000, "the flow ended before the broker did"
    rig.edge.set_faults()

    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    assert_answered(rig, answers)
    rig.findings().assert_clean(max_duplicates=1_000)  # where the broker stays away for longer than the session


def _refuse_writes(rig: Rig, topic: str) -> None:
    rig.alter_topic(topic, {"max.message.bytes": "200"})


def _take_writes(rig: Rig, topic: str) -> None:
    rig.alter_topic(topic, {"max.message.bytes": "1048588"})


def _delete(rig: Rig, topic: str) -> None:
    rig.kafka.delete_topic(topic)


def _make_again(rig: Rig, topic: str) -> None:
    rig.create_topic(topic, partitions=3)


@pytest.mark.parametrize(
    ("break_it", "mend_it"),
    [(_refuse_writes, _take_writes), (_delete, _make_again)],
    ids=["refuses", "is-gone"],
)
def test_a_responses_topic_that_takes_no_writes_holds_the_route(
    rig: Rig, answers: str, break_it: Callable[[Rig, str], None], mend_it: Callable[[Rig, str], None]
) -> None:
    """Nothing is committed meanwhile and the Edge is spared; mended, each event is answered, and none sent twice."""
    connector = rig.start(QUICK, PROMPT, answering(rig, answers))
    rig.until_logged(connector, "partitions_assigned")
    break_it(rig, answers)
    rig.send(1_000)
    rig.until_logged(connector, "route_held")

    line = connector.lines("route_held")[0]
    assert str(line["cause"]).startswith("responses_")
    assert answers in line["remedy"]
    assert sum(rig.committed().values()) == 0
    assert rig.edge.accepted_count() <= 128, "no more than may be in flight"
    mend_it(rig, answers)
    rig.until_settled()
    assert connector.stop() == ExitCode.STOPPED
    assert set(assert_answered(rig, answers).values()) == {1}
    rig.findings().assert_clean(max_duplicates=0)


def test_a_stop_while_the_topic_takes_no_writes_leaves_the_events_to_the_next_start(rig: Rig, answers: str) -> None:
    """What was not answered is not committed; the next start delivers it again, and answers it."""
    connector = rig.start(QUICK, PROMPT, answering(rig, answers))
    rig.until_logged(connector, "partitions_assigned")
    _refuse_writes(rig, answers)
    rig.send(300)
    rig.until_logged(connector, "route_held")
    assert connector.stop() == ExitCode.STOPPED
    assert sum(rig.committed().values()) == 0

    _take_writes(rig, answers)
    rig.start(QUICK, PROMPT, answering(rig, answers))
    rig.until_settled()
    assert set(assert_answered(rig, answers).values()) == {1}
    rig.findings().assert_clean(max_duplicates=128)


def test_a_missing_responses_topic_is_refused_by_its_setting(rig: Rig) -> None:
    """Without its topic the connector does not start: exit code 2 and a line that names the setting."""
    connector = rig.start(QUICK, answering(rig, "no-such-topic"))

    assert connector.wait() == ExitCode.CONFIGURATION
    reason = str(connector.lines("start_refused")[0]["reason"])
    assert reason.startswith("routes[0].responses.topic: the topic no-such-topic does not exist")
    assert "routes[0].responses.create" in reason


def test_a_missing_responses_topic_is_created_where_that_is_asked_for(rig: Rig) -> None:
    """`responses.create` makes the topic with the partitions that it names."""
    name = rig.kafka.unique_name("made")
    connector = rig.start(QUICK, answering(rig, name, create={"partitions": 4, "replication_factor": 1}))
    rig.send(PARTITIONS)
    rig.until_settled()

    assert connector.stop() == ExitCode.STOPPED
    assert len(rig.kafka.end_offsets(name)) == 4
    assert_answered(rig, name)


def test_a_response_that_is_too_large_is_there_in_parts(rig: Rig, answers: str) -> None:
    """DLQ topic oversize, for responses: the event was accepted, so its route goes on, and its answer is joined."""
    rig.alter_topic(answers, {"max.message.bytes": "600"})
    connector = rig.start(QUICK, answering(rig, answers))
    rig.send(200)
    rig.until_settled()

    assert connector.stop() == ExitCode.STOPPED
    assert connector.lines("route_held") == []
    joined = join(rig.kafka.read_all(answers), RESPONSES)
    assert len(joined) == 200
    assert any(response.parts > 1 for response in joined)
    for response in joined:
        assert len(orjson.loads(response.value() or b"")) == 4
        assert [name for name, _ in response.headers()].count("xdm.source.offset") == 1
    rig.findings().assert_clean(max_duplicates=0)
