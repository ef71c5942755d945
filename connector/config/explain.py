"""What pydantic found wrong, as sentences with a remedy.

Promise: a sentence says what was expected and what was found; it quotes the value only where it was written in the
file itself and stands under no secret's name.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING

from connector.config.fields import EXPECTED, REFUSED
from connector.config.secret import is_secret_name
from connector.config.shape import example, example_section, field_at, nearest, section_at, settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from connector.config.errors import Path
    from connector.config.fill import Values

_TYPES = {
    "bool_type": "true or false",
    "dict_type": "settings as `key: value` lines",
    "int_type": "a whole number",
    "mapping_type": "settings as `key: value` lines",
    "model_attributes_type": "settings as `key: value` lines",
    "model_type": "settings as `key: value` lines",
    "string_type": "text",
    "tuple_type": "a list",
}


def path_of(error: ErrorDetails) -> Path:
    """Where an error stands; pydantic marks an error of a key with one step more."""
    location = error["loc"]
    return location[:-1] if location and location[-1] == "[key]" else location


def meant(path: Path) -> Path | None:
    """The setting that an unknown key was probably meant to be."""
    section = section_at(path[:-1])
    found = nearest(str(path[-1]), section.model_fields) if section else None
    return (*path[:-1], found) if found else None


def explain(error: ErrorDetails, values: Values) -> str:
    """One sentence or two for an error."""
    path, context = path_of(error), error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return _unknown(path)
        case "missing":
            return _missing(path)
        case str(kind) if kind == REFUSED:
            return error["msg"]
        case str(kind) if kind == EXPECTED:
            what = error["msg"]
        case "greater_than_equal":
            what = f"at least {context['ge']}"
        case "less_than_equal":
            what = f"at most {context['le']}"
        case "enum":
            return _choice(path, values)
        case kind:
            what = _TYPES.get(kind, error["msg"])
    return f"expected {what}; found {found(path, values)}{_hint(error, path, values)}"


def found(path: Path, values: Values) -> str:
    """The value at a path in words, or that it is not shown."""
    value = values.at(path)
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list" if value else "an empty list"
        case _ if not may_show(path, values):
            return "another value (not shown)"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {json.dumps(value[:60], ensure_ascii=False)}" + ("…" if len(value) > 60 else "")
        case _:
            return f"the number {value}"


def may_show(path: Path, values: Values) -> bool:
    """Whether the value at a path was written in the file and stands under no secret's name."""
    return path not in values.outside and not any(is_secret_name(str(step)) for step in path)


def _hint(error: ErrorDetails, path: Path, values: Values) -> str:
    value = values.at(path)
    if error["type"] == "string_type" and isinstance(value, int | float):
        return "; put it in quotes"
    if path in values.outside:
        return "; it comes from a substitution"
    if error["type"] == "int_type" and isinstance(value, str) and may_show(path, values):
        return "; write plain digits without quotes, a leading zero or separators" if value[:1].isdigit() else ""
    return ""


def _unknown(path: Path) -> str:
    name, section = str(path[-1]), section_at(path[:-1])
    suggestion = meant(path)
    if suggestion:
        return f'unknown key; did you mean "{suggestion[-1]}"?'
    elsewhere = [setting.path[:-1] for setting in settings() if setting.path[-1] == name]
    if elsewhere:
        places = " or ".join(".".join(above) or "the top level" for above in elsewhere)
        return f"unknown key here; it is a setting of {places}"
    known = ", ".join(section.model_fields) if section else ""
    return f"unknown key; known keys here are {known}"


def _missing(path: Path) -> str:
    field = field_at(path)
    value = example(field) if field else None
    if isinstance(value, str | int):
        return f"missing; it is required, for example `{path[-1]}: {value}`"
    if isinstance(value, list) and value and isinstance(value[0], str):
        return f"missing; it is required, for example `{path[-1]}: [{value[0]}]`"
    section = section_at(path)
    names = example_section(section) if section else value
    return f"missing; this section is required, with {', '.join(names) if isinstance(names, dict) else 'its keys'}"


def _names(annotation: object) -> list[str]:
    if not isinstance(annotation, type) or not issubclass(annotation, StrEnum):
        return []
    return [each.value for each in annotation]


def _choice(path: Path, values: Values) -> str:
    field = field_at(path)
    names = _names(field.annotation) if field else []
    said = f"expected one of {', '.join(names)}; found {found(path, values)}"
    if not may_show(path, values):
        return said
    near = nearest(str(values.at(path)).lower(), names)
    return f'{said}; did you mean "{near}"?' if near else said
