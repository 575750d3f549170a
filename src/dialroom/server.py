"""The server: its parts built in order, started, and stopped in the opposite order.

Start-up takes up what an earlier process left: meetings from the store, legs and browsers from the media process, SIP
dialogs from both. Only then does it answer new calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
import uvicorn

from dialroom.api.app import create_app
from dialroom.api.context import Services
from dialroom.api.room_socket.hub import RoomSockets
from dialroom.api.turn import ice_servers
from dialroom.auth.guesses import Guesses
from dialroom.auth.idempotency import Idempotency
from dialroom.auth.keys import ApiKeys
from dialroom.auth.tokens import Tokens
from dialroom.calls.adopt import Adoption, events_seen, instance_seen
from dialroom.calls.clips import ClipShelf
from dialroom.calls.explainer import Explainer
from dialroom.calls.gatekeeper import Gatekeeper
from dialroom.calls.limits import LobbyLimits
from dialroom.calls.ports import RunningCall
from dialroom.calls.switchboard import Desk, Switchboard
from dialroom.config import Config
from dialroom.core.bus import EventBus
from dialroom.core.clock import Clock, SystemClock
from dialroom.core.errors import ConfigError, StoreUnavailable
from dialroom.flows.conversation import DialInSettings
from dialroom.media.client import MediaClient
from dialroom.media.plane import MediaError
from dialroom.media.process import BINARY_VARIABLE, MediaProcess, MediaProcessError, MediaProcessSettings
from dialroom.media.protocol import Snapshot
from dialroom.net.http import GuardedHttp
from dialroom.net.sip_server import SipServer
from dialroom.net.sip_udp import local_address_towards
from dialroom.prompts.catalogue import PromptError, Prompts
from dialroom.rooms.directory import Rooms
from dialroom.rooms.meetings import Meetings, MeetingSettings
from dialroom.rooms.values import Participant
from dialroom.sip.address import ip_literal, wire_host
from dialroom.store.store import FirstStart, Retention, Store
from dialroom.webhooks.delivery import Deliverer
from dialroom.webhooks.endpoints import Endpoints

_log = structlog.get_logger("dialroom.server")
LOCK_FILE = "serve.lock"
LAST_BYE_SECONDS = 0.3
"""For the answers to our last BYEs, so that they are not repeated to somebody who is not there any more."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the running server can be reached; ``sip_host`` as in a URI. ``first`` is what the first start made."""

    base_url: str
    sip_host: str
    sip_port: int
    calls_taken_up: int
    first: FirstStart | None


class Server:
    """One running server. `start` it, then `stop` it. Parts are attributes once it has started."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock: Clock = SystemClock()
        self.bus = EventBus()
        self._closing = contextlib.AsyncExitStack()
        self._keep_calls = False
        self._up = False
        self._store_away = False
        self._stopping = False
        self._background: set[asyncio.Task[None]] = set()
        self.store: Store
        self.media: MediaClient
        self.rooms: Rooms
        self.meetings: Meetings
        self.switchboard: Switchboard
        self.sip: SipServer

    async def start(self) -> Doors:
        """Raises ConfigError for what the operator can put right; whatever was started is stopped again then."""
        try:
            return await self._start()
        except BaseException:
            await self._closing.aclose()
            raise

    async def stop(self, *, keep_calls: bool = False) -> None:
        """Hangs up running calls, or leaves them and the media process to the next server (``keep_calls``)."""
        _log.info("server.stopping", keep_calls=keep_calls, calls=self.switchboard.running)
        self._keep_calls = keep_calls
        self._stopping = True
        await self.switchboard.stop(keep_calls=keep_calls)
        if not keep_calls:
            await asyncio.sleep(LAST_BYE_SECONDS)
        await self._closing.aclose()
        _log.info("server.stopped")

    async def _start(self) -> Doors:
        self._take_data_dir()
        listening = self._listen_http()
        prompts = _load_prompts(self.config)
        process = self._media_process()
        starting = asyncio.create_task(process.ensure()) if process else None
        if starting is not None and process is not None:
            self._closing.push_async_callback(self._stop_media, process, starting)
        first, running = await self._open_store()
        if starting is not None:
            await _started(starting)
        snapshot = await self._link_media(running, process)
        waiting = await self._open_rooms()
        await self._build_calls(prompts, snapshot)
        await self._bind_sip()
        taken_up = await Adoption(self.switchboard, self.sip, waiting).run(running, snapshot)
        sockets, services = self._build_api(snapshot)
        self.media.release_events()
        self._serve_http(services, sockets, listening)
        self._start_background()
        self._up = True
        doors = Doors(self.config.base_url, self._sip_host(), self.sip.port, taken_up, first)
        _log.info("server.ready", http=doors.base_url, sip=f"{doors.sip_host}:{doors.sip_port}", calls=taken_up)
        return doors

    def _take_data_dir(self) -> None:
        """Two servers in one data directory would take each other's calls and media process: the second is refused."""
        folder = self.config.data_dir
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / LOCK_FILE).open("w")
        except OSError as error:
            fix = "Let this user write there, or set `data_dir` (DIALROOM_DATA_DIR) to another folder."
            raise ConfigError(f"The data directory {folder} cannot be used: {error.strerror}.", fix) from error
        self._closing.callback(lock.close)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            fix = "Stop it, or give this one a `data_dir` (DIALROOM_DATA_DIR) of its own."
            raise ConfigError(f"Another server works in the data directory {folder}.", fix) from error

    # --- store and rooms ---------------------------------------------------------------------------------------

    async def _open_store(self) -> tuple[FirstStart | None, Sequence[RunningCall]]:
        self.store = await Store.open(self.config.database, self.config.data_dir, self.bus)
        self._closing.push_async_callback(self.store.close)
        first = await self.store.first_start(self.clock)
        return first, await self.store.calls.running()

    async def _open_rooms(self) -> tuple[Participant, ...]:
        config = self.config
        self.rooms = Rooms(self.store.rooms, self.clock)
        graces = MeetingSettings(resume_grace=config.resume_seconds, empty_grace=config.empty_session_seconds)
        self.meetings = Meetings(self.rooms, self.store.meetings, self.clock, graces)
        self._closing.push_async_callback(self.meetings.close)
        return await self.meetings.adopt()

    # --- media -------------------------------------------------------------------------------------------------

    def _media_process(self) -> MediaProcess | None:
        return None if self.config.media_control else media_process(self.config)

    async def _link_media(self, running: Sequence[RunningCall], process: MediaProcess | None) -> Snapshot:
        url = process.url if process else _control_url(self.config.media_control)
        secret = self.config.media_secret
        self.media = MediaClient(
            url,
            revive=_reviver(process) if process else None,
            secret=secret.get_secret_value() if secret else "",
        )
        try:
            snapshot = await self.media.connect(events_seen(running), instance_seen(running), hold_events=True)
        except MediaError as error:
            raise ConfigError(f"The media process at {url} cannot be used: {error}", "Look into its log.") from error
        self._closing.push_async_callback(self.media.close)
        return snapshot

    async def _stop_media(self, process: MediaProcess, starting: asyncio.Task[bool]) -> None:
        """A start that failed stops only the process it started itself: one that was there has calls in it."""
        starting.cancel()  # should it still be under way
        await asyncio.wait({starting})
        started = not starting.cancelled() and starting.exception() is None and starting.result()
        if (self._up and not self._keep_calls) or (not self._up and started):
            await process.stop()

    # --- calls -------------------------------------------------------------------------------------------------

    async def _build_calls(self, prompts: Prompts, snapshot: Snapshot) -> None:
        config, store = self.config, self.store
        gatekeeper = Gatekeeper(store.gateways, config.sip_allowed_networks, config.sip_strangers, self.clock)
        await gatekeeper.refresh()
        clips = ClipShelf(self.media, prompts)
        clips.holds(snapshot)
        desk = Desk(
            media=self.media,
            clips=clips,
            prompts=prompts,
            rooms=self.rooms,
            meetings=self.meetings,
            numbers=store.numbers,
            calls=store.calls,
            guesses=Guesses(store.guesses, self.clock),
            gatekeeper=gatekeeper,
            clock=self.clock,
            house=(await store.organisations.list())[0].id,
            media_host=self._media_host,
            dial_in=DialInSettings(
                entry_limit=float(config.dial_in_entry_seconds), wait_limit=float(config.dial_in_wait_seconds)
            ),
            max_calls=config.max_calls,
            lobby=LobbyLimits(
                organisation=config.outside_calls_per_organisation,
                address=config.outside_calls_per_address,
                caller=config.outside_calls_per_caller,
            ),
        )
        self.switchboard = Switchboard(desk)

    async def _bind_sip(self) -> None:
        config, switchboard = self.config, self.switchboard
        gatekeeper = switchboard.desk.gatekeeper
        self.sip = SipServer(
            host=config.sip_host,
            port=config.sip_port,
            advertised_host=config.sip_advertised_host or None,
            admit=gatekeeper.admit,
            on_invite=switchboard.on_invite,
            on_refused=switchboard.on_refused,
            credentials=gatekeeper.password,
            takes_calls=lambda: switchboard.takes_calls and all(self._ready().values()),
        )
        try:
            await self.sip.start()
        except OSError as error:
            where = f"{config.sip_host}:{config.sip_port}"
            raise ConfigError(
                f"SIP cannot listen on {where}: {_said_of(error)}.",
                "Stop the other program that does, or set `sip_port` (DIALROOM_SIP_PORT) to another port.",
            ) from error
        self._closing.push_async_callback(self.sip.close)

    def _media_host(self, peer: str) -> str:
        """Our media address as this peer reaches it; a media process elsewhere knows its own (empty here)."""
        if self.config.sip_advertised_host:
            return self.config.sip_advertised_host
        elsewhere = _control_url(self.config.media_control).startswith("tcp:") if self.config.media_control else False
        return "" if elsewhere else local_address_towards(peer)

    def _sip_host(self) -> str:
        config = self.config
        if config.sip_advertised_host:
            return wire_host(config.sip_advertised_host)
        return "127.0.0.1" if config.sip_host in ("0.0.0.0", "::") else wire_host(config.sip_host)  # noqa: S104

    # --- HTTP --------------------------------------------------------------------------------------------------

    def _listen_http(self) -> socket.socket:
        """The socket first, because links need its port."""
        host, port = self.config.http_host, self.config.http_port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            raise ConfigError(
                f"HTTP cannot listen on {host}:{port}: {_said_of(error)}.",
                "Stop the other program that does, or set `http_port` (DIALROOM_HTTP_PORT) to another port.",
            ) from error
        self._closing.callback(listening.close)
        self.config = self.config.model_copy(update={"http_port": listening.getsockname()[1]})
        return listening

    def _build_api(self, snapshot: Snapshot) -> tuple[RoomSockets, Services]:
        config, store, clock, desk = self.config, self.store, self.clock, self.switchboard.desk
        tokens = Tokens(store.organisations, clock)
        sockets = RoomSockets(
            rooms=self.rooms,
            meetings=self.meetings,
            media=self.media,
            tokens=tokens,
            numbers=store.numbers,
            base_url=config.base_url,
            ice_servers=lambda participant: ice_servers(config.turn_servers, participant, clock.now()),
            per_organisation=config.sockets_per_organisation,
        )
        sockets.adopt(snapshot.peers)
        services = Services(
            config=config,
            clock=clock,
            bus=self.bus,
            keys=ApiKeys(store.keys, clock),
            tokens=tokens,
            rooms=self.rooms,
            meetings=self.meetings,
            meeting_store=store.meetings,
            numbers=store.numbers,
            gateways=store.gateways,
            calls=store.calls,
            webhooks=Endpoints(store.webhooks, clock, config.webhook_allowed_networks),
            outbox=store.webhooks,
            idempotency=Idempotency(store.idempotency, clock),
            media=self.media,
            explain=Explainer(desk.gatekeeper, desk.numbers, desk.guesses).explain,
            ready=self._ready,
        )
        return sockets, services

    def _serve_http(self, services: Services, sockets: RoomSockets, listening: socket.socket) -> None:
        settings = uvicorn.Config(
            create_app(services, sockets),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws_max_size=256 * 1024,
            proxy_headers=False,  # the application believes `trusted_proxies` only
            timeout_graceful_shutdown=3,
        )
        http = _Http(settings)
        serving = asyncio.create_task(http.serve(sockets=[listening]))

        async def stop() -> None:
            http.should_exit = True
            await asyncio.wait({serving})

        self._closing.push_async_callback(stop)

    def _ready(self) -> dict[str, bool]:
        return {"sip": not self._stopping, "media": self.media.connected, "store": not self._store_away}

    # --- background --------------------------------------------------------------------------------------------

    def _start_background(self) -> None:
        config = self.config
        http = GuardedHttp(config.webhook_allowed_networks, timeout=config.webhook_timeout_seconds)
        self._closing.push_async_callback(http.close)
        self._run(Deliverer(self.store.webhooks, http, self.clock).run())
        self._run(self.switchboard.desk.gatekeeper.keep_fresh(self.clock))
        self._run(self.switchboard.keep_asking_who_came_back())
        kept = Retention(timedelta(days=config.events_kept_days), timedelta(days=config.history_kept_days))
        self._run(self.store.keep_pruned(self.clock, kept))
        self._run(self._keep_watching_store())
        self._closing.push_async_callback(self._end_background)

    async def _keep_watching_store(self) -> None:
        """Says when the database is away, and when it is back."""
        while True:
            await self.clock.sleep(5)
            try:
                await self.store.check()
            except StoreUnavailable:
                if not self._store_away:
                    _log.error("store.away")
                self._store_away = True
            else:
                if self._store_away:
                    _log.info("store.back")
                self._store_away = False

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("server.background_failed", exc_info=error)

    async def _end_background(self) -> None:
        tasks = set(self._background)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _Http(uvicorn.Server):
    """uvicorn without its signal handlers: the server stops as a whole."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def media_process(config: Config) -> MediaProcess:
    """The media process that goes with a configuration, not yet started."""
    folder = config.data_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if config.media_binary:
        os.environ[BINARY_VARIABLE] = config.media_binary
    low, high = config.rtp_ports
    literal = ip_literal(config.sip_host)
    settings = MediaProcessSettings(
        data_dir=folder,
        # Phones that reach us by IPv6 speak it, too; that socket takes IPv4 as well.
        rtp_address="::" if literal is not None and literal.version == 6 else "0.0.0.0",  # noqa: S104
        advertise=config.webrtc_addresses,
        rtp_ports=f"{low}-{high}",
        webrtc_port=config.webrtc_port,
        linger=config.media_linger_seconds,
    )
    return MediaProcess(settings)


def _said_of(error: OSError) -> str:
    """What the system says, without what asyncio and socket add. It has no positive number for unknown names."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)


async def _started(starting: Awaitable[bool]) -> None:
    try:
        await starting
    except MediaProcessError as error:
        raise ConfigError(str(error), "Look into media.log in the data directory.") from error


def _reviver(process: MediaProcess) -> Callable[[], Awaitable[None]]:
    async def revive() -> None:
        await process.ensure()

    return revive


def _load_prompts(config: Config) -> Prompts:
    try:
        return Prompts.load(config.prompts_dir)
    except PromptError as error:
        raise ConfigError(str(error), "Correct the file, or take `prompts_dir` out.") from error


def _control_url(control: str) -> str:
    """``media_control`` as the client wants it: a path or ``host:port`` may come without its scheme."""
    if control.startswith(("unix:", "tcp:")):
        return control
    return f"unix:{control}" if "/" in control else f"tcp:{control}"
