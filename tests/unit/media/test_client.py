"""The client of the media process, against a process played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from dialroom.media import protocol as p
from dialroom.media.client import MediaClient
from dialroom.media.framing import FrameReader, frame
from dialroom.media.plane import MediaLost, MediaRefused

Answerer = Callable[[p.Command], p.Answer | p.Refused | None]


def snapshot(instance: str = "m", last_event: int = 0) -> p.Snapshot:
    return p.Snapshot(version="0", instance=instance, last_event=last_event, bridges=[], legs=[], peers=[], clips=[])


def digit(value: str) -> p.DigitReceived:
    return p.DigitReceived(leg="l", digit=value, duration=100)


class Server:
    """A media process of few words."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hellos: list[p.Hello] = []
        self.snapshot = snapshot()
        self.after_hello: list[p.Notice] = []
        self.answer: Answerer = lambda command: p.Done()
        self.writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    def tell(self, message: p.FromMedia) -> None:
        self.writers[-1].write(frame(msgspec.msgpack.encode(message)))

    def hang_up(self) -> None:
        self.writers[-1].close()

    async def stop(self) -> None:
        for writer in self.writers:
            writer.close()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        frames = FrameReader()
        while data := await reader.read(4096):
            for body in frames.feed(data):
                self._take(msgspec.msgpack.decode(body, type=p.Request))

    def _take(self, request: p.Request) -> None:
        if isinstance(request.command, p.Hello):
            self.hellos.append(request.command)
            self.tell(p.Reply(id=request.id, answer=self.snapshot))
            for notice in self.after_hello:
                self.tell(notice)
            return
        answer = self.answer(request.command)
        if answer is not None:
            self.tell(p.Reply(id=request.id, answer=answer))


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[Server]:
    server = Server(data_dir / "s.sock")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[MediaClient]:
    client = MediaClient(f"unix:{server.path}", timeout=5)
    yield client
    await client.close()


async def reconnected(client: MediaClient) -> p.Snapshot:
    back: asyncio.Future[p.Snapshot] = asyncio.get_running_loop().create_future()
    client.listen_link(lambda s: back.set_result(s) if s is not None and not back.done() else None)
    return await asyncio.wait_for(back, 10)


async def test_answers_and_refusals_reach_who_asked(server: Server, client: MediaClient) -> None:
    await client.connect()
    server.answer = lambda command: p.LegOpened(address="a", rtp_port=1, rtcp_port=2)
    assert (await client.open_leg("l")).rtp_port == 1
    server.answer = lambda command: p.Refused(code="no_port", message="none left")
    with pytest.raises(MediaRefused) as refused:
        await client.open_leg("l")
    assert refused.value.code == "no_port"


async def test_an_answer_of_the_wrong_kind_is_a_refusal(server: Server, client: MediaClient) -> None:
    await client.connect()
    with pytest.raises(MediaRefused, match="answered by Done"):
        await client.open_leg("l")


async def test_events_that_come_with_the_hello_are_told_after_the_listeners_are_set(
    server: Server, client: MediaClient
) -> None:
    server.snapshot = snapshot(last_event=7)
    server.after_hello = [p.Notice(sequence=6, event=digit("6")), p.Notice(sequence=7, event=digit("7"))]
    await client.connect(5, "m", hold_events=True)
    seen: list[p.Event] = []
    client.listen("l", seen.append)
    done = asyncio.Event()
    client.listen_all(lambda event: done.set() if event == digit("7") else None)
    client.release_events()
    await asyncio.wait_for(done.wait(), 5)
    assert seen == [digit("6"), digit("7")]
    assert client.last_event == 7
    assert server.hellos[0] == p.Hello(after_event=5, instance="m")


async def test_after_a_break_the_hello_names_the_last_event_and_nothing_is_told_twice(
    server: Server, client: MediaClient
) -> None:
    await client.connect()
    seen: list[p.Event] = []
    first = asyncio.Event()
    client.listen_all(seen.append)
    client.listen_all(lambda event: first.set())
    server.tell(p.Notice(sequence=1, event=digit("1")))
    await asyncio.wait_for(first.wait(), 5)
    server.after_hello = [p.Notice(sequence=1, event=digit("1")), p.Notice(sequence=2, event=digit("2"))]
    first.clear()
    server.hang_up()
    await reconnected(client)
    await asyncio.wait_for(first.wait(), 5)
    assert server.hellos[-1] == p.Hello(after_event=1, instance="m")
    assert seen == [digit("1"), digit("2")]


async def test_another_media_process_begins_to_count_anew(server: Server, client: MediaClient) -> None:
    server.snapshot = snapshot(last_event=50)
    await client.connect()
    assert client.last_event == 50
    seen = asyncio.Event()
    client.listen_all(lambda event: seen.set())
    server.snapshot = snapshot(instance="other")
    server.after_hello = [p.Notice(sequence=1, event=digit("1"))]
    server.hang_up()
    assert (await reconnected(client)).instance == "other"
    await asyncio.wait_for(seen.wait(), 5)
    assert client.last_event == 1


async def test_who_answers_the_hello_in_another_language_is_no_media_process(
    server: Server, client: MediaClient
) -> None:
    server.tell = lambda message: server.writers[-1].write(frame(b"\xc1"))  # type: ignore[method-assign]
    with pytest.raises(MediaLost, match="hello"):
        await client.connect()


async def test_a_request_on_its_way_when_the_link_breaks_is_lost(server: Server, client: MediaClient) -> None:
    await client.connect()

    def hang_up(command: p.Command) -> None:
        server.hang_up()

    server.answer = hang_up
    with pytest.raises(MediaLost):
        await client.perform(p.Ping())


async def test_a_request_without_answer_is_lost_after_its_time(server: Server) -> None:
    client = MediaClient(f"unix:{server.path}", timeout=0.05)
    await client.connect()
    server.answer = lambda command: None
    with pytest.raises(MediaLost, match="did not answer Ping"):
        await client.perform(p.Ping())
    await client.close()


async def test_nobody_at_the_address_is_said_at_once(data_dir: Path) -> None:
    with pytest.raises(MediaLost, match="does not answer"):
        await MediaClient(f"unix:{data_dir}/none.sock").connect()


@pytest.mark.parametrize("url", ["", "unix:", "tcp:host", "http://x", "/var/x"])
def test_an_address_that_is_none_is_said_with_what_to_write(url: str) -> None:
    with pytest.raises(ValueError, match="unix:/path or tcp:host:port"):
        MediaClient(url)
