"""`${NAME}`, `${NAME:-default}`, `${file:path}` and `$${` in one text.

Promise: what is filled in is never looked at again, so a value that holds `${` stays as it is. An error names the
variable or the file and never quotes a value or the text around it.

Not promised: nesting. A default ends at the first `}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_FILE_BYTES: Final = 1_048_576  # a secret is small; this keeps a wrong path (a device, a log) from filling memory

_TOKEN: Final = re.compile(
    r"""
      (?P<escaped>\$\$\{)
    | \$\{ file: (?P<file>[^}]+) \}
    | \$\{ (?P<name>[A-Za-z_][A-Za-z0-9_]*) (?: :- (?P<default>[^}]*) )? \}
    | (?P<wrong>\$\{)
    """,
    re.VERBOSE,
)


class SubstitutionError(Exception):
    """One reference cannot be filled in; the text says why and what to do."""


class Filled(str):
    """A text that came whole from one substitution.

    An environment variable is always text, so a setting that is a number or a yes/no may read it as one; a text
    that was written in the file may not. `file` is set where it came from `${file:path}`.
    """

    __slots__ = ("file",)

    def __new__(cls, text: str, file: Path | None = None) -> Self:
        """Make one of a text and, where it came whole from a file, of that file."""
        filled = super().__new__(cls, text)
        filled.file = file
        return filled

    file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """The result of one text: what it became, whether anything was filled in, and what could not be."""

    text: str
    filled_in: bool
    errors: tuple[str, ...]


def substitute(text: str, environ: Mapping[str, str], folder: Path) -> Substitution:
    """Fill in every reference of a text; relative files are looked for in `folder`."""
    pieces, errors, end, filled_in = [], [], 0, False
    for token in _TOKEN.finditer(text):
        pieces.append(text[end : token.start()])
        end = token.end()
        filled_in = filled_in or not token["escaped"]
        try:
            pieces.append(_read_token(token, environ, folder))
        except SubstitutionError as error:
            errors.append(str(error))
    filled = "".join([*pieces, text[end:]])
    whole = _TOKEN.fullmatch(text)
    if whole and filled_in:
        filled = Filled(filled, folder / whole["file"] if whole["file"] else None)
    return Substitution(text=filled, filled_in=filled_in, errors=tuple(errors))


def read_file(path: Path) -> str:
    """A file's text without its last line end.

    Raises:
        SubstitutionError: it cannot be read, is larger than 1 MiB, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise SubstitutionError(f"the file {path} cannot be read: {reason(error)}") from None
    if len(content) > MAX_FILE_BYTES:
        raise SubstitutionError(f"the file {path} is larger than 1 MiB; is that the right one?")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise SubstitutionError(f"the file {path} is not UTF-8 text") from None
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")


def reason(error: OSError | ValueError) -> str:
    """Why a file cannot be read, as a word of the operating system and without its path."""
    strerror = getattr(error, "strerror", None)
    return str(strerror).lower() if strerror else "its name is not possible"


def _read_token(token: re.Match[str], environ: Mapping[str, str], folder: Path) -> str:
    if token["escaped"]:
        return "${"
    if token["wrong"]:
        raise SubstitutionError(
            '"${" begins a substitution, and this is none; the forms are ${NAME}, ${NAME:-default} and '
            "${file:path}; write $${ where a plain ${ is meant"
        )
    if token["file"]:
        return read_file(folder / token["file"])
    found = environ.get(token["name"])
    if token["default"] is not None:
        return found or token["default"]  # as in a shell: the default also stands in for an empty variable
    if found is None:
        name = token["name"]
        raise SubstitutionError(
            f"the environment variable {name} is not set; set it, or give a default: ${{{name}:-default}}"
        )
    return found
