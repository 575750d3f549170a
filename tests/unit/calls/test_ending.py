import pytest

from dialroom.calls.ending import hung_up_by_us, refused, signalled
from dialroom.core.ending import Ending
from dialroom.sip.session.events import Cancelled, Ended, Failed


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Ended("", "remote"), Ending("completed", "caller_hung_up", 200, "caller")),
        (Ended("", "timeout"), Ending("failed", "no_ack", 200, "network")),
        (Cancelled(), Ending("cancelled", "caller_cancelled", 487, "caller")),
        (Failed(486, "Busy Here"), Ending("busy", "busy", 486, "callee")),
        (Failed(408, "Request Timeout"), Ending("no_answer", "no_answer", 408, "callee")),
        (Failed(503, "Service Unavailable"), Ending("failed", "call_refused", 503, "network")),
        (Failed(404, "Not Found"), Ending("failed", "call_refused", 404, "callee")),
    ],
)
def test_what_the_signalling_said_last_is_told_apart(event: Cancelled | Ended | Failed, expected: Ending) -> None:
    assert signalled(event) == expected


@pytest.mark.parametrize(
    ("reason", "result", "by"),
    [
        ("removed", "completed", "host"),
        ("session_ended", "completed", "host"),
        ("wrong_code", "completed", "server"),
        ("media_lost", "failed", "server"),
        ("connection_lost", "failed", "network"),
        ("internal_error", "failed", "server"),
    ],
)
def test_a_call_we_hung_up_says_who_wanted_it(reason: str, result: str, by: str) -> None:
    assert hung_up_by_us(reason) == Ending(result, reason, 200, by)  # type: ignore[arg-type]


def test_a_refusal_keeps_its_status_and_a_silent_drop_has_none() -> None:
    assert refused(403, "stranger") == Ending("rejected", "stranger", 403, "server")
    assert refused(0, "stranger").sip_code is None
