"""The SIP server on real loopback sockets."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from unittest.mock import AsyncMock

import msgspec
import pytest

from dialroom.net import sip_udp
from dialroom.net.sip_server import InviteSession, SipServer
from dialroom.sip.address import Address
from dialroom.sip.admission import Admit, Refuse
from dialroom.sip.errors import LocalError
from dialroom.sip.facts import RequestFacts
from dialroom.sip.session.events import Acknowledged, Answered, Ended, Failed, Info, Offer, RemoteAnswer, Ringing
from dialroom.sip.session.state import SessionState

OFFER, ANSWER = b"v=0\r\no=offer\r\n", b"v=0\r\no=answer\r\n"
TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])


class Switch:
    """A server with the calls that came to it."""

    def __init__(self, host: str = "127.0.0.1", **more: Any) -> None:
        self.calls: asyncio.Queue[InviteSession] = asyncio.Queue()
        self.refused: list[tuple[RequestFacts, int, str]] = []
        settings: dict[str, Any] = {"admit": lambda _facts: Admit(), "on_invite": self.calls.put_nowait} | more
        self.server = SipServer(host=host, port=0, on_refused=self._refused, **settings)

    def _refused(self, facts: RequestFacts, status: int, reason: str) -> None:
        self.refused.append((facts, status, reason))

    @property
    def port(self) -> int:
        return self.server.port


T = TypeVar("T")
Start = Callable[..., Awaitable[Switch]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts switches and closes them."""
    running: list[Switch] = []

    async def begin(host: str = "127.0.0.1", **more: Any) -> Switch:
        switch = Switch(host, **more)
        await switch.server.start()
        running.append(switch)
        return switch

    yield begin
    for switch in running:
        await switch.server.close()


async def soon(awaitable: Awaitable[T]) -> T:
    """What is awaited, within five seconds."""
    return await asyncio.wait_for(awaitable, 5)


async def connected(alice: Switch, bob: Switch, transport: str) -> tuple[InviteSession, InviteSession]:
    caller = alice.server.invite(
        target=f"sip:12@127.0.0.1:{bob.port};transport={transport}", from_="sip:alice@h", sdp=OFFER
    )
    callee = await asyncio.wait_for(bob.calls.get(), 5)
    callee.ring()
    assert await soon(caller.next_event()) == Ringing(180, None)
    callee.accept(ANSWER)
    assert await soon(caller.next_event()) == Answered(ANSWER)
    assert await soon(callee.next_event()) == Acknowledged(None)
    return caller, callee


@TRANSPORTS
async def test_a_call_over_real_sockets(start: Start, transport: str) -> None:
    alice, bob = await start(), await start()
    caller, callee = await connected(alice, bob, transport)
    assert (callee.facts.request_user, callee.facts.transport, callee.remote_sdp) == ("12", transport, OFFER)
    caller.info("application/dtmf", b"5")
    assert await soon(callee.next_event()) == Info("application/dtmf", b"5")
    callee.reinvite(OFFER)
    assert await soon(caller.next_event()) == Offer(OFFER, "INVITE")
    caller.answer_offer(ANSWER)
    assert await soon(callee.next_event()) == RemoteAnswer(ANSWER)
    callee.bye("done")
    assert await soon(caller.next_event()) == Ended("the peer hung up", "remote", 'SIP;cause=200;text="done"')
    assert await soon(callee.next_event()) == Ended("done", "local")
    assert bob.server.counts["faults"] == alice.server.counts["faults"] == 0


async def test_a_call_over_ipv6(start: Start) -> None:
    alice, bob = await start("::1"), await start("::1")
    caller = alice.server.invite(target=f"sip:1@[::1]:{bob.port}", from_="sip:a@h", sdp=OFFER)
    callee = await asyncio.wait_for(bob.calls.get(), 5)
    callee.accept(ANSWER)
    assert await soon(caller.next_event()) == Answered(ANSWER)
    caller.bye()
    assert await soon(callee.next_event()) == Acknowledged(None)
    assert isinstance(await soon(callee.next_event()), Ended)


@TRANSPORTS
async def test_a_restarted_server_goes_on_with_the_call(start: Start, transport: str) -> None:
    alice, bob = await start(), await start()
    caller, callee = await connected(alice, bob, transport)
    stored = msgspec.json.encode(callee.state)
    port = bob.port
    await bob.server.close()
    again = Switch()
    again.server._wanted_port = port
    await again.server.start()
    restored = again.server.restore(msgspec.json.decode(stored, type=SessionState))
    restored.reinvite(OFFER)
    assert await soon(caller.next_event()) == Offer(OFFER, "INVITE")
    caller.answer_offer(ANSWER)
    assert await soon(restored.next_event()) == RemoteAnswer(ANSWER)
    caller.bye()
    assert isinstance(await soon(restored.next_event()), Ended)
    await again.server.close()


@pytest.mark.parametrize(("ours", "chosen"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")])
async def test_of_the_addresses_of_a_name_the_first_is_taken_that_can_be_reached(
    start: Start, monkeypatch: pytest.MonkeyPatch, ours: str, chosen: str
) -> None:
    both = [(socket.AF_INET, 0, 0, "", ("127.0.0.1", 5060)), (socket.AF_INET6, 0, 0, "", ("::1", 5060, 0, 0))]
    sent: asyncio.Queue[Address] = asyncio.Queue()
    try:
        alice = await start(ours)
    except OSError as error:
        pytest.skip(f"THIS MACHINE HAS NO IPV6: {error}")

    def send(_data: bytes, target: Address) -> bool:
        sent.put_nowait(target)
        return True

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", AsyncMock(return_value=both))
    monkeypatch.setattr(alice.server._udp, "send", send)
    alice.server.invite(target="sip:1@both.example", from_="sip:a@h", sdp=OFFER)
    assert (await soon(sent.get())).host == chosen


async def test_a_name_is_resolved_and_an_unknown_one_fails_the_call(start: Start) -> None:
    alice, bob = await start(), await start()
    alice.server.invite(target=f"sip:1@localhost:{bob.port}", from_="sip:a@h", sdp=OFFER)
    await asyncio.wait_for(bob.calls.get(), 5)
    lost = alice.server.invite(target="sip:1@no-such-host.invalid", from_="sip:a@h", sdp=OFFER)
    assert await soon(lost.next_event()) == Failed(503, "it cannot be reached")


async def test_a_tcp_peer_that_is_not_there_fails_the_call_at_once(start: Start) -> None:
    alice = await start()
    lost = alice.server.invite(target="sip:1@127.0.0.1:1;transport=tcp", from_="sip:a@h", sdp=OFFER)
    assert await soon(lost.next_event()) == Failed(503, "it cannot be reached")


OPTIONS = (
    b"OPTIONS sip:us SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"
    b"Call-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


async def test_a_stream_cut_into_small_pieces_is_answered_and_a_ping_gets_its_pong(start: Start) -> None:
    bob = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", bob.port)
    for at in range(0, len(OPTIONS), 9):
        writer.write(OPTIONS[at : at + 9])
        await writer.drain()
        await asyncio.sleep(0)
    assert (await soon(reader.readuntil(b"\r\n\r\n"))).startswith(b"SIP/2.0 200")
    writer.write(b"\r\n\r\n")
    assert await soon(reader.readexactly(2)) == b"\r\n"
    writer.close()


async def test_a_stream_with_broken_framing_is_closed(start: Start) -> None:
    bob = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", bob.port)
    writer.write(OPTIONS.replace(b"Content-Length: 0\r\n", b"") + OPTIONS)
    assert await soon(reader.read()) == b""
    writer.close()


async def test_a_fault_in_one_call_leaves_the_server_working(start: Start) -> None:
    def explode(_session: InviteSession) -> None:
        raise RuntimeError("a bug")

    alice, bob = await start(), await start(on_invite=explode)
    first = alice.server.invite(target=f"sip:1@127.0.0.1:{bob.port}", from_="sip:a@h", sdp=OFFER)
    assert await soon(first.next_event()) == Failed(500, "Server Internal Error")
    second = alice.server.invite(target=f"sip:1@127.0.0.1:{bob.port}", from_="sip:a@h", sdp=OFFER)
    assert await soon(second.next_event()) == Failed(500, "Server Internal Error")
    assert bob.server.counts["faults"] == 2


async def test_a_fault_in_the_admission_hook_lets_nobody_in(start: Start) -> None:
    def explode(_facts: RequestFacts) -> Admit:
        raise RuntimeError("a bug")

    bob = await start(admit=explode)
    reader, writer = await asyncio.open_connection("127.0.0.1", bob.port)
    writer.write(OPTIONS)
    await soon(_until(lambda: bob.server.counts["faults"] == 1))
    assert bob.calls.empty()
    writer.close()
    assert await soon(reader.read()) == b""


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - counters of the server have no event to wait for
        await asyncio.sleep(0.005)


async def test_a_stranger_is_refused_and_recorded(start: Start) -> None:
    alice, bob = await start(), await start(admit=lambda _facts: Refuse(403, "not a gateway"))
    call = alice.server.invite(target=f"sip:1@127.0.0.1:{bob.port}", from_="sip:a@h", sdp=OFFER)
    assert await soon(call.next_event()) == Failed(403, "Forbidden")
    assert [(status, reason) for _, status, reason in bob.refused] == [(403, "not a gateway")]


async def test_a_peer_that_never_reads_is_cut_off(start: Start) -> None:
    bob = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", bob.port, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    try:
        for number in range(100_000):
            writer.write(OPTIONS.replace(b"Call-ID: c", b"Call-ID: %d" % number))
            await writer.drain()
    except ConnectionError:
        pass
    else:
        pytest.fail("the stream was never closed")
    del reader


async def test_what_is_not_started_says_so() -> None:
    switch = Switch()
    with pytest.raises(LocalError):
        switch.server.invite(target="sip:a@127.0.0.1", from_="sip:b@h", sdp=None)


async def test_a_taken_port_is_an_error(start: Start) -> None:
    bob = await start()
    other = Switch()
    other.server._wanted_port = bob.port
    with pytest.raises(OSError, match="in use"):
        await other.server.start()


@pytest.mark.skipif(shutil.which("sipp") is None, reason="SIPp (Debian package sip-tester) is not installed")
@pytest.mark.parametrize("transport", ["u1", "t1", "tn"])
async def test_sipp_makes_a_hundred_calls(start: Start, transport: str) -> None:
    tasks: set[asyncio.Task[None]] = set()

    async def handle(session: InviteSession) -> None:
        session.ring()
        session.accept(ANSWER)
        while not isinstance(await session.next_event(), Ended):
            pass

    def answer(session: InviteSession) -> None:
        task = asyncio.ensure_future(handle(session))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    bob = await start(on_invite=answer)
    arguments = ["-sn", "uac", "-t", transport, "-r", "100", "-m", "100", "-d", "50", "-i", "127.0.0.1", "-nostdin"]
    arguments += ["-max_socket", "500"]
    sipp = await asyncio.create_subprocess_exec(
        "sipp",
        *arguments,
        f"127.0.0.1:{bob.port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await asyncio.wait_for(sipp.wait(), 30) == 0
    await soon(_until(lambda: not tasks))
    assert bob.server.counts["sessions"] == bob.server.counts["faults"] == 0


def test_our_address_is_asked_for_again_when_the_network_may_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    now, addresses = [1000.0], iter([OSError("no route yet"), ("192.0.2.7", 9)])

    class Probe(socket.socket):
        def connect(self, _address: object) -> None:
            """Nothing is asked of the real network."""

        def getsockname(self) -> object:
            found = next(addresses)
            if isinstance(found, OSError):
                raise found
            return found

    monkeypatch.setattr(socket, "socket", Probe)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert [sip_udp.local_address_towards("192.0.2.99") for _ in range(3)] == ["127.0.0.1"] * 3
    now[0] += 60
    assert [sip_udp.local_address_towards("192.0.2.99") for _ in range(3)] == ["192.0.2.7"] * 3
