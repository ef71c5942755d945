"""Each setting's bounds, and each contradiction between settings, is refused with a remedy."""

from __future__ import annotations

import pytest

from tests.unit.config_sample import AUTH, SAMPLE, changed, load, said

ROUTE = SAMPLE["routes"][0]
TOKEN = {"org_id": "a@b", "client_id": "c", "access_token": "not-a-real-token"}


def routes(*several: dict[str, object]) -> dict[str, object]:
    """The sample with other routes; each is given over the sample's one."""
    return changed("routes", [{**ROUTE, **each} for each in several])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("enable.auto.commit", "final verdict"),
        ("auto.commit.interval.ms", "consume.commit_interval_ms"),
        ("enable.auto.offset.store", "final verdict"),
        ("auto.offset.reset", "consume.start_at"),
        ("enable.partition.eof", "end of a partition"),
        ("rebalance_cb", "cannot hold code"),
        ("on_commit", "cannot hold code"),
        ("ssl.certificate.verify_cb", "cannot hold code"),
        ("plugin.library.paths", "plugin"),
        ("test.mock.num.brokers", "mock"),
        ("metadata.broker.list", "bootstrap.servers"),
        ("default.topic.config", "flat"),
        ("acks", "in-sync"),
        ("${NAME}", "in values"),
    ],
)
def test_properties_that_break_a_promise_are_refused(name: str, reason: str) -> None:
    """A property that would break a promise is refused with its reason, whatever its value."""
    for value in (False, "x", 0):
        [message] = said(changed("kafka", {**SAMPLE["kafka"], name: value}))
        assert message.startswith(f"kafka.{name}: cannot be set here: ")
        assert reason in message


@pytest.mark.parametrize(
    "name",
    [
        "acks",
        "enable.idempotence",
        "transactional.id",
        "retries",
        "message.send.max.retries",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "delivery.report.only.error",
        "test.mock.num.brokers",
    ],
)
def test_the_dead_letter_producer_keeps_its_guarantees(name: str) -> None:
    """What makes a confirmation mean something cannot be overridden."""
    [message] = said(changed("dead_letter/kafka", {name: 1}))
    assert message.startswith(f"dead_letter.kafka.{name}: cannot be set here: ")


def test_kafka_needs_its_two_properties() -> None:
    """Brokers and group are required, may not be empty, and a near miss is named."""
    assert said(changed("kafka", {})) == [
        "kafka.bootstrap.servers: missing; the connector cannot start without it",
        "kafka.group.id: missing; the connector cannot start without it",
    ]
    assert said(changed("kafka", {"bootstrap.server": "a", "group.id": ""})) == [
        'kafka.bootstrap.server: unknown property; did you mean "bootstrap.servers"?',
        "kafka.group.id: is empty; give it a value",
    ]
    assert "kafka.group.id: missing; the connector cannot start without it" in said(
        changed("kafka", {"bootstrap.servers": "a", "group.instance.id": "b"})
    )


def test_nested_properties_are_refused() -> None:
    """Properties are flat: a mapping or a list is told how to be written."""
    assert "flat, dotted names" in said(changed("kafka/ssl", {"ca.location": "x"}))[0]
    assert "with commas" in said(changed("kafka/bootstrap.servers", ["a", "b"]))[0]


@pytest.mark.parametrize(
    ("kafka", "place"),
    [
        ({"session.timeout.ms": 20000}, "kafka.session.timeout.ms"),
        ({"session.timeout.ms": "20000", "group.protocol": "classic"}, "kafka.session.timeout.ms"),
        ({"max.poll.interval.ms": 15000}, "kafka.max.poll.interval.ms"),
        ({"max.poll.interval.ms": 15000, "group.protocol": "consumer"}, "kafka.max.poll.interval.ms"),
        ({"session.timeout.ms": 20001}, None),
        ({"session.timeout.ms": 100, "group.protocol": "consumer"}, None),
        ({"session.timeout.ms": "soon"}, None),
    ],
)
def test_a_revoke_ends_before_the_membership_does(kafka: dict[str, object], place: str | None) -> None:
    """The wait in a rebalance has to be shorter than what the group protocol grants."""
    messages = said(changed("kafka", {**SAMPLE["kafka"], **kafka}))
    assert [message.partition(": ")[0] for message in messages] == ([place] if place else [])


def test_the_default_session_time_out_binds_too() -> None:
    """A time-out that nobody wrote down still contradicts, and the message says the default."""
    [message] = said(changed("consume/revoke_timeout_ms", 45000))
    assert "kafka.session.timeout.ms, by default 45000" in message
    assert "consume.revoke_timeout_ms is 45000 in line" in message
    assert said(changed("consume/revoke_timeout_ms", 44999)) == []


@pytest.mark.parametrize(
    ("edge", "place"),
    [
        ({"timeout_ms": 4999}, "edge.timeout_ms"),
        ({"timeout_ms": 100, "connect_timeout_ms": 101}, "edge.connect_timeout_ms"),
        ({"timeout_ms": 100, "connect_timeout_ms": 100}, None),
        ({"retry": {"initial_ms": 201, "max_ms": 200}}, "edge.retry.initial_ms"),
        ({"base_url": "https://server.adobedc.net"}, "edge.base_url"),
        ({"base_url": "https://server.adobedc.net", "auth": TOKEN}, None),
        ({"base_url": "https://edge.adobedc.net"}, None),
        ({"auth": AUTH}, None),
        ({"auth": TOKEN}, None),
        ({"auth": {"org_id": "a@b", "client_id": "c"}}, "edge.auth.client_secret"),
        ({"auth": {**AUTH, "access_token": "not-a-real-token"}}, "edge.auth.access_token"),
        ({"auth": {**TOKEN, "scopes": ["a"]}}, "edge.auth.scopes"),
        ({"auth": {**TOKEN, "token_url": "http://a"}}, "edge.auth.token_url"),
        ({"auth": {key: value for key, value in AUTH.items() if key != "scopes"}}, "edge.auth.client_secret"),
        ({"auth": {key: value for key, value in AUTH.items() if key != "token_url"}}, "edge.auth.client_secret"),
    ],
)
def test_the_edge_settings_fit_together(edge: dict[str, object], place: str | None) -> None:
    """Time-outs nest, and there is exactly one credential, whole."""
    messages = said(changed("edge", {"base_url": "https://edge.example", **edge}))
    assert [message.partition(": ")[0] for message in messages] == ([place] if place else [])


@pytest.mark.parametrize(
    ("route", "place"),
    [
        ({"endpoint": "interact"}, None),
        ({"endpoint": "interact", "batch": {}}, "routes[0].batch"),
        ({"endpoint": "interact", "silent": True}, "routes[0].silent"),
        ({"endpoint": "interact", "silent": False}, None),
        ({"endpoint": "interact", "responses": {"topic": "r"}}, None),
        ({"endpoint": "interact", "responses": {"topic": "xdm.web"}}, "routes[0].topics[0]"),
        ({"endpoint": "interact", "responses": {"topic": "r"}, "topics": ["^r$"]}, "routes[0].topics[0]"),
        ({"endpoint": "interact", "responses": {"topic": "xdm.dead-letter"}}, "routes[0].responses.topic"),
        ({"endpoint": "interact", "responses": {"topic": "a b"}}, "routes[0].responses.topic"),
        ({"endpoint": "interact", "responses": {"types": ["a"]}}, "routes[0].responses.topic"),
        ({"endpoint": "interact", "responses": {"topic": "r", "types": ["a b"]}}, "routes[0].responses.types[0]"),
        ({"endpoint": "interact", "responses": {"topic": "r", "types": []}}, None),
        ({"endpoint": "collect", "responses": {"topic": "r"}}, "routes[0].responses"),
        ({"responses": {"topic": "r"}}, "routes[0].responses"),
        ({"endpoint": "collect", "silent": True, "batch": {"max_events": 1}}, None),
        ({"endpoint": "interact", "order": "key"}, None),
        ({"endpoint": "collect", "order": "none"}, None),
        ({"endpoint": "collect", "order": "key"}, "routes[0].order"),
        ({"endpoint": "interact", "order": "topic"}, "routes[0].order"),
        ({"endpoint": "interact", "follow_location_hint": True}, None),
        ({"endpoint": "collect", "follow_location_hint": False}, None),
        ({"endpoint": "collect", "follow_location_hint": True}, "routes[0].follow_location_hint"),
        (
            {"endpoint": "interact", "follow_location_hint": True, "location_hint": "or2"},
            "routes[0].follow_location_hint",
        ),
        ({"endpoint": "interact", "follow_location_hint": False, "location_hint": "or2"}, None),
        ({"topics": ["a", "b", "a"]}, "routes[0].topics[2]"),
        ({"topics": ["a", "^a"]}, None),
        ({"topics": ["xdm.dead-letter"]}, "routes[0].topics[0]"),
        ({"topics": ["a", "^xdm"]}, "routes[0].topics[1]"),
        ({"topics": [r"^.*letter$"]}, "routes[0].topics[0]"),
        ({"topics": [r"^xdm\.web$"]}, None),
    ],
)
def test_a_route_fits_together(route: dict[str, object], place: str | None) -> None:
    """Each endpoint has its own settings; no topic stands twice; no route reads the dead letters."""
    messages = said(routes(route))
    assert [message.partition(": ")[0] for message in messages] == ([place] if place else [])


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        (["a"], ["b"], False),
        (["a"], ["c", "a"], True),
        (["^web"], ["web.x"], True),
        (["web.x"], ["^web"], True),
        (["^web$"], ["web.x"], False),
        (["^web|app"], ["my-app"], True),
        (["^a"], ["^a"], True),
        (["^a"], ["^b"], False),
    ],
)
def test_a_topic_belongs_to_one_route(one: list[str], other: list[str], clash: bool) -> None:
    """No topic is read by two routes, as far as names and expressions can tell."""
    messages = said(routes({"topics": one}, {"name": "second", "topics": other}))
    assert bool(messages) is clash
    assert all(message.startswith("routes[1].topics[") for message in messages)


def test_no_other_route_reads_the_responses() -> None:
    """A loop over two routes is a loop; two routes may share a responses topic."""
    answering: dict[str, object] = {"endpoint": "interact", "responses": {"topic": "answers"}}
    [message] = said(routes(answering, {"name": "second", "topics": ["answers"]}))
    assert message.startswith("routes[1].topics[0]: matches a responses topic, so responses would be read again")
    assert "routes[0].responses.topic is answers in line" in message
    assert said(routes(answering, {"name": "second", "topics": ["b"], **answering})) == []


def test_route_names_are_unique() -> None:
    """Two routes of one name cannot be told apart in a log."""
    assert [message.partition(": ")[0] for message in said(routes({}, {"topics": ["b"]}))] == ["routes[1].name"]


@pytest.mark.parametrize(
    "topic",
    [
        "",
        ".",
        "..",
        "a b",
        "ä",
        "a" * 250,
        r"^web\d",
        r"^(?i)web",
        "^[[:alpha:]]",
        "^(web",
        "^[z-a]",
        "^*",
        "^a{2",
        "^a++",
        "^a[b--c]",
    ],
)
def test_topics_that_kafka_cannot_have_are_refused(topic: str) -> None:
    """An illegal name, or an expression that Kafka's client would read otherwise, is refused."""
    [message] = said(routes({"topics": [topic]}))
    assert message.startswith("routes[0].topics[0]: ")


@pytest.mark.parametrize("topic", ["a", "A.b_c-1", "a" * 249, "...", r"^web\.[a-z]+$", "^(a|b){1,2}", "^[.]x"])
def test_topics_that_kafka_can_have_are_taken(topic: str) -> None:
    """Every legal name and every portable expression is taken as it is."""
    assert load(routes({"topics": [topic]})).routes[0].topics == (topic,)


@pytest.mark.parametrize(
    "url",
    [
        "edge.adobedc.net",
        "ftp://a",
        "https://",
        "https://a?x=1",
        "https://a#b",
        "https://a?",
        "https://user:pw@a",
        "https://a:99999",
        "https://a:0",
        "https://a b",
        "https://a/ee/v2/collect",
        "https://a/v2",
        "http://[::1",
        "",
    ],
)
def test_a_base_url_is_scheme_and_host(url: str) -> None:
    """A URL that the connector's own path would not make whole is refused."""
    [message] = said(changed("edge/base_url", url))
    assert message.startswith("edge.base_url: ")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://a/", "https://a"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://data.example/edge/", "https://data.example/edge"),
        ("http://[::1]:1", "http://[::1]:1"),
    ],
)
def test_a_base_url_is_taken_without_its_last_slash(url: str, kept: str) -> None:
    """Ports, IPv6 hosts and path prefixes are possible; a slash at the end means nothing."""
    assert load(changed("edge/base_url", url)).edge.base_url == kept


@pytest.mark.parametrize(
    ("brake", "place"),
    [
        ({}, None),
        ({"max_share_percent": 100}, None),
        ({"min_events": 1_999}, None),
        ({"min_events": 2_000}, "dead_letter.brake.min_events"),
        ({"min_events": 2_000, "max_share_percent": 100}, None),
        ({"window_events": 100}, "dead_letter.brake.window_events"),
        ({"window_events": 9, "min_events": 1}, "dead_letter.brake.window_events"),
        ({"min_events": 0}, "dead_letter.brake.min_events"),
        ({"max_share_percent": 0}, "dead_letter.brake.max_share_percent"),
        ({"max_share_percent": 101}, "dead_letter.brake.max_share_percent"),
        ({"max_share_percent": 12.5}, "dead_letter.brake.max_share_percent"),
    ],
)
def test_a_brake_can_hold(brake: dict[str, object], place: str | None) -> None:
    """A brake that could never hold is a mistake; to switch it off is said otherwise."""
    messages = said(changed("dead_letter/brake", brake))
    assert [message.partition(": ")[0] for message in messages] == ([place] if place else [])


def test_a_brake_that_cannot_hold_is_told_how_to_be_switched_off() -> None:
    """Whoever raises the minimum to be rid of the brake reads what to write."""
    [message] = said(changed("dead_letter/brake", {"window_events": 50, "min_events": 50}))
    assert "must be below dead_letter.brake.window_events" in message
    assert "max_share_percent: 100" in message


@pytest.mark.parametrize(
    "listen", ["9480", ":9480", "host", "::1:9480", "[::1]", "[1.2.3.4]:1", "a:65536", "a:-1", "a:x", "a b:1", 9480]
)
def test_listen_is_host_and_port(listen: object) -> None:
    """Anything that is not host:port or [IPv6]:port is refused with an example."""
    [message] = said(changed("status", {"listen": listen}))
    assert message.startswith("status.listen: expected host:port")


def test_a_truth_value_is_quoted_as_it_is_written() -> None:
    """A message shows `true`, as the file has it, and not the spelling of another language."""
    (message,) = said(changed("routes/0/follow_location_hint", True))
    assert "routes[0].follow_location_hint is true in line" in message
