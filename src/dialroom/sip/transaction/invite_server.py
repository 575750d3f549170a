"""INVITE server transaction (RFC 3261 §17.2.1, RFC 6026 §7.1).

INVITE → Proceeding ─ 2xx ──────→ Accepted ─ L ─→ Terminated
                    └ 300–699 ─→ Completed ─ ACK ─→ Confirmed ─ I ─→ Terminated
                                           └ H ─→ Terminated (no ACK came)
"""

from __future__ import annotations

from dialroom.sip.errors import LocalError
from dialroom.sip.message import Request
from dialroom.sip.transaction.machine import Machine, State
from dialroom.sip.transaction.outputs import Deliver, Fail, Output, Transmit
from dialroom.sip.transaction.timers import DEFAULT, Timer, Times


class InviteServerTransaction(Machine):
    """Begins in Proceeding with the INVITE already taken."""

    __slots__ = ("_last",)

    def __init__(self, *, reliable: bool, times: Times = DEFAULT) -> None:
        super().__init__(State.PROCEEDING, reliable=reliable, times=times)
        self._last: bytes | None = None

    def receive(self, request: Request, now: float) -> list[Output]:
        """An INVITE again, or the ACK."""
        if request.method == "ACK":
            return self._receive_ack(request, now)
        # "If a request retransmission is received while in the "Proceeding" state, the most recent provisional
        # response … MUST be passed to the transport layer"; the same for the final response in "Completed".
        if self.state in (State.PROCEEDING, State.COMPLETED) and self._last is not None:
            return [Transmit(self._last)]
        # RFC 6026 §7.1: in Accepted, "any retransmissions of the INVITE are … absorbed".
        return []

    def respond(self, status: int, data: bytes, now: float) -> list[Output]:
        """Send a response. Raises LocalError once a final one other than 2xx has gone."""
        if self.state is State.ACCEPTED and 200 <= status < 300:
            # RFC 6026 §7.1: a 2xx from the TU in Accepted is passed to the transport; retransmitting it is the TU's
            return [Transmit(data)]
        if self.state is not State.PROCEEDING:
            raise LocalError(f"an INVITE in state {self.state.value} takes no {status} response")
        self._last = data
        if status < 200:
            return [Transmit(data)]
        if status < 300:
            self._last = None
            self._enter(State.ACCEPTED, L=now + self.times.timeout)
            return [Transmit(data)]
        self._enter(State.COMPLETED, H=now + self.times.timeout)
        if not self.reliable:
            self._timers[Timer.G] = now + self.interval
        return [Transmit(data)]

    def _receive_ack(self, request: Request, now: float) -> list[Output]:
        if self.state is State.COMPLETED:
            if self.reliable:
                # "Timer I … fires in T4 seconds for unreliable transports, and zero seconds for reliable transports"
                return self._terminate()
            self._last = None
            self._enter(State.CONFIRMED, I=now + self.times.t4)
            return []
        if self.state is State.ACCEPTED:
            # RFC 6026 §7.1: an ACK in Accepted "MUST be passed directly to the TU"
            return [Deliver(request)]
        return []

    def _expired(self, timer: Timer, now: float) -> list[Output]:
        if timer is Timer.G:
            self.interval = min(2 * self.interval, self.times.t2)
            self._timers[Timer.G] = now + self.interval
            return [Transmit(self._last)] if self._last is not None else []
        if timer is Timer.H:
            return [Fail("timeout"), *self._terminate()]
        return self._terminate()
