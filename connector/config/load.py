"""From a file to a `Config`, or to every problem at once.

The order: read the document; fill in substitutions; hold the values against the model; mend what was wrong in a
copy, so that contradictions between the other settings are found in the same run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from connector.config.document import read_document
from connector.config.errors import ConfigError, dotted
from connector.config.explain import explain, may_show, meant, path_of
from connector.config.fill import fill
from connector.config.mend import mend
from connector.config.model import Config
from connector.config.rules import contradictions
from connector.config.shape import field_at

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator, Mapping

    from pydantic_core import ErrorDetails

    from connector.config.document import Document
    from connector.config.errors import Path, Problem
    from connector.config.fill import Values
    from connector.config.rules import Finding


def load_config(path: pathlib.Path, environ: Mapping[str, str]) -> Config:
    """Read, fill in and check a config file; files in `${file:path}` are relative to its folder.

    Raises:
        ConfigError: the file cannot be used. It holds every problem; an unreadable file or a syntax error is one
            alone.
    """
    document = read_document(path)
    values = fill(document, environ, path.parent.absolute())
    config, errors = _validate(values)
    problems = [*values.problems, *_explain(errors, document, values)]
    damaged = values.broken | _paths(errors)
    looked_at = config
    if damaged:
        looked_at, replaced = mend(values.data, damaged)
        damaged |= replaced
    if looked_at is not None:
        problems += _contradictions(looked_at, damaged, document, values)
    if problems or config is None:
        raise ConfigError(problems)
    return config


def _validate(values: Values) -> tuple[Config | None, list[ErrorDetails]]:
    try:
        return Config.model_validate(values.data), []
    except ValidationError as error:
        # Not chained to what is raised: a ValidationError holds the values.
        errors = error.errors(include_url=False, include_input=False)
        return None, [each for each in errors if _is_known(each, values)]


def _is_known(error: ErrorDetails, values: Values) -> bool:
    # A value that could not be had has its own problem already; an unknown key is one whatever its value.
    return error["type"] == "extra_forbidden" or not _is_under(path_of(error), values.broken)


def _paths(errors: list[ErrorDetails]) -> set[Path]:
    """Where errors stand, and the settings that unknown keys were meant to be: those have unknown values too."""
    unknown = [path_of(each) for each in errors if each["type"] == "extra_forbidden"]
    return {path_of(each) for each in errors} | {path for path in map(meant, unknown) if path is not None}


def _explain(errors: list[ErrorDetails], document: Document, values: Values) -> Iterator[Problem]:
    misspelled = _paths([each for each in errors if each["type"] == "extra_forbidden"])
    for error in errors:
        path = path_of(error)
        if error["type"] == "missing" and path in misspelled:
            continue  # the misspelled key's own problem says it
        yield document.problem(path, explain(error, values))


def _contradictions(config: Config, damaged: set[Path], document: Document, values: Values) -> Iterator[Problem]:
    for finding in contradictions(config):
        if any(_is_under(path, damaged) for path in finding.paths):
            continue
        shown = next((path for path in finding.paths if values.at(path) is not None), finding.paths[0])
        yield document.problem(shown, finding.message + _details(finding, document, values))


def _details(finding: Finding, document: Document, values: Values) -> str:
    if len(finding.paths) == 1:
        return ""
    said = filter(None, (_detail(path, document, values) for path in finding.paths))
    return f" ({'; '.join(said)})"


def _detail(path: Path, document: Document, values: Values) -> str | None:
    value: Any = values.at(path)
    if value is None:
        field = field_at(path)
        default = field.default if field else None
        return f"{dotted(path)} is {default} by default" if isinstance(default, str | int) else None
    line = document.places[path].line
    shown = _as_written(value) if isinstance(value, str | int) and may_show(path, values) else "set"
    return f"{dotted(path)} is {shown} in line {line}"


def _as_written(value: str | int) -> str:
    """As YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_under(path: Path, tops: set[Path]) -> bool:
    return any(path[:end] in tops for end in range(len(path) + 1))
