"""A location hint is followed by the key that it was given to, while it holds."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from connector.core.envelope import INTERACT
from connector.core.location_hints import LocationHints
from connector.route_assembly import route_target
from tests.unit.config_sample import SAMPLE, changed, load

VISITOR = b"visitor-1"


def handles(*items: object) -> list[dict[str, Any]]:
    """An interact answer's handles, with these location hints among them."""
    return [{"type": "state:store", "payload": []}, {"type": "locationHint:result", "payload": list(items)}]


def hint(name: object = "or2", ttl_s: object = 1800, scope: object = "EdgeNetwork") -> dict[str, object]:
    """One entry of the handle."""
    return {"scope": scope, "hint": name, "ttlSeconds": ttl_s}


def learned(*items: object) -> str | None:
    """What is remembered of these entries."""
    hints = LocationHints()
    hints.learn(VISITOR, handles(*items), 100.0)
    return hints.hint(VISITOR, 100.0)


def test_a_hint_holds_for_its_key_and_its_time() -> None:
    """It is given back to its own key until its time is up, and then it is forgotten."""
    hints = LocationHints()
    hints.learn(VISITOR, handles(hint("35", scope="Target"), hint("irl1", 60)), 100.0)
    assert hints.hint(VISITOR, 159.9) == "irl1"
    assert hints.hint(b"visitor-2", 159.9) is None
    assert hints.hint(VISITOR, 160.0) is None
    assert len(hints) == 0


def test_records_without_a_key_share_one() -> None:
    """None is a key like others."""
    hints = LocationHints()
    hints.learn(None, handles(hint("va6")), 0.0)
    assert (hints.hint(None, 1.0), hints.hint(b"", 1.0)) == ("va6", None)


def test_a_later_answer_replaces_the_hint_and_its_time() -> None:
    """The last answer counts; one that says nothing changes nothing."""
    hints = LocationHints()
    hints.learn(VISITOR, handles(hint("or2", 10)), 0.0)
    hints.learn(VISITOR, handles(hint("va6", 10)), 5.0)
    hints.learn(VISITOR, handles(), 6.0)
    assert hints.hint(VISITOR, 14.0) == "va6"


def test_a_forgotten_hint_is_gone() -> None:
    """To forget what is not known does nothing."""
    hints = LocationHints()
    hints.learn(VISITOR, handles(hint()), 0.0)
    for _ in range(2):
        hints.forget(VISITOR)
    assert hints.hint(VISITOR, 0.0) is None


def test_no_hint_holds_for_longer_than_a_day() -> None:
    """An endless time to live is cut."""
    hints = LocationHints()
    hints.learn(VISITOR, handles(hint(ttl_s=10**400)), 0.0)
    assert hints.hint(VISITOR, 86_399.0) == "or2"
    assert hints.hint(VISITOR, 86_400.0) is None


@pytest.mark.parametrize(
    "item",
    [
        hint("OR2"),
        hint("../v1"),
        hint(""),
        hint("or2\n"),
        hint("a" * 33),
        hint(2),
        hint(ttl_s=0),
        hint(ttl_s=-1),
        hint(ttl_s="1800"),
        hint(ttl_s=True),
        hint(ttl_s=float("nan")),
        hint(ttl_s=None),
        hint(scope="AAM"),
        "or2",
        None,
    ],
)
def test_what_is_no_hint_is_ignored(item: object) -> None:
    """A wrong entry is passed over, and a right one after it is found."""
    assert learned(item) is None
    assert learned(item, hint("irl1")) == "irl1"


def test_a_payload_that_is_no_list_is_ignored() -> None:
    """The handle may be anything."""
    hints = LocationHints()
    hints.learn(VISITOR, [{}, {"type": "locationHint:result", "payload": hint()}], 0.0)
    assert len(hints) == 0


def test_a_huge_key_is_not_remembered() -> None:
    """Memory is bounded by the number of keys only where keys are short."""
    hints = LocationHints()
    hints.learn(b"k" * 1025, handles(hint()), 0.0)
    hints.learn(b"k" * 1024, handles(hint()), 0.0)
    assert len(hints) == 1


@pytest.mark.parametrize("base", ["https://ee", "https://v2.example/ee.x", "http://[::1]:1"])
def test_a_hint_stands_before_the_version(base: str) -> None:
    """With a hint, the path is /ee/{hint}/v2/interact and nothing else changes."""
    route = {**SAMPLE["routes"][0], "endpoint": "interact", "follow_location_hint": True}
    config = load(changed("routes", [route], changed("edge/base_url", base)))
    target = route_target(config, config.routes[0], INTERACT)
    assert target.url_for(None) == target.url
    plain, hinted = urlsplit(target.url), urlsplit(target.url_for("or2"))
    assert hinted.path == plain.path.replace("/ee/v2/", "/ee/or2/v2/")
    assert hinted._replace(path=plain.path) == plain
