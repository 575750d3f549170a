"""The transactions of an endpoint: found by key, and their outputs carried out (RFC 3261 §17.1.3, §17.2.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dialroom.sip.address import Address
from dialroom.sip.headers.via import MAGIC_COOKIE
from dialroom.sip.message import Request, Response
from dialroom.sip.schedule import Schedule
from dialroom.sip.session.context import ClientHandle, FailureHandler, ResponseHandler
from dialroom.sip.session.session import Session
from dialroom.sip.transaction.client import ClientTransaction
from dialroom.sip.transaction.invite_client import InviteClientTransaction
from dialroom.sip.transaction.invite_server import InviteServerTransaction
from dialroom.sip.transaction.machine import State
from dialroom.sip.transaction.outputs import Deliver, Fail, Output, Transmit
from dialroom.sip.transaction.server import ServerTransaction
from dialroom.sip.transaction.timers import Times

Key = tuple[str, ...]
_FORGOTTEN = Request("", "")
"""Stands for a request that has its final response: it is not kept for the 32 s its transaction lives on."""


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the wire. `transaction` names who must hear if they cannot be sent."""

    data: bytes
    target: Address
    transaction: Key | None = None


@dataclass(slots=True, eq=False, repr=False)
class ServerEntry:
    """A request of a peer's, waiting for our response or remembered for its retransmissions."""

    key: Key
    machine: InviteServerTransaction | ServerTransaction
    request: Request
    source: Address
    reply_to: Address
    merge_key: Key | None = None
    session: Session | None = None
    answered: bool = False
    scheduled: float | None = None

    def belongs_to(self, session: Session) -> None:
        """Note which call the request is of."""
        self.session = session
        session.serving += 1

    @property
    def deadline(self) -> float | None:
        """When its machine wants to be woken."""
        deadline = self.machine.deadline
        return None if deadline is None else deadline.at


@dataclass(slots=True, eq=False, repr=False)
class ClientEntry:
    """A request of ours, waiting for responses."""

    key: Key
    machine: InviteClientTransaction | ClientTransaction
    request: Request
    target: Address
    on_response: ResponseHandler
    on_failure: FailureHandler
    scheduled: float | None = None

    @property
    def deadline(self) -> float | None:
        """When its machine wants to be woken."""
        deadline = self.machine.deadline
        return None if deadline is None else deadline.at


def server_key(request: Request, method: str | None = None) -> Key:
    """What matches a request to its transaction. An ACK is matched to its INVITE.

    §17.2.3: branch, sent-by and method; a peer of RFC 2543 has no unique branch and is known by the rest.
    """
    if method is None:
        method = "INVITE" if request.method == "ACK" else request.method
    via = request.via
    if via.unique:
        return (via.branch or "", via.sent_by, method)
    return (request.call_id, request.from_.tag or "", str(request.cseq.number), via.sent_by, via.branch or "", method)


def merge_key(request: Request) -> Key:
    """What two paths of one forked request have in common (§8.2.2.2)."""
    return (request.call_id, request.from_.tag or "", str(request.cseq.number), request.method)


@dataclass(slots=True)
class Transactions:
    """All transactions. `deliver` and `failed` hear of ACKs and of INVITEs whose response was never acknowledged."""

    times: Times
    schedule: Schedule
    on_ack: Callable[[ServerEntry, Request, float], None]
    servers: dict[Key, ServerEntry] = field(default_factory=dict)
    clients: dict[Key, ClientEntry] = field(default_factory=dict)
    merged: dict[Key, ServerEntry] = field(default_factory=dict)
    sends: list[Send] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.servers) + len(self.clients)

    def serve(self, request: Request, source: Address, reply_to: Address) -> ServerEntry:
        """A server transaction for a request just received."""
        reliable = source.reliable
        machine: InviteServerTransaction | ServerTransaction
        if request.method == "INVITE":
            machine = InviteServerTransaction(reliable=reliable, times=self.times)
        else:
            machine = ServerTransaction(reliable=reliable, times=self.times)
        entry = ServerEntry(server_key(request), machine, request, source, reply_to)
        self.servers[entry.key] = entry
        if request.to.tag is None:
            entry.merge_key = merge_key(request)
            self.merged[entry.merge_key] = entry
        return entry

    def respond(self, entry: ServerEntry, response: Response, now: float) -> None:
        """Send a response; nothing when the transport has failed the transaction before."""
        if response.status >= 200:
            entry.answered = True
        if entry.machine.state is not State.TERMINATED:
            self.run_server(entry, entry.machine.respond(response.status, bytes(response), now), now)
        if entry.answered:
            entry.request = _FORGOTTEN

    def send(
        self, request: Request, target: Address, on_response: ResponseHandler, on_failure: FailureHandler, now: float
    ) -> ClientEntry:
        """A client transaction for a request of ours, which has its Via."""
        machine: InviteClientTransaction | ClientTransaction
        if request.method == "INVITE":
            machine = InviteClientTransaction(request, reliable=target.reliable, times=self.times)
        else:
            machine = ClientTransaction(bytes(request), reliable=target.reliable, times=self.times)
        key = (request.via.branch or "", request.method)
        entry = ClientEntry(key, machine, request, target, on_response, on_failure)
        self.clients[key] = entry
        self.run_client(entry, machine.start(now), target, now)
        return entry

    def forget_unanswered(self, handle: ClientHandle) -> None:
        """Give up an INVITE without a final response: "Proceeding" has no timer that would (§17.1.1.2)."""
        if isinstance(handle, ClientEntry) and handle.machine.state in (State.CALLING, State.PROCEEDING):
            self.clients.pop(handle.key, None)
            handle.machine.abandon()

    def receive_response(self, response: Response, source: Address, now: float) -> bool:
        """Give a response to its transaction; False when there is none."""
        branch = response.via.branch or ""
        if not branch.startswith(MAGIC_COOKIE):
            return False
        entry = self.clients.get((branch, response.cseq.method))
        if entry is None:
            return False
        self.run_client(entry, entry.machine.receive(response, now), source, now)
        return True

    def handle_timeout(self, entry: ServerEntry | ClientEntry, now: float) -> None:
        """The deadline of a transaction has come."""
        outputs = entry.machine.handle_timeout(now)
        if isinstance(entry, ServerEntry):
            self.run_server(entry, outputs, now)
        else:
            self.run_client(entry, outputs, entry.target, now)

    def transport_failed(self, key: Key, now: float) -> None:
        """What a transaction sent could not be sent."""
        if (client := self.clients.get(key)) is not None:
            self.run_client(client, client.machine.transport_failed(now), client.target, now)
        elif (server := self.servers.get(key)) is not None:
            self.run_server(server, server.machine.transport_failed(now), now)

    def run_server(self, entry: ServerEntry, outputs: list[Output], now: float) -> None:
        """Carry out what a server transaction wants."""
        for output in outputs:
            if isinstance(output, Transmit):
                self.sends.append(Send(output.data, entry.reply_to, entry.key))
            elif isinstance(output, Deliver):
                if isinstance(output.message, Request):
                    self.on_ack(entry, output.message, now)
            elif not isinstance(output, Fail):
                # A final response that nobody acknowledged changes nothing for us: the session is over already.
                if self.servers.pop(entry.key, None) is not None and entry.session is not None:
                    entry.session.serving -= 1
                if entry.merge_key is not None:
                    self.merged.pop(entry.merge_key, None)
        self.schedule.update(entry)

    def run_client(self, entry: ClientEntry, outputs: list[Output], source: Address, now: float) -> None:
        """Carry out what a client transaction wants."""
        for output in outputs:
            if isinstance(output, Transmit):
                self.sends.append(Send(output.data, entry.target, entry.key))
            elif isinstance(output, Deliver):
                if isinstance(output.message, Response):
                    entry.on_response(output.message, source, now)
            elif isinstance(output, Fail):
                entry.on_failure(output.reason, now)
            else:
                self.clients.pop(entry.key, None)
        self.schedule.update(entry)
