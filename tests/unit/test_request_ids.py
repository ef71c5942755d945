"""Whose answer an answer is: known by its text, and never guessed."""

from __future__ import annotations

import uuid

import pytest

from connector.core.request_ids import is_anothers, make_request_id
from connector.request import new_request_id

MINE = make_request_id(0xDEADBEEF, 1)
OTHER = make_request_id(0xDEADBEEF, 2**90 - 1)
FOREIGN = make_request_id(0xDEADBEE0, 1)


def test_ids_are_uuids_that_begin_alike_and_differ() -> None:
    """The form is a UUID's, version 4; all of one process have its mark, and nothing else in common."""
    ids = {new_request_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert len({text[:9] for text in ids}) == 1
    assert {(uuid.UUID(text).version, str(uuid.UUID(text)) == text) for text in ids} == {(4, True)}
    assert make_request_id(0, 0) == "00000000-0000-4000-a000-000000000000"


@pytest.mark.parametrize(
    ("body", "is_another"),
    [
        ('{"requestId":"OTHER-0123456789abcdef"}', True),
        ('{"report": {"requestId" : "OTHER"}}', True),
        ('{"requestId":"MINE-0123456789abcdef"}', False),
        ('{"requestId":"MINE","errors":[{"report":{"requestId":"OTHER"}}]}', False),
        ('{"requestId":"FOREIGN-0123456789abcdef"}', False),
        ('{"requestId":"CUT"}', False),
        ('{"handle":[{"payload":"OTHER"}]}', False),
        ('{"requestId":null}', False),
        ("{}", False),
        ("", False),
    ],
)
def test_only_an_answer_that_names_another_of_our_requests_is_anothers(body: str, is_another: bool) -> None:
    """No name, a stranger's name and a name somewhere else say nothing against the answer."""
    names = {"MINE": MINE, "OTHER": OTHER, "FOREIGN": FOREIGN, "CUT": OTHER[:20]}
    for name, text in names.items():
        body = body.replace(name, text)
    assert is_anothers(body.encode(), MINE) is is_another


def test_an_id_of_another_form_is_not_looked_for() -> None:
    """Where the caller's id has no mark there is nothing to compare."""
    assert not is_anothers(f'{{"requestId":"{OTHER}"}}'.encode(), "r")
