"""The link to the media process.

One connection, kept by one task: connect, say hello, read until the link breaks, connect again. Must-deliver events
are numbered; after a break the hello names the last one that was handed on, so that none is lost and none is told
twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from dialroom.media.framing import FrameError, FrameReader, decode_from_media, encode_request
from dialroom.media.listeners import Listeners
from dialroom.media.plane import EventHandler, LinkHandler, MediaError, MediaLost, MediaPlane, MediaRefused, Unlisten
from dialroom.media.protocol import (
    Answer,
    Challenge,
    Command,
    GetChallenge,
    Hello,
    Notice,
    Refused,
    Reply,
    Request,
    Snapshot,
)

logger = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.05
LONGEST_RETRY_SECONDS = 1.0
SHORT_LIFE_SECONDS = 1.0
READ_BYTES = 64 * 1024
PROBE_SECONDS = 5
"""How often a media process on another machine from which nothing comes is asked whether it is there."""

Revive = Callable[[], Awaitable[object]]


class MediaClient(MediaPlane):
    """Speaks to the media process at ``url``: ``unix:/path`` or ``tcp:host:port``, which asks for ``secret``.

    ``patience``: seconds a request waits for a lost link to come back. ``timeout``: seconds it waits for its answer.
    ``revive`` is awaited before each attempt to connect again; `MediaProcess.ensure` fits.
    """

    def __init__(
        self,
        url: str,
        *,
        patience: float = 2.0,
        timeout: float = 10.0,
        revive: Revive | None = None,
        secret: str = "",
    ) -> None:
        self._target = _parse_url(url)
        self._secret = secret
        self._patience = patience
        self._timeout = timeout
        self._revive = revive
        self._listeners = Listeners()
        self._pending: dict[int, asyncio.Future[Answer]] = {}
        self._next_id = 1
        self._last_event = 0
        self._instance: str | None = None
        self._held: list[Notice] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._frames = FrameReader()
        self._early: list[bytes] = []
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether commands can be sent now."""
        return self._up.is_set()

    @property
    def last_event(self) -> int:
        """Sequence of the last must-deliver event that was handed to the handlers."""
        return self._last_event

    @property
    def instance(self) -> str | None:
        """Which media process answered the hello."""
        return self._instance

    async def connect(
        self, after_event: int | None = None, instance: str | None = None, *, hold_events: bool = False
    ) -> Snapshot:
        """Opens the link and keeps it open until `close`.

        Must-deliver events after ``after_event`` (of media process ``instance``) are told again. With ``hold_events``
        none is handed on before `release_events`, so that listeners can be set from the snapshot first.
        Raises `MediaLost` when nobody answers and `MediaRefused` ``protocol_mismatch`` when another version does, or
        ``unauthorized`` when the secret is another one.
        """
        if self._keeper is not None:
            raise RuntimeError("This client is connected already")
        self._held = [] if hold_events else None
        self._last_event = after_event or 0
        snapshot = await self._open(after_event, instance)
        self._keeper = asyncio.create_task(self._keep(), name="media link")
        return snapshot

    def release_events(self) -> None:
        """Hands on what `connect` with ``hold_events`` kept back, and everything from now on."""
        held, self._held = self._held or [], None
        for notice in held:
            self._hand_on(notice)

    async def close(self) -> None:
        """Closes the link; the media process goes on."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        await self._drop(MediaLost("The link to the media process was closed"))

    async def request(self, command: Command) -> Answer:
        """Carries out ``command``. Raises `MediaRefused` or `MediaLost`."""
        if not self._up.is_set():
            try:
                await asyncio.wait_for(self._up.wait(), self._patience)
            except TimeoutError:
                raise MediaLost("There is no link to the media process; see its log") from None
        answer = self._send(command)
        try:
            return await asyncio.wait_for(answer, self._timeout)
        except TimeoutError:
            message = f"The media process did not answer {type(command).__name__} in {self._timeout:g} s"
            raise MediaLost(message) from None

    def listen(self, subject_id: str, handler: EventHandler) -> Unlisten:
        """Calls ``handler`` for each event of the leg, peer or bridge with this id."""
        return self._listeners.listen(subject_id, handler)

    def listen_all(self, handler: EventHandler) -> Unlisten:
        """Calls ``handler`` for each event."""
        return self._listeners.listen_all(handler)

    def listen_link(self, handler: LinkHandler) -> Unlisten:
        """Calls ``handler`` with the `Snapshot` after each reconnection, and with None when the link is lost."""
        return self._listeners.listen_link(handler)

    def _send(self, command: Command) -> asyncio.Future[Answer]:
        if self._writer is None:
            raise MediaLost("There is no link to the media process; see its log")
        request_id = self._next_id
        self._next_id += 1
        try:
            data = encode_request(Request(id=request_id, command=command))
        except FrameError as error:
            raise MediaRefused("bad_value", str(error)) from error
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = answer
        answer.add_done_callback(lambda _: self._pending.pop(request_id, None))
        self._writer.write(data)
        return answer

    async def _open(self, after_event: int | None, instance: str | None) -> Snapshot:
        try:
            reader, self._writer = await asyncio.wait_for(_dial(self._target), self._timeout)
        except (OSError, TimeoutError) as error:
            raise MediaLost(f"The media process does not answer at {self._target}: {error}") from error
        try:
            snapshot = await self._greet(reader, after_event, instance)
        except MediaError as error:
            await self._drop(error)
            raise
        self._reader = reader
        self._up.set()
        return snapshot

    async def _greet(self, reader: asyncio.StreamReader, after_event: int | None, instance: str | None) -> Snapshot:
        self._frames, self._early = FrameReader(), []
        proof = None
        if self._secret and not isinstance(self._target, str):
            challenge = await self._ask(reader, GetChallenge())
            proof = proof_of(self._secret, challenge.challenge) if isinstance(challenge, Challenge) else None
        snapshot = await self._ask(reader, Hello(after_event=after_event, instance=instance, proof=proof))
        if not isinstance(snapshot, Snapshot):
            raise MediaLost(f"The media process answered the hello by {type(snapshot).__name__}")
        if instance is not None and snapshot.instance != instance:
            self._last_event = 0
        elif after_event is None:
            self._last_event = snapshot.last_event
        self._instance = snapshot.instance
        return snapshot

    async def _ask(self, reader: asyncio.StreamReader, command: Command) -> Answer:
        """The answer to a command before anybody else reads; what comes after it is kept."""
        answer = self._send(command)
        try:
            while not answer.done():
                data = await asyncio.wait_for(reader.read(READ_BYTES), self._timeout)
                if not data:
                    raise MediaLost("The media process closed the link instead of answering the hello")
                for body in self._frames.feed(data):
                    if answer.done():
                        self._early.append(body)
                    else:
                        self._take(body)
        except (OSError, TimeoutError, FrameError) as error:
            raise MediaLost(f"The media process did not answer the hello: {error}") from error
        return answer.result()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            opened_at = loop.time()
            await self._read_until_lost()
            self._listeners.tell_link(None)
            if loop.time() - opened_at < SHORT_LIFE_SECONDS:
                # Another control plane took our place: two must not push each other out without end.
                await asyncio.sleep(LONGEST_RETRY_SECONDS)
            snapshot = await self._reopen()
            self._listeners.tell_link(snapshot)

    async def _read_until_lost(self) -> None:
        reason = "it closed the link"
        try:
            for body in self._early:
                self._take(body)
            self._early = []
            while self._reader is not None and (data := await self._reader.read(READ_BYTES)):
                for body in self._frames.feed(data):
                    self._take(body)
        except (OSError, FrameError) as error:
            reason = str(error)
        logger.warning("The link to the media process is lost: %s", reason)
        await self._drop(MediaLost(f"The link to the media process is lost: {reason}"))

    async def _reopen(self) -> Snapshot:
        delay = FIRST_RETRY_SECONDS
        while True:
            try:
                if self._revive is not None:
                    await self._revive()
                return await self._open(self._last_event, self._instance)
            except Exception as error:
                logger.warning("No link to the media process, next attempt in %g s: %s", delay, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_RETRY_SECONDS)

    async def _drop(self, error: MediaError) -> None:
        self._up.clear()
        writer, self._writer, self._reader = self._writer, None, None
        for answer in list(self._pending.values()):
            if not answer.done():
                answer.set_exception(error)
                answer.exception()
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _take(self, body: bytes) -> None:
        message = decode_from_media(body)
        if isinstance(message, Notice):
            if self._held is None:
                self._hand_on(message)
            else:
                self._held.append(message)
        else:
            self._settle(message)

    def _settle(self, reply: Reply) -> None:
        answer = self._pending.get(reply.id)
        if answer is None or answer.done():
            return
        if isinstance(reply.answer, Refused):
            answer.set_exception(MediaRefused(reply.answer.code, reply.answer.message))
        else:
            answer.set_result(reply.answer)

    def _hand_on(self, notice: Notice) -> None:
        if notice.sequence:
            if notice.sequence <= self._last_event:
                return
            self._last_event = notice.sequence
        self._listeners.tell(notice.event)


def proof_of(secret: str, challenge: str) -> str:
    """What shows a media process that we know its secret, without telling it (RFC 2104)."""
    return hmac.new(secret.encode(), b"dialroom control link" + challenge.encode(), "sha256").hexdigest()


async def _dial(target: str | tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(target, str):
        return await asyncio.open_unix_connection(target)
    reader, writer = await asyncio.open_connection(*target)
    # A machine that is gone says nothing: without probes the link would seem whole for ever.
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4 * PROBE_SECONDS * 1000)
    return reader, writer


def _parse_url(url: str) -> str | tuple[str, int]:
    scheme, _, rest = url.partition(":")
    if scheme == "unix" and rest:
        return rest
    if scheme == "tcp":
        parts = urlsplit(f"//{rest}")
        if parts.hostname and parts.port:
            return parts.hostname, parts.port
    raise ValueError(f"{url!r} is no address of a media process; write unix:/path or tcp:host:port")
