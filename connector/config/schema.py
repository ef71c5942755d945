"""The JSON Schema that editors check a config file against while it is written.

Promise: made from the model alone. It accepts every file that `load_config` accepts, a substitution in the place of
any value included, and it knows every key.

Not promised: that it refuses all that `load_config` refuses; contradictions are beyond it.
"""

from __future__ import annotations

import json
from typing import Any, Final

from connector.config.kafka import REQUIRED, refused_names
from connector.config.model import Config

_DIALECT: Final = "http://json-schema.org/draft-07/schema#"  # the one that every editor reads
_SUBSTITUTION: Final = {"type": "string", "pattern": r"\$\{"}
_SCALAR_TYPES: Final = ("string", "integer", "boolean")
_ABOUT: Final = ("description", "default", "examples")
_NESTED: Final = ("properties", "items", "additionalProperties")
_REFUSED_PATTERN: Final = r"^test\.mock\.|[._]cb$|\$\{"
_REQUIRED_TEXT: Final = {
    "bootstrap.servers": "The brokers to ask first: host:port, with commas between.",
    "group.id": "The consumer group; all copies of one connector share it.",
}


def json_schema() -> str:
    """The schema as indented JSON text with a line end."""
    schema = _with_substitutions(plain_schema())
    kafka, producer = schema["properties"]["kafka"], schema["properties"]["dead_letter"]["properties"]["kafka"]
    for properties in (kafka, producer):
        refused = {"anyOf": [{"enum": sorted(refused_names())}, {"pattern": _REFUSED_PATTERN}]}
        properties["propertyNames"] = {"not": refused}
    value = kafka["additionalProperties"]
    kafka["properties"] = {name: {**value, "description": _REQUIRED_TEXT[name]} for name in REQUIRED}
    kafka["required"] = list(REQUIRED)
    document = {"$schema": _DIALECT, "title": "Configuration of the XDM edge connector", **schema}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def plain_schema() -> dict[str, Any]:
    """What pydantic says of the model, as one tree: no references, no nulls, no substitutions."""
    raw = Config.model_json_schema()
    return _plain({key: value for key, value in raw.items() if key != "$defs"}, raw["$defs"])


def _plain(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    node = _inline(_not_null(_inline(node, defs)), defs)
    node.pop("title", None)
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    if "properties" in node:
        node["properties"] = {name: _plain(each, defs) for name, each in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            node[key] = _plain(node[key], defs)
    return node


def _inline(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Put a reference's target in its place: an editor ignores what stands beside a reference."""
    beside = {key: value for key, value in node.items() if key != "$ref"}
    return {**defs[node["$ref"].removeprefix("#/$defs/")], **beside} if "$ref" in node else beside


def _not_null(node: dict[str, Any]) -> dict[str, Any]:
    """An optional setting is left out and never null."""
    kinds = [each for each in node.get("anyOf", []) if each != {"type": "null"}]
    if len(kinds) != 1:
        return node
    about = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
    return {**kinds[0], **about}


def _with_substitutions(node: dict[str, Any]) -> dict[str, Any]:
    """Let a `${…}` stand where a number, a truth value, a choice or a text of some form is wanted."""
    # A section's default says what its settings' own defaults say already.
    node = {key: value for key, value in node.items() if not isinstance(value, dict) or key in _NESTED}
    if "properties" in node:
        node["properties"] = {name: _with_substitutions(each) for name, each in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            node[key] = _with_substitutions(node[key])
    if not (node.get("type") in _SCALAR_TYPES or "enum" in node) or _is_free_text(node):
        return node
    about: dict[str, Any] = {key: node.pop(key) for key in _ABOUT if key in node}
    return {**about, "anyOf": [node, _SUBSTITUTION]}


def _is_free_text(node: dict[str, Any]) -> bool:
    return node.get("type") == "string" and not {"enum", "pattern"} & node.keys()
