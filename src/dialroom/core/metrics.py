"""Counters the control plane keeps; ``/metrics`` writes them out."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

SESSIONS = Gauge("dialroom_sessions", "Sessions running now", registry=REGISTRY)
PARTICIPANTS = Gauge("dialroom_participants", "Participants in sessions now", ["kind"], registry=REGISTRY)
PARTICIPANTS_JOINED = Counter(
    "dialroom_participants_joined", "Participants who entered a session", ["kind"], registry=REGISTRY
)
ENTRIES_REFUSED = Counter("dialroom_entries_refused", "Entries into rooms refused", ["code"], registry=REGISTRY)
WRONG_CODES = Counter("dialroom_wrong_codes", "Wrong dial-in codes and PINs", registry=REGISTRY)
GUESSERS_BLOCKED = Counter(
    "dialroom_guessers_blocked", "Tries turned away after too many wrong ones", ["scope"], registry=REGISTRY
)
WEBHOOK_ATTEMPTS = Counter("dialroom_webhook_attempts", "Webhook requests sent", ["result"], registry=REGISTRY)
WEBHOOK_SECONDS = Histogram("dialroom_webhook_seconds", "Time a webhook receiver took", registry=REGISTRY)
STORE_SECONDS = Histogram(
    "dialroom_store_seconds",
    "Time in the database, queue included",
    ["kind"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
    registry=REGISTRY,
)
CALLS = Counter("dialroom_calls", "Calls that ended", ["direction", "result", "reason"], registry=REGISTRY)
CALLS_RUNNING = Gauge("dialroom_calls_running", "Calls running now", registry=REGISTRY)
