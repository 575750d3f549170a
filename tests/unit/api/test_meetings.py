"""Sessions, participants, events and what operators ask for."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed

from dialroom.api import live as live_events

from .conftest import Guest, House


async def test_sessions_and_participants_are_listed_moderated_and_kept(house: House) -> None:
    room = await house.room()
    async with house.socket() as connection:
        ada = Guest(connection)
        joined = await ada.request("join", token=await house.token(room["id"], name="Ada"))
        session, participant = joined["session"], joined["participant"]["id"]
        running = (await house.api.get("/api/sessions", params={"running": True})).json()["items"]
        assert [each["id"] for each in running] == [session]
        path = f"/api/participants/{participant}"
        changed = (await house.api.patch(path, json={"name": "Ada L.", "muted": True})).json()
        assert (changed["name"], changed["muted"]) == ("Ada L.", True)
        assert (await house.api.delete(path)).status_code == 204
        assert (await ada.event("ended"))["reason"] == "removed"
    gone = (await house.api.get(path)).json()
    assert gone["left_reason"] == "removed"
    assert (await house.api.patch(path, json={"muted": False})).json()["code"] == "conflict"
    listed = (await house.api.get(f"/api/sessions/{session}/participants")).json()["items"]
    assert [each["id"] for each in listed] == [participant]


async def test_ending_a_room_sends_everybody_home(house: House) -> None:
    room = await house.room()
    async with house.socket() as connection:
        ada = Guest(connection)
        await ada.request("join", token=await house.token(room["id"]))
        assert (await house.api.post(f"/api/rooms/{room['id']}/end")).status_code == 204
        assert (await ada.event("ended"))["reason"] == "ended"


async def test_live_events_end_when_the_key_is_revoked(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_events, "KEY_CHECK_SECONDS", 0.01)
    key, text = await house.services.keys.create(house.organisation, "for a while")
    async with house.socket("/api/live") as connection:
        await connection.send(json.dumps({"key": text}))
        assert json.loads(await connection.recv()) == {"type": "ready"}
        await house.services.keys.revoke(house.organisation, key.id)
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(connection.recv(), 5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001


async def test_live_events_are_chosen_as_those_of_webhooks_are(house: House) -> None:
    room = await house.room()
    async with house.socket("/api/live") as live, house.socket() as connection:
        await live.send(json.dumps({"key": house.key, "events": ["participant.*"]}))
        assert json.loads(await live.recv()) == {"type": "ready"}
        await Guest(connection).request("join", token=await house.token(room["id"], name="Ada"))
        assert json.loads(await live.recv())["type"] == "participant.joined"
    async with house.socket("/api/live") as live:
        await live.send(json.dumps({"key": house.key, "events": ["participant.jioned"]}))
        refused = json.loads(await live.recv())
        assert refused["code"] == "invalid"
        assert "participant.joined" in refused["fix"]


async def test_a_type_of_event_that_does_not_exist_is_refused_where_it_would_find_nothing(house: House) -> None:
    answer = await house.api.get("/api/events", params={"type": "call.endd"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "query.type")
    assert "call.ended" in answer.json()["detail"]


async def test_events_come_live_to_who_asks_with_a_key(house: House) -> None:
    room = await house.room()
    async with house.socket("/api/live") as live, house.socket() as connection:
        await live.send(json.dumps({"key": house.key, "events": ["participant.joined"]}))
        assert json.loads(await live.recv()) == {"type": "ready"}
        await Guest(connection).request("join", token=await house.token(room["id"], name="Ada"))
        event = json.loads(await live.recv())
        assert event["type"] == "participant.joined"
        assert event["data"]["participant"]["name"] == "Ada"
    async with house.socket("/api/live") as live:
        await live.send(json.dumps({"key": "dr_wrong"}))
        assert json.loads(await live.recv())["code"] == "unauthenticated"


async def test_events_are_listed_for_who_missed_them(house: House) -> None:
    room = await house.room()
    async with house.socket() as connection:
        joined = await Guest(connection).request("join", token=await house.token(room["id"]))
    events = (await house.api.get("/api/events")).json()["items"]
    of_session = [event["type"] for event in events if event["subject"] == joined["session"]]
    assert {"session.started", "participant.joined"} <= set(of_session)


async def test_the_media_processs_counters_are_told_in_full_and_as_counters(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def metrics() -> dict[str, float]:
        return {"dialroom_media_datagrams_sent_total": 123456789.0, "dialroom_media_legs": 3.0}

    monkeypatch.setattr(house.media, "metrics", metrics)
    text = (await house.api.get("/metrics")).text
    assert (
        "# TYPE dialroom_media_datagrams_sent_total counter\ndialroom_media_datagrams_sent_total 123456789.0\n" in text
    )
    assert "# TYPE dialroom_media_legs gauge\ndialroom_media_legs 3.0\n" in text


async def test_operators_get_health_and_metrics(house: House) -> None:
    assert (await house.api.get("/healthz")).json()["status"] == "ok"
    text = (await house.api.get("/metrics")).text
    assert "\ndialroom_sessions " in text
    assert "dialroom_media_up 1" in text
    house.media.lose_link()
    assert (await house.api.get("/healthz")).status_code == 503
    assert "dialroom_media_up 0" in (await house.api.get("/metrics")).text
