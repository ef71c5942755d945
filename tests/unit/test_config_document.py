"""YAML's own traps are problems with a place, and never a changed value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connector.config import ConfigError, load_config
from connector.config.document import scalar_value
from tests.unit.config_sample import load, problems

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
kafka: {bootstrap.servers: 'a:1', group.id: g}
edge: {base_url: 'http://127.0.0.1:1'}
routes:
- {name: web, topics: [xdm.web], datastream_id: d}
dead_letter: {topic: x}
"""


@pytest.mark.parametrize(
    "text",
    ["yes", "no", "on", "off", "y", "12:30", "1_000", "010", "-08", "2024-01-01", "0b1", "1.2.3", "tRue", "=", "+"],
)
def test_yaml_1_1_surprises_are_text(text: str) -> None:
    """What YAML 1.1 would turn into a truth value, a number or a date stays what was written."""
    assert scalar_value(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("0", 0),
        ("-12", -12),
        ("0o17", 15),
        ("0xFf", 255),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("~", None),
        ("", None),
        ("null", None),
    ],
)
def test_yaml_1_2_scalars_are_read(text: str, value: object) -> None:
    """The core schema's own scalars have their meaning."""
    assert scalar_value(text) == value
    assert type(scalar_value(text)) is type(value)


def test_anchors_aliases_and_merges_work() -> None:
    """Repetition can be avoided; a key that is written wins over a merged one."""
    text = TEXT.replace(
        "dead_letter:",
        "- &one {name: two, topics: [b], datastream_id: d, batch: &batch {max_events: 7, linger_ms: 5}}\n"
        "- {<<: *one, name: three, topics: [c]}\n"
        "- {<<: [*one], name: four, topics: [e], batch: {<<: *batch, linger_ms: 9}}\n"
        "dead_letter:",
    )
    config = load(text)
    assert [route.batch.max_events for route in config.routes] == [1000, 7, 7, 7]
    assert [route.batch.linger_ms for route in config.routes] == [200, 5, 5, 9]


def test_a_problem_in_a_merged_value_points_to_where_it_was_written() -> None:
    """The line is the one to mend."""
    text = TEXT + "consume: &c {start_at: never}\n"
    assert [(each.line, each.key_path) for each in problems(text)] == [(6, "consume.start_at")]


@pytest.mark.parametrize(
    ("more", "line", "message"),
    [
        ("edge: {}\n", 6, "edge: duplicate key; it stands in line 2 already"),
        ("shutdown:\n  grace_ms: 50\n  grace_ms: 50\n", 8, "shutdown.grace_ms: duplicate key; it stands in line 7"),
        ("shutdown: !!python/object:os.system {}\n", 6, "shutdown: YAML tags (!name) have no meaning here"),
        ("shutdown: {grace_ms: !pa55word 5}\n", 6, "shutdown.grace_ms: YAML tags (!name) have no meaning here"),
        ("shutdown: {grace_ms: !!int five}\n", 6, "shutdown.grace_ms: YAML tags (!name) have no meaning here"),
        ("shutdown: {5: 6}\n", 6, "shutdown: a key has to be text"),
        ("shutdown: {[a]: 6}\n", 6, "shutdown: a key has to be text"),
        ("shutdown: {<<: 6}\n", 6, 'shutdown: "<<" merges mappings only'),
        ("shutdown:\n", 6, "shutdown: has no value"),
        ("logging: {level: }\n", 6, "logging.level: has no value"),
    ],
)
def test_odd_yaml_is_a_problem_with_a_place(more: str, line: int, message: str) -> None:
    """Duplicate keys, tags, keys that are not text and keys without a value are told one by one."""
    found = problems(TEXT + more)
    assert [(each.line, f"{each.key_path}: {each.message}"[: len(message)]) for each in found] == [(line, message)]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", 1, "the file is empty"),
        (b"# only a comment\n", 1, "the file is empty"),
        (b"\n- a\n", 2, "expected settings as `key: value` lines"),
        (b"text", 1, "expected settings as `key: value` lines"),
        (b"a: 1\n\nb: \xff\n", 3, "the file is not UTF-8 text"),
        (b"a: 1\nb: \x07\n", 2, "YAML does not allow the character U+0007"),
        (b"a: 1\nb: [1\nc: 2\n", 3, "not valid YAML: while parsing a flow sequence; expected ',' or ']', but got ':'"),
        (b"a: {b: ${X}}\n", 1, "not valid YAML: "),
        (b"a: 1\n---\nb: 2\n", 2, "not valid YAML: expected a single document"),
        (b"a: *pa55word\n", 1, "not valid YAML: found undefined alias (not shown)"),
        (b"a: " + b"[" * 1500, 1, "not valid YAML"),
        (b"a: " + b"[" * 60 + b"]" * 60, 1, "nested without end"),
        (b"a: &a [*a]\n", 1, "nested without end"),
    ],
)
def test_a_file_that_is_no_mapping_of_text_is_told_so(tmp_path: Path, content: bytes, line: int, message: str) -> None:
    """Empty, binary, broken and endless files are errors of the same form, and quote nothing."""
    file = tmp_path / "c.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    found = [each for each in caught.value.problems if each.message.startswith(message)]
    assert [each.line for each in found] == [line]
    assert "pa55word" not in str(caught.value)


def test_aliases_of_aliases_do_not_fill_memory() -> None:
    """Ten lines that mean ten billion values are refused."""
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    [problem] = problems("\n".join(lines))
    assert problem.message.startswith("more than 100,000 values")


def test_a_file_that_cannot_be_read_is_told_so(tmp_path: Path) -> None:
    """A missing file and a folder are errors of the same form, with the system's reason."""
    for path, why in ((tmp_path / "none.yaml", "no such file or directory"), (tmp_path, "is a directory")):
        with pytest.raises(ConfigError) as caught:
            load_config(path, {})
        assert str(caught.value) == f"{path}:1: the file cannot be read: {why}"


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    """A file from an editor that writes a byte order mark is read like any other."""
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert load_config(file, {}).kafka["group.id"] == "g"
