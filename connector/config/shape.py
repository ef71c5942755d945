"""Walking the model: which settings there are, and what stands at a path.

Promise: everything is read from the model's own fields, so a new setting is known here by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, cast, get_args

from connector.config.fields import Section
from connector.config.model import Config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic.fields import FieldInfo

    from connector.config.errors import Path, Plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One field of the model; `many` says that its section stands in a list."""

    path: tuple[str, ...]
    field: FieldInfo
    section: type[Section] | None  # of the field's own settings
    many: bool


def settings(section: type[Section] = Config, above: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Every setting in the order of the model, each section before what it holds."""
    for name, field in section.model_fields.items():
        inner = _section_in(field.annotation)
        path = (*above, name)
        yield Setting(path=path, field=field, section=inner, many=inner is not None and _is_list(field))
        if inner is not None:
            yield from settings(inner, path)


def section_at(path: Path) -> type[Section] | None:
    """The section whose settings stand under a path, or None where a plain value stands there."""
    section: type[Section] | None = Config
    for step in path:
        if isinstance(step, int):
            continue  # an item of a list is what its list is of
        field = section.model_fields.get(step) if section else None
        section = _section_in(field.annotation) if field else None
    return section


def field_at(path: Path) -> FieldInfo | None:
    """The field of the setting at a path, or None where there is none of that name."""
    above = section_at(path[:-1])
    return above.model_fields.get(str(path[-1])) if above and path else None


def example(field: FieldInfo) -> Plain:
    """A value that is valid for a required field."""
    section = _section_in(field.annotation)
    if section is None:
        return cast("list[Plain]", field.examples)[0]
    return [example_section(section)] if _is_list(field) else example_section(section)


def example_section(section: type[Section]) -> dict[str, Plain]:
    """The smallest valid content of a section."""
    return {name: example(field) for name, field in section.model_fields.items() if field.is_required()}


def nearest(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The known name that a wrong one was probably meant to be; 1 is alike."""
    names = list(known)
    swapped = [each for each in names if sorted(each) == sorted(name)]  # difflib underrates two swapped letters
    return next(iter(swapped or get_close_matches(name, names, n=1, cutoff=likeness)), None)


def _section_in(annotation: object) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)


def _is_list(field: FieldInfo) -> bool:
    return getattr(field.annotation, "__origin__", None) is tuple
