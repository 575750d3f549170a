"""The SIP endpoint on real sockets: UDP and TCP on one port, one timer, and sessions one can await.

The rule of the shell: feed the endpoint, carry out what it says, arm the timer. A fault in handling one message is
logged and counted, and the next message is taken as if nothing had been.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence

import structlog

from dialroom.net.sip_tcp import TcpTransport
from dialroom.net.sip_udp import UdpTransport, local_address_towards
from dialroom.sip.address import Address, ip_literal
from dialroom.sip.admission import AdmissionHook
from dialroom.sip.auth import CredentialLookup, Credentials, DigestServer
from dialroom.sip.endpoint import Endpoint, EndpointConfig
from dialroom.sip.errors import LocalError
from dialroom.sip.facts import RequestFacts
from dialroom.sip.happenings import Happening, SessionHappened, SessionOffered
from dialroom.sip.headers.name_addr import NameAddr
from dialroom.sip.session.events import Cancelled, Ended, Failed, Info, Offer, SessionEvent
from dialroom.sip.session.session import Session
from dialroom.sip.session.state import Phase, SessionState
from dialroom.sip.transactions import Send

log = structlog.get_logger(__name__)

_MAX_WAITING_EVENTS = 256
_BIND_ATTEMPTS = 20


class SipServer:
    """SIP on `host`:`port`, UDP and TCP. `advertised_host` is what peers are told, None for the address they reach.

    `admit` is asked before a stranger's request leaves any state; `on_invite` gets each call let in; `on_refused`
    hears of each INVITE turned away (status 0: dropped silently). `takes_calls` says whether `on_invite` takes calls
    now, for OPTIONS. `credentials` finds the password of a user for
    callers who must authenticate (with `Challenge`). Hooks are called on the event loop and must not block.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        advertised_host: str | None = None,
        admit: AdmissionHook,
        on_invite: Callable[[InviteSession], None],
        on_refused: Callable[[RequestFacts, int, str], None],
        credentials: CredentialLookup | None = None,
        takes_calls: Callable[[], bool] = lambda: True,
        user_agent: str = "dialroom",
    ) -> None:
        self._host = host
        self._wanted_port = port
        self._advertised = advertised_host
        self._admit = admit
        self._on_invite = on_invite
        self._on_refused = on_refused
        self._digest = DigestServer(secrets.token_bytes(32), credentials) if credentials is not None else None
        self._takes_calls = takes_calls
        self._user_agent = user_agent
        self._sessions: dict[Session, InviteSession] = {}
        self._endpoint: Endpoint | None = None
        self._udp: UdpTransport | None = None
        self._tcp: TcpTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.port = port
        """The port that is bound; the one asked for until `start`."""
        self.faults = 0
        """Messages whose handling failed by a fault of ours."""

    async def start(self) -> None:
        """Bind UDP and TCP on the same port. Raises OSError when it is taken."""
        self._loop = asyncio.get_running_loop()
        attempts = _BIND_ATTEMPTS if self._wanted_port == 0 else 1
        for attempt in range(attempts):
            udp = self._udp = await UdpTransport.bind(self._host, self._wanted_port, self._receive)
            self._tcp = TcpTransport(self._receive, self._connected, self._disconnected, self._admitted)
            try:
                await self._tcp.listen(self._host, udp.port)
                break
            except OSError:
                await udp.close()
                if attempt == attempts - 1:
                    raise
        self.port = udp.port
        self._endpoint = Endpoint(
            EndpointConfig(
                port=self.port,
                token=lambda: secrets.token_hex(8),
                tag_key=secrets.token_bytes(32),
                local_host=self._local_host,
                admit=self._admit,
                digest=self._digest,
                takes_calls=self._takes_calls,
                user_agent=self._user_agent,
            )
        )

    async def close(self) -> None:
        """Stop listening and sending. Calls are not ended: a restarted process may go on with them."""
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._udp is not None:
            await self._udp.close()
        if self._tcp is not None:
            await self._tcp.close()

    def invite(
        self,
        *,
        target: str,
        from_: str | NameAddr,
        sdp: bytes | None,
        headers: Sequence[tuple[str, str]] = (),
        credentials: Credentials | None = None,
        hop: Address | None = None,
    ) -> InviteSession:
        """Call a `sip:` URI, by way of `hop` if given. `sdp` None asks the called party for an offer.

        Raises LocalError when `target` or `from_` cannot be used.
        """
        endpoint = self._running()
        session = endpoint.invite(
            target=target,
            from_=from_,
            sdp=sdp,
            headers=headers,
            credentials=credentials,
            hop=hop,
            now=self._now(),
        )
        return self._adopt(session)

    def restore(self, state: SessionState) -> InviteSession:
        """Go on with a call of an earlier process. Raises LocalError if that is not possible."""
        return self._adopt(self._running().restore(state, self._now()))

    @property
    def counts(self) -> dict[str, int]:
        """Transactions, sessions, connections and messages dropped, and our own faults."""
        return {**self._running().counts, "faults": self.faults}

    # Feeding the endpoint

    def _receive(self, data: bytes, source: Address) -> None:
        try:
            self._running().receive(data, source, self._now())
        except Exception:
            self.faults += 1
            log.exception("sip.message_failed", source=source.host, transport=source.transport, size=len(data))
        self._flush()

    def _connected(self, connection: int) -> None:
        self._running().connection_opened(connection)

    def _disconnected(self, connection: int) -> None:
        if self._endpoint is not None:
            self._endpoint.connection_closed(connection)

    def _admitted(self, connection: int) -> bool:
        return self._running().admitted(connection)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self._running().handle_timeout(self._now())
        except Exception:
            self.faults += 1
            log.exception("sip.timer_failed")
        self._flush()

    def act(self, session: Session, action: Callable[[float], None]) -> None:
        """Perform an action of a session's user and carry out what follows from it."""
        try:
            action(self._now())
        finally:
            self._flush()

    # Carrying out what it says

    def _flush(self) -> None:
        endpoint = self._running()
        while sends := endpoint.take_sends():
            for send in sends:
                try:
                    self._send(send)
                except Exception:
                    self.faults += 1
                    log.exception("sip.send_failed", target=send.target.host, transport=send.target.transport)
                    self._failed(send)
        for happening in endpoint.take_happenings():
            try:
                self._tell(happening)
            except Exception:
                self.faults += 1
                log.exception("sip.hook_failed", happening=type(happening).__name__)
        self._arm()

    def _tell(self, happening: Happening) -> None:
        if isinstance(happening, SessionOffered):
            invite = self._adopt(happening.session)
            try:
                self._on_invite(invite)
            except Exception:
                invite.reject(500)
                raise
        elif isinstance(happening, SessionHappened):
            session = self._sessions.get(happening.session)
            if session is not None:
                session.deliver(happening.event)
                if isinstance(happening.event, Cancelled | Failed | Ended):
                    del self._sessions[happening.session]
        else:
            self._on_refused(happening.facts, happening.status, happening.reason)

    def _adopt(self, session: Session) -> InviteSession:
        invite = InviteSession(self, session)
        self._sessions[session] = invite
        self._flush()
        return invite

    def _send(self, send: Send) -> None:
        target = send.target
        if ip_literal(target.host) is None:
            task = asyncio.ensure_future(self._resolve_and_send(send))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        if target.transport == "udp" and self._udp is not None:
            if not self._udp.send(send.data, target):
                self._failed(send)
        elif target.transport == "tcp" and self._tcp is not None:
            self._tcp.send(send.data, target, lambda: self._failed(send))
        else:
            self._failed(send)

    async def _resolve_and_send(self, send: Send) -> None:
        target = send.target
        try:
            found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port)
        except (OSError, UnicodeError):
            self._failed(send)
            return
        # The system puts first what it can reach best (RFC 6724).
        chosen = next((entry for entry in found if self._udp is not None and self._udp.carries(entry[0])), None)
        if chosen is None:
            self._failed(send)
            return
        host = str(chosen[4][0])
        self._send(Send(send.data, Address(target.transport, host, target.port, target.connection), send.transaction))

    def _failed(self, send: Send) -> None:
        """Tell the transaction, but not from within the call that made it send."""
        if send.transaction is not None and self._loop is not None:
            self._loop.call_soon(self._report_failure, send)

    def _report_failure(self, send: Send) -> None:
        if send.transaction is not None:
            self._running().transport_failed(send.transaction, self._now())
            self._flush()

    def _arm(self) -> None:
        """Have the timer ring no later than the endpoint's deadline."""
        deadline = self._running().deadline
        if deadline is None or self._loop is None:
            return
        if self._timer is not None:
            if self._armed_for <= deadline:
                return
            self._timer.cancel()
        self._armed_for = deadline
        self._timer = self._loop.call_at(deadline, self._on_timer)

    # Small things

    def _running(self) -> Endpoint:
        if self._endpoint is None:
            raise LocalError("the SIP server has not been started")
        return self._endpoint

    def _now(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0

    def _local_host(self, peer: str) -> str:
        if self._advertised is not None:
            return self._advertised
        own = ip_literal(self._host)
        if own is not None and not own.is_unspecified:
            return self._host
        return local_address_towards(peer)


class InviteSession:
    """A call's signalling. Methods act at once and never block; what comes of them arrives by `next_event`.

    A method that comes too late because the call is over does nothing.
    """

    def __init__(self, server: SipServer, session: Session) -> None:
        self._server = server
        self._session = session
        self._events: asyncio.Queue[SessionEvent] = asyncio.Queue()

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self._session.call_id

    @property
    def facts(self) -> RequestFacts:
        """Who calls whom from where, as the INVITE says."""
        return self._session.facts

    @property
    def remote_sdp(self) -> bytes | None:
        """The peer's latest session description; at first the offer in its INVITE."""
        return self._session.remote_sdp

    @property
    def local_sdp(self) -> bytes | None:
        """Our latest session description."""
        return self._session.local_sdp

    @property
    def over(self) -> bool:
        """Whether the call has ended; the event that says how may not have been read yet."""
        return self._session.phase is Phase.ENDED

    def awaits_answer(self, offer: Offer) -> bool:
        """Whether this very `Offer` still waits for its answer; the peer may take it back, and make another."""
        pending = self._session.offer
        return pending is not None and pending.event is offer

    @property
    def state(self) -> SessionState:
        """What `SipServer.restore` takes. Raises LocalError for a call out that was not answered."""
        return self._session.state

    def ring(self, status: int = 180, sdp: bytes | None = None) -> None:
        """Answer provisionally (101–199), with early media if `sdp` is given."""
        self._act(lambda now: self._session.ring(status, sdp, now))

    def accept(self, sdp: bytes) -> None:
        """Answer with 200: `sdp` answers the INVITE's offer, or is ours if it had none."""
        self._act(lambda now: self._session.accept(sdp, now))

    def reject(self, status: int, reason: str | None = None, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Refuse with 300–699."""
        self._act(lambda now: self._session.reject(status, reason, headers, now))

    def bye(self, reason: str | None = None) -> None:
        """End the call, whatever state it is in."""
        self._act(lambda now: self._session.bye(reason, now))

    def cancel(self) -> None:
        """Give up a call out that was not answered."""
        self._act(self._session.cancel)

    def answer_offer(self, sdp: bytes) -> None:
        """Answer the last `Offer` (or make an offer, if it had no description)."""
        self._act(lambda now: self._session.answer_offer(sdp, now))

    def reject_offer(self, status: int = 488) -> None:
        """Refuse the last `Offer`; the call goes on as it was."""
        self._act(lambda now: self._session.reject_offer(status, now))

    def reinvite(self, sdp: bytes | None) -> None:
        """Offer a changed session by re-INVITE; None asks the peer for an offer. Waits its turn if INVITEs cross."""
        self._act(lambda now: self._session.reinvite(sdp, now))

    def info(self, content_type: str, body: bytes) -> None:
        """Send an INFO."""
        self._act(lambda now: self._session.info(content_type, body, now))

    def probe(self) -> None:
        """Ask the peer whether the call is still there: `ProbeAnswered` or `ProbeFailed` follows."""
        self._act(self._session.probe)

    async def next_event(self) -> SessionEvent:
        """The next thing that happens. `Cancelled`, `Failed` and `Ended` are last."""
        return await self._events.get()

    def deliver(self, event: SessionEvent) -> None:
        """Queue an event for `next_event`; INFOs nobody reads are dropped beyond a bound."""
        if isinstance(event, Info) and self._events.qsize() >= _MAX_WAITING_EVENTS:
            return
        self._events.put_nowait(event)

    def _act(self, action: Callable[[float], None]) -> None:
        self._server.act(self._session, action)
