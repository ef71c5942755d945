"""A YAML file as a tree that knows where everything stands.

Promise: scalars mean what YAML 1.2's core schema says, so `yes`, `on`, `12:30` and dates are text, and a value is
never changed in silence. Duplicate keys, tags, keys that are not text and endless references are problems. Anchors,
aliases and `<<` work.

Not promised: anything about the meaning of keys and values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from connector.config.errors import ConfigError, Path, Problem, dotted
from connector.config.substitution import reason

if TYPE_CHECKING:
    import pathlib

_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = _TAG + "merge"
_MAX_DEPTH: Final = 32
_MAX_NODES: Final = 100_000  # a few aliases of aliases can mean billions of values

# A number with a leading zero is octal to YAML 1.1 and decimal to 1.2: here it is text, and no number setting
# takes it. Lengths are bounded because Python refuses to read longer ones.
_SCALARS: Final = {
    "null": r"|~|null|Null|NULL",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]{0,29})|0o[0-7]{1,30}|0x[0-9a-fA-F]{1,30}",
    "float": r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "merge": r"<<",
}

_QUOTED: Final = re.compile(r"""'[^']*'|"[^"]*\"""")
_QUOTES: Final = (
    'a value needs quotes where it begins with a sign, holds ": " or " #", or holds ${...} inside {...} or [...]'
)

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value: as it was written (quotes and escapes undone), and what it means."""

    text: str
    value: Value


Tree = dict[str, "Tree"] | list["Tree"] | Scalar


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the file, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file's tree; the place of each key and item; the problems that left the rest readable."""

    file: str
    root: dict[str, Tree]
    places: dict[Path, Place]
    problems: tuple[Problem, ...]
    broken: frozenset[Path]  # where a problem left no value to look at

    def problem(self, path: Path, message: str) -> Problem:
        """A problem at a path, or at its nearest ancestor that stands in the file."""
        known = next(path[:end] for end in range(len(path), -1, -1) if path[:end] in self.places)
        place = self.places[known]
        return Problem(file=self.file, line=place.line, column=place.column, key_path=dotted(path), message=message)


class _CoreLoader(yaml.SafeLoader):
    """PyYAML's loader, with the scalars of YAML 1.2 in place of 1.1's."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own name


for _name, _pattern in _SCALARS.items():
    _CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), None)


def scalar_value(text: str) -> Value:
    """What an unquoted scalar means: None, a truth value, a number, or the text itself."""
    for name, pattern in _SCALARS.items():
        if re.fullmatch(pattern, text):
            return _construct(name, text)
    return text


def read_document(path: pathlib.Path) -> Document:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, is no YAML, or is not one mapping.
    """
    file = str(path)
    node = _compose(file, _read_text(path, file))
    if node is None:
        raise _fatal(file, "the file is empty; config/reference.md shows what belongs in it")
    if not isinstance(node, MappingNode):
        raise _fatal(file, "expected settings as `key: value` lines", line=node.start_mark.line + 1)
    builder = _Builder(file)
    root = cast("dict[str, Tree]", builder.build(node, ()))
    return Document(
        file=file,
        root=root,
        places=builder.places,
        problems=tuple(builder.problems),
        broken=frozenset(builder.broken),
    )


def _fatal(file: str, message: str, *, line: int = 1, column: int | None = None) -> ConfigError:
    return ConfigError([Problem(file=file, line=line, column=column, key_path="", message=message)])


def _read_text(path: pathlib.Path, file: str) -> str:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise _fatal(file, f"the file cannot be read: {reason(error)}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _fatal(file, "the file is not UTF-8 text; save it as UTF-8", line=line) from None


def _compose(file: str, text: str) -> Node | None:
    try:
        return _CoreLoader(text).get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"YAML does not allow the character U+{error.character:04X}; remove it"
        raise _fatal(file, message, line=line) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, None)
        raise _fatal(file, f"not valid YAML: {_syntax(error)}", line=line, column=column) from None
    except RecursionError:
        raise _fatal(file, "not valid YAML: nested too deeply") from None


def _syntax(error: yaml.MarkedYAMLError) -> str:
    said = "; ".join(part for part in (error.context, error.problem) if part)
    # An unquoted secret that begins with one of YAML's signs is quoted by PyYAML as an anchor, alias or tag.
    said = _QUOTED.sub(lambda quoted: quoted[0] if _is_sign(quoted[0][1:-1]) else "(not shown)", said)
    return f"{said}; {_QUOTES}"


def _is_sign(text: str) -> bool:
    return len(text) <= 1 or text.startswith("<")  # one character, or PyYAML's name of a token


def _construct(kind: str, text: str) -> Value:
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 0)
        case "float":
            return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
        case _:
            return text


class _Builder:
    """Turns PyYAML's nodes into a tree, and notes places and problems on the way."""

    def __init__(self, file: str) -> None:
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self.broken: set[Path] = set()
        self._file = file
        self._open: set[int] = set()
        self._nodes = 0

    def build(self, node: Node, path: Path) -> Tree:
        """The tree of a node that stands at a path."""
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise _fatal(self._file, f"more than {_MAX_NODES:,} values, counting each alias anew; write fewer")
        self._note(node, path)
        if len(path) > _MAX_DEPTH or id(node) in self._open:
            return self._refuse(node, path, "nested without end; an alias cannot stand inside its own anchor")
        self._open.add(id(node))
        try:
            return self._build(node, path)
        finally:
            self._open.discard(id(node))

    def _build(self, node: Node, path: Path) -> Tree:
        if not isinstance(node, ScalarNode) and node.tag not in {_TAG + "map", _TAG + "seq"}:
            return self._refuse(node, path, "YAML tags (!name) have no meaning here; remove it")
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: Node, path: Path) -> Tree:
        kind = str(node.tag).removeprefix(_TAG)
        if kind in {"str", "merge"}:
            return Scalar(node.value, node.value)
        if kind in _SCALARS and re.fullmatch(_SCALARS[kind], node.value):
            return Scalar(node.value, _construct(kind, node.value))
        message = "YAML tags (!name) have no meaning here; a value that begins with ! needs quotes"
        return self._refuse(node, path, message)

    def _mapping(self, node: MappingNode, path: Path) -> Tree:
        built: dict[str, Tree] = {}
        merged = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged.append(value_node)
                continue
            key = self._key(key_node, path)
            if key is not None and key in built:
                first = self.places[(*path, key)].line
                self._report(key_node, (*path, key), f"duplicate key; it stands in line {first} already")
            elif key is not None:
                self._note(key_node, (*path, key))
                built[key] = self.build(value_node, (*path, key))
        for source in merged:
            self._merge(source, built, path)
        return built

    def _merge(self, source: Node, built: dict[str, Tree], path: Path) -> None:
        sources = source.value if isinstance(source, SequenceNode) else [source]
        for each in sources:
            tree = self.build(each, path)
            if isinstance(tree, dict):
                built.update({key: value for key, value in tree.items() if key not in built})
            else:
                self._report(source, path, '"<<" merges mappings only')

    def _key(self, node: Node, path: Path) -> str | None:
        if isinstance(node, ScalarNode) and node.tag == _TAG + "str":
            return str(node.value)
        self._report(node, path, "a key has to be text; put it in quotes if it is meant")
        return None

    def _note(self, node: Node, path: Path) -> None:
        # A key's place stays: it is noted before its value's, and an explicit key before a merged one.
        self.places.setdefault(path, Place(node.start_mark.line + 1, node.start_mark.column + 1))

    def _refuse(self, node: Node, path: Path, message: str) -> Scalar:
        self._report(node, path, message)
        self.broken.add(path)
        return Scalar("", "")

    def _report(self, node: Node, path: Path, message: str) -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        key_path = dotted(path)
        self.problems.append(Problem(file=self._file, line=line, column=column, key_path=key_path, message=message))
