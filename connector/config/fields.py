"""The kinds of values that settings hold: their checks, and how an editor's schema shows them.

Promise: types are strict. A number written in quotes is text and refused; only a value that came whole from a
substitution may be read as the number or truth value that its setting wants. Messages begin with what is expected
and never quote the value.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, core_schema

from connector.config.document import scalar_value
from connector.config.secret import SecretSource, is_header_safe, secret_source
from connector.config.substitution import Filled

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

EXPECTED: Final = "expected"  # pydantic's type of an error whose message says what a value should have been
REFUSED: Final = "refused"  # and of one whose message is complete as it is


class Section(BaseModel):
    """One mapping of the config file. Immutable; an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,  # the input may be a secret
        use_attribute_docstrings=True,
    )


def expected(what: str) -> PydanticCustomError:
    """The error of a value that is not `what`."""
    return PydanticCustomError(EXPECTED, "{what}", {"what": what})


def refused(why: str) -> PydanticCustomError:
    """The error of a value that cannot stand here, with its reason and remedy."""
    return PydanticCustomError(REFUSED, "{why}", {"why": why})


@dataclass(frozen=True, slots=True)
class Matching:
    """Text that matches a pattern as a whole; `what` describes it to people."""

    pattern: str
    what: str

    def check(self, text: str) -> str:
        """Return the text if it matches."""
        if re.fullmatch(self.pattern, text) is None:
            raise expected(self.what)
        return text

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class NotEmpty:
    """A list with at least one entry. (pydantic's own check counts only the valid entries.)"""

    def check(self, entries: tuple[object, ...]) -> tuple[object, ...]:
        """Return the entries if there are any."""
        if not entries:
            raise expected("a list with at least one entry")
        return entries

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "minItems": 1}


def _own_type(value: object) -> object:
    return scalar_value(value) if isinstance(value, Filled) else value


@dataclass(frozen=True, slots=True)
class Described:
    """What values a setting takes, in words, where its type does not say it."""

    what: str


Int = Annotated[int, BeforeValidator(_own_type)]
Flag = Annotated[bool, BeforeValidator(_own_type)]

_TOPIC: Final = r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}"
# Backslash letters and "(?" mean different things, or nothing, to librdkafka, to brokers (group.protocol=consumer)
# and to Python, by which overlaps are found: `^web\d` subscribes to nothing and says so only in a log line.
_UNPORTABLE: Final = re.compile(r"\\[A-Za-z0-9]|\(\?|\[[^\]]*\[[:.=]|[*+?}]\+|\{(?![0-9]+(,[0-9]*)?\})")

TopicName = Annotated[str, Matching(_TOPIC, "a topic name: 1 to 249 letters, digits, '.', '_' or '-'")]


def _topic_or_pattern(text: str) -> str:
    if not text.startswith("^"):
        if re.fullmatch(_TOPIC, text) is None:
            raise expected(
                "a topic name (1 to 249 letters, digits, '.', '_' or '-'), or a regular expression that begins with ^"
            )
        return text
    if _UNPORTABLE.search(text):
        raise refused(
            "this regular expression uses what Kafka's clients and brokers read differently: write [0-9] or "
            r"[A-Za-z0-9_] in place of \d, \w or [:digit:], {1,3} with its lower bound, and no (?...) or ++"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            re.compile(text)
    except (re.error, FutureWarning, OverflowError, RecursionError):
        raise expected("a topic name, or a regular expression that compiles") from None
    return text


TopicPattern = Annotated[str, AfterValidator(_topic_or_pattern)]

HeaderText = Annotated[str, Matching(r"[!-~]{1,256}", "1 to 256 visible ASCII characters without spaces")]


def _check_url(text: str) -> str:
    try:
        url = urlsplit(text)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        usable = False
    if not usable or not is_header_safe(text):
        raise refused("expected a URL such as https://host or http://host:port")
    if url.username is not None or url.password is not None:
        raise refused("a URL with a user or a password in it would reach logs; put credentials in edge.auth")
    if "?" in text or "#" in text:
        raise refused("expected a URL without a query (?) and a fragment (#)")
    return text


def _check_base_url(text: str) -> str:
    text = _check_url(text).rstrip("/")
    if re.search(r"/ee(/|$)|/v[0-9]+(/|$)", urlsplit(text).path):
        raise refused("expected the base only: the connector itself adds /ee/v2/collect or /ee/v2/interact")
    return text


_URL_SCHEMA: Final = WithJsonSchema({"type": "string", "pattern": r"^https?://[^?#\s]+$"})
Url = Annotated[str, AfterValidator(_check_url), _URL_SCHEMA]
BaseUrl = Annotated[str, AfterValidator(_check_base_url), _URL_SCHEMA]


def _secret_setting(value: object) -> SecretSource:
    if isinstance(value, SecretSource):
        return value
    if not isinstance(value, str):
        raise expected("text")
    if not is_header_safe(value):
        raise refused("expected one word of visible ASCII: this value is empty, or holds a space or a line end")
    return secret_source(value)


SecretSetting = Annotated[
    SecretSource,
    PlainValidator(_secret_setting),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "minLength": 1}),
]


AUTO: Final = "auto"


def _share(value: object) -> float | Literal["auto"]:
    own = _own_type(value)
    if own == AUTO:
        return AUTO
    if isinstance(own, bool) or not isinstance(own, int | float) or not 0 < own <= 1:
        raise expected(f"{AUTO}, or a number above 0 and at most 1, such as 0.25")
    return float(own)


_SHARE_SCHEMA: Final = WithJsonSchema(
    {"type": ["number", "string"], "exclusiveMinimum": 0, "maximum": 1, "pattern": rf"^{AUTO}$|\$\{{"}
)
Share = Annotated[
    float | Literal["auto"], PlainValidator(_share), Described(f"`{AUTO}`, or a number above 0, to 1"), _SHARE_SCHEMA
]


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen; port 0 lets the operating system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _listen(value: object) -> Listen:
    what = "host:port with a port from 0 to 65535, such as 127.0.0.1:9480 or [::1]:9480"
    if isinstance(value, Listen):
        return value
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", str(value))
    if not isinstance(value, str) or found is None or int(found[3]) > 65_535:
        raise expected(what)
    if found[1]:
        try:
            IPv6Address(found[1])
        except ValueError:
            raise expected(what) from None
    return Listen(host=found[1] or found[2], port=int(found[3]))


ListenSetting = Annotated[
    Listen,
    PlainValidator(_listen),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$"}),
]
