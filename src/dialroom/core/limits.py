"""Limits against crowds and floods: so many at once, or so many in a time, each by name. In memory, and bounded."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import Final

from dialroom.core.clock import Clock

_MANY_NAMES: Final = 4096


class Bucket:
    """Allows ``rate`` per second and ``burst`` at once."""

    def __init__(self, clock: Clock, rate: float, burst: int) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = float(burst)
        self._left = float(burst)
        self._at = clock.monotonic()

    def allow(self) -> bool:
        """Takes one out, if there is one."""
        self._fill()
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    @property
    def wait(self) -> float:
        """Seconds until one can be taken out."""
        self._fill()
        missing = 1.0 - self._left
        return 0.0 if missing <= 0 else missing / self._rate if self._rate else float("inf")

    def _fill(self) -> None:
        now = self._clock.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now


class Buckets:
    """A `Bucket` for each name. The names not heard of for longest are forgotten, and begin with a full one."""

    def __init__(self, clock: Clock, rate: float, burst: int, names: int = _MANY_NAMES) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._names = names
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def of(self, name: str) -> Bucket:
        """The bucket of a name."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(self._clock, self._rate, self._burst)
            if len(self._buckets) > self._names:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return bucket


class Places:
    """So many places for each name. Only the names that hold one are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[str, int] = {}

    def taken(self, name: str) -> int:
        """How many places a name holds."""
        return self._taken.get(name, 0)

    def free(self, name: str) -> bool:
        """Whether there is a place left."""
        return self.taken(name) < self._most

    def take(self, name: str) -> None:
        """Holds one more, also past the limit: ask `free` before."""
        self._taken[name] = self.taken(name) + 1

    def leave(self, name: str) -> None:
        """Gives one back."""
        left = self.taken(name) - 1
        if left > 0:
            self._taken[name] = left
        else:
            self._taken.pop(name, None)


def crowd_name(address: str) -> str | None:
    """What limits per address go by: an IPv4 address, or the /64 an IPv6 address is in, because one line has all of it.

    None for loopback, where a proxy on this machine brings everybody, and for what is no address.
    """
    try:
        parsed = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    if parsed.is_loopback:
        return None
    return str(parsed) if parsed.version == 4 else f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
