"""Calls that are challenged for credentials, from both ends."""

from __future__ import annotations

from dialroom.sip.admission import Admission, Admit, Challenge
from dialroom.sip.auth import Credentials, DigestServer
from dialroom.sip.facts import RequestFacts
from dialroom.sip.message import Response
from dialroom.sip.session.events import (
    Answered,
    Failed,
)
from tests.unit.sip.pair import ANSWER, Pair, make_side


def password(_realm: str, username: str) -> str | None:
    """The one user there is."""
    return "secret" if username == "alice" else None


def challenging(facts: RequestFacts) -> Admission:
    """Lets in who is authenticated, asks everybody else."""
    return Admit() if facts.authenticated == "alice" else Challenge("dialroom")


def test_a_challenge_is_answered_once_with_credentials() -> None:
    bob = make_side("10.0.0.2", admit=challenging, digest=DigestServer(b"key" * 10, password))
    pair = Pair(bob=bob)
    caller = pair.call(credentials=Credentials("alice", "secret"))
    pair.run(1)
    assert [type(message) for message in pair.sent("401 INVITE")] == [Response]
    assert bob.offered[0].facts.authenticated == "alice"
    authorization = pair.sent("INVITE")[1].get("authorization") or ""
    assert "algorithm=SHA-256" in authorization
    bob.offered[0].accept(ANSWER, pair.now)
    pair.run(1)
    assert pair.sent("ACK")[-1].get("authorization") == authorization
    assert pair.alice.of(caller) == [Answered(ANSWER)]


def test_a_wrong_password_fails_after_one_try_and_leaves_nothing_behind() -> None:
    bob = make_side("10.0.0.2", admit=challenging, digest=DigestServer(b"key" * 10, password))
    pair = Pair(bob=bob)
    caller = pair.call(credentials=Credentials("alice", "wrong"))
    pair.run(1)
    assert pair.alice.of(caller) == [Failed(401, "Unauthorized")]
    assert len(pair.sent("INVITE")) == 2
    assert bob.endpoint.counts["transactions"] == 0


def test_credentials_never_go_to_another_realm() -> None:
    bob = make_side("10.0.0.2", admit=challenging, digest=DigestServer(b"key" * 10, password))
    pair = Pair(bob=bob)
    caller = pair.call(credentials=Credentials("alice", "secret", realm="carrier"))
    pair.run(1)
    assert pair.alice.of(caller) == [Failed(401, "Unauthorized")]
    assert len(pair.sent("INVITE")) == 1
