"""The written reference, the editor's schema and the example are what the model says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.config import load_config
from connector.config.reference import reference_markdown, write_reference
from connector.config.schema import json_schema
from connector.config.shape import settings
from tests.unit.config_sample import SAMPLE, changed

FOLDER = Path(__file__).parents[2] / "config"
EXAMPLE = FOLDER / "connector.yaml"
COMMAND = "run `python -m connector.config.reference`"


def test_the_reference_is_current() -> None:
    """`config/reference.md` is what the model says today."""
    assert (FOLDER / "reference.md").read_text(encoding="utf-8") == reference_markdown(), COMMAND


def test_the_schema_is_current() -> None:
    """`config/schema.json` is what the model says today."""
    assert (FOLDER / "schema.json").read_text(encoding="utf-8") == json_schema(), COMMAND


def test_both_are_written_into_a_folder(tmp_path: Path) -> None:
    """The command writes what the functions return."""
    reference, schema = write_reference(tmp_path)
    assert reference.read_text(encoding="utf-8") == reference_markdown()
    assert schema.read_text(encoding="utf-8") == json_schema()


def test_every_setting_is_described() -> None:
    """Each setting has a description in the reference, and each optional value a default there."""
    text = reference_markdown()
    for setting in settings():
        assert setting.field.description, setting.path
        assert f"| `{setting.path[-1]}` |" in text


def test_the_example_is_a_valid_file(tmp_path: Path) -> None:
    """With its variable and its secret in place the example loads as it is."""
    (tmp_path / "edge_client_secret").write_text("not-a-real-secret\n")
    file = tmp_path / "connector.yaml"
    file.write_text(EXAMPLE.read_text(encoding="utf-8").replace("/run/secrets", str(tmp_path)), encoding="utf-8")
    config = load_config(file, {"EDGE_CLIENT_ID": "not-a-real-client"})
    assert config.kafka["bootstrap.servers"] == "localhost:9092"
    assert len(config.routes) == 2


def test_the_example_begins_with_its_schema() -> None:
    """Editors find the schema by the first line."""
    assert EXAMPLE.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n")


def example_in_full() -> dict[str, Any]:
    """The example with every commented-out setting in force."""
    text = re.sub(r"^( *)#(?=[a-z])", r"\1", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(yaml.safe_load(text))


def test_the_example_shows_every_setting_and_its_default() -> None:
    """No setting is missing in the example; one that has a default is shown with it."""
    for setting in settings():
        inner: Any = example_in_full()
        for step in setting.path:
            if isinstance(inner, list):  # not every setting goes with every endpoint
                inner = next((each for each in inner if step in each), {})
            assert step in inner, ".".join(setting.path)
            inner = inner[step]
        default = setting.field.default
        if isinstance(default, str | int) and not isinstance(inner, dict):
            assert inner == default, ".".join(setting.path)


def accepts(schema: dict[str, Any], value: object) -> bool:
    """The part of JSON Schema that the schema uses."""
    if "anyOf" in schema:
        return any(accepts(each, value) for each in schema["anyOf"])
    if "not" in schema:
        return not accepts(schema["not"], value)
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": int | float, "boolean": bool}
    wanted = schema.get("type", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    right_type = any(
        isinstance(value, kinds[each]) and (each == "boolean" or not isinstance(value, bool)) for each in wanted
    )
    if wanted and not right_type:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None and len(value) >= schema.get("minLength", 0)
    if isinstance(value, int):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(accepts(schema["items"], each) for each in value)
    return not isinstance(value, dict) or accepts_mapping(schema, value)


def accepts_mapping(schema: dict[str, Any], value: dict[str, object]) -> bool:
    """Keys, required keys and values of an object."""
    known, more = schema.get("properties", {}), schema.get("additionalProperties")
    if not all(accepts(schema.get("propertyNames", {}), name) for name in value):
        return False
    if not set(schema.get("required", [])) <= value.keys() or (more is False and not value.keys() <= known.keys()):
        return False
    return all(accepts(known.get(name, more), each) for name, each in value.items())


@pytest.mark.parametrize(
    ("path", "value", "valid"),
    [
        ("logging/level", "info", True),
        ("logging/level", "${LEVEL:-info}", True),
        ("logging/level", "inf", False),
        ("edge/timeout_ms", "${T}", True),
        ("edge/timeout_ms", "5000", False),
        ("edge/timeout_ms", 5, False),
        ("edge/timout_ms", 5000, False),
        ("edge/auth", None, False),
        ("edge/request_units_per_second", {"share": "auto"}, True),
        ("edge/request_units_per_second", {"share": 0.25}, True),
        ("edge/request_units_per_second", {"share": "${SHARE}"}, True),
        ("edge/request_units_per_second", {"share": 2}, False),
        ("edge/request_units_per_second", {"share": "half"}, False),
        ("routes/0/silent", "${S}", True),
        ("routes/0/silent", "yes", False),
        ("routes/0/name", "Web", False),
        ("routes/0/name", "${NAME}", True),
        ("routes", [], False),
        ("routes/0/topics", [], False),
        ("kafka/fetch.min.bytes", 5, True),
        ("kafka/enable.auto.commit", False, False),
        ("kafka/test.mock.num.brokers", 1, False),
        ("dead_letter/kafka", {"acks": 1}, False),
        ("kafka", {"group.id": "g"}, False),
        ("status", {"listen": "[::1]:0"}, True),
        ("status", {"listen": "9480"}, False),
    ],
)
def test_the_schema_agrees_with_the_loader(path: str, value: object, valid: bool) -> None:
    """An editor marks what the loader refuses, and takes a substitution in the place of any value."""
    schema = json.loads(json_schema())
    assert accepts(schema, SAMPLE)
    assert accepts(schema, example_in_full())
    assert accepts(schema, changed(path, value)) is valid
