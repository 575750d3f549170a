"""Non-INVITE server transaction (RFC 3261 §17.2.2).

request → Trying ─ 1xx ─→ Proceeding ─ 200–699 ─→ Completed ─ J ─→ Terminated
"""

from __future__ import annotations

from dialroom.sip.errors import LocalError
from dialroom.sip.message import Request
from dialroom.sip.transaction.machine import Machine, State
from dialroom.sip.transaction.outputs import Output, Transmit
from dialroom.sip.transaction.timers import DEFAULT, Timer, Times


class ServerTransaction(Machine):
    """Begins in Trying with the request already taken."""

    __slots__ = ("_last",)

    def __init__(self, *, reliable: bool, times: Times = DEFAULT) -> None:
        super().__init__(State.TRYING, reliable=reliable, times=times)
        self._last: bytes | None = None

    def receive(self, _request: Request, _now: float) -> list[Output]:
        """The request again: "in the "Trying" state, any further request retransmissions are discarded"."""
        if self.state in (State.PROCEEDING, State.COMPLETED) and self._last is not None:
            return [Transmit(self._last)]
        return []

    def respond(self, status: int, data: bytes, now: float) -> list[Output]:
        """Send a response. Raises LocalError after a final one."""
        if self.state not in (State.TRYING, State.PROCEEDING):
            raise LocalError(f"a request in state {self.state.value} takes no {status} response")
        self._last = data
        if status < 200:
            self._enter(State.PROCEEDING)
            return [Transmit(data)]
        if self.reliable:
            # "Timer J … 64*T1 seconds for unreliable transports, and zero seconds for reliable transports"
            return [Transmit(data), *self._terminate()]
        self._enter(State.COMPLETED, J=now + self.times.timeout)
        return [Transmit(data)]

    def _expired(self, _timer: Timer, _now: float) -> list[Output]:
        return self._terminate()
