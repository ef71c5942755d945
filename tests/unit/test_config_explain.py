"""A value that is wrong by itself is refused in words for people: what was expected, what was found, what to do."""

from __future__ import annotations

import pytest

from tests.unit.config_sample import changed, said


@pytest.mark.parametrize(
    ("path", "low", "high"),
    [
        ("consume/max_poll_records", 1, 100_000),
        ("consume/max_open_bytes", 1_048_576, 17_179_869_184),
        ("edge/max_in_flight", 1, 1000),
        ("edge/keep_alive_ms", 0, 600_000),
        ("routes/0/batch/max_bytes", 1024, 65_536),
        ("routes/0/batch/linger_ms", 0, 60_000),
        ("routes/0/upstreams", 1, 100),
    ],
)
def test_numbers_have_bounds(path: str, low: int, high: int) -> None:
    """The bounds themselves are possible; one beyond is refused and says the bound and the number."""
    assert said(changed(path, low)) == []
    assert said(changed(path, high)) == []
    assert said(changed(path, low - 1))[0].endswith(f"expected at least {low}; found the number {low - 1}")
    assert said(changed(path, high + 1))[0].endswith(f"expected at most {high}; found the number {high + 1}")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("edge/timeout_ms", "5", 'expected a whole number; found the text "5"; write plain digits without quotes, a'),
        ("edge/timeout_ms", 5.0, "expected a whole number; found the number 5.0"),
        ("edge/timeout_ms", True, "expected a whole number; found true"),
        ("routes/0/silent", "yes", 'expected true or false; found the text "yes"'),
        ("routes/0/silent", 1, "expected true or false; found the number 1"),
        ("routes/0/datastream_id", 12, "expected text; found the number 12; put it in quotes"),
        ("routes/0/topics", "xdm.web", 'expected a list; found the text "xdm.web"'),
        ("routes/0/topics", [], "expected a list with at least one entry; found an empty list"),
        ("routes", {}, "expected a list; found a mapping"),
        ("routes", [], "expected a list with at least one entry; found an empty list"),
        ("routes/0", "web", 'expected settings as `key: value` lines; found the text "web"'),
        ("kafka", ["a"], "expected settings as `key: value` lines; found a list"),
        ("routes/0/name", "Web", "expected 1 to 64 of: lower-case letters, digits, '-', '_'; found the text \"Web\""),
        ("logging/level", "warn", 'expected one of debug, info, warning, error; found the text "warn"; did you mean'),
        ("logging/level", 1, "expected one of debug, info, warning, error; found the number 1"),
        (
            "edge/request_units_per_second/share",
            0,
            "expected auto, or a number above 0 and at most 1, such as 0.25; found the number 0",
        ),
        ("edge/request_units_per_second/share", 1.5, "expected auto, or a number above 0 and at most 1, such as 0.25;"),
        (
            "edge/request_units_per_second/share",
            True,
            "expected auto, or a number above 0 and at most 1, such as 0.25;",
        ),
        (
            "edge/request_units_per_second/share",
            "0.5",
            'expected auto, or a number above 0 and at most 1, such as 0.25; found the text "0.5"',
        ),
        ("edge/base_url", None, "has no value; give it one, or remove the key to get its default"),
        ("edge/auth", None, "has no value; give it one, or remove the key to get its default"),
        ("routes/0/max_bytes", 5000, "unknown key here; it is a setting of routes.batch"),
        ("zzz", 1, "unknown key; known keys here are kafka, consume, edge, routes, dead_letter, status, logging, "),
        ("dead_letter/create", {"partitions": 1}, "missing; it is required, for example `replication_factor: 3`"),
    ],
)
def test_a_wrong_value_is_explained(path: str, value: object, message: str) -> None:
    """A message says what was expected and what was found, in words for people."""
    [found] = said(changed(path, value))
    assert found.partition(": ")[2].startswith(message)
