"""SIP over TCP on real loopback sockets: who may stay, for how long, and by which stream an answer goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from dialroom.net import sip_tcp
from dialroom.net.sip_server import InviteSession, SipServer
from dialroom.net.sip_tcp import Connection, TcpTransport
from dialroom.sip.admission import Admission, Admit, Refuse
from dialroom.sip.facts import RequestFacts

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PING, PONG = b"\r\n\r\n", b"\r\n"
OFFER, ANSWER = b"v=0\r\no=offer\r\n", b"v=0\r\no=answer\r\n"


def request(method: str, *, who: str = "friend", via: str = "h", body: bytes = b"") -> bytes:
    return (
        f"{method} sip:us SIP/2.0\r\nVia: SIP/2.0/TCP {via};branch=z9hG4bK{who}\r\nFrom: <sip:{who}@h>;tag=1\r\n"
        f"To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nContact: <sip:{via}>\r\n"
        f"{'Content-Type: application/sdp' if body else 'X-Nothing: 1'}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def only_friends(facts: RequestFacts) -> Admission:
    return Admit() if facts.from_user == "friend" else Refuse(403, "a stranger")


class House:
    """A server that lets `friend` in, and its streams."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[InviteSession] = asyncio.Queue()
        self.server = SipServer(
            host="127.0.0.1",
            port=0,
            admit=only_friends,
            on_invite=self.calls.put_nowait,
            on_refused=lambda *_: None,
        )
        self._streams: list[asyncio.StreamWriter] = []

    async def stream(self) -> Stream:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        self._streams.append(writer)
        return reader, writer

    async def close(self) -> None:
        for writer in self._streams:
            writer.close()
        await self.server.close()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    await house.server.start()
    yield house
    await house.close()


async def answer(stream: Stream, data: bytes) -> bytes:
    """What comes back for `data`: a whole header, or a pong."""
    stream[1].write(data)
    async with asyncio.timeout(5):
        return await stream[0].readuntil(PONG if data == PING else b"\r\n\r\n")


async def end(stream: Stream) -> bytes:
    """What is still read until the server closes the stream."""
    async with asyncio.timeout(5):
        try:
            return await stream[0].read()
        except ConnectionResetError:
            return b""


async def test_a_stranger_is_cut_off_however_much_it_pings_and_asks(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sip_tcp, "_STRANGER_TIMEOUT", 1.5)
    stranger = await house.stream()
    assert b" 403 " in await answer(stranger, request("OPTIONS", who="stranger"))
    assert await answer(stranger, PING) == PONG
    assert await end(stranger) == b""


async def test_who_was_let_in_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_tcp, "_STRANGER_TIMEOUT", 1.5)
    friend = await house.stream()
    assert b" 200 " in await answer(friend, request("OPTIONS"))
    silent = await house.stream()
    assert await end(silent) == b""  # by now the friend's time as a stranger would be over too
    assert await answer(friend, PING) == PONG


async def test_a_message_that_drips_in_has_one_deadline(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_tcp, "_PARTIAL_TIMEOUT", 0.3)
    friend = await house.stream()
    await answer(friend, request("OPTIONS"))
    over = asyncio.ensure_future(end(friend))
    while not over.done():
        friend[1].write(b"X")
        await asyncio.wait([over], timeout=0.02)
    assert await over == b""


async def test_strangers_of_one_address_have_few_places(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_tcp, "_MAX_STRANGERS_PER_NETWORK", 2)
    streams = [await house.stream() for _ in range(2)]
    assert await answer(streams[1], PING) == PONG
    assert await end(await house.stream()) == b""
    assert b" 200 " in await answer(streams[0], request("OPTIONS"))
    assert b" 200 " in await answer(await house.stream(), request("OPTIONS"))


async def test_the_stranger_who_waited_longest_makes_room(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_tcp, "_MAX_STRANGERS", 2)
    friend = await house.stream()
    assert b" 200 " in await answer(friend, request("OPTIONS"))
    strangers = [await house.stream() for _ in range(3)]
    for stream in (friend, *reversed(strangers[1:])):
        assert await answer(stream, PING) == PONG
    assert await end(strangers[0]) == b""


async def test_an_answer_whose_stream_is_gone_goes_to_where_the_via_says(house: House) -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    listener = await asyncio.start_server(take, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    caller = await house.stream()
    assert b" 100 " in await answer(caller, request("INVITE", via=f"127.0.0.1:{port}", body=OFFER))
    call = await asyncio.wait_for(house.calls.get(), 5)
    caller[1].close()
    await caller[1].wait_closed()
    while house.server.counts["connections"]:  # noqa: ASYNC110 - there is no event for a stream the server lost
        await asyncio.sleep(0)
    call.accept(ANSWER)
    assert (await asyncio.wait_for(arrived.get(), 5)).startswith(b"SIP/2.0 200 ")
    listener.close()


class StuckTransport:
    """A transport whose peer never reads: `close` waits for ever."""

    def __init__(self) -> None:
        self.aborted = asyncio.Event()

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("192.0.2.1", 4444)

    def close(self) -> None:
        """Nothing is ever read."""

    def abort(self) -> None:
        self.aborted.set()


async def test_a_closed_stream_is_not_kept_by_a_peer_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sip_tcp, "_LINGER", 0.01)
    owner = TcpTransport(lambda *_: None, lambda _: None, lambda _: None, lambda _: False)
    connection, transport = Connection(owner, 1, known=False), StuckTransport()
    connection.connection_made(cast(Any, transport))
    connection.data_received(b"no\r\n\r\n")
    await asyncio.wait_for(transport.aborted.wait(), 5)


def test_streams_of_ipv6_are_counted_by_what_one_peer_has() -> None:
    assert sip_tcp._network("2001:db8::1") == sip_tcp._network("2001:db8::ffff:2")
    assert sip_tcp._network("2001:db8::1") != sip_tcp._network("2001:db8:0:1::1")
    assert sip_tcp._network("::ffff:192.0.2.1") == "192.0.2.1"
