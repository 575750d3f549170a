"""Non-INVITE client transaction (RFC 3261 §17.1.2).

Trying ─ 1xx ─→ Proceeding ─ 200–699 ─→ Completed ─ K ─→ Terminated
       └ F, transport error ─→ Terminated
"""

from __future__ import annotations

from dialroom.sip.message import Response
from dialroom.sip.transaction.machine import Machine, State
from dialroom.sip.transaction.outputs import Deliver, Fail, Output, Terminate, Transmit
from dialroom.sip.transaction.timers import DEFAULT, Timer, Times


class ClientTransaction(Machine):
    """Begins in Trying; `start` sends the request."""

    __slots__ = ("_request",)

    def __init__(self, request: bytes, *, reliable: bool, times: Times = DEFAULT) -> None:
        super().__init__(State.TRYING, reliable=reliable, times=times)
        self._request = request

    def start(self, now: float) -> list[Output]:
        """Send the request and start timers E (unreliable transport) and F."""
        self._enter(State.TRYING, F=now + self.times.timeout)
        if not self.reliable:
            self._timers[Timer.E] = now + self.interval
        return [Transmit(self._request)]

    def receive(self, response: Response, now: float) -> list[Output]:
        """A response that matches this transaction."""
        if self.state not in (State.TRYING, State.PROCEEDING):
            return []
        if response.status < 200:
            self.state = State.PROCEEDING
            return [Deliver(response)]
        if self.reliable:
            return [Deliver(response), *self._terminate()]
        self._enter(State.COMPLETED, K=now + self.times.t4)
        return [Deliver(response)]

    def _expired(self, timer: Timer, now: float) -> list[Output]:
        if timer is Timer.E:
            # "If timer E fires while in the "Proceeding" state, … timer E MUST be reset with a value of T2"
            doubled = min(2 * self.interval, self.times.t2)
            self.interval = self.times.t2 if self.state is State.PROCEEDING else doubled
            self._timers[Timer.E] = now + self.interval
            return [Transmit(self._request)]
        if timer is Timer.F:
            self._enter(State.TERMINATED)
            return [Fail("timeout"), Terminate()]
        return self._terminate()
