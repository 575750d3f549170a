"""INVITE client transaction (RFC 3261 §17.1.1, RFC 6026 §7.2).

Calling ─ 1xx ─→ Proceeding ─ 2xx ─────→ Accepted ─ M ─→ Terminated
        └ B, transport error ─→ Terminated
                            └ 300–699 ─→ Completed ─ D ─→ Terminated
"""

from __future__ import annotations

from dialroom.sip.message import Request, Response
from dialroom.sip.transaction.machine import Machine, State
from dialroom.sip.transaction.outputs import Deliver, Fail, Output, Terminate, Transmit
from dialroom.sip.transaction.timers import DEFAULT, Timer, Times

_TIMER_D = 32.0
"""Seconds; "at least 32 seconds for unreliable transports"."""


class InviteClientTransaction(Machine):
    """Begins in Calling; `start` sends the INVITE."""

    __slots__ = ("_ack", "_data", "_request")

    def __init__(self, request: Request, *, reliable: bool, times: Times = DEFAULT) -> None:
        super().__init__(State.CALLING, reliable=reliable, times=times)
        self._request = request
        self._data = bytes(request)
        self._ack = b""

    def start(self, now: float) -> list[Output]:
        """Send the INVITE and start timers A (unreliable transport) and B."""
        self._enter(State.CALLING, B=now + self.times.timeout)
        if not self.reliable:
            self._timers[Timer.A] = now + self.interval
        return [Transmit(self._data)]

    def receive(self, response: Response, now: float) -> list[Output]:
        """A response that matches this transaction."""
        if self.state in (State.CALLING, State.PROCEEDING):
            return self._receive_first(response, now)
        if self.state is State.ACCEPTED and 200 <= response.status < 300:
            # RFC 6026 §7.2: every 2xx, retransmitted or of another fork, is the TU's to acknowledge
            return [Deliver(response)]
        if self.state is State.COMPLETED and response.status >= 300:
            # "Any retransmissions of the final response … MUST cause the ACK to be re-passed to the transport layer"
            return [Transmit(self._ack)]
        return []

    def _receive_first(self, response: Response, now: float) -> list[Output]:
        if response.status < 200:
            # "… the client transaction SHOULD NOT retransmit the request any longer"
            self._enter(State.PROCEEDING)
            return [Deliver(response)]
        if response.status < 300:
            self._enter(State.ACCEPTED, M=now + self.times.timeout)
            return [Deliver(response)]
        self._ack = bytes(ack_for(self._request, response))
        if self.reliable:
            return [Transmit(self._ack), Deliver(response), *self._terminate()]
        self._enter(State.COMPLETED, D=now + _TIMER_D)
        return [Transmit(self._ack), Deliver(response)]

    def _expired(self, timer: Timer, now: float) -> list[Output]:
        if timer is Timer.A:
            self.interval *= 2
            self._timers[Timer.A] = now + self.interval
            return [Transmit(self._data)]
        if timer is Timer.B:
            self._enter(State.TERMINATED)
            return [Fail("timeout"), Terminate()]
        return self._terminate()


def ack_for(request: Request, response: Response) -> Request:
    """The ACK for a final response other than 2xx (RFC 3261 §17.1.1.3): same branch, To of the response."""
    ack = Request("ACK", request.target)
    ack.fields += [field for field in request.fields if field[0] == "via"][:1]
    ack.add("Max-Forwards", "70")
    ack.copy(request, ("from",))
    ack.copy(response, ("to",))
    ack.copy(request, ("call-id", "route"))
    ack.add("CSeq", f"{request.cseq.number} ACK")
    return ack
