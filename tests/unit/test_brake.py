"""When the brake on dead letters is pulled, and what it says then."""

from __future__ import annotations

from connector.core.brake import Brake, BrakeLimits, Trip

DEFAULT = BrakeLimits(window_events=1000, min_events=100, max_share_percent=20)


def _admitted(brake: Brake, count: int, reason: str = "not_json", stage: str = "decode") -> int:
    """How many of so many dead letters in a row are admitted."""
    return sum([brake.admit(stage, reason) for _ in range(count)])


def test_a_burst_up_to_the_minimum_passes() -> None:
    """A hundred bad events in a row are nothing unusual; the next one pulls the brake."""
    brake = Brake(DEFAULT)
    assert _admitted(brake, 100) == 100
    assert brake.trip is None
    assert _admitted(brake, 5) == 0
    assert brake.trip == Trip(stage="decode", dead_letters=101, events=101, reason="not_json")


def test_a_usual_share_never_pulls_it() -> None:
    """A fifth of all events may be bad for ever."""
    brake = Brake(DEFAULT)
    for _ in range(2000):
        brake.note(decoded=4)
        assert brake.admit("decode", "not_json")


def test_a_share_over_the_limit_pulls_it() -> None:
    """With a window full of good events, it takes a fifth of the window before the brake is pulled."""
    brake = Brake(DEFAULT)
    brake.note(accepted=1_000_000)
    assert _admitted(brake, 1000, "EXEG-0104-422", "deliver") == 200
    assert brake.trip == Trip(stage="deliver", dead_letters=201, events=1000, reason="EXEG-0104-422")
    assert brake.trip.share_percent == 20.1


def test_what_left_the_window_is_forgotten() -> None:
    """A burst that is a window's length ago counts no more."""
    brake = Brake(DEFAULT)
    assert _admitted(brake, 100) == 100
    brake.note(decoded=999)
    assert _admitted(brake, 1000) == 200


def test_the_stages_are_counted_apart() -> None:
    """While the Edge accepts nothing, a bad record among a hundred that were decoded stays one in a hundred."""
    brake = Brake(DEFAULT)
    for _ in range(500):
        brake.note(decoded=99)
        assert brake.admit("decode", "not_json")
    assert _admitted(brake, 500, "EXEG-0104-422", "deliver") == 100


def test_the_most_frequent_reason_of_the_window_is_told() -> None:
    """A reason that left the window is not counted, however often it was met before."""
    brake = Brake(BrakeLimits(window_events=20, min_events=5, max_share_percent=20))
    assert _admitted(brake, 5, "old") == 5
    brake.note(decoded=20)
    assert _admitted(brake, 1, "rare") == 1
    assert _admitted(brake, 4, "frequent") == 4
    assert not brake.admit("decode", "rare")
    assert brake.trip is not None
    assert brake.trip.reason == "frequent"


def test_it_stays_on_until_it_is_released() -> None:
    """Any number of good events, and dead letters of the other stage, change nothing; the release begins anew."""
    brake = Brake(DEFAULT)
    assert _admitted(brake, 101) == 100
    brake.note(decoded=100_000, accepted=100_000)
    assert _admitted(brake, 10) == _admitted(brake, 10, stage="deliver") == 0
    assert brake.release() is not None
    assert brake.trip is None
    assert _admitted(brake, 1000) == 100
    assert brake.release() is not None
    assert brake.release() is None


def test_a_release_of_a_brake_that_is_off_forgets_nothing() -> None:
    """Otherwise a habit of releasing would be the end of the brake."""
    brake = Brake(DEFAULT)
    assert _admitted(brake, 60) == 60
    assert brake.release() is None
    assert _admitted(brake, 60) == 40


def test_a_hundred_percent_switches_it_off() -> None:
    """Then everything may be bad."""
    brake = Brake(BrakeLimits(window_events=1000, min_events=1, max_share_percent=100))
    assert _admitted(brake, 5000) == 5000
