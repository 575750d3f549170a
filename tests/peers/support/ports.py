"""Ports for programs of a test."""

from __future__ import annotations

import contextlib
import random
import socket


def free_port(*kinds: int) -> int:
    """A port of 127.0.0.1 that nobody uses for any of these kinds of socket.

    Below 20000, because the system hands out those from 32768 on to whoever asks before the program is ready.
    """
    while True:
        port = random.randrange(10000, 20000)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for kind in kinds:
                probes.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
            return port
