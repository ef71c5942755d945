"""What is wrong with a config file, as values, and the one error that carries all of it.

Promise: a problem's text never holds a value that came from a substitution or that stands under a secret's name.
Whoever makes a `Problem` keeps that promise; this module only formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Plain = dict[str, "Plain"] | list["Plain"] | str | int | float | bool
"""What a file holds, once every substitution is made."""

Path = tuple[str | int, ...]
"""The way from the file's root to a setting: keys, and indexes of lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to mend in a config file."""

    file: str
    line: int  # from 1
    column: int | None = None  # from 1
    key_path: str  # e.g. "routes[0].batch.max_bytes"; empty where the whole file is meant
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: "
        return place + (f"{self.key_path}: {self.message}" if self.key_path else self.message)


class ConfigError(Exception):
    """A config file cannot be used; `problems` are all that was found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            sorted(set(problems), key=lambda each: (each.line, each.column or 0, each.key_path, each.message))
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


def dotted(path: Path) -> str:
    """Write a path as people do: `routes[0].batch.max_bytes`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step if step.isprintable() else repr(step)}"
    return text.removeprefix(".")
