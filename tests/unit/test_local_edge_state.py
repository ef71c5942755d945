"""The local Edge's ledger, tokens and allowance, without a server."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from connector.local.edge.allowance import Allowance, count_units
from connector.local.edge.ledger import DecidedRequest, Fate, Ledger, canonical_crc32
from connector.local.edge.settings import EdgeCredentials
from connector.local.edge.tokens import TokenDesk

if TYPE_CHECKING:
    from collections.abc import Iterable


def make_request(ids: Iterable[str | None], fate: Fate = Fate.ACCEPTED, code: str = "202") -> DecidedRequest:
    events = [{"xdm": {} if name is None else {"_id": name}} for name in ids]
    return DecidedRequest(path="/p", status=202, code=code, request_id="r", fate=fate, events=events)


def summary(ledger: Ledger) -> Any:  # noqa: ANN401 - whatever JSON holds
    return orjson.loads(orjson.dumps(ledger.summarise()))


def test_the_ledger_adds_up_by_id() -> None:
    """Ids, times and duplicates are counted; events without an id are counted apart."""
    ledger = Ledger(checksums=False)
    ledger.note(make_request(["a", "b", None]), 1)
    ledger.note(make_request(["b", "c"]), 2)
    ledger.note(make_request(["b"]), 3)
    ledger.note(make_request(["d", "b"], Fate.REFUSED), 4)
    sums = summary(ledger)
    assert sums["ids"] == {"seen": 4, "accepted": 3, "refused": 2, "unanswered": 0}
    assert sums["times"] == {"accepted": 5, "refused": 2, "unanswered": 0}
    assert sums["anonymous"]["accepted"] == 1
    assert sums["duplicates"] == {"ids": 1, "extra_times": 2, "first_ids": ["b"]}


def test_an_entry_tells_its_story() -> None:
    """An entry holds its counts, the last code, and when it was first and last seen."""
    ledger = Ledger(checksums=False)
    ledger.note(make_request(["a"], Fate.UNANSWERED, "hang"), 5)
    ledger.note(make_request(["a"]), 9)
    entry = ledger.find("a")
    assert entry is not None
    assert (entry.accepted, entry.unanswered, entry.last_code) == (1, 1, "202")
    assert (entry.first_ms, entry.last_ms) == (5, 9)
    assert ledger.find("b") is None


def test_lines_hold_the_ids_of_one_fate() -> None:
    """The lines of a fate name each id that met it with how often; all lines name every id."""
    ledger = Ledger(checksums=False)
    ledger.note(make_request(["a", "a"]), 1)
    ledger.note(make_request(["b"], Fate.REFUSED), 1)
    assert [orjson.loads(line) for line in ledger.lines(Fate.ACCEPTED)] == [{"id": "a", "accepted": 2}]
    assert [orjson.loads(line)["id"] for line in ledger.lines(None)] == ["a", "b"]


def test_checksums_are_of_the_first_acceptance() -> None:
    """With checksums an entry keeps the one of the first accepted event, whatever the order of its keys."""
    ledger = Ledger(checksums=True)
    first = {"xdm": {"_id": "a", "x": 1}, "data": {}}
    second = {"xdm": {"_id": "a", "x": 2}, "data": {}}
    for event in (first, second):
        ledger.note(
            DecidedRequest(path="/p", status=202, code="", request_id="r", fate=Fate.ACCEPTED, events=[event]), 1
        )
    entry = ledger.find("a")
    assert entry is not None
    assert entry.crc32 == canonical_crc32({"data": {}, "xdm": {"x": 1, "_id": "a"}})
    assert entry.crc32 != canonical_crc32(second)
    assert b"crc32" in next(iter(ledger.lines(Fate.ACCEPTED)))


def test_request_ids_are_counted_and_bounded() -> None:
    """A request id that comes again is counted; the oldest ids beyond 10,000 are forgotten."""
    ledger = Ledger(checksums=False)
    for number in range(10_005):
        ledger.note_arrival(f"r{number}")
    ledger.note_arrival("r10004")
    arrivals = ledger.arrivals()
    assert len(arrivals) == 10_000
    assert "r4" not in arrivals
    assert arrivals["r10004"] == 2
    assert summary(ledger)["request_ids"] == {"kept": 10_000, "repeated": 1}


def test_the_file_has_a_line_for_each_decided_request() -> None:
    """Each decided request is written with its fate and its ids, and clearing the ledger leaves the file."""
    file = io.BytesIO()
    ledger = Ledger(checksums=False, file=file)
    ledger.note(make_request(["a", None]), 7)
    ledger.clear()
    line = orjson.loads(file.getvalue())
    assert line["ids"] == ["a", None]
    assert line["fate"] == "accepted"
    assert ledger.find("a") is None


FORM = {
    "grant_type": "client_credentials",
    "client_id": "not-a-real-client-id",
    "client_secret": "not-a-real-secret",
    "scope": "openid,acp.foundation",
}


def make_desk(lifetime_s: float = 10, **changes: Any) -> TokenDesk:  # noqa: ANN401 - fields of several types
    return TokenDesk(EdgeCredentials(**changes), lifetime_s)


def make_headers(token: object, **changes: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token}",
        "x-gw-ims-org-id": "0123456789ABCDEF@AdobeOrg",
        "x-api-key": "not-a-real-client-id",
    } | {name.replace("_", "-"): value for name, value in changes.items()}


def check(desk: TokenDesk, headers: dict[str, str], now_ms: float = 0) -> str | None:
    problem = desk.check(headers, now_ms)
    return None if problem is None else problem.code


def test_a_token_is_good_until_it_expires() -> None:
    """An issued token passes until its lifetime is over, then it is told to have expired."""
    desk = make_desk()
    answer = desk.issue(FORM, 0)
    assert answer.status == 200
    assert answer.body["expires_in"] == 10
    headers = make_headers(answer.body["access_token"])
    assert check(desk, headers, 9_999) is None
    assert check(desk, headers, 10_000) == "EXEG-0503-401"


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_id": "other"}, 401, "invalid_client"),
        ({"client_secret": "other"}, 401, "invalid_client"),
        ({"scope": "openid,other"}, 400, "invalid_scope"),
        ({"scope": ""}, 400, "invalid_scope"),
    ],
)
def test_wrong_credentials_are_refused(changes: dict[str, str], status: int, error: str) -> None:
    """Each wrong member of the form is refused with OAuth's name for it, and counted."""
    desk = make_desk()
    answer = desk.issue(FORM | changes, 0)
    assert (answer.status, answer.body["error"]) == (status, error)
    assert desk.describe(0) == {"issued": 0, "refused": 1, "live": 0}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Authorization": ""}, "EXEG-0500-401"),
        ({"Authorization": "Basic x"}, "EXEG-0500-401"),
        ({"Authorization": "Bearer "}, "EXEG-0500-401"),
        ({"x_api_key": ""}, "EXEG-0500-401"),
        ({"x_gw_ims_org_id": ""}, "EXEG-0500-401"),
        ({"Authorization": "Bearer other"}, "EXEG-0502-401"),
        ({"x_gw_ims_org_id": "other"}, "EXEG-0504-401"),
        ({"x_api_key": "other"}, "EXEG-0504-401"),
    ],
)
def test_wrong_headers_have_their_codes(changes: dict[str, str], code: str) -> None:
    """Each header that is missing or wrong is refused under the code that fits."""
    desk = make_desk(static_tokens=("t",))
    assert check(desk, make_headers("t")) is None
    assert check(desk, make_headers("t", **changes)) == code


def test_a_service_token_needs_its_scope() -> None:
    """A token that was asked for without acp.foundation is issued and then refused."""
    desk = make_desk()
    token = desk.issue(FORM | {"scope": "openid"}, 0).body["access_token"]
    assert check(desk, make_headers(token)) == "EXEG-0505-401"


def test_secrets_rotate_and_tokens_are_revoked() -> None:
    """A replaced secret is refused while issued tokens stay good; revoking ends them all."""
    desk = make_desk()
    headers = make_headers(desk.issue(FORM, 0).body["access_token"])
    desk.replace_secrets(["not-a-real-secret-2"])
    assert desk.issue(FORM, 0).status == 401
    assert desk.issue(FORM | {"client_secret": "not-a-real-secret-2"}, 0).status == 200
    assert check(desk, headers) is None
    assert desk.revoke_all() == 2
    assert check(desk, headers) == "EXEG-0502-401"


def test_units_are_eight_kilobyte_fragments() -> None:
    """A request costs a unit for each 8 KB begun, times its upstream services."""
    assert [count_units(size) for size in (0, 1, 8_192, 8_193, 65_536)] == [1, 1, 1, 2, 8]
    assert count_units(65_536, upstreams=2) == 16


def test_the_allowance_refills_smoothly() -> None:
    """What is not there is refused with the seconds to wait, and is there after them."""
    allowance = Allowance(10, 0)
    assert allowance.take(8, 0) == 0
    assert allowance.take(8, 0) == 1
    assert allowance.take(8, 600) == 0
    assert allowance.take(8, 1_399) == 1
    assert allowance.take(8, 1_400) == 0


def test_idle_time_saves_no_more_than_a_second() -> None:
    """After an hour without requests there is one second's allowance, not an hour's."""
    allowance = Allowance(10, 0)
    assert allowance.take(10, 3_600_000) == 0
    assert allowance.take(1, 3_600_000) == 1


def test_a_dear_request_passes_in_the_end() -> None:
    """A request dearer than one second's allowance passes on a full bucket, and the next ones pay for it."""
    allowance = Allowance(2, 0)
    assert allowance.take(8, 0) == 0
    assert allowance.take(1, 1_000) == 3
    assert allowance.take(1, 3_500) == 0
