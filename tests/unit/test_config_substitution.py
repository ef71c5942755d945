"""What stands for a variable or a file becomes its text, once, and is never shown when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.config import ConfigError, load_config
from connector.config.substitution import Filled, substitute
from tests.unit.config_sample import SAMPLE, changed, load, problems, said

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
FOLDER = Path("nowhere")


@settings(deadline=None)
@given(st.text())
def test_escaped_text_stays_as_it_is(text: str) -> None:
    """Any text can be written: with `$${` for `${` it comes out unchanged."""
    result = substitute(text.replace("${", "$${"), {}, FOLDER)
    assert (result.text, result.filled_in, result.errors) == (text, False, ())


@settings(deadline=None)
@given(NAMES, st.text(), st.text(alphabet="ab }{:-"), st.text(alphabet="ab }{:-"))
def test_a_value_is_filled_in_once(name: str, value: str, before: str, after: str) -> None:
    """A variable's text stands where its reference stood, and is not looked at again."""
    result = substitute(f"{before}${{{name}}}{after}", {name: value}, FOLDER)
    assert result.text == before + value + after
    assert result.filled_in
    assert not result.errors
    assert isinstance(result.text, Filled) is (not before and not after)


@settings(deadline=None)
@given(NAMES, st.text().map(lambda text: text.replace("}", "")), st.none() | st.text())
def test_a_default_stands_in_for_unset_and_empty(name: str, default: str, value: str | None) -> None:
    """As in a shell, `:-` gives the default where the variable is unset or empty."""
    environ = {} if value is None else {name: value}
    assert substitute(f"${{{name}:-{default}}}", environ, FOLDER).text == (value or default)


def test_numbers_and_truth_values_may_come_whole_from_outside() -> None:
    """The environment knows text only, so a whole reference is read as the type that its setting wants."""
    data = changed("edge/timeout_ms", "${T}", changed("routes/0/silent", "${S:-true}"))
    data = changed("routes/0/datastream_id", "${D}", data)
    config = load(data, {"T": "12000", "D": "0123"})
    assert config.edge.timeout_ms == 12_000
    assert config.routes[0].silent is True
    assert config.routes[0].datastream_id == "0123"
    assert type(config.routes[0].datastream_id) is str


@pytest.mark.parametrize("value", ["1${T}", "${T}0", "${T}${T}"])
def test_a_part_of_a_number_may_not_come_from_outside(value: str) -> None:
    """A text that only contains a reference stays text."""
    [message] = said(changed("edge/timeout_ms", value), {"T": "12000"})
    assert message.startswith("edge.timeout_ms: expected a whole number; found another value (not shown)")


def test_comments_and_keys_are_not_filled_in(tmp_path: Path) -> None:
    """A reference in a comment needs no variable; one in a key is no reference."""
    text = (
        "# ${NOT_SET}\nkafka: {bootstrap.servers: a, group.id: g}  # ${NOT_SET}\nedge: {base_url: 'http://a'}\n"
        "routes: [{name: a, topics: [t], datastream_id: '$${d}'}]\ndead_letter: {topic: x}\n"
    )
    assert [each.key_path for each in problems(text)] == ["routes[0].datastream_id"]
    assert [each.key_path for each in problems(text.replace("$${d}", "d"))] == []
    assert [each.key_path for each in problems(changed("${A}", 1), {"A": "kafka"})] == ["${A}"]


def test_every_missing_variable_and_file_is_told(tmp_path: Path) -> None:
    """All that cannot be had is told at once, each with a remedy, and hides no other problem."""
    data = changed("edge/base_url", "https://${HOST}:${PORT}")
    data = changed("routes/0/name", "${file:no/such}", data)
    data = changed("routes/0/datastream_id", "${what is this", data)
    data = changed("edge/max_in_flight", 0, data)
    host, port, number, file, odd = said(data)
    assert host == (
        "edge.base_url: the environment variable HOST is not set; set it, or give a default: ${HOST:-default}"
    )
    assert port.startswith("edge.base_url: the environment variable PORT is not set")
    assert number == "edge.max_in_flight: expected at least 1; found the number 0"
    assert file.startswith("routes[0].name: the file ")
    assert file.endswith("no/such cannot be read: no such file or directory")
    assert odd.startswith('routes[0].datastream_id: "${" begins a substitution, and this is none;')


def test_a_file_is_relative_to_the_config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the config file counts, not the one that the process runs in; one line end is cut off."""
    (tmp_path / "conf" / "s").mkdir(parents=True)
    file = tmp_path / "conf" / "c.yaml"
    (tmp_path / "conf" / "s" / "group").write_bytes(b"from a file\r\n")
    (tmp_path / "conf" / "s" / "other").write_bytes(b"two\n\n")
    monkeypatch.chdir(tmp_path)
    file.write_text(
        "kafka: {bootstrap.servers: '${file:s/other}', group.id: '${file:s/group}'}\nedge: {base_url: 'http://a'}\n"
        "routes: [{name: a, topics: [t], datastream_id: d}]\ndead_letter: {topic: x}\n"
    )
    config = load_config(Path("conf/c.yaml"), {})
    assert config.kafka_properties() == {"bootstrap.servers": "two\n", "group.id": "from a file"}


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"\xff\xfe", "is not UTF-8 text"), (b"x" * 1_048_577, "is larger than 1 MiB")],
)
def test_a_file_that_is_no_small_text_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    """A wrong path cannot fill memory or put bytes into a header."""
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    [message] = said(changed("kafka/sasl.password", f"${{file:{secret}}}"))
    assert why in message


@settings(deadline=None)
@given(st.sampled_from(["edge/timeout_ms", "routes/0/name", "routes/0/topics/0", "logging/level", "status/listen"]))
def test_a_wrong_value_from_outside_is_never_shown(path: str) -> None:
    """It may be a secret that landed in the wrong place."""
    [problem] = problems(changed(path, "${LEAK}"), {"LEAK": "pa55 word!"})
    assert "pa55" not in str(problem)


def test_rules_do_not_show_values_from_outside() -> None:
    """A contradiction names both settings and shows only what was written in the file."""
    data = changed("edge/timeout_ms", "${T}", changed("edge/connect_timeout_ms", 4321))
    [message] = said(data, {"T": "1234"})
    assert "edge.connect_timeout_ms is 4321 in line" in message
    assert "edge.timeout_ms is set in line" in message
    assert "1234" not in message


def test_an_error_has_no_cause_that_holds_values() -> None:
    """A traceback of a ConfigError shows the problems and not pydantic's copy of the input."""
    with pytest.raises(ConfigError) as caught:
        load(changed("edge/timeout_ms", "x", SAMPLE))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
