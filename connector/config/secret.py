"""Values that cannot be printed.

Promise: no `repr`, `str`, `format`, f-string, JSON encoder, pickle or dump of a config shows what a `Secret` or a
`SecretSource` holds; only an explicit call of `reveal` does, so a review finds each use by that word.

Not promised: protection from code in the same process that looks for the value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn, Self

from connector.config.substitution import Filled, SubstitutionError, read_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MASK: Final = "**********"

_SECRET_NAME: Final = re.compile(
    r"password|passphrase|secret|access_token|private\.key\.pem|ssl\.key\.pem|oauthbearer\.config|jaas"
)
_HEADER_SAFE: Final = re.compile(r"[!-~]+")


def is_secret_name(name: str) -> bool:
    """Whether a setting or a librdkafka property of this name holds a secret."""
    return _SECRET_NAME.search(name.lower()) is not None


class _Unprintable:
    """What `Secret` and `SecretSource` have in common: every way to text ends in the same mask."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled: it would be written in clear text")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


class Secret(_Unprintable):
    """A text that only `reveal` gives out. Equal to another one that holds the same text."""

    # Held in a closure, because tools that print an object's attributes then show a function.
    __slots__ = ("_held",)

    def __init__(self, text: str) -> None:
        self._held: Callable[[], str] = lambda: text

    def reveal(self) -> str:
        """The text itself, for the one place that has to send it."""
        return self._held()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))


class SecretUnavailableError(Exception):
    """A secret's file cannot be read, or holds no usable secret; the text says which file and why."""


class SecretSource(_Unprintable):
    """Where a credential comes from: a file that is read again each time, or a constant.

    Several secrets may be valid at once during a rotation (published), so whoever asks the Edge for a token
    reads the source again instead of keeping its first value.
    """

    __slots__ = ("_constant", "file")

    def __init__(self, constant: Secret, *, file: Path | None = None) -> None:
        self._constant = constant
        self.file = file

    def read(self) -> Secret:
        """The secret as it is now.

        Raises:
            SecretUnavailableError: its file is gone, unreadable, empty or not one line of visible ASCII.
        """
        if self.file is None:
            return self._constant
        try:
            text = read_file(self.file)
        except SubstitutionError as error:
            raise SecretUnavailableError(str(error)) from None
        if not is_header_safe(text):
            raise SecretUnavailableError(f"the file {self.file} does not hold one word of visible ASCII")
        return Secret(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretSource) and self.file == other.file and self._constant == other._constant

    def __hash__(self) -> int:
        return hash((SecretSource, self.file, self._constant))


def is_header_safe(text: str) -> bool:
    """Whether a text can stand in an HTTP header as it is: visible ASCII without spaces, and not empty."""
    return _HEADER_SAFE.fullmatch(text) is not None


def secret_source(text: str) -> SecretSource:
    """Make a source of a setting's text; one that came whole from a file stays bound to that file."""
    file = text.file if isinstance(text, Filled) else None
    return SecretSource(Secret(str(text)), file=file)
