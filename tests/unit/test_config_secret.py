"""No way of printing shows a secret; only `reveal` does."""

from __future__ import annotations

import copy
import json
import pickle
import pprint
import traceback
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from connector.config import Config, ConfigError, Secret, SecretSource, SecretUnavailableError, load_config
from connector.config.shape import settings
from tests.unit.config_sample import AUTH, SAMPLE, changed, load

if TYPE_CHECKING:
    from pathlib import Path

WORDS = st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=3).map(
    lambda text: "not-a-real-secret" + text.replace("${", "$")
)


def printed(value: object) -> str:
    """Every usual way to make text of a value, in one text."""
    text = [repr(value), str(value), f"{value}", f"{value!r:>400}", "%s %r" % (value, value), pprint.pformat(value)]  # noqa: UP031 - one of the ways
    text += [repr(vars(value)) if hasattr(value, "__dict__") else "", repr([value]), json.dumps(value, default=str)]
    text.append(orjson.dumps([value], default=str).decode())
    if isinstance(value, Config):
        text += [
            repr(value.model_dump()),
            value.model_dump_json(),
            repr(dict(value)),
            repr(value.model_copy(deep=False)),
        ]
    return "\n".join(text)


@profile(deadline=None)
@given(WORDS)
def test_no_secret_of_a_config_is_printable(word: str) -> None:
    """Whatever the secret, no text that is made of a config holds it, and librdkafka still gets it."""
    data = changed("edge/auth", {**AUTH, "client_secret": "${SECRET}"})
    for name in ("sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"):
        data["kafka"][name] = "${SECRET}"
    data["dead_letter"]["kafka"] = {"ssl.keystore.password": "${SECRET}"}
    config = load(data, {"SECRET": word})
    assert word not in printed(config)
    assert word not in printed(config.edge.auth)
    assert word not in printed(config.kafka)
    assert config.edge.auth is not None
    assert config.edge.auth.client_secret is not None
    assert config.edge.auth.client_secret.read().reveal() == word
    assert config.kafka_properties()["sasl.password"] == word
    assert config.dead_letter.kafka_properties() == {"ssl.keystore.password": word}


@profile(deadline=None)
@given(WORDS)
def test_a_secret_is_a_mask_in_every_text(word: str) -> None:
    """A secret and its source print as a mask, compare by what they hold, and cannot be written out."""
    secret, source = Secret(word), SecretSource(Secret(word))
    for each in (secret, source):
        assert word not in printed(each)
        assert str(each) == f"{each}" == repr(each) == "**********"
        assert copy.copy(each) is each
        assert copy.deepcopy(each) is each
        with pytest.raises(TypeError):
            json.dumps(each)
        with pytest.raises(TypeError):
            orjson.dumps(each)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(each)
    assert secret == Secret(word)
    assert hash(secret) == hash(Secret(word))
    assert secret != Secret(word + "x")
    assert secret != word
    assert source == SecretSource(Secret(word))


LEAK = "pa55 wörd"


def places() -> list[str]:
    """Every setting of the model, and places that are none, as paths into the sample."""
    known = ["/".join(step + "/0" if step == "routes" else step for step in each.path) for each in settings()]
    return [*known, "routes", "kafka/sasl.password", "kafka/x", "unknown", "edge/unknown", "routes/0/topics/0"]


@pytest.mark.parametrize("value", ["${LEAK}", "x${LEAK}", ["${LEAK}"], {"a": "${LEAK}"}])
def test_no_error_shows_what_came_from_outside(value: object) -> None:
    """Wherever a secret lands, no error text and no traceback holds it."""
    data = changed("edge/auth", dict(AUTH))
    data["status"] = {"listen": "127.0.0.1:0"}
    data["dead_letter"]["create"] = {"partitions": 1, "replication_factor": 1}
    refused = 0
    for place in places():
        try:
            load(changed(place, value, data), {"LEAK": LEAK})
        except ConfigError as error:
            text = "".join(traceback.format_exception(error))
            refused += 1
            assert not any(part in text for part in LEAK.split()), place
    assert refused > 50


@pytest.mark.parametrize("value", ["pa55 word", "", 12345, ["pa55"], {"pa55": "pa55"}, "pa55\n"])
@pytest.mark.parametrize("name", ["client_secret", "access_token"])
def test_no_error_shows_what_stands_under_a_secret_name(name: str, value: object) -> None:
    """A credential that cannot be one is refused without being quoted, also when it is written in the file."""
    auth = {key: each for key, each in AUTH.items() if name == "client_secret" or key in {"org_id", "client_id"}}
    with pytest.raises(ConfigError) as caught:
        load(changed("edge/auth", {**auth, name: value}))
    assert len(caught.value.problems) == 1
    assert "pa55" not in str(caught.value)
    assert "12345" not in str(caught.value)


def file_config(folder: Path) -> Config:
    """A config whose client secret comes from a file beside it."""
    file = folder / "c.yaml"
    text = json.dumps({**SAMPLE, "edge": {**SAMPLE["edge"], "auth": {**AUTH, "client_secret": "${file:secret}"}}})
    file.write_text(text)
    return load_config(file, {})


def test_a_secret_file_is_read_again(tmp_path: Path) -> None:
    """A rotated secret is picked up without a new load; a constant stays what it was."""
    (tmp_path / "secret").write_text("first-fake-secret\n")
    auth = file_config(tmp_path).edge.auth
    assert auth is not None
    assert auth.client_secret is not None
    assert auth.client_secret.read() == Secret("first-fake-secret")
    (tmp_path / "secret").write_text("second-fake-secret\n")
    assert auth.client_secret.read() == Secret("second-fake-secret")


@pytest.mark.parametrize("content", [None, "", "two words", "two\nlines", "pa55\x00"])
def test_a_secret_file_that_breaks_later_says_so(tmp_path: Path, content: str | None) -> None:
    """A file that is gone or holds no usable secret is an error that names it and shows nothing."""
    (tmp_path / "secret").write_text("first-fake-secret\n")
    auth = file_config(tmp_path).edge.auth
    (tmp_path / "secret").unlink()
    if content is not None:
        (tmp_path / "secret").write_text(content)
    assert auth is not None
    assert auth.client_secret is not None
    with pytest.raises(SecretUnavailableError, match="secret") as caught:
        auth.client_secret.read()
    assert not content or content not in str(caught.value)


def test_a_credential_of_a_default_stays_a_constant() -> None:
    """Only a value that came whole from a file is bound to a file."""
    config = load(changed("edge/auth", {**AUTH, "client_secret": "${A:-not-a-real-default}"}))
    assert config.edge.auth is not None
    assert config.edge.auth.client_secret is not None
    assert config.edge.auth.client_secret.file is None
    assert config.edge.auth.client_secret.read() == Secret("not-a-real-default")
