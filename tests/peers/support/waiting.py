"""Waiting for something that will be true, without sleeping longer than needed."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(true: Callable[[], object], seconds: float, otherwise: Callable[[], str], pause: float = 0.05) -> None:
    """Returns when ``true`` says so; fails with ``otherwise`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise())
        time.sleep(pause)
