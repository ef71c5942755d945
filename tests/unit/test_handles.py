"""Handles are handed on as they stand in the answer."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.codes import Action
from connector.core.handles import json_array, read_handles
from connector.core.verdict import Answer, Asked, judge

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)
_HANDLES = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["state:store", "a", ""]), "payload": st.lists(_JSON)},
        optional={"eventIndex": st.integers(0, 9)},
    )
)
INTERACT = Asked(kind="interact", is_silent=False, count=1)


@given(_HANDLES, st.sets(st.sampled_from(["state:store", "a", "other"])))
def test_the_wanted_ones_are_kept_in_order(handles: list[dict[str, object]], types: set[str]) -> None:
    """Exactly the handles of the named types, and all where none is named."""
    body = orjson.dumps({"requestId": "an-id", "handle": handles, "warnings": []})
    kept = [handle for handle in handles if not types or handle["type"] in types]
    assert orjson.loads(json_array(read_handles(body) or (), frozenset(types))) == kept


def test_no_byte_is_changed() -> None:
    """Numbers and spaces stay as the Edge wrote them."""
    handle = b'{ "type": "a", "n": 12345678901234567890123, "f": 1.10, "s": "\\u00e9" }'
    assert read_handles(b'{"handle": [%b , {}]}' % handle) == (handle, b"{}")


@pytest.mark.parametrize(
    "body", [b"{}", b'{"handle":null}', b'{"handle":{}}', b'{"handle":[]}', b'{"handle":"a"}', b"[" * 3000]
)
def test_what_is_no_list_of_handles_gives_none(body: bytes) -> None:
    """Whatever the bytes, it does not raise."""
    assert read_handles(body) == ()


def test_a_handle_without_a_type_is_wanted_only_with_all() -> None:
    """Types are open: one that is missing or strange is none that was named."""
    handles = read_handles(b'{"handle":[1,{"type":3},{"payload":[]},[]]}')
    assert handles is not None
    assert json_array(handles, frozenset({"a"})) == b"[]"
    assert json_array(handles, frozenset()) == b'[1,{"type":3},{"payload":[]},[]]'


@pytest.mark.parametrize("status", [200, 207])
def test_an_acceptance_by_interact_has_its_handles_and_does_not_show_them(status: int) -> None:
    """They are about a visitor: nothing that prints a verdict prints them."""
    verdict = judge(Answer(status=status, body=b'{"requestId":"an-id","handle":[{"type":"secret"}]}'), INTERACT)
    assert verdict.handles == (b'{"type":"secret"}',)
    assert "secret" not in repr(verdict)


def test_collect_has_none() -> None:
    """Its answer is about many events, and nothing is looked for."""
    asked = Asked(kind="collect", is_silent=False, count=1)
    body = b'{"requestId":"an-id","handle":[{"type":"a"}]}'
    assert judge(Answer(status=202, body=body), asked).handles == ()


@pytest.mark.parametrize("status", [400, 503, 302])
def test_what_is_no_acceptance_has_none(status: int) -> None:
    """A refusal is never handed on."""
    body = b'{"requestId":"an-id","handle":[{"type":"a"}]}'
    assert judge(Answer(status=status, body=body), INTERACT).handles == ()


@pytest.mark.parametrize(
    "handles",
    [b"0," * 10_000 + b"0", b"{}," * 1_000_000 + b"{}", b"[" * 1000 + b"]" * 1000],
    ids=["10,001", "many", "deep"],
)
def test_handles_beyond_all_bounds_are_not_the_edges(handles: bytes) -> None:
    """Each would be looked at on the event loop and kept in memory: such an answer is nobody's acceptance."""
    verdict = judge(Answer(status=200, body=b'{"requestId":"an-id","handle":[%b]}' % handles), INTERACT)
    assert (verdict.action, verdict.cause) == (Action.FOREIGN, "unbounded_handles")


def test_as_many_handles_as_there_may_be() -> None:
    """The bound itself is within bounds."""
    assert read_handles(b'{"handle":[%b0]}' % (b"0," * 9_999)) == (b"0",) * 10_000
