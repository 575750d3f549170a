"""What a session may ask of the endpoint it lives in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dialroom.sip.address import Address
from dialroom.sip.dialog import Dialog, DialogId
from dialroom.sip.message import Request, Response
from dialroom.sip.session.events import SessionEvent
from dialroom.sip.transaction.timers import Times

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK"
"""The methods we take, as the Allow header has them."""


class ServerHandle(Protocol):
    """A server transaction: a request waiting for our response."""

    request: Request
    source: Address
    reply_to: Address

    @property
    def answered(self) -> bool:
        """Whether a final response has gone."""
        ...


class ClientHandle(Protocol):
    """A client transaction: a request of ours. `target` is where it went."""

    request: Request
    target: Address


ResponseHandler = Callable[[Response, Address, float], None]
FailureHandler = Callable[[str, float], None]


class Context(Protocol):
    """The endpoint, as a session sees it. Nothing here blocks or performs I/O: what is sent is queued."""

    times: Times
    user_agent: str

    def token(self) -> str:
        """A fresh random token."""
        ...

    def contact(self, peer: Address) -> str:
        """Our Contact value as `peer` reaches us."""
        ...

    def next_hop(self, dialog: Dialog) -> Address:
        """Where this dialog's requests go, an open stream if there is one."""
        ...

    def request(
        self,
        request: Request,
        target: Address,
        on_response: ResponseHandler,
        on_failure: FailureHandler,
        now: float,
    ) -> ClientHandle:
        """Send a request in a new client transaction; Via is added here. Handlers hear what becomes of it."""
        ...

    def cancel(self, invite: ClientHandle, sip_reason: str | None, now: float) -> None:
        """Send a CANCEL for an INVITE of ours."""
        ...

    def respond(self, transaction: ServerHandle, response: Response, now: float) -> None:
        """Send a response in a server transaction."""
        ...

    def transmit(self, data: bytes, target: Address) -> None:
        """Send bytes outside of any transaction: a 2xx again, or its ACK."""
        ...

    def via(self, request: Request, target: Address) -> None:
        """Put our Via with a fresh branch on top of a request that is sent outside of a transaction."""
        ...

    def emit(self, session: object, event: SessionEvent) -> None:
        """Tell the user what happened."""
        ...

    def bind(self, session: object, dialog_id: DialogId) -> None:
        """Give messages of this dialog to the session from now on. An empty remote tag stands for any."""
        ...

    def release(self, session: object) -> None:
        """The session is over: its dialogs are no longer known."""
        ...

    def reschedule(self, session: object) -> None:
        """The session's deadline has changed."""
        ...
