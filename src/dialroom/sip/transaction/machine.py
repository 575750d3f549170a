"""What the four machines share: a state, and timers of which the earliest is the one deadline."""

from __future__ import annotations

from enum import Enum

from dialroom.sip.transaction.outputs import Fail, Output, Terminate
from dialroom.sip.transaction.timers import DEFAULT, Deadline, Timer, Times


class State(Enum):
    """States as RFC 3261 §17 and RFC 6026 name them."""

    CALLING = "Calling"
    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    COMPLETED = "Completed"
    CONFIRMED = "Confirmed"
    ACCEPTED = "Accepted"
    TERMINATED = "Terminated"


class Machine:
    """A transaction. `reliable` tells whether its transport retransmits by itself."""

    __slots__ = ("_timers", "interval", "reliable", "state", "times")

    def __init__(self, state: State, *, reliable: bool, times: Times = DEFAULT) -> None:
        self.state = state
        self.reliable = reliable
        self.times = times
        self.interval = times.t1
        self._timers: dict[Timer, float] = {}

    @property
    def deadline(self) -> Deadline | None:
        """The next moment at which `handle_timeout` has something to do, or None."""
        timers = self._timers
        if not timers:
            return None
        timer = min(timers, key=timers.__getitem__)
        return Deadline(timers[timer], timer)

    def handle_timeout(self, now: float) -> list[Output]:
        """Act on every timer that has run out by `now`."""
        outputs: list[Output] = []
        while (deadline := self.deadline) is not None and deadline.at <= now:
            del self._timers[deadline.timer]
            outputs += self._expired(deadline.timer, now)
        return outputs

    def transport_failed(self, now: float) -> list[Output]:
        """The transport could not take what we sent (RFC 3261 §17.1.4, §17.2.4)."""
        if self.state in (State.TERMINATED, State.CONFIRMED, State.ACCEPTED):
            return []
        return [Fail("transport"), *self._terminate()]

    def abandon(self) -> None:
        """End at once, and send nothing more."""
        self._enter(State.TERMINATED)

    def _enter(self, state: State, **timers: float) -> None:
        """Change state; timers of the old one stop, those given start."""
        self.state = state
        self._timers = {Timer[name]: at for name, at in timers.items()}

    def _terminate(self) -> list[Output]:
        self._enter(State.TERMINATED)
        return [Terminate()]

    def _expired(self, timer: Timer, now: float) -> list[Output]:
        raise NotImplementedError
