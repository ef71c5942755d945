"""An event loop whose clock jumps to the next timer whenever nothing else is left to do.

Hours of waiting take milliseconds, and the same waits end in the same order each time. What would wait for ever,
because no timer is set and nobody is left to wake it, is an error at once.
"""

from __future__ import annotations

import asyncio
import selectors
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")
P = ParamSpec("P")


_TURN_S: Final = 1e-9  # each turn takes a moment, as in life: who looks at the clock in a loop gets to see it move


class Stuck(Exception):  # noqa: N818 - it names a state
    """Everybody waits, and nothing is set that could end it."""


class _JumpingSelector(selectors.DefaultSelector):
    """Looks for input without waiting, and tells how long it would have waited."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout is None:
            raise Stuck
        self._jump(max(0.0 if ready else timeout or 0.0, _TURN_S))
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop that begins at second 0 of its own time."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self._advance))

    def time(self) -> float:
        return self._now

    def _advance(self, seconds: float) -> None:
        self._now += seconds


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time.

    Raises:
        Stuck: it can never end.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        try:
            return runner.run(main)
        except BaseException:
            # What the failure left behind says nothing more. It would speak up whenever it is collected, and on
            # CPython 3.11 a traceback that is printed in the midst of an ast.parse breaks that parse.
            runner.get_loop().set_exception_handler(lambda _loop, _context: None)
            raise


def virtually(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a coroutine function a plain test that runs in virtual time."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtually(test(*args, **kwargs))

    return run
