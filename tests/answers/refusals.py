"""The part of the table that tells of refusals: events at fault, bodies too large, configuration, tokens, defects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.answers.acts import MARKED, answer, html, json, refuses
from tests.answers.counterparts import AtTheEdge
from tests.answers.row import ALL_ACCEPTED, FOREIGN_TRIES, DeadLettered, Held, Row, Stopped, but, each

if TYPE_CHECKING:
    from collections.abc import Iterator

_ONE_OF_FIVE: Final = 5  # requests at most: the batch, and ceil(log2 5) + 1 to find one event


# Events at fault


def _at_fault() -> Iterator[Row]:
    """The event goes, in few requests, and its mates are delivered."""
    for code in (
        "0101-400", "0102-400", "0103-400", "0104-422", "0105-400", "0302-409", "0304-400", "0305-400", "0306-400",
        "0308-400",
    ):  # fmt: skip
        yield from _refused(code, refuses(MARKED, code=f"EXEG-{code}"), f"EXEG-{code}")
    for status in (400, 409, 422):
        yield from _refused(status, refuses(MARKED, status=status), f"http_{status}")
    for code in ("EXEG-9999-418", "EXEG-9999-400", "EXEG-9999-499"):
        yield from _refused("unknown code", refuses(MARKED, code=code), code, unknown=code)
    yield from _refused("4xx", refuses(MARKED, code="EXEG-9999-422"), "EXEG-9999-422", unknown="EXEG-9999-422")
    everybody = refuses(code="EXEG-0104-422")
    fates = each(DeadLettered("EXEG-0104-422"))
    yield Row(covers="0104-422", case="for everybody", fault=everybody, fates=fates, requests=10)
    whim = refuses({"requests": 1}, code="EXEG-0104-422")
    yield Row(covers="0104-422", case="once, on a whim", fault=whim, fates=ALL_ACCEPTED, requests=4)


def _refused(covers: str | int, fault: AtTheEdge, reason: str, *, unknown: str = "") -> Iterator[Row]:
    """Whoever it is of the five, nobody named."""
    for marked in (0, 2, 4):
        fates = but(DeadLettered(reason), marked)
        yield Row(
            covers=covers, case=f"{reason}, event {marked}", fault=fault, marked=marked, fates=fates,
            requests=_ONE_OF_FIVE, unknown=unknown,
        )  # fmt: skip


def _named() -> Iterator[Row]:
    """A name in the text is believed where it is published and makes sense, and nowhere else."""
    for code in ("0304-400", "0306-400", "0308-400"):
        reason = f"EXEG-{code}"
        one = but(DeadLettered(reason), 2)
        fault = refuses(MARKED, code=reason, name_events="matching")
        yield Row(covers=code, case="names the event", fault=fault, fates=one, requests=2)
        fates = each(DeadLettered(reason))
        everybody = refuses({"requests": 1}, code=reason, name_events="all")
        yield Row(covers=code, case="names all", fault=everybody, fates=fates, requests=1)
        two = refuses({"requests": 1}, code=reason, detail="See event(s) #0, #3.")
        fates = but(DeadLettered(reason), 0, 3)
        yield Row(covers=code, case="names two", fault=two, fates=fates, requests=2)
        beyond = refuses(MARKED, code=reason, detail="See event #5.")
        yield Row(covers=code, case="names one that was not sent", fault=beyond, fates=one, requests=_ONE_OF_FIVE)
        quoted = refuses(MARKED, code=reason, detail="The id 'a #0' is wrong.", name_events="matching")
        yield Row(covers=code, case="quotes a name", fault=quoted, fates=one, requests=2)
    for code in ("0101-400", "0104-422", "0305-400", "0302-409"):
        lying = refuses(MARKED, code=f"EXEG-{code}", detail="The id #0 is wrong.")
        fates = but(DeadLettered(f"EXEG-{code}"), 2)
        yield Row(covers=code, case="only seems to name one", fault=lying, fates=fates, requests=_ONE_OF_FIVE)


def _too_large() -> Iterator[Row]:
    """Halved; the Edge's own limit makes a single event bad, somebody else's is a configuration fault."""
    for covers, code in (("0112-413", "EXEG-0112-413"), ("unknown code", "EXEG-9999-413")):
        unknown = code if covers == "unknown code" else ""
        fates = but(DeadLettered(code), 2)
        yield Row(
            covers=covers, case=f"{code} for one", fault=refuses(MARKED, code=code), fates=fates,
            requests=_ONE_OF_FIVE, unknown=unknown,
        )  # fmt: skip
        fates = each(DeadLettered(code))
        yield Row(
            covers=covers, case=f"{code} for each", fault=refuses(code=code), fates=fates, requests=9, unknown=unknown
        )
    few = answer("413 Too Large", b"<html>", most_bytes=200)
    yield Row(covers=413, case="for more than one together", fault=few, fates=ALL_ACCEPTED, requests=9)
    fates = each(Held("no_json_413"))
    yield Row(covers=413, case="a page for each", fault=html("413 Too Large"), fates=fates, requests=3 + FOREIGN_TRIES)
    fates = each(Held("http_413"))
    small = json("413 Too Large", b'{"status":413}')
    yield Row(covers=413, case="JSON for each", fault=small, fates=fates, requests=3 + FOREIGN_TRIES)


# Configuration faults


def _configuration() -> Iterator[Row]:
    """Held at the first answer, with everything kept."""
    for code in (
        "0002-400", "0003-400", "0107-400", "0108-400", "0110-400", "0106-400", "0111-415", "0113-400", "0004-422",
        "0010-422", "0011-422", "0012-422", "0013-422", "0400-403", "0501-401", "0504-401", "0505-401", "0506-401",
    ):  # fmt: skip
        fates = each(Held(f"EXEG-{code}"))
        yield Row(covers=code, fault=refuses(code=f"EXEG-{code}"), fates=fates, requests=1)
    for status in (403, 404, 405, 415):
        fates = each(Held(f"http_{status}"))
        yield Row(covers=status, case="a page", fault=html(f"{status} No"), fates=fates, requests=1)
        yield Row(covers=status, case="JSON", fault=json(f"{status} No", b'{"status":0}'), fates=fates, requests=1)
    for code in ("EXEG-9999-403", "EXEG-9999-404"):
        fates = each(Held(code))
        yield Row(covers="unknown code", case=code, fault=refuses(code=code), fates=fates, requests=1, unknown=code)


def _tokens() -> Iterator[Row]:
    """A new token once; refused again, it is the configuration."""
    for code in ("0500-401", "0502-401", "0503-401", "9999-401"):
        covers, unknown = ("unknown code", f"EXEG-{code}") if code == "9999-401" else (code, "")
        effect = {"kind": "status", "code": f"EXEG-{code}", "unpublished": bool(unknown)}
        once = AtTheEdge(({"select": {"requests": 1}, "effect": effect},), asks_for_token=True)
        yield Row(
            covers=covers, case=f"{code} once", fault=once, fates=ALL_ACCEPTED, requests=2, tokens=2,
            asks_for_token=True, unknown=unknown,
        )  # fmt: skip
        always = AtTheEdge(({"effect": effect},), asks_for_token=True)
        fates = each(Held(f"EXEG-{code}"))
        yield Row(
            covers=covers, case=f"{code} again", fault=always, fates=fates, requests=2, tokens=2,
            asks_for_token=True, unknown=unknown,
        )  # fmt: skip
    for case, said in (("a page", html("401 No")), ("JSON", json("401 No", b'{"error_code":"401013"}'))):
        yield Row(covers=401, case=case, fault=said, fates=each(Held("http_401")), requests=2)


def _defects() -> Iterator[Row]:
    """What must never be sent was sent: the delivery stops, and nothing is settled by it."""
    fates = each(Stopped("EXEG-0109-408"))
    yield Row(covers="0109-408", fault=refuses(code="EXEG-0109-408"), fates=fates, requests=1)


REFUSALS: Final = (*_at_fault(), *_named(), *_too_large(), *_configuration(), *_tokens(), *_defects())
