"""A SIP user agent, sans-IO: messages in, messages and happenings out, one deadline.

Feed `receive` and `handle_timeout`; afterwards carry out `take_sends()` and tell `take_happenings()`. A message is
matched to a transaction, else to a dialog; what matches neither and would begin something new is first shown to the
admission hook, and refused without leaving more than one line in a bounded table: strangers cost no state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dialroom.sip.address import Address, wire_host
from dialroom.sip.admission import AdmissionHook
from dialroom.sip.auth import Credentials, DigestServer
from dialroom.sip.checks import Rejection, inspect
from dialroom.sip.dialog import Dialog, DialogId
from dialroom.sip.door import Door
from dialroom.sip.errors import LocalError, SipError
from dialroom.sip.facts import RequestFacts, read_facts
from dialroom.sip.happenings import Happening, RequestRefused, SessionHappened, SessionOffered
from dialroom.sip.headers.name_addr import NameAddr, parse_name_addr
from dialroom.sip.headers.via import MAGIC_COOKIE
from dialroom.sip.message import Request, Response, respond_to
from dialroom.sip.parser import check_request, check_response, parse
from dialroom.sip.schedule import Schedule
from dialroom.sip.session import invite as invite_op
from dialroom.sip.session.context import ALLOW, ClientHandle, FailureHandler, ResponseHandler, ServerHandle
from dialroom.sip.session.events import SessionEvent
from dialroom.sip.session.session import Session
from dialroom.sip.session.state import Phase, SessionState
from dialroom.sip.stateless import build_rejection, reply_to, stamp, stateless_tag
from dialroom.sip.text import quote
from dialroom.sip.transaction.timers import DEFAULT, Times
from dialroom.sip.transactions import ClientEntry, Key, Send, ServerEntry, Transactions, merge_key, server_key
from dialroom.sip.uri import OtherUri, SipUri, parse_uri


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """How an endpoint presents itself and what it bears.

    `local_host` gives our address as a peer at the given host reaches us. `tag_key` (random bytes) makes the tags of
    stateless answers. `digest` verifies credentials; without it a Challenge is answered 403. `takes_calls` says whether
    new calls are taken now; the user refuses them, and OPTIONS tells whoever asks beforehand.
    """

    port: int
    token: Callable[[], str]
    tag_key: bytes
    local_host: Callable[[str], str]
    admit: AdmissionHook
    digest: DigestServer | None = None
    takes_calls: Callable[[], bool] = lambda: True
    user_agent: str = "dialroom"
    times: Times = DEFAULT
    max_transactions: int = 60_000
    max_sessions: int = 10_000


class Endpoint:
    """All transactions, dialogs and sessions of one SIP address. It is the `Context` of its sessions."""

    def __init__(self, config: EndpointConfig) -> None:
        self._config = config
        self.times = config.times
        self.user_agent = config.user_agent
        self._schedule = Schedule()
        self._transactions = Transactions(config.times, self._schedule, self._ack_for)
        self._dialogs: dict[DialogId, Session] = {}
        self._bound: dict[Session, list[DialogId]] = {}
        self._connected: dict[int, bool] = {}
        self._happenings: list[Happening] = []
        self._door = Door(config.admit, config.digest, config.token, config.times.timeout)
        self.dropped = 0
        """Messages thrown away: not SIP, answers to nothing, strangers dropped silently."""

    # For the driver

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram, or one message of a stream. Never raises for anything a peer can send."""
        if len(data) <= 4 and not data.strip(b"\r\n\x00"):
            return
        try:
            message = parse(data)
            if isinstance(message, Response):
                self._receive_response(message, source, now)
                return
            check_request(message)
        except SipError as error:
            self._receive_malformed(error, source, now)
            return
        try:
            self._receive_request(message, source, now)
        except SipError as error:
            self._reject(message, source, Rejection(error.status, error.reason))

    @property
    def deadline(self) -> float | None:
        """When to call `handle_timeout`, in monotonic seconds."""
        return self._schedule.next

    def handle_timeout(self, now: float) -> None:
        """Act on every timer that has run out."""
        for timed in self._schedule.due(now):
            if isinstance(timed, Session):
                timed.handle_timeout(now)
            elif isinstance(timed, (ServerEntry, ClientEntry)):
                self._transactions.handle_timeout(timed, now)

    def take_sends(self) -> list[Send]:
        """What is to be sent, in order; the list is handed over."""
        sends, self._transactions.sends = self._transactions.sends, []
        return sends

    def take_happenings(self) -> list[Happening]:
        """What happened, in order; the list is handed over."""
        happenings, self._happenings = self._happenings, []
        return happenings

    def transport_failed(self, transaction: Key, now: float) -> None:
        """A `Send` with this transaction could not be carried out."""
        self._transactions.transport_failed(transaction, now)

    def connection_opened(self, connection: int) -> None:
        """A stream is there for requests in its dialogs."""
        self._connected[connection] = False

    def connection_closed(self, connection: int) -> None:
        """A stream is gone."""
        self._connected.pop(connection, None)

    def admitted(self, connection: int) -> bool:
        """Whether a request that came by this stream was let in, or belongs to a call."""
        return self._connected.get(connection, False)

    @property
    def counts(self) -> dict[str, int]:
        """How many transactions, dialogs and connections there are, and messages dropped."""
        return {
            "transactions": len(self._transactions),
            "sessions": len(self._bound),
            "connections": len(self._connected),
            "dropped": self.dropped,
        }

    def invite(
        self,
        *,
        target: str,
        from_: str | NameAddr,
        sdp: bytes | None,
        headers: Sequence[tuple[str, str]] = (),
        credentials: Credentials | None = None,
        hop: Address | None = None,
        now: float,
    ) -> Session:
        """Call `target`, by way of `hop` if given. Raises LocalError when it is no address that can be called."""
        try:
            uri = parse_uri(target)
            origin = from_ if isinstance(from_, NameAddr) else parse_name_addr(from_)
        except SipError as error:
            raise LocalError(f"not an address that can be called: {error.reason}") from error
        if isinstance(uri, OtherUri) or (hop is None and not isinstance(uri, SipUri)):
            raise LocalError("only a sip: URI can be called directly")
        if hop is None and isinstance(uri, SipUri):
            hop = Address(uri.transport or "udp", uri.host.strip("[]"), uri.port or 5060)
        assert hop is not None  # noqa: S101 - narrowed by the two branches above
        facts = RequestFacts("INVITE", hop.host, hop.port, hop.transport, from_uri=str(origin.uri), to_uri=target)
        session = Session(self, self.token(), facts, Phase.CALLING, self.token(), caller=True)
        session.credentials = credentials
        session.outgoing = invite_op.OutgoingInvite(target, hop, str(origin), sdp, tuple(headers))
        self._bound[session] = []
        invite_op.start(session, now)
        return session

    def restore(self, state: SessionState, now: float) -> Session:
        """Take up a stored session. Raises LocalError if it cannot go on."""
        return Session.restored(self, state, now)

    # Context of the sessions

    def token(self) -> str:
        """A fresh random token."""
        return self._config.token()

    def contact(self, peer: Address) -> str:
        """Our Contact value as `peer` reaches us."""
        transport = "" if peer.transport == "udp" else f";transport={peer.transport}"
        return f"<sip:dialroom@{self._sent_by(peer)}{transport}>"

    def next_hop(self, dialog: Dialog) -> Address:
        """Where this dialog's requests go."""
        try:
            return dialog.next_hop(self._connected)
        except SipError:
            return dialog.flow

    def via(self, request: Request, target: Address) -> None:
        """Put our Via with a fresh branch on top of `request`."""
        branch = MAGIC_COOKIE + self.token()
        value = f"SIP/2.0/{target.transport.upper()} {self._sent_by(target)};branch={branch};rport"
        request.fields.insert(0, ("via", "Via", value))

    def request(
        self,
        request: Request,
        target: Address,
        on_response: ResponseHandler,
        on_failure: FailureHandler,
        now: float,
    ) -> ClientHandle:
        """Send a request in a new client transaction."""
        self.via(request, target)
        return self._transactions.send(request, target, on_response, on_failure, now)

    def cancel(self, invite: ClientHandle, sip_reason: str | None, now: float) -> None:
        """Send a CANCEL: Request-URI, Call-ID, To, CSeq number, From and top Via of the INVITE (§9.1)."""
        request = Request("CANCEL", invite.request.target)
        request.fields += [field for field in invite.request.fields if field[0] == "via"][:1]
        request.add("Max-Forwards", "70")
        request.copy(invite.request, ("from", "to", "call-id", "route"))
        request.add("CSeq", f"{invite.request.cseq.number} CANCEL")
        if sip_reason:
            request.add("Reason", f"SIP;cause=487;text={quote(sip_reason)}")
        self._transactions.send(request, invite.target, lambda *_: None, lambda *_: None, now)

    def respond(self, transaction: ServerHandle, response: Response, now: float) -> None:
        """Send a response in a server transaction."""
        if isinstance(transaction, ServerEntry):
            self._transactions.respond(transaction, response, now)

    def transmit(self, data: bytes, target: Address) -> None:
        """Send bytes outside of any transaction."""
        self._transactions.sends.append(Send(data, target))

    def emit(self, session: object, event: SessionEvent) -> None:
        """Tell what happened to a session."""
        if isinstance(session, Session):
            self._happenings.append(SessionHappened(session, event))

    def bind(self, session: object, dialog_id: DialogId) -> None:
        """Give messages of this dialog to the session."""
        if isinstance(session, Session):
            self._dialogs[dialog_id] = session
            self._bound.setdefault(session, []).append(dialog_id)

    def release(self, session: object) -> None:
        """Forget a session's dialogs, and those INVITEs of it that nobody but its user would have ended."""
        if isinstance(session, Session):
            for invite in session.invites:
                self._transactions.forget_unanswered(invite)
            for dialog_id in self._bound.pop(session, ()):
                self._dialogs.pop(dialog_id, None)

    def reschedule(self, session: object) -> None:
        """A session's deadline has changed."""
        if isinstance(session, Session):
            self._schedule.update(session)

    # Messages

    def _receive_response(self, response: Response, source: Address, now: float) -> None:
        check_response(response)
        if response.cseq.method == "INVITE":
            invite_op.check_final(response)
        if not self._transactions.receive_response(response, source, now):
            self.dropped += 1

    def _receive_malformed(self, error: SipError, source: Address, now: float) -> None:
        request = error.partial
        if not isinstance(request, Request) or request.method == "ACK" or request.get("via") is None:
            self.dropped += 1
            return
        key = tuple(request.get(name) or "" for name in ("via", "call-id", "cseq"))
        facts = read_facts(request, source)
        if self._door.drops(source):
            self.dropped += 1
            self._record_refusal(request, facts, key, Rejection(0, error.reason), now)
        else:
            rejection = Rejection(error.status, error.reason)
            self._reject(request, source, rejection)
            self._record_refusal(request, facts, key, rejection, now)

    def _receive_request(self, request: Request, source: Address, now: float) -> None:
        stamp(request, source)
        entry = self._transactions.servers.get(server_key(request))
        if entry is not None:
            self._transactions.run_server(entry, entry.machine.receive(request, now), now)
        elif request.method == "ACK":
            self._receive_ack(request, now)
        elif request.method == "CANCEL":
            self._receive_cancel(request, source, now)
        elif request.to.tag is not None:
            self._receive_in_dialog(request, source, now)
        else:
            self._receive_new(request, source, now)

    def _session_of(self, request: Request) -> Session | None:
        return self._dialogs.get((request.call_id, request.to.tag or "", request.from_.tag or ""))

    def _receive_ack(self, request: Request, now: float) -> None:
        session = self._session_of(request)
        if session is None:
            # A stray ACK is never answered: it would only be the answer to a stateless refusal of ours.
            self.dropped += 1
            return
        session.receive_ack(request, now)

    def _ack_for(self, _entry: ServerEntry, request: Request, now: float) -> None:
        self._receive_ack(request, now)

    def _receive_cancel(self, request: Request, source: Address, now: float) -> None:
        invite = self._transactions.servers.get(server_key(request, "INVITE"))
        if invite is None or invite.session is None:
            self._reject_stray(request, source, "nothing to cancel")
            return
        entry = self._transactions.serve(request, source, reply_to(request, source))
        self._transactions.respond(entry, respond_to(request, 200, to_tag=invite.session.local_tag), now)
        invite.session.receive_cancel(invite, request, now)

    def _receive_in_dialog(self, request: Request, source: Address, now: float) -> None:
        session = self._session_of(request)
        if session is None:
            self._reject_stray(request, source, "there is no such call")
            return
        self._let_in(source)
        rejection = inspect(request, in_dialog=True)
        # A little more room than for new calls: those who are in can still hang up.
        if rejection is None and len(self._transactions) >= self._config.max_transactions * 5 // 4:
            rejection = _OVERLOADED
        if rejection is None and session.serving >= _MAX_SERVING and request.method != "BYE":
            rejection = _TOO_FAST
        if rejection is not None:
            self._reject(request, source, rejection)
            return
        entry = self._transactions.serve(request, source, reply_to(request, source))
        entry.belongs_to(session)
        with self._answering(entry, session.local_tag, now):
            if request.method == "INVITE":
                self._transactions.respond(entry, respond_to(request, 100), now)
            session.receive(entry, now)

    @contextmanager
    def _answering(self, entry: ServerEntry, tag: str, now: float) -> Iterator[None]:
        """No fault, the peer's or ours, leaves a transaction without a final response: it would never end."""
        request = entry.request
        try:
            yield
        except SipError as error:
            headers = (("Retry-After", "1"),) if error.status == 500 else ()
            self._answer_fault(entry, request, Rejection(error.status, error.reason, headers), tag, now)
        except Exception:
            self._answer_fault(entry, request, Rejection(500, ""), tag, now)
            raise

    def _answer_fault(self, entry: ServerEntry, request: Request, rejection: Rejection, tag: str, now: float) -> None:
        if not entry.answered:
            response = build_rejection(request, rejection, tag=tag, user_agent=self.user_agent)
            self._transactions.respond(entry, response, now)

    def _receive_new(self, request: Request, source: Address, now: float) -> None:
        key = server_key(request)
        refused = self._door.recall(key, now)
        if refused is not None:
            if refused.status:
                self._reject(request, source, refused)
            else:
                self.dropped += 1
            return
        facts = self._door.facts(request, source, now)
        if not self._may_enter(request, facts, source, key, now):
            return
        self._let_in(source)
        rejection = inspect(request, in_dialog=False) or self._merged(request) or self._overloaded(request)
        if rejection is not None:
            self._reject(request, source, rejection)
            self._record_refusal(request, facts, key, rejection, now)
        elif request.method == "OPTIONS":
            self._reject(request, source, _CAPABLE if self._config.takes_calls() else _UNAVAILABLE)
        else:
            self._offer(request, facts, source, now)

    def _let_in(self, source: Address) -> None:
        if source.connection in self._connected:
            self._connected[source.connection] = True

    def _may_enter(self, request: Request, facts: RequestFacts, source: Address, key: Key, now: float) -> bool:
        refusal = self._door.ask(facts, now)
        if refusal is None:
            return True
        if refusal.rejection is None:
            self.dropped += 1
            self._record_refusal(request, facts, key, Rejection(0, refusal.reason), now)
            return False
        self._reject(request, source, refusal.rejection)
        if refusal.final:
            self._record_refusal(request, facts, key, refusal.rejection._replace(reason=refusal.reason), now)
        return False

    def _offer(self, request: Request, facts: RequestFacts, source: Address, now: float) -> None:
        entry = self._transactions.serve(request, source, reply_to(request, source))
        with self._answering(entry, stateless_tag(request, self._config.tag_key), now):
            entry.belongs_to(Session.incoming(self, entry, facts))
            self._transactions.respond(entry, respond_to(request, 100), now)
            if entry.session is not None:
                self._happenings.append(SessionOffered(entry.session))
        if entry.session is None:
            self._happenings.append(RequestRefused(facts, 400, "the INVITE cannot found a dialog"))

    def _record_refusal(self, request: Request, facts: RequestFacts, key: Key, refusal: Rejection, now: float) -> None:
        if self._door.remember(key, refusal, now) and request.method == "INVITE":
            self._happenings.append(RequestRefused(facts, refusal.status, refusal.reason))

    def _merged(self, request: Request) -> Rejection | None:
        """§8.2.2.2: the same request by another path is answered 482."""
        if merge_key(request) in self._transactions.merged:
            return Rejection(482, "this request came by another way already")
        return None

    def _overloaded(self, request: Request) -> Rejection | None:
        config = self._config
        # §11.2 on OPTIONS: "the response code chosen MUST be the same that would have been chosen had the request been
        # an INVITE"
        if request.method in ("INVITE", "OPTIONS") and (
            len(self._transactions) >= config.max_transactions or len(self._bound) >= config.max_sessions
        ):
            return _OVERLOADED
        return None

    def _reject(self, request: Request, source: Address, rejection: Rejection) -> None:
        """Answer without a transaction: the same request always gets the same answer."""
        tag = stateless_tag(request, self._config.tag_key)
        data = bytes(build_rejection(request, rejection, tag=tag, user_agent=self.user_agent))
        self.transmit(data, reply_to(request, source))

    def _reject_stray(self, request: Request, source: Address, reason: str) -> None:
        """481 for what belongs to nothing here; silence for those who are to hear nothing."""
        if self._door.drops(source):
            self.dropped += 1
        else:
            self._reject(request, source, Rejection(481, reason))

    def _sent_by(self, peer: Address) -> str:
        return f"{wire_host(self._config.local_host(peer.host))}:{self._config.port}"


_MAX_SERVING = 512
"""Transactions of one call: keys pressed ten times a second, each remembered for 32 s, are 320."""
_TOO_FAST = Rejection(500, "too many requests at once in one call", (("Retry-After", "5"),))
_OVERLOADED = Rejection(503, "too many calls at once", (("Retry-After", "5"),))
_UNAVAILABLE = Rejection(503, "no calls are taken now", (("Retry-After", "5"),))
_CAPABLE = Rejection(
    200,
    "what we can do (§11.2)",
    (("Allow", ALLOW), ("Accept", "application/sdp"), ("Accept-Encoding", "identity"), ("Supported", "100rel")),
)
