"""A copy of the values in which everything wrong is replaced by something valid.

Promise: what was right stays as it is, so the rules between settings can look at it. The copy is only looked at and
never used.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from pydantic import ValidationError

from connector.config.fill import step_into
from connector.config.model import Config
from connector.config.shape import example, example_section, field_at, section_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connector.config.errors import Path, Plain


def mend(data: dict[str, Plain], damaged: Iterable[Path]) -> tuple[Config | None, set[Path]]:
    """A config of the sound values, and the paths at which it does not say what the file says."""
    copy = {key: _copy(value) for key, value in data.items()}
    replaced = {_mend(copy, path) for path in sorted(damaged, key=len)}
    try:
        return Config.model_validate(copy), replaced
    except ValidationError:
        return None, replaced


def _copy(value: Plain) -> Plain:
    if isinstance(value, dict):
        return {key: _copy(each) for key, each in value.items()}
    return [_copy(each) for each in value] if isinstance(value, list) else value


def _mend(data: dict[str, Plain], path: Path) -> Path:
    """Mend at a path, or at the list of plain values around it: without one entry the others would move up."""
    container: Plain = data
    for end in range(1, len(path)):
        inner = step_into(container, path[end - 1])
        is_section_list = isinstance(inner, list) and section_at(path[:end]) is not None
        if inner is None or not (isinstance(inner, dict) or is_section_list):
            _replace(container, path[:end])
            return path[:end]
        container = inner
    _replace(container, path)
    return path


def _replace(container: Plain, path: Path) -> None:
    step, section = path[-1], section_at(path)
    if isinstance(container, list) and isinstance(step, int) and section is not None and step < len(container):
        container[step] = example_section(section)
    if not isinstance(container, dict) or not isinstance(step, str):
        return
    field = field_at(path)
    if field is not None and field.is_required():
        container[step] = deepcopy(example(field))
    else:
        container.pop(step, None)
