"""A valid file becomes the settings that it says; a wrong one becomes every problem at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connector.config import Config, ConfigError, Endpoint, Listen, StartAt, load_config
from tests.unit.config_sample import AUTH, SAMPLE, changed, load, problems, said

if TYPE_CHECKING:
    from pathlib import Path

FULL: dict[str, Any] = {
    **SAMPLE,
    "consume": {"start_at": "latest", "revoke_timeout_ms": 10000},
    "edge": {
        "base_url": "https://server.adobedc.net/",
        "auth": AUTH,
        "timeout_ms": 9000,
        "retry": {"initial_ms": 100},
    },
    "routes": [
        {**SAMPLE["routes"][0], "batch": {"max_bytes": 2048}, "event": {"shape": "xdm"}, "silent": True},
        {"name": "one", "topics": ["^xdm[.]one$"], "datastream_id": "a:stage", "endpoint": "interact"},
    ],
    "dead_letter": {"topic": "xdm.dead-letter", "create": {"partitions": 1, "replication_factor": 1}},
    "status": {"listen": "[::1]:0"},
    "logging": {"level": "debug"},
    "shutdown": {"grace_ms": 1000},
}


def test_the_smallest_file_gets_the_careful_defaults() -> None:
    """What only the user can know is enough; everything else has a default."""
    config = load(SAMPLE)
    assert config.consume.start_at is StartAt.EARLIEST
    assert config.consume.max_open_bytes == 67_108_864
    assert config.edge.auth is None
    assert config.edge.request_units_per_second.collect == 6000
    assert config.edge.request_units_per_second.fixed_share is None
    assert config.routes[0].endpoint is Endpoint.COLLECT
    assert config.routes[0].batch.max_bytes == 64_000
    assert config.dead_letter.kafka == {}
    assert config.status is None
    assert config.shutdown.grace_ms == 25_000


def test_a_full_file_says_what_it_says() -> None:
    """Every section's settings arrive as they were written."""
    config = load(FULL)
    assert config.edge.base_url == "https://server.adobedc.net"
    assert config.edge.auth is not None
    assert config.edge.auth.scopes == ("openid", "acp.foundation")
    assert [route.endpoint for route in config.routes] == [Endpoint.COLLECT, Endpoint.INTERACT]
    assert config.routes[0].silent
    assert config.dead_letter.create is not None
    assert config.status is not None
    assert config.status.listen == Listen(host="::1", port=0)
    assert str(config.status.listen) == "[::1]:0"


def test_a_config_cannot_be_changed() -> None:
    """A loaded config is a value: neither its settings nor its properties can be set."""
    config = load(SAMPLE)
    with pytest.raises(ValidationError):
        config.edge.timeout_ms = 1  # type: ignore[misc] # the point of the test
    with pytest.raises(TypeError):
        config.kafka["acks"] = "0"  # type: ignore[index] # the point of the test


def test_the_same_file_gives_an_equal_config() -> None:
    """Two loads of one file are equal, secrets included."""
    assert load(FULL) == load(FULL)
    assert load(FULL) != load(changed("edge/auth/client_secret", "another-fake-secret", FULL))


def test_kafka_properties_pass_as_they_were_written() -> None:
    """A property keeps its digits; only truth values take librdkafka's spelling."""
    written = "\n".join(
        [
            "  broker.version.fallback: 0.10",
            "  fetch.min.bytes: 010",
            "  check.crcs: True",
            "  client.rack: null-island",
            "  socket.keepalive.enable: ${KEEP:-false}",
        ]
    )
    text = (
        f"kafka:\n  bootstrap.servers: a:1\n  group.id: g\n{written}\n"
        "edge: {base_url: 'http://127.0.0.1:1'}\nroutes: [{name: a, topics: [t], datastream_id: d}]\n"
        "dead_letter: {topic: x, kafka: {linger.ms: 5, enable.sasl.oauthbearer.unsecure.jwt: false}}\n"
    )
    config = load(text)
    assert config.kafka_properties() == {
        "bootstrap.servers": "a:1",
        "group.id": "g",
        "broker.version.fallback": "0.10",
        "fetch.min.bytes": "010",
        "check.crcs": "true",
        "client.rack": "null-island",
        "socket.keepalive.enable": "false",
    }
    assert config.dead_letter.kafka_properties() == {
        "linger.ms": "5",
        "enable.sasl.oauthbearer.unsecure.jwt": "false",
    }


def test_all_kinds_of_problems_come_together() -> None:
    """Unknown keys, wrong types, missing keys, substitutions and contradictions are one answer, in file order."""
    text = """\
kafka: {group.id: g, bootstrap.servers: 'a:1', enable.auto.commit: false}
edge:
  base_url: ${NOWHERE}
  timeout_ms: 3000
  max_in_flight: many
  retry: {max_delay: 5}
routes:
  - name: web
    topics: [xdm.dead-letter]
dead_letter:
  topic: xdm.dead-letter
"""
    found = [(problem.line, problem.key_path) for problem in problems(text)]
    assert found == [
        (1, "kafka.enable.auto.commit"),
        (3, "edge.base_url"),
        (4, "edge.timeout_ms"),
        (5, "edge.max_in_flight"),
        (6, "edge.retry.max_delay"),
        (8, "routes[0].datastream_id"),
        (9, "routes[0].topics[0]"),
    ]


def test_a_problem_reads_as_one_line(tmp_path: Path) -> None:
    """An error's text is file, line, key path, what is wrong and the nearest known key."""
    file = tmp_path / "c.yaml"
    file.write_text(
        "kafka: {bootstrap.servers: a, group.id: g}\nedge: {base_url: 'http://127.0.0.1'}\nroutes:\n"
        "- {name: a, topics: [t], datastream_id: d, batch: {max_byte: 5000}}\ndead_letter: {topic: x}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    assert str(caught.value) == f'{file}:4: routes[0].batch.max_byte: unknown key; did you mean "max_bytes"?'
    assert caught.value.problems[0].column == 52
    assert caught.value.__context__ is None or isinstance(caught.value.__context__, ConfigError)


def test_a_rule_about_a_wrong_setting_is_left_out() -> None:
    """Nothing is concluded from a value that is wrong itself, nor from the default of a misspelled key."""
    assert said(changed("edge", {"base_url": "http://a", "timeout_ms": 3000, "connect_timeout_m": 1000})) == [
        'edge.connect_timeout_m: unknown key; did you mean "connect_timeout_ms"?'
    ]
    assert said(changed("edge", {"base_url": "http://a", "timeout_ms": "x", "connect_timeout_ms": 20000})) == [
        'edge.timeout_ms: expected a whole number; found the text "x"'
    ]


def paths(data: object, above: str = "") -> list[str]:
    """Every key of a config that the model knows, as a path; librdkafka's properties are not among them."""
    if isinstance(data, list):
        return [path for index, item in enumerate(data) for path in paths(item, f"{above}{index}/")]
    if not isinstance(data, dict) or above == "kafka/":
        return []
    return [path for key, value in data.items() for path in (above + key, *paths(value, f"{above}{key}/"))]


KEYS = paths(FULL)


@settings(deadline=None)
@given(path=st.sampled_from(KEYS), data=st.data())
def test_a_misspelled_key_is_exactly_one_problem(path: str, data: st.DataObject) -> None:
    """One slip of a finger gives one problem, at the misspelled key, whatever else hangs on that setting."""
    *above, key = path.split("/")
    position = data.draw(st.integers(0, len(key) - 2))
    one, two, before, after = key[position], key[position + 1], key[:position], key[position + 2 :]
    slip = data.draw(
        st.sampled_from([before + two + after, before + one * 2 + two + after, before + two + one + after])
    )
    if slip == key:
        return
    config = changed("logging/level", "debug", FULL)
    inner: Any = config
    for step in above:
        inner = inner[int(step)] if step.isdigit() else inner[step]
    inner[slip] = inner.pop(key)
    found = problems(config)
    assert [problem.key_path.rpartition(".")[2] for problem in found] == [slip]
    assert f'did you mean "{key}"?' in found[0].message


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(list(FULL)),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.text(max_size=5) | st.sampled_from(["kafka", "edge", "routes", "auth", "batch"]), inner
            )
        ),
        max_leaves=6,
    ),
    st.sampled_from([*KEYS, "routes/0", "routes/0/topics/0", "edge/auth/scopes/0", "kafka/group.id"]),
)
def test_any_value_anywhere_is_taken_or_explained(value: object, path: str) -> None:
    """Whatever stands in the place of a setting, the answer is a config or a ConfigError, and nothing else."""
    for problem in problems(changed(path, value, FULL)):
        assert problem.line >= 1
        assert "\n" not in str(problem)
        assert "Input should" not in problem.message  # pydantic's own words know no remedy


@pytest.mark.parametrize(("slip", "key"), [("kfaka", "kafka"), ("egde", "edge"), ("rout", "routes")])
def test_swapped_letters_are_recognised(slip: str, key: str) -> None:
    """The commonest slips name the key that was meant, where difflib alone would not."""
    data = {slip if name == key else name: value for name, value in SAMPLE.items()}
    assert said(data) == [f'{slip}: unknown key; did you mean "{key}"?']


def test_the_model_alone_refuses_unknown_keys() -> None:
    """A config made in code is held to the same types and bounds."""
    with pytest.raises(ValidationError):
        Config.model_validate(changed("edge/unknown", 1))


@pytest.mark.parametrize(("share", "fixed"), [("auto", None), (0.25, 0.25), (1, 1.0)])
def test_a_share_is_auto_or_a_number(share: str | float, fixed: float | None) -> None:
    """Written as a number or filled in from the environment."""
    path = "edge/request_units_per_second/share"
    assert load(changed(path, share)).edge.request_units_per_second.fixed_share == fixed
    filled = load(changed(path, "${SHARE}"), {"SHARE": str(share)})
    assert filled.edge.request_units_per_second.fixed_share == fixed
