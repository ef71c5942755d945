"""A source of varied XDM events, some of which can never be accepted: for the demo and for tests.

Promise: the same seed gives the same events but for their timestamps; each one says how it has to arrive at the
Edge, or which flaw keeps it from arriving, so that afterwards every single one can be accounted for. Visitors,
shops and addresses are invented (`example` domains, documentation networks). Sizes run from 0.5 to 8 KB.

Not here: Kafka. Whoever produces the records says to which topics.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Any, Final

import orjson

from connector.local.event_flaws import FLAWS, Flaw

if TYPE_CHECKING:
    from collections.abc import Iterator

Xdm = dict[str, Any]

VISITORS: Final = 5000
_BARE_SHARE: Final = 0.4
_WITHOUT_ID_SHARE: Final = 0.1
_TEXT_PRIMARY_SHARE: Final = 0.02  # a published sample writes primary as the text "true"
_INDENTED_SHARE: Final = 0.05
_HEADERLESS_SHARE: Final = 0.2

_PAGES: Final = ("home", "search", "women/coats", "men/boots", "sale", "basket", "checkout", "help/sizes", "journal")
_AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1 (KHTML, like Gecko) Version/18.0 Safari/605.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0 Safari/537.36",
)
_PRODUCTS: Final = (
    "Mantel Größe 42",
    "Wool coat",
    "Bottines à lacets",
    "長靴",
    "Rain jacket",
    "Zimní čepice",
    "Scarf 🧣",
)
_SCREENS: Final = ("start", "catalogue", "product", "basket", "account", "scanner")


class Stream(StrEnum):
    """Where an event comes from; each stream goes to a topic of its own."""

    WEB = "web"
    APP = "app"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """One record to produce, and what has to become of it.

    `arrives` is the event as the Edge has to receive it; where `event_id` is None it lacks the `_id` that the
    connector derives. It is None where a `flaw` keeps the event from arriving.
    """

    stream: Stream
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    event_id: str | None
    arrives: dict[str, Any] | None
    flaw: Flaw | None


def make_records(count: int, *, seed: int, flawed_share: float) -> Iterator[SourceRecord]:
    """Make `count` records, of which a share, evenly strewn, has one flaw of each kind in turn."""
    rng = Random(seed)
    flawed = rng.sample(range(count), round(count * flawed_share))
    flaw_at = {place: FLAWS[turn % len(FLAWS)] for turn, place in enumerate(flawed)}
    for number in range(count):
        yield _make_record(rng, number, flaw_at.get(number))


def _make_record(rng: Random, number: int, flaw: Flaw | None) -> SourceRecord:
    stream = Stream.WEB if rng.random() < 0.6 else Stream.APP
    visitor = rng.randrange(VISITORS)
    event = _make_event(rng, stream, visitor, number)
    event_id: str | None = event["xdm"]["_id"]
    if flaw is None and rng.random() < _WITHOUT_ID_SHARE:
        del event["xdm"]["_id"]
        event_id = None
    return SourceRecord(
        stream=stream,
        key=f"visitor-{visitor}".encode(),
        value=_write(rng, event) if flaw is None else flaw.spoil(event),
        headers=_make_headers(rng, stream),
        event_id=event_id,
        arrives=event if flaw is None else None,
        flaw=flaw,
    )


def _write(rng: Random, event: dict[str, Any]) -> bytes:
    """Write an event as producers do: as an event or as bare XDM, compact or not, primary as a boolean or a text."""
    is_bare = "data" not in event and rng.random() < _BARE_SHARE
    option = orjson.OPT_INDENT_2 if rng.random() < _INDENTED_SHARE else None
    value = orjson.dumps(event["xdm"] if is_bare else event, option=option)
    if rng.random() < _TEXT_PRIMARY_SHARE:
        value = value.replace(b'"primary":true', b'"primary":"true"')
    return value


def _make_headers(rng: Random, stream: Stream) -> list[tuple[str, bytes]]:
    if rng.random() < _HEADERLESS_SHARE:
        return []
    return [
        ("source", f"{stream.value}-sdk".encode()),
        ("schema-version", b"%d" % rng.choice((2, 3))),
        ("traceparent", f"00-{rng.getrandbits(128):032x}-{rng.getrandbits(64):016x}-01".encode()),
    ]


def _make_event(rng: Random, stream: Stream, visitor: int, number: int) -> dict[str, Any]:
    happened_at = datetime.now(UTC) - timedelta(milliseconds=rng.randrange(60_000))
    xdm: Xdm = {
        "_id": f"{stream.value}-{number:06d}-{rng.getrandbits(64):016x}",  # a URI reference without colons (published)
        "timestamp": happened_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "identityMap": _make_identities(rng, visitor),
    }
    match stream:
        case Stream.WEB:
            xdm |= _make_purchase(rng) if rng.random() < 0.25 else _make_page_view(rng)
        case Stream.APP:
            xdm |= _make_app_event(rng)
    event: dict[str, Any] = {"xdm": xdm}
    if rng.random() < 0.3:
        event["data"] = {"experiment": f"exp-{rng.randrange(40)}", "variant": rng.choice("ABC")}
    return event


def _make_identities(rng: Random, visitor: int) -> dict[str, list[dict[str, Any]]]:
    ecid = f"{visitor:04d}" + f"{visitor * 2_654_435_761 % 10**17:017d}" * 2
    identities: dict[str, list[dict[str, Any]]] = {
        "ECID": [{"id": ecid, "authenticatedState": "ambiguous", "primary": True}]
    }
    if rng.random() < 0.3:
        identities["CustomerNumber"] = [{"id": f"C{visitor:08d}", "authenticatedState": "authenticated"}]
    return identities


def _make_page_view(rng: Random) -> Xdm:
    page = rng.choice(_PAGES)
    return {
        "eventType": "web.webpagedetails.pageViews",
        "web": {
            "webPageDetails": {
                "name": page,
                "URL": f"https://shop.example/{page}?visit={rng.getrandbits(40):x}",
                "pageViews": {"value": 1},
            },
            "webReferrer": {"URL": f"https://search.example/?q={'+'.join(rng.sample(_SCREENS, 2))}"},
        },
        "environment": {
            "type": "browser",
            "browserDetails": {"userAgent": rng.choice(_AGENTS), "viewportWidth": rng.randrange(320, 2560)},
            "ipV4": f"192.0.2.{rng.randrange(1, 255)}",
        },
    }


def _make_purchase(rng: Random) -> Xdm:
    items = [_make_item(rng) for _ in range(min(26, int(rng.paretovariate(1.1))))]  # mostly few, now and then 8 KB
    total = round(sum(item["priceTotal"] for item in items), 2)
    order = {"purchaseID": f"P{rng.getrandbits(40):012d}", "priceTotal": total, "currencyCode": "EUR"}
    return {
        "eventType": "commerce.purchases",
        "commerce": {"purchases": {"value": 1}, "order": order},
        "productListItems": items,
    }


def _make_item(rng: Random) -> dict[str, Any]:
    quantity = rng.randrange(1, 4)
    return {
        "SKU": f"SKU-{rng.randrange(100_000):05d}",
        "name": rng.choice(_PRODUCTS),
        "quantity": quantity,
        "priceTotal": round(quantity * rng.uniform(3, 250), 2),
        "currencyCode": "EUR",
        "selectedOptions": [{"attribute": "colour", "value": rng.choice(("anthracite", "rouge", "青"))}],
    }


def _make_app_event(rng: Random) -> Xdm:
    screen = rng.choice(_SCREENS)
    return {
        "eventType": rng.choice(("application.launch", "application.close", "mobile.screenView", "push.opened")),
        "application": {"id": "example.shop.app", "version": f"5.{rng.randrange(12)}.0", "launches": {"value": 1}},
        "device": {"type": "mobile", "screenHeight": 2400, "screenWidth": 1080, "model": f"Model {rng.randrange(30)}"},
        "environment": {
            "type": "application",
            "operatingSystem": rng.choice(("Android", "iOS")),
            "carrier": "Example Mobile",
            "_dc": {"language": rng.choice(("de-AT", "fr-CH", "en-GB", "ja-JP"))},
        },
        "web": {"webPageDetails": {"name": f"app/{screen}"}},
    }
