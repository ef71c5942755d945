"""A document's tree to plain values, with every substitution made.

Promise: every value that came from outside the file is known as such (`outside`), so that no error quotes it, and
every value that could not be had is known (`broken`), so that nothing is concluded from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from connector.config.document import Scalar
from connector.config.substitution import Filled, Substitution, substitute

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

    from connector.config.document import Document, Tree
    from connector.config.errors import Path, Plain, Problem

# librdkafka reads text: `1.10` and `010` reach it as they were written, not as numbers that lost a digit.
_AS_WRITTEN: Final[tuple[Path, ...]] = (("kafka",), ("dead_letter", "kafka"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Plain dicts, lists and scalars as the model takes them; what is known about them beside."""

    data: dict[str, Plain] = field(default_factory=dict)
    outside: set[Path] = field(default_factory=set)
    broken: set[Path] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def at(self, path: Path) -> Plain | None:
        """The value at a path, or None where there is none."""
        value: Plain | None = self.data
        for step in path:
            value = step_into(value, step)
        return value


def step_into(value: Plain | None, step: str | int) -> Plain | None:
    """What stands one step further down, or None."""
    if isinstance(value, list) and isinstance(step, int):
        return value[step] if step < len(value) else None
    return value.get(step) if isinstance(value, dict) and isinstance(step, str) else None


def fill(document: Document, environ: Mapping[str, str], folder: pathlib.Path) -> Values:
    """Make every substitution of a document; relative files are looked for in `folder`."""
    values = Values(broken=set(document.broken), problems=list(document.problems))

    def scalar(leaf: Scalar, path: Path) -> Plain:
        if leaf.value is None:
            return _without_value(document, values, path)
        if isinstance(leaf.value, str):
            return _take(document, values, path, substitute(leaf.text, environ, folder))
        return _as_written(leaf) if any(path[: len(top)] == top for top in _AS_WRITTEN) else leaf.value

    def plain(tree: Tree, path: Path) -> Plain:
        if isinstance(tree, Scalar):
            return scalar(tree, path)
        if isinstance(tree, list):
            return [plain(item, (*path, index)) for index, item in enumerate(tree)]
        return {key: plain(value, (*path, key)) for key, value in tree.items()}

    values.data.update((key, plain(value, (key,))) for key, value in document.root.items())
    return values


def _without_value(document: Document, values: Values, path: Path) -> Filled:
    message = "has no value; give it one, or remove the key to get its default"
    values.problems.append(document.problem(path, message))
    values.broken.add(path)
    return Filled("")


def _take(document: Document, values: Values, path: Path, result: Substitution) -> str:
    values.problems.extend(document.problem(path, error) for error in result.errors)
    if result.errors:
        values.broken.add(path)
    if result.filled_in:
        values.outside.add(path)
    return result.text


def _as_written(leaf: Scalar) -> str:
    return str(leaf.value).lower() if isinstance(leaf.value, bool) else leaf.text
