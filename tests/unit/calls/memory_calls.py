"""A call store in memory, and a record to put into it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from dialroom.calls.ports import CallFilter, CallPage, RunningCall
from dialroom.calls.record import CallRecord
from dialroom.core.errors import StoreUnavailable
from dialroom.core.events import Event

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class MemoryCalls:
    """A `CallStore`."""

    def __init__(self) -> None:
        self.records: dict[str, CallRecord] = {}
        self.resumes: dict[str, bytes] = {}
        self.events: list[Event] = []
        self.saves = 0
        self.away = False

    async def save(self, record: CallRecord, events: Sequence[Event] = (), *, resume: bytes | None = None) -> None:
        if self.away:
            raise StoreUnavailable
        self.saves += 1
        self.records[record.id] = record
        self.events.extend(events)
        if record.state == "ended":
            self.resumes.pop(record.id, None)
        elif resume is not None:
            self.resumes[record.id] = resume

    async def get(self, organisation: str, call_id: str) -> CallRecord | None:
        found = self.records.get(call_id)
        return found if found and found.organisation == organisation else None

    async def page(
        self, organisation: str, which: CallFilter, *, limit: int | None = None, cursor: str | None = None
    ) -> CallPage:
        return CallPage(tuple(self.records.values())[:limit])

    async def running(self) -> Sequence[RunningCall]:
        going = [record for record in self.records.values() if record.state != "ended"]
        return [RunningCall(record, self.resumes.get(record.id)) for record in going]

    @property
    def told(self) -> list[str]:
        return [event.type for event in self.events]


def call_record(call_id: str = "call_one") -> CallRecord:
    return CallRecord(
        id=call_id,
        organisation="org_a",
        direction="inbound",
        from_number="+12025550100",
        to_number="+12025550176",
        from_uri="sip:+12025550100@192.0.2.1",
        to_uri="sip:+12025550176@192.0.2.2",
        source="udp:192.0.2.1:5060",
        sip_call_id="abc",
        received_at=NOON,
    )
