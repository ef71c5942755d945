"""Prints what decoding costs, in nanoseconds an event, for ordinary events and for those that need a repair.

Run it with `python -m tests.bench.decode_cost`. It asserts nothing: the figures are the machine's.
"""

from __future__ import annotations

import json
from functools import partial
from timeit import repeat

from connector.core.decode import Decoder, DecodeRules, Shape
from tests.unit.decode_record import RecordAt

_ROUNDS = 50
_CALLS = 1_000

_EVENT = {
    "xdm": {
        "_id": "web-0-1234567-1760000000000",
        "identityMap": {
            "ECID": [
                {
                    "id": "44809014977647551167356491107014304096",
                    "authenticatedState": "ambiguous",
                    "primary": True,
                }
            ],
            "Email": [{"id": "someone@example.com", "authenticatedState": "authenticated", "primary": False}],
        },
        "timestamp": "2026-10-01T12:00:00.000Z",
        "eventType": "commerce.productViews",
        "web": {
            "webPageDetails": {
                "URL": "https://shop.example.com/p/1234?from=list",
                "name": "Product 1234",
                "pageViews": {"value": 1},
            },
            "webReferrer": {"URL": "https://search.example.com/"},
        },
        "commerce": {"productViews": {"value": 1}},
        "productListItems": [{"SKU": "SKU-1234", "name": "A thing", "quantity": 1, "priceTotal": 19.99}],
    },
    "data": {"campaign": "autumn"},
}


def variants() -> dict[str, bytes]:
    """The events that are measured, by what is special about them."""
    ordinary = json.dumps(_EVENT, separators=(",", ":")).encode()
    text_true = ordinary.replace(b'"primary":true', b'"primary":"true"')
    return {
        "ordinary": ordinary,
        "not ASCII": ordinary.replace(b"A thing", "Ein Dings für drüben".encode()),
        "bare XDM, wrapped": json.dumps(_EVENT["xdm"], separators=(",", ":")).encode(),
        "without _id": ordinary.replace(b'"_id":"web-0-1234567-1760000000000",', b""),
        "primary as a string": text_true,
        "primary as a string, careful path": text_true.replace(b'"autumn"', b'{"primary":"true"}'),
        "no primary identity": ordinary.replace(b"true", b"false"),
        "10 KB": ordinary.replace(b'"autumn"', b'["' + b'autumn leaves","' * 580 + b'"]'),
        "not JSON": ordinary[:-1],
    }


def main() -> None:
    """Measure each variant and print one line for it."""
    rules = DecodeRules(
        shape=Shape.AUTO, needs_primary_identity=True, derive_missing_id=True, max_fragment_bytes=63_000
    )
    decoder = Decoder(rules)
    record = RecordAt()
    for name, value in variants().items():
        seconds = min(repeat(partial(decoder.decode, value, record), number=_CALLS, repeat=_ROUNDS))
        print(f"{name:36} {len(value):6} bytes {seconds / _CALLS * 1e9:9.0f} ns")


if __name__ == "__main__":
    main()
