"""Whatever an answer holds, only a hint of the published form is remembered, for at most a day, for at most so many."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.location_hints import LocationHints

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_items = st.fixed_dictionaries(
    {},
    optional={
        "scope": st.sampled_from(["EdgeNetwork", "Target", "AAM"]) | _json,
        "hint": st.from_regex(r"[a-z0-9]{1,3}", fullmatch=True) | _json,
        "ttlSeconds": st.integers(-5, 200_000) | st.floats() | _json,
    },
)
_handles = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["locationHint:result", "state:store"]) | _json,
        "payload": st.lists(_items | _json, max_size=3) | _json,
    },
)


@settings(max_examples=400, deadline=None)
@given(handles=st.lists(_handles, max_size=4), later=st.floats(0, 200_000))
def test_anything_is_borne_and_only_hints_are_kept(handles: list[dict[str, Any]], later: float) -> None:
    """Garbage raises nothing, and what comes back is safe to stand in a path and was said by the answer."""
    hints = LocationHints()
    hints.learn(b"key", handles, 0.0)
    hint = hints.hint(b"key", later)
    if hint is None:
        return
    assert re.fullmatch("[a-z0-9]{1,32}", hint)
    assert later < 86_400
    items = [item for handle in handles if handle.get("type") == "locationHint:result" for item in _list(handle)]
    own = [item for item in items if isinstance(item, dict) and item.get("scope") == "EdgeNetwork"]
    assert any(item.get("hint") == hint for item in own)


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=60), most=st.integers(1, 5))
def test_the_keys_used_last_are_remembered(steps: list[tuple[int, bool]], most: int) -> None:
    """Learning and asking both count as use; what was not used for the longest time goes first."""
    hints, used = LocationHints(most), dict[int, None]()
    for number, learns in steps:
        key = b"%d" % number
        if learns:
            handle = {"scope": "EdgeNetwork", "hint": f"r{number}", "ttlSeconds": 60}
            hints.learn(key, [{"type": "locationHint:result", "payload": [handle]}], 0.0)
            used.pop(number, None)
            used[number] = None
            if len(used) > most:
                del used[next(iter(used))]
        else:
            assert hints.hint(key, 1.0) == (f"r{number}" if number in used else None)
            if number in used:
                del used[number]
                used[number] = None
        assert len(hints) == len(used)


def _list(handle: dict[str, Any]) -> list[Any]:
    payload = handle.get("payload")
    return payload if isinstance(payload, list) else []
