"""Ports for programs of a test."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket

_given: set[int] = set()
_ranges = itertools.count(random.randrange(1000))


def free_port(*kinds: int) -> int:
    """A port of 127.0.0.1 that nobody uses for any of these kinds of socket (datagrams and streams, if none is named),
    and that was not given out before: who got it may not listen there yet.

    Below 20000, because the system hands out those from 32768 on to whoever asks before the program is ready.
    """
    while True:
        port = random.randrange(10000, 20000)
        if port in _given:
            continue
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for kind in kinds or (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                probes.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
            _given.add(port)
            return port


def media_ports(low: int, high: int, count: int) -> tuple[int, int]:
    """The first and the last of ``count`` ports from ``low`` to ``high`` that nobody uses, other ones each time until
    all were given."""
    ranges = (high - low) // count
    for number in itertools.islice(_ranges, ranges):
        first = low + number % ranges * count
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for port in range(first, first + count):
                probes.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(("0.0.0.0", port))
            return first, first + count - 1
    raise RuntimeError(f"no {count} ports in a row are free from {low} to {high}")
