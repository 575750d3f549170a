"""Timers by the names RFC 3261 (table 4) and RFC 6026 give them, as data. Seconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Timer(Enum):
    """Why a transaction's deadline is set."""

    A = "INVITE request retransmission, unreliable transport"
    B = "INVITE transaction timeout"
    D = "wait for retransmitted final responses to INVITE"
    E = "non-INVITE request retransmission, unreliable transport"
    F = "non-INVITE transaction timeout"
    G = "INVITE final response retransmission"
    H = "wait for ACK"
    I = "wait for retransmitted ACKs"  # noqa: E741
    J = "wait for retransmitted non-INVITE requests"
    K = "wait for retransmitted responses to non-INVITE"
    L = "wait for retransmitted INVITEs after a 2xx (RFC 6026)"
    M = "wait for retransmitted or forked 2xx (RFC 6026)"


class Deadline(NamedTuple):
    """When `handle_timeout` is to be called, and because of which timer."""

    at: float
    timer: Timer


@dataclass(frozen=True, slots=True)
class Times:
    """T1 (round trip), T2 (longest retransmission interval) and T4 (longest life of a message), RFC 3261 table 4."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def timeout(self) -> float:
        """64*T1: how long a transaction is tried (timers B, F, H, J, L, M)."""
        return 64 * self.t1


DEFAULT = Times()
