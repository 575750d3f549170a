"""Any request of ours within the dialog (RFC 3261 §12.2.1), with one answer to a digest challenge (§22)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dialroom.sip.address import Address
from dialroom.sip.auth import answer_challenge, parse_digest
from dialroom.sip.errors import SipError
from dialroom.sip.message import Request, Response
from dialroom.sip.session import bye
from dialroom.sip.session.context import ClientHandle
from dialroom.sip.session.events import Ended
from dialroom.sip.session.state import Phase

if TYPE_CHECKING:
    from dialroom.sip.session.session import Session

FinalHandler = Callable[[Response | None, int, Address, float], None]
"""(response, status, source, now); without a response the status is 408 (silence) or 503 (transport)."""


@dataclass(slots=True)
class DialogRequest:
    """One request and what to do with its final response. A 2xx to INVITE may be handed over more than once."""

    session: Session
    method: str
    on_final: FinalHandler
    headers: Sequence[tuple[str, str]] = ()
    content_type: str = ""
    body: bytes = b""
    challenged: bool = False
    request: Request | None = None
    handle: ClientHandle | None = None

    def send(self, now: float, authorization: tuple[str, str] | None = None) -> None:
        """Send it, with the next CSeq."""
        session = self.session
        if session.dialog is None:
            return
        session.dialog, request = session.dialog.next_request(self.method)
        target = session.context.next_hop(session.dialog)
        if self.method in ("INVITE", "UPDATE"):
            request.add("Contact", session.context.contact(target))
            request.add("Supported", "100rel")
        for name, value in (*self.headers, ("User-Agent", session.context.user_agent)):
            request.add(name, value)
        if authorization is not None:
            request.add(*authorization)
        if self.body:
            request.set_body(self.content_type, self.body)
        self.request = request
        self.handle = session.context.request(request, target, self.receive, self.fail, now)

    def receive(self, response: Response, source: Address, now: float) -> None:
        """A response."""
        if response.status < 200:
            return
        if response.status in (401, 407) and not self.challenged and self.request is not None:
            authorization = authorize(self.session, self.request, response)
            if authorization is not None:
                self.challenged = True
                self.send(now, authorization)
                return
        self.on_final(response, response.status, source, now)

    def fail(self, reason: str, now: float) -> None:
        """No response will come."""
        dialog = self.session.dialog
        if dialog is not None:
            self.on_final(None, 408 if reason == "timeout" else 503, dialog.flow, now)


def send(
    session: Session,
    method: str,
    now: float,
    on_final: FinalHandler,
    *,
    headers: Sequence[tuple[str, str]] = (),
    content_type: str = "",
    body: bytes = b"",
) -> DialogRequest:
    """Send a request in the session's dialog."""
    pending = DialogRequest(session, method, on_final, headers, content_type, body)
    pending.send(now)
    return pending


def authorize(session: Session, request: Request, response: Response) -> tuple[str, str] | None:
    """The header that answers a 401 or 407, None when we have nothing for it.

    The realm that first asked is the only one that ever gets them.
    """
    if session.credentials is None:
        return None
    proxy = response.status == 407
    challenges = response.all("proxy-authenticate" if proxy else "www-authenticate")
    value = answer_challenge(
        challenges, session.credentials, method=request.method, uri=request.target, cnonce=session.context.token()
    )
    if value is None:
        return None
    if session.credentials.realm is None:
        session.credentials = replace(session.credentials, realm=parse_digest(value)["realm"])
    return ("Proxy-Authorization" if proxy else "Authorization", value)


def call_lost(session: Session, status: int, now: float) -> bool:
    """Whether this status means that the call is gone (§12.2.1.2); if so the session ends here."""
    if status not in (408, 481) or session.phase is Phase.ENDED:
        return False
    if status == 481:
        session.finish(Ended("the peer does not know the call any more", "remote"), now)
        session.context.release(session)
    else:
        session.finish(Ended("the peer does not answer any more", "timeout"), now)
        bye.send(session, None, now)
    return True


def refresh_target(session: Session, response: Response, source: Address) -> None:
    """Take the remote target from a 2xx to INVITE or UPDATE; a malformed Contact leaves it as it was."""
    if session.dialog is None:
        return
    try:
        session.dialog = session.dialog.refresh(response, source)
    except SipError:
        return
