"""How many answers fit into memory is learned from those that came."""

from __future__ import annotations

from connector.core.answer_room import AnswerRoom

_MB = 1024 * 1024


def test_small_answers_soon_leave_room_for_all() -> None:
    """Before the first answer few requests leave; after some small ones as many as one likes."""
    room = AnswerRoom(32 * _MB)
    assert room.places <= 10
    for _ in range(100):
        room.note(2_000)
    assert room.places > 1_000


def test_large_answers_leave_room_for_few() -> None:
    """Three copies of each of them fit into the bound, from the first one on."""
    room = AnswerRoom(30 * _MB)
    for _ in range(100):
        room.note(1_000)
    room.note(2 * _MB)
    assert 4 <= room.places <= 5


def test_one_always_may_leave() -> None:
    """An answer that is larger than the bound is no reason to stand still."""
    room = AnswerRoom(1)
    room.note(4 * _MB)
    assert room.places == 1
