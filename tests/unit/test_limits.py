"""What the system grants is asked for and raised; nothing is left behind."""

from __future__ import annotations

import resource
import threading

import pytest

from connector import limits
from connector.limits import THREADS, raise_file_limit, startable_threads


def test_the_threads_that_are_tried_end_at_once() -> None:
    """All of them can be started here, and none is left."""
    before = threading.active_count()
    assert startable_threads() == THREADS
    assert threading.active_count() == before


def test_too_few_threads_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is what could be started before the system refused."""

    class Scarce(threading.Thread):
        left = 5

        def start(self) -> None:
            if not Scarce.left:
                raise RuntimeError("can't start new thread")
            Scarce.left -= 1
            super().start()

    monkeypatch.setattr(limits, "Thread", Scarce)
    assert startable_threads() == 5


def test_the_limit_of_files_is_raised_as_far_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """A soft limit is no reason to fail while the hard one leaves room."""
    granted: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 5000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: granted.append(limit))
    assert raise_file_limit() == 5000
    assert granted == [(5000, 5000)]


@pytest.mark.parametrize(
    ("soft", "hard", "limit"),
    [(5000, 5000, 5000), (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None), (100_000, 200_000, 100_000)],
)
def test_a_limit_that_is_enough_stays(soft: int, hard: int, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is changed where nothing is gained."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: pytest.fail("changed"))
    assert raise_file_limit() == limit


@pytest.mark.parametrize("refusal", [ValueError("exceeds maximum limit"), PermissionError("not permitted")])
def test_a_limit_that_cannot_be_raised_stays(refusal: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some systems name no hard limit and have one, some forbid the call: too few files are told, and no crash."""

    def refuse(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_file_limit() == 256
