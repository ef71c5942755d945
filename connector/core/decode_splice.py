"""The two repairs that a whole stream of events may need, at the fast path's price.

Promise: the answer is either what the careful path would give, or None for "not sure". Both work on text that is
valid JSON and find places by their literal spelling. That is sound where no lower-case letter is written as an
escape, so that every place in question is found, and where no more places are found than there are.
"""

from __future__ import annotations

import re
from typing import Final

_BLANKS = rb"[ \t\n\r]*+"
_STRING_PRIMARY: Final = re.compile(rb'("primary"' + _BLANKS + rb":" + _BLANKS + rb')"(true|false)"')
_XDM_OPENING: Final = re.compile(rb'"xdm"' + _BLANKS + rb":" + _BLANKS + rb"\{(?=" + _BLANKS + rb'")')
_BARE_OPENING: Final = re.compile(_BLANKS + rb"\{(?=" + _BLANKS + rb'")')


def with_boolean_primaries(value: bytes, expected_count: int) -> bytes | None:
    """The value with its identities' "true" and "false" as booleans.

    `expected_count` says how many members `primary` of the event's identities are one of the two strings and count.
    """
    if not _spells_letters_plainly(value):
        return None
    repaired, count = _STRING_PRIMARY.subn(rb"\1\2", value)
    return repaired if count == expected_count else None


def with_id(value: bytes, quoted_id: bytes, *, bare: bool) -> bytes | None:
    """The value with a first member `_id` in its XDM object, which has none."""
    if bare:
        opening = _BARE_OPENING.match(value)
    elif _spells_letters_plainly(value) and value.count(b'"xdm"') == 1:
        opening = _XDM_OPENING.search(value)
    else:
        return None
    if opening is None:
        return None
    return b'%b"_id":%b,%b' % (value[: opening.end()], quoted_id, value[opening.end() :])


def _spells_letters_plainly(value: bytes) -> bool:
    # a to z are U+0061 to U+007A; to look for one byte first is ten times faster, and mostly enough.
    return b"\\" not in value or (b"\\u006" not in value and b"\\u007" not in value)
