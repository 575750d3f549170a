from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
import structlog
from structlog.testing import capture_logs

from dialroom.calls.ending import refused, signalled
from dialroom.calls.journal import ACKNOWLEDGED_WITHIN, CallJournal
from dialroom.calls.record import MAX_STEPS, CallRecord
from dialroom.core.clock import SystemClock
from dialroom.core.errors import StoreUnavailable
from dialroom.core.events import Event
from dialroom.flows.stages import AskingCode, InRoom, Stage
from dialroom.media.protocol import Statistics
from dialroom.rooms.values import Participant
from dialroom.sip.session.events import Ended
from tests.support.clock import ManualClock

from .memory_calls import NOON, MemoryCalls, call_record

SEATED = Participant(
    id="part_one",
    organisation="org_a",
    room="room_one",
    session="sess_one",
    identity="phone:call_one",
    name="Phone",
    kind="phone",
    role="guest",
    joined_at=NOON,
)
IN_ROOM = InRoom(room="room_one", session="sess_one", participant="part_one")


@pytest.fixture
def store() -> MemoryCalls:
    return MemoryCalls()


class SlowCalls(MemoryCalls):
    """Takes its time to save; an event it was given twice is an error, as in the database."""

    def __init__(self) -> None:
        super().__init__()
        self.saving = asyncio.Event()
        self.go_on = asyncio.Event()
        self._ids: set[str] = set()

    async def save(self, record: CallRecord, events: Sequence[Event] = (), *, resume: bytes | None = None) -> None:
        self.saving.set()
        await self.go_on.wait()
        assert self._ids.isdisjoint(event.id for event in events)
        self._ids |= {event.id for event in events}
        await super().save(record, events, resume=resume)


async def test_the_log_says_what_was_dialled_and_from_where(store: MemoryCalls) -> None:
    journal = CallJournal(replace(call_record(), to_number="1000"), store, SystemClock())
    structlog.reset_defaults()  # a command that another test ran has the level at warning
    with capture_logs() as logged:
        await journal.received()
        await journal.note("code_wrong", "try 1 of 3")
        await journal.ended(refused(404, "unknown_number"), None)
    said = {each["event"]: each for each in logged}
    for event in ("call.received", "call.ended"):
        assert (said[event]["to"], said[event]["source"]) == ("1000", journal.record.source)
    assert said["call.code_wrong"]["detail"] == "try 1 of 3"


async def test_a_flow_cancelled_while_it_writes_makes_no_event_twice() -> None:
    store = SlowCalls()
    journal = CallJournal(call_record(), store, SystemClock())
    flow = asyncio.create_task(journal.answered("leg_one", "PCMU"))
    await store.saving.wait()
    flow.cancel()
    await asyncio.wait({flow})
    store.go_on.set()
    await journal.ended(signalled(Ended("", "remote")), None)
    assert store.told == ["call.answered", "call.ended"]


@pytest.fixture
def journal(store: MemoryCalls) -> CallJournal:
    return CallJournal(call_record(), store, SystemClock())


async def test_a_whole_call_is_written_with_every_step_and_event(journal: CallJournal, store: MemoryCalls) -> None:
    await journal.received()
    await journal.answered("leg_one", "PCMU")
    await journal.reached(AskingCode(), "code_asked")
    await journal.seated(SEATED)
    await journal.reached(IN_ROOM, "joined")
    await journal.ended(signalled(Ended("", "remote")), Statistics(packets_received=50))
    record = store.records["call_one"]
    assert [step.what for step in record.steps] == ["received", "answered", "code_asked", "joined", "ended"]
    assert [step.at for step in record.steps] == sorted(step.at for step in record.steps)
    assert store.told == ["call.received", "call.answered", "call.joined", "call.ended"]
    assert record.state == "ended"
    assert record.ending is not None
    assert record.ending.by == "caller"
    assert record.statistics == Statistics(packets_received=50)
    assert record.answered_at
    assert record.joined_at
    assert record.ended_at


async def test_a_call_whose_sound_never_came_says_where_to_look(journal: CallJournal, store: MemoryCalls) -> None:
    await journal.received()
    await journal.answered("leg_one", "PCMU")
    await journal.ended(signalled(Ended("", "remote")), Statistics(packets_received=0, packets_sent=500))
    (step,) = (step for step in store.records["call_one"].steps if step.what == "no_media_received")
    assert "rtp_ports" in step.detail


async def test_a_refused_call_is_told_as_refused(journal: CallJournal, store: MemoryCalls) -> None:
    await journal.ended(refused(404, "unknown_number"), None)
    assert store.told == ["call.refused"]
    assert store.events[0].data["call"]["ending"]["sip_code"] == 404


async def test_a_call_ends_once(journal: CallJournal, store: MemoryCalls) -> None:
    await journal.ended(refused(404, "unknown_number"), None)
    await journal.ended(refused(500, "again"), None)
    assert store.told == ["call.refused"]


async def test_joining_is_told_once_though_the_caller_is_moved(journal: CallJournal, store: MemoryCalls) -> None:
    await journal.seated(SEATED)
    await journal.seated(SEATED)
    assert store.told == ["call.joined"]


async def test_a_call_that_left_the_room_is_only_answered_again(journal: CallJournal, store: MemoryCalls) -> None:
    await journal.seated(SEATED)
    states = []
    for stage in (IN_ROOM, AskingCode()):
        await journal.reached(stage)
        states.append(store.records["call_one"].state)
    assert states == ["in_room", "answered"]


async def test_what_is_needed_to_resume_is_written_with_each_stage(journal: CallJournal, store: MemoryCalls) -> None:
    def snapshot(stage: Stage) -> bytes:
        return type(stage).__name__.encode()

    journal.snapshot = snapshot
    await journal.reached(AskingCode(), "code_asked")
    assert store.resumes["call_one"] == b"AskingCode"
    await journal.reached(IN_ROOM, "joined")
    assert store.resumes["call_one"] == b"InRoom"
    await journal.signalled()
    await journal.ended(signalled(Ended("", "remote")), None)
    assert store.resumes == {}


async def test_the_answer_and_the_first_stage_are_one_write(journal: CallJournal, store: MemoryCalls) -> None:
    await journal.received()
    await journal.answered("leg_one", "PCMU")
    await journal.reached(AskingCode(), "code_asked")
    assert store.saves == 2
    assert store.told == ["call.received", "call.answered"]
    assert [step.what for step in store.records["call_one"].steps] == ["received", "answered", "code_asked"]


async def test_what_changes_while_the_journal_writes_is_written_together_next() -> None:
    store = SlowCalls()
    journal = CallJournal(call_record(), store, SystemClock())
    first = asyncio.create_task(journal.note("first"))
    await store.saving.wait()
    others = [asyncio.create_task(journal.note(f"other {each}")) for each in range(5)]
    await asyncio.sleep(0)
    store.go_on.set()
    await asyncio.gather(first, *others)
    assert store.saves == 2
    assert len(store.records["call_one"].steps) == 6


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def acknowledged(store: MemoryCalls, clock: ManualClock) -> CallJournal:
    """The journal of a call that can be taken up, from before its ACK came."""
    journal = CallJournal(call_record(), store, clock)
    journal.snapshot = lambda stage: b"acknowledged"
    return journal


async def test_an_acknowledgement_is_written_with_the_next_step(
    acknowledged: CallJournal, store: MemoryCalls, clock: ManualClock
) -> None:
    acknowledged.acknowledged()
    await clock.advance(ACKNOWLEDGED_WITHIN - 1)
    assert store.saves == 0
    await acknowledged.note("code_accepted")
    assert store.resumes["call_one"] == b"acknowledged"
    await clock.advance(ACKNOWLEDGED_WITHIN)
    assert store.saves == 1


async def test_an_acknowledgement_is_written_in_time_though_no_step_follows(
    acknowledged: CallJournal, store: MemoryCalls, clock: ManualClock
) -> None:
    acknowledged.acknowledged()
    await clock.advance(ACKNOWLEDGED_WITHIN)
    assert store.resumes["call_one"] == b"acknowledged"
    assert clock.sleeping == 0


async def test_an_acknowledgement_is_written_before_the_call_is_handed_over(
    acknowledged: CallJournal, store: MemoryCalls, clock: ManualClock
) -> None:
    acknowledged.acknowledged()
    assert await acknowledged.flush()
    assert store.resumes["call_one"] == b"acknowledged"
    assert clock.sleeping == 0


async def test_handing_over_waits_for_what_is_being_written() -> None:
    store = SlowCalls()
    journal = CallJournal(call_record(), store, SystemClock())
    await journal.answered("leg_one", "PCMU")
    flushing = asyncio.create_task(journal.flush())
    await store.saving.wait()
    assert not flushing.done()
    store.go_on.set()
    assert await flushing
    assert store.told == ["call.answered"]


async def test_a_call_goes_on_while_the_database_is_away_and_nothing_is_lost(
    journal: CallJournal, store: MemoryCalls
) -> None:
    await journal.received()
    store.away = True
    await journal.answered("leg_one", "PCMU")
    await journal.note("code_wrong")
    await journal.signalled()
    store.away = False
    await journal.seated(SEATED)
    assert store.told == ["call.received", "call.answered", "call.joined"]
    assert [step.what for step in store.records["call_one"].steps] == ["received", "answered", "code_wrong"]


async def test_no_call_is_taken_without_a_record(journal: CallJournal, store: MemoryCalls) -> None:
    store.away = True
    with pytest.raises(StoreUnavailable):
        await journal.received()


async def test_an_endless_call_keeps_its_first_and_last_steps(journal: CallJournal, store: MemoryCalls) -> None:
    await journal.note("first")
    for _ in range(MAX_STEPS + 50):
        await journal.note("muted")
    await journal.note("last")
    steps = store.records["call_one"].steps
    assert len(steps) <= MAX_STEPS
    assert (steps[0].what, steps[-1].what) == ("first", "last")
