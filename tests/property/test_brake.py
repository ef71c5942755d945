"""The brake never lets more dead letters through than it says, in whatever order the verdicts come."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.brake import Brake, BrakeLimits

_limits = st.builds(
    BrakeLimits, window_events=st.integers(1, 30), min_events=st.integers(0, 12), max_share_percent=st.integers(1, 100)
)


class _Good(NamedTuple):
    times: int


class _Bad(NamedTuple):
    times: int
    reason: str


class _Release(NamedTuple):
    pass


_steps = st.lists(
    st.one_of(
        st.builds(_Good, st.integers(1, 40)),
        st.builds(_Bad, st.integers(1, 20), st.sampled_from("ab")),
        st.builds(_Release),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(limits=_limits, steps=_steps, stage=st.sampled_from(["decode", "deliver"]))
def test_no_window_holds_more_dead_letters_than_stated(
    limits: BrakeLimits, steps: list[_Good | _Bad | _Release], stage: str
) -> None:
    """Of any `window_events` verdicts between two releases, at most `min_events` or the share are dead letters."""
    brake = Brake(limits)
    phases: list[list[bool]] = [[]]  # of each time between two releases, which verdicts are dead letters
    for step in steps:
        match step:
            case _Good(times):
                brake.note(**{"decoded" if stage == "decode" else "accepted": times})
                phases[-1] += [False] * times
            case _Bad(times, reason):
                phases[-1] += [True for _ in range(times) if brake.admit(stage, reason)]
            case _Release():
                if brake.release():
                    phases.append([])
    most = max(limits.min_events, limits.window_events * limits.max_share_percent // 100)
    for phase in phases:
        for start in range(len(phase)):
            assert sum(phase[start : start + limits.window_events]) <= most


@settings(max_examples=300, deadline=None)
@given(limits=_limits, steps=_steps)
def test_it_is_pulled_exactly_when_a_window_kept_in_full_says_so(
    limits: BrakeLimits, steps: list[_Good | _Bad | _Release]
) -> None:
    """Runs forget and count as a list of all verdicts would, and the reason told is the most frequent one of it."""
    brake, window = Brake(limits), list[str]()
    for step in steps:
        match step:
            case _Good(times):
                brake.note(decoded=times)
                window = [*window, *[""] * times][-limits.window_events :]
            case _Bad(times, reason):
                for _ in range(times):
                    with_it = [*window, reason][-limits.window_events :]
                    bad = sum(map(bool, with_it))
                    is_too_many = bad > limits.min_events and bad * 100 > limits.max_share_percent * len(with_it)
                    if brake.trip is not None:
                        assert not brake.admit("decode", reason)
                        continue
                    assert brake.admit("decode", reason) is not is_too_many
                    if not is_too_many:
                        window = with_it
                    elif brake.trip is not None:
                        assert (brake.trip.dead_letters, brake.trip.events) == (bad, len(with_it))
            case _Release():
                if brake.release():
                    window = []
