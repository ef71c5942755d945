"""Writes `config/reference.md` and `config/schema.json` from the model: `python -m connector.config.reference`.

Promise: every setting, bound, default, rule and refused property stands there, because all of it is read from where
the loader reads it. A test fails while the files differ from the model.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connector.config.fields import Described, Matching
from connector.config.kafka import refused_names
from connector.config.rules import RULES
from connector.config.schema import json_schema, plain_schema
from connector.config.shape import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connector.config.shape import Setting

_HEAD: Final = """\
# Configuration reference

Made by `python -m connector.config.reference` from the model. `connector.yaml` beside this file is a complete
example; `schema.json` lets an editor check a file while it is written, if the file begins with

```yaml
# yaml-language-server: $schema=schema.json
```

`xdm-connector check --config FILE` reads a file, reports every problem with its line and remedy, and exits with 2 if
there is one.

## How a file is read

- It is YAML, in UTF-8, with the scalars of YAML 1.2: only `true` and `false` are truth values; `yes`, `on`, `12:30` and
  dates are text; a number with a leading zero is refused where a number is wanted. A key may stand once. Anchors,
  aliases and `<<` work; tags do not.
- Types are strict: `"5"` is text and no number. A key without a value is an error. Unknown keys are errors.
- In values, but not in keys, these are filled in, once:

  | written | becomes |
  |---|---|
  | `${NAME}` | the environment variable; an error if it is not set |
  | `${NAME:-default}` | the environment variable, or the text up to `}` if it is not set or empty |
  | `${file:path}` | the file's text without its last line end; the path is relative to the config file's folder |
  | `$${` | a plain `${` |

  A value that is one substitution as a whole may be a number or a truth value. Inside `{…}` and `[…]` it needs quotes.
- `edge.auth.client_secret` and `edge.auth.access_token` from `${file:path}` are read again when they are used.
- Secrets, and values that come from a substitution, are never shown in an error; secrets are never printed at all.
- Times are in milliseconds, sizes in bytes.
"""

_TEXTS: Final = {"integer": "whole number", "boolean": "true or false", "string": "text"}


def reference_markdown() -> str:
    """The reference as Markdown."""
    sections = [setting for setting in settings() if setting.section is not None or len(setting.path) == 1]
    parts = [_HEAD, "## Top level\n", _table(_top_level())]
    for setting in sections:
        parts.append(f"## `{_title(setting)}`\n")
        parts.append(_node(setting.path)["description"] + "\n")
        parts.append(_properties() if setting.section is None else _table(_settings_of(setting.path)))
    parts.append("## Settings that have to fit together\n")
    parts.append("\n".join(f"- {_one_line(rule.__doc__)}" for rule in RULES) + "\n")
    return "\n".join(parts)


def write_reference(folder: Path) -> tuple[Path, Path]:
    """Write both files into a folder and return their paths."""
    reference, schema = folder / "reference.md", folder / "schema.json"
    reference.write_text(reference_markdown(), encoding="utf-8")
    schema.write_text(json_schema(), encoding="utf-8")
    return reference, schema


def _top_level() -> Iterator[Setting]:
    return (setting for setting in settings() if len(setting.path) == 1)


def _settings_of(path: tuple[str, ...]) -> Iterator[Setting]:
    return (setting for setting in settings() if setting.path[:-1] == path)


def _title(setting: Setting) -> str:
    names = [name + "[]" if name == "routes" else name for name in setting.path]
    return ".".join(names)


def _table(rows: Iterator[Setting]) -> str:
    lines = ["| setting | value | default | |", "|---|---|---|---|"]
    for setting in rows:
        node = _node(setting.path)
        about = node["description"].replace("|", r"\|")
        lines.append(f"| `{setting.path[-1]}` | {_value(setting, node)} | {_default(setting)} | {about} |")
    return "\n".join(lines) + "\n"


@cache
def _schema() -> dict[str, Any]:
    return plain_schema()


def _node(path: tuple[str, ...]) -> dict[str, Any]:
    node = _schema()
    for step in path:
        node = node.get("items", node)["properties"][step]
    return node


def _value(setting: Setting, node: dict[str, Any]) -> str:
    if setting.section is not None:
        return f"a list of [settings](#{_anchor(setting)})" if setting.many else f"[settings](#{_anchor(setting)})"
    if "enum" in node:
        return " or ".join(f"`{each}`" for each in node["enum"])
    if node["type"] == "array":
        return "list of text"
    if node["type"] == "object":
        return "librdkafka's properties"
    form = next((each.what for each in setting.field.metadata if isinstance(each, Described | Matching)), None)
    if form is not None:
        return form
    bounds = f", {node['minimum']:,} to {node['maximum']:,}" if "minimum" in node else ""
    return _TEXTS[node["type"]] + bounds


def _anchor(setting: Setting) -> str:
    return "".join(letter for letter in _title(setting) if letter not in ".[]`")


def _default(setting: Setting) -> str:
    if setting.field.is_required():
        return "required"
    default = setting.field.default
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if isinstance(default, str | int) else ""


def _properties() -> str:
    lines = [
        "The names are librdkafka's own, flat and dotted. Values reach it as they are written. Refused are callbacks,",
        "`test.mock.*`, which would put a mock in the place of the real cluster, and these:\n",
        "| property | why not |",
        "|---|---|",
    ]
    return "\n".join([*lines, *(f"| `{name}` | {why} |" for name, why in sorted(refused_names().items()))]) + "\n"


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    for written in write_reference(Path(sys.argv[1] if len(sys.argv) > 1 else "config")):
        sys.stdout.write(f"{written}\n")
