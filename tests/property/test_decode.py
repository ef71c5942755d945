"""Decoding agrees with its slow reference on whatever hypothesis comes up with, and never raises."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.decode import Decoder, DecodeRules, RejectionReason, Shape
from connector.core.decode_repair import decode_carefully
from connector.core.decode_rules import TITLES
from connector.core.envelope import COLLECT, INTERACT
from connector.model import Rejection
from tests.property.decode_reference import Members, expected, tree
from tests.property.json_texts import damaged, deep, plain_events, texts
from tests.unit.decode_record import RecordAt

_RECORD = RecordAt()
_GOOD = b'{"xdm":{"_id":"good"}}'
_NO_TEXT = {RejectionReason.NOT_UTF8, RejectionReason.NOT_JSON, RejectionReason.LONE_SURROGATE}

_rules = st.builds(
    DecodeRules,
    shape=st.sampled_from(Shape),
    needs_primary_identity=st.booleans(),
    derive_missing_id=st.booleans(),
    max_fragment_bytes=st.sampled_from([64_000, 64_000, 64_000, 120]),
)


@settings(max_examples=600, deadline=None)
@given(value=st.one_of(texts, plain_events), rules=_rules)
def test_agrees_with_the_reference(value: bytes, rules: DecodeRules) -> None:
    """Events in every legal spelling get the reference's reason, its tree, and untouched bytes where it says so."""
    _assert_agreement(value, rules)


@settings(max_examples=600, deadline=None)
@given(value=damaged(), rules=_rules)
def test_agrees_with_the_reference_on_damaged_values(value: bytes, rules: DecodeRules) -> None:
    """A damaged event passes only where the strict reference parser takes it too."""
    _assert_agreement(value, rules)


@settings(max_examples=100, deadline=None)
@given(value=deep(), rules=_rules)
def test_agrees_with_the_reference_on_depth(value: bytes, rules: DecodeRules) -> None:
    """The depth of the fragment, and not of the value, is held to the limit exactly."""
    _assert_agreement(value, rules)


@settings(max_examples=300, deadline=None)
@given(value=st.one_of(texts, plain_events, damaged()), rules=_rules)
def test_fast_and_careful_path_agree_to_the_byte(value: bytes, rules: DecodeRules) -> None:
    """What the fast path sends or repairs is exactly what the careful path would have sent."""
    fast = Decoder(rules).decode(value, _RECORD)
    if isinstance(fast, bytes):
        assert fast == decode_carefully(value.removeprefix(b"\xef\xbb\xbf"), _RECORD, rules)


@settings(max_examples=300, deadline=None)
@given(value=st.one_of(st.binary(), st.text().map(str.encode)), rules=_rules)
def test_never_raises(value: bytes, rules: DecodeRules) -> None:
    """Any bytes at all get a fragment or a rejection of the closed set, with its title."""
    answer = Decoder(rules).decode(value, _RECORD)
    if isinstance(answer, Rejection):
        assert answer.stage == "decode"
        assert answer.title == TITLES[RejectionReason(answer.reason)]


@settings(max_examples=600, deadline=None)
@given(value=st.one_of(texts, plain_events, damaged()), rules=_rules)
def test_a_fragment_stays_in_its_place(value: bytes, rules: DecodeRules) -> None:
    """No value adds, takes or changes another event of its request, or anything around the events."""
    fragment = Decoder(rules).decode(value, _RECORD)
    if isinstance(fragment, bytes):
        good, event = tree(_GOOD), tree(fragment)
        assert isinstance(event, Members)
        assert tree(COLLECT.body([_GOOD, fragment, _GOOD])) == Members([("events", [good, event, good])])
        assert tree(INTERACT.body([fragment])) == Members([("event", event)])


def _assert_agreement(value: bytes, rules: DecodeRules) -> None:
    answer = Decoder(rules).decode(value, _RECORD)
    wanted = expected(value, _RECORD, rules)
    if isinstance(answer, Rejection):
        reason = RejectionReason(answer.reason)
        if reason is RejectionReason.TOO_LARGE and not isinstance(wanted, RejectionReason):
            assert len(value) + 100 > rules.max_fragment_bytes  # what was added made it too large
            return
        # What looks like a long number is refused before the text around it is read.
        assert reason == wanted or (reason is RejectionReason.NUMBER_TOO_LONG and wanted in _NO_TEXT)
        return
    assert len(answer) <= rules.max_fragment_bytes
    if isinstance(wanted, bytes):
        assert answer == wanted
    else:
        assert tree(answer) == wanted
