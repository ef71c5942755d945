"""What a fault of the client means for the membership, whatever code it comes under."""

from __future__ import annotations

from confluent_kafka import KafkaError

from connector.adapters.kafka_admission import Admission

FENCED = KafkaError(KafkaError._FATAL, f"Fatal error: {KafkaError(KafkaError.FENCED_INSTANCE_ID).str()}")
TAKEN = KafkaError(KafkaError._FATAL, f"Fatal error: {KafkaError(KafkaError.UNRELEASED_INSTANCE_ID).str()}: and so on")
PASSING = KafkaError(KafkaError._TRANSPORT)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_passing_fault_is_told_as_it_is() -> None:
    """A broken connection neither ends the run nor asks for a new client."""
    admission = Admission(clock=Clock())

    assert admission.judge(PASSING) is PASSING
    assert not admission.is_due()


def test_what_ends_the_client_is_fatal_though_the_client_does_not_say_so() -> None:
    """The client reports a fatal fault in a record's place, by its code and without the mark."""
    assert not FENCED.fatal()

    told = Admission(clock=Clock()).judge(FENCED)

    assert told.fatal()
    assert told.str() == FENCED.str()


def test_a_name_that_is_still_held_is_asked_for_again_by_a_new_client() -> None:
    """Once for each refusal, five seconds after it."""
    clock = Clock()
    admission = Admission(clock=clock)

    told = admission.judge(TAKEN)

    assert told.code() == KafkaError.UNRELEASED_INSTANCE_ID
    assert not told.fatal()
    assert not admission.is_due()
    clock.now_s += 5.0
    assert admission.is_due()
    assert not admission.is_due()


def test_a_name_that_is_held_for_longer_than_any_session_is_another_members() -> None:
    """After 75 seconds the refusal is fatal, and nobody asks any more."""
    clock = Clock()
    admission = Admission(clock=clock)
    admission.judge(TAKEN)
    clock.now_s += 75.0

    assert admission.judge(TAKEN).fatal()

    clock.now_s += 60.0
    assert not admission.is_due()


def test_patience_begins_anew_once_the_group_has_taken_the_member_in() -> None:
    """A refusal hours later is the first one of its kind."""
    clock = Clock()
    admission = Admission(clock=clock)
    admission.judge(TAKEN)
    admission.granted()
    assert not admission.is_due()
    clock.now_s += 3600.0

    assert not admission.judge(TAKEN).fatal()
