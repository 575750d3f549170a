"""The room socket, as docs/reference/room-socket.md has it."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dialroom.api.room_socket.connection import BrowserConnection, Socket
from dialroom.api.room_socket.messages import encode
from dialroom.api.room_socket.socket import QueuedSocket
from dialroom.core.errors import StoreUnavailable
from dialroom.media.protocol import (
    BlockTrack,
    ClosePeer,
    JoinPeer,
    OpenPeer,
    PeerEnded,
    PeerState,
    RestartPeer,
    Slot,
    SlotsChanged,
    Speaker,
    SpeakersChanged,
    Subscribe,
)
from dialroom.rooms.values import Number

from .conftest import Guest, House

OFFER = {
    "sdp": "v=0\r\n",
    "publish": [{"mid": "0", "source": "microphone"}],
    "audio_slots": ["1", "2"],
    "video_slots": ["3"],
    "restart": False,
}


async def test_a_browser_joins_and_learns_who_is_there(house: House) -> None:
    room = await house.room()
    async with house.socket() as a, house.socket() as b:
        ada, ben = Guest(a), Guest(b)
        joined = await ada.request("join", token=await house.token(room["id"], name="Ada", role="host"))
        assert joined["type"] == "ok"
        assert joined["room"]["dial_in"]["code"] == room["dial_in"]["code"]
        assert joined["ice_servers"][0]["username"].endswith(joined["participant"]["id"])
        seen = await ben.request("join", token=await house.token(room["id"], name="Ben"))
        assert [each["name"] for each in seen["participants"]] == ["Ada", "Ben"]
        assert (await ada.event("participant.joined"))["participant"]["name"] == "Ben"
        await ben.request("leave")
        left = await ada.event("participant.left")
        assert (left["participant"], left["reason"]) == (seen["participant"]["id"], "left")


async def test_a_wrong_token_is_refused_and_the_socket_closed(house: House) -> None:
    async with house.socket() as connection:
        answer = await Guest(connection).request("join", token="eyJhbGciOiJub25lIn0.e30.")
        assert answer["error"]["code"] == "token_refused"
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://["])
async def test_a_foreign_page_is_not_let_in(house: House, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with house.socket(origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_an_allowed_page_and_our_own_whatever_a_proxy_makes_of_host_are_let_in(house: House) -> None:
    for origin in ("https://app.example.com", house.services.config.base_url, f"http://{house.url}"):
        async with house.socket(origin=origin) as connection:
            assert (await Guest(connection).request("ping"))["error"]["code"] == "invalid"


async def test_an_offer_opens_a_peer_in_the_sessions_bridge(house: House) -> None:
    room = await house.room()
    async with house.socket() as connection:
        ada = Guest(connection)
        joined = await ada.request("join", token=await house.token(room["id"]))
        answer = await ada.request("offer", **OFFER)
        assert answer["sdp"]
        opened, placed = house.media.sent(OpenPeer)[0], house.media.sent(JoinPeer)[0]
        assert opened.tag == joined["participant"]["id"]
        assert (placed.bridge, placed.participant) == (joined["session"], joined["participant"]["id"])
        await ada.request("offer", **{**OFFER, "restart": True})
        assert house.media.sent(RestartPeer)[0].peer == opened.peer
        await ada.request("subscribe", slots=[{"mid": "3", "participant": "part_x", "source": "camera"}])
        assert house.media.sent(Subscribe)[0].slots[0] == Slot(mid="3", participant="part_x", source="camera")


async def test_what_the_media_plane_tells_reaches_the_browser(house: House) -> None:
    room = await house.room()
    async with house.socket() as connection:
        ada = Guest(connection)
        joined = await ada.request("join", token=await house.token(room["id"]))
        await ada.request("offer", **OFFER)
        peer = house.media.sent(OpenPeer)[0].peer
        house.media.raise_event(SlotsChanged(peer=peer, slots=[Slot(mid="1", participant="part_x")]))
        assert (await ada.event("slots"))["slots"][0]["participant"] == "part_x"
        speaker = Speaker(participant="part_x", level=-20)
        house.media.raise_event(SpeakersChanged(bridge=joined["session"], speakers=[speaker]))
        assert (await ada.event("speakers"))["speakers"] == [{"participant": "part_x", "level": -20}]
        house.media.raise_event(PeerEnded(peer=peer, reason="a bug"))
        await ada.event("media.lost")


async def test_a_lost_socket_is_resumed_and_nobody_saw_a_leave(house: House) -> None:
    room = await house.room()
    async with house.socket() as a, house.socket() as b:
        ada, ben = Guest(a), Guest(b)
        await ada.request("join", token=await house.token(room["id"], name="Ada"))
        joined = await ben.request("join", token=await house.token(room["id"], name="Ben"))
        await ben.request("offer", **OFFER)
        await b.close()
        assert (await ada.event("participant.joined"))["participant"]["name"] == "Ben"
        assert (await ada.event("participant.updated"))["participant"]["connected"] is False
        async with house.socket() as again:
            resumed = await Guest(again).request("resume", resume_token=joined["resume_token"])
            assert (resumed["resumed"], resumed["participant"]["id"]) == (True, joined["participant"]["id"])
            back = await ada.event("participant.updated")
            assert back["participant"]["connected"] is True
        assert not [event for event in ada.events if event["type"] == "participant.left"]


async def test_what_happened_while_the_media_process_was_out_of_reach_holds_when_it_is_back(house: House) -> None:
    room = await house.room()
    async with house.socket() as connection, house.socket() as other:
        stays, goes = Guest(connection), Guest(other)
        for guest, identity in ((stays, "stays"), (goes, "goes")):
            await guest.request("join", token=await house.token(room["id"], identity=identity))
            answer = await guest.request("offer", **OFFER)
            assert answer["type"] == "ok", answer
        session = house.services.meetings.session_of(room["id"])
        assert session is not None
        people = {each.identity: each.id for each in house.services.meetings.participants(session.id)}
        house.media.lose_link()
        await house.services.meetings.set_muted(people["stays"], True, by="api")
        await house.services.meetings.remove(people["goes"], by="api")
        await house.services.meetings.settled()
        assert len(house.media.peers) == 2
        house.media.regain_link()
        blocked = await house.media.wait_for(BlockTrack, lambda each: each.blocked)
        await house.media.wait_for(ClosePeer)
        (left,) = house.media.peers.values()
        assert (left.peer, left.participant) == (blocked.peer, people["stays"])


async def test_a_host_moderates_and_a_guest_may_not(house: House) -> None:
    room = await house.room()
    async with house.socket() as a, house.socket() as b:
        ada, ben = Guest(a), Guest(b)
        await ada.request("join", token=await house.token(room["id"], name="Ada", role="host"))
        joined = await ben.request("join", token=await house.token(room["id"], name="Ben"))
        await ben.request("offer", **OFFER)
        refused = await ben.request("moderate", action="lock")
        assert refused["error"]["code"] == "forbidden"
        await ada.request("moderate", action="mute", participant=joined["participant"]["id"])
        assert (await ben.event("participant.updated"))["participant"]["muted"] is True
        await house.services.meetings.settled()
        assert house.media.sent(BlockTrack)[-1].blocked is True
        await ben.request("publish", microphone=True)
        assert house.media.sent(BlockTrack)[-1].blocked is False
        await ada.request("moderate", action="remove", participant=joined["participant"]["id"])
        assert (await ben.event("ended"))["reason"] == "removed"
        with pytest.raises(ConnectionClosed) as closed:
            await b.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4000
        await house.services.meetings.settled()
        assert house.media.sent(ClosePeer)


async def test_a_browser_that_is_moved_goes_on_in_the_other_room_as_the_same_person(house: House) -> None:
    here, there = await house.room(name="Here"), await house.room(name="There")
    async with house.socket() as a, house.socket() as b:
        ada = Guest(a)
        joined = await ada.request("join", token=await house.token(here["id"], name="Ada"))
        path = f"/api/participants/{joined['participant']['id']}/move"
        moved = (await house.api.post(path, json={"room": there["id"]})).json()
        told = await ada.event("moved")
        again = await Guest(b).request("join", token=told["token"])
        assert again["participant"]["id"] == moved["id"]
        assert again["room"]["name"] == "There"


@pytest.mark.parametrize("garbage", ["", "{}", "[]", '{"type":"join"}', '{"type":"join","id":1}', "\x00", "{" * 1000])
async def test_garbage_is_answered_and_disturbs_nobody(house: House, garbage: str) -> None:
    async with house.socket() as connection:
        await connection.send(garbage)
        assert "invalid" in str(await connection.recv())
    assert (await house.api.get("/healthz")).status_code == 200


async def test_a_moved_browser_that_never_comes_does_not_keep_the_seat(house: House) -> None:
    here, there = await house.room(name="Here"), await house.room(name="There")
    async with house.socket() as a, house.socket() as b, house.socket() as c:
        ada = Guest(a)
        joined = await ada.request("join", token=await house.token(here["id"], name="Ada"))
        path = f"/api/participants/{joined['participant']['id']}/move"
        moved = (await house.api.post(path, json={"room": there["id"]})).json()
        told = await ada.event("moved")
        seat = f"/api/participants/{moved['id']}"
        assert (await house.api.get(seat)).json()["connected"] is False
        old = await Guest(b).request("resume", resume_token=joined["resume_token"])
        assert old["error"]["code"] == "not_found"
        assert (await Guest(c).request("join", token=told["token"]))["type"] == "ok"
        assert (await house.api.get(seat)).json()["connected"] is True


@pytest.mark.parametrize("stumbles", [False, True])
async def test_a_browser_that_resumes_at_a_restarted_server_keeps_its_media(
    house: House, monkeypatch: pytest.MonkeyPatch, stumbles: bool
) -> None:
    room = await house.room()
    async with house.socket() as a, house.socket() as b:
        ada, ben = Guest(a), Guest(b)
        await ada.request("join", token=await house.token(room["id"], name="Ada"))
        joined = await ben.request("join", token=await house.token(room["id"], name="Ben"))
        await ben.request("offer", **OFFER)
        await b.close()
        while (await ada.event("participant.updated"))["participant"]["connected"]:
            pass
        peer, me = house.media.sent(OpenPeer)[-1].peer, joined["participant"]["id"]
        house.sockets._connections.clear()  # what a new process knows: nothing but the peers it found
        house.sockets.adopt([PeerState(peer=peer, tag=me, connected=True)])
        if stumbles:
            with monkeypatch.context() as patch:
                patch.setattr(house.services.numbers, "list", AsyncMock(side_effect=StoreUnavailable))
                async with house.socket() as early:
                    refused = await Guest(early).request("resume", resume_token=joined["resume_token"])
                    assert refused["error"]["code"] == "store_unavailable"
        async with house.socket() as again:
            ben = Guest(again)
            resumed = await ben.request("resume", resume_token=joined["resume_token"])
            assert (resumed["type"], resumed["resumed"]) == ("ok", True), resumed
            await ben.request("ping")
            # It may have been muted meanwhile.
            assert house.media.sent(BlockTrack)[-1].peer == peer
    assert house.media.sent(ClosePeer) == []


async def _left_by_an_earlier_process(house: House) -> tuple[str, str]:
    """The participant and the peer of a browser that has not yet resumed after a restart."""
    room = await house.room()
    async with house.socket() as a:
        joined = await Guest(a).request("join", token=await house.token(room["id"]))
        await Guest(a).request("offer", **OFFER)
    peer, me = house.media.sent(OpenPeer)[-1].peer, str(joined["participant"]["id"])
    # What a new process knows: who was in which session, and the peers it found.
    house.sockets._connections.clear()
    house.services.meetings._roster.seat(me)[1].connection = None
    house.sockets.adopt([PeerState(peer=peer, tag=me, connected=True)])
    return me, peer


async def test_who_is_muted_or_removed_before_the_browser_resumes_is_so_at_once(house: House) -> None:
    me, peer = await _left_by_an_earlier_process(house)
    meetings = house.services.meetings
    await meetings.set_muted(me, True, "api")
    await meetings.settled()
    assert house.media.sent(BlockTrack)[-1] == BlockTrack(peer=peer, source="microphone", blocked=True)
    assert house.media.sent(ClosePeer) == []
    await meetings.remove(me, "api")
    await meetings.settled()
    assert [command.peer for command in house.media.sent(ClosePeer)] == [peer]


async def test_the_end_of_the_old_socket_does_not_disturb_the_one_that_resumed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await house.room()
    async with house.socket() as a, house.socket() as b:
        joined = await Guest(a).request("join", token=await house.token(room["id"]))
        numbers = await house.store.numbers.list(house.organisation)
        socket_lost, lost = house.sockets.socket_lost, asyncio.Event()

        async def note_lost(connection: BrowserConnection, socket: Socket) -> None:
            await socket_lost(connection, socket)
            lost.set()

        async def slow(_organisation: str) -> tuple[Number, ...]:
            await lost.wait()
            return numbers

        monkeypatch.setattr(house.sockets, "socket_lost", note_lost)
        monkeypatch.setattr(house.store.numbers, "list", slow)
        await Guest(b).request("resume", resume_token=joined["resume_token"])
        assert house.services.meetings.participant(joined["participant"]["id"]).connected


@pytest.mark.parametrize("comes_through", [True, False])
async def test_a_resume_that_the_browser_gave_up_waiting_for_does_not_cost_it_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch, comes_through: bool
) -> None:
    lost: asyncio.Queue[None] = asyncio.Queue()
    asked: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
    socket_lost, numbers = house.sockets.socket_lost, house.store.numbers.list

    async def seen(connection: BrowserConnection, socket: Socket) -> None:
        await socket_lost(connection, socket)
        lost.put_nowait(None)

    async def slow(organisation: str) -> tuple[Number, ...]:
        answered = asyncio.get_running_loop().create_future()
        asked.put_nowait(answered)
        await answered
        return await numbers(organisation)

    room = await house.room()
    monkeypatch.setattr(house.sockets, "socket_lost", seen)
    async with house.socket() as a:
        joined = await Guest(a).request("join", token=await house.token(room["id"]))
        await Guest(a).request("offer", **OFFER)
    await lost.get()
    peer, me = house.media.sent(OpenPeer)[-1].peer, joined["participant"]["id"]
    house.sockets._connections.clear()  # what a new process knows: nothing but the peers it found
    house.sockets.adopt([PeerState(peer=peer, tag=me, connected=True)])
    monkeypatch.setattr(house.store.numbers, "list", slow)
    async with house.socket() as given_up, house.socket() as next_one:
        first = asyncio.create_task(Guest(given_up).request("resume", resume_token=joined["resume_token"]))
        first_asks = await asked.get()
        second = asyncio.create_task(Guest(next_one).request("resume", resume_token=joined["resume_token"]))
        second_asks = await asked.get()
        if comes_through:
            first_asks.set_result(None)
            assert (await first)["type"] == "ok"
            second_asks.set_result(None)
            resumed = await second
            await given_up.close()
            await lost.get()
        else:
            second_asks.set_result(None)
            resumed = await second
            first_asks.set_exception(StoreUnavailable())
            assert (await first)["type"] == "error"
        assert resumed["resumed"] is True
        assert house.services.meetings.participant(me).connected
    assert house.media.sent(ClosePeer) == []


async def test_a_browser_removed_while_it_joins_does_not_listen_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await house.room()
    token = await house.token(room["id"])
    meetings = house.services.meetings

    async def remove(_organisation: str) -> tuple[Number, ...]:
        session = meetings.session_of(room["id"])
        assert session is not None
        await meetings.remove(meetings.participants(session.id)[0].id, "api")
        await meetings.settled()
        return ()

    monkeypatch.setattr(house.store.numbers, "list", remove)
    async with house.socket() as a:
        assert (await Guest(a).request("join", token=token))["type"] == "error"


async def test_a_browser_that_could_not_be_told_it_is_in_does_not_keep_the_seat(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await house.room()
    token = await house.token(room["id"])

    async def away(_organisation: str) -> tuple[Number, ...]:
        raise StoreUnavailable

    monkeypatch.setattr(house.store.numbers, "list", away)
    async with house.socket() as a:
        assert (await Guest(a).request("join", token=token))["error"]["code"] == "store_unavailable"
    session = house.services.meetings.session_of(room["id"])
    assert session is not None
    (someone,) = house.services.meetings.participants(session.id)
    assert not someone.connected


async def test_a_locked_room_says_so(house: House) -> None:
    room = await house.room(locked=True)
    async with house.socket() as connection:
        answer = await Guest(connection).request("join", token=await house.token(room["id"]))
        assert answer["error"]["code"] == "room_locked"


async def test_a_socket_nothing_came_from_is_closed_so_that_the_browser_comes_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await house.room()
    async with house.socket() as connection:
        guest = Guest(connection)
        joined = await guest.request("join", token=await house.token(room["id"]))
        monkeypatch.setattr(QueuedSocket.read, "__defaults__", (0.01,))
        await guest.request("ping")  # what is read next waits no longer than that
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    assert [each.connected for each in house.services.meetings.participants(joined["session"])] == [False]


async def test_a_mistake_of_ours_does_not_look_like_a_farewell(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(house.sockets, "join", crash)
    room = await house.room()
    async with house.socket() as connection:
        await connection.send(encode({"type": "join", "id": 1, "token": await house.token(room["id"])}))
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
