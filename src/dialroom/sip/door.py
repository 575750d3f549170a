"""Who comes in: credentials, the admission hook, and a bounded memory of who was turned away.

A refused stranger costs one short line in a table of `REMEMBERED`, however long its request: retransmissions are
answered alike, without asking the hook or recording the refusal twice. It is forgotten when no retransmission can come
any more: some peers use a branch again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from dialroom.sip.address import Address
from dialroom.sip.admission import AdmissionHook, Admit, Challenge, Drop, Refuse
from dialroom.sip.auth import DigestServer
from dialroom.sip.checks import Rejection
from dialroom.sip.facts import RequestFacts, read_facts
from dialroom.sip.message import Request

REMEMBERED: Final = 4096


class Refusal(NamedTuple):
    """A stranger is not let in. `rejection` None: no answer. `final` False: it may come back with credentials."""

    rejection: Rejection | None
    reason: str
    final: bool = True


class Door:
    """Asks the hook. `digest` verifies credentials and makes challenges; without it a Challenge becomes 403."""

    def __init__(
        self, admit: AdmissionHook, digest: DigestServer | None, token: Callable[[], str], memory: float
    ) -> None:
        self._admit = admit
        self._digest = digest
        self._token = token
        self._memory = memory
        self._refused: OrderedDict[bytes, tuple[float, Rejection]] = OrderedDict()

    def facts(self, request: Request, source: Address, now: float) -> RequestFacts:
        """The facts of a request, with what its credentials prove."""
        facts = read_facts(request, source)
        if self._digest is None or not (given := request.all("authorization")):
            return facts
        verdict = self._digest.verify(given, method=request.method, uri=request.target, now=now)
        authenticated = verdict.username if verdict.outcome == "good" else None
        return msgspec.structs.replace(
            facts, authorization=verdict.outcome, authenticated=authenticated, realm=verdict.realm
        )

    def ask(self, facts: RequestFacts, now: float) -> Refusal | None:
        """None to let it in."""
        admission = self._admit(facts)
        if isinstance(admission, Admit):
            return None
        if isinstance(admission, Drop):
            return Refusal(None, admission.reason)
        if isinstance(admission, Refuse):
            return Refusal(Rejection(admission.status, ""), admission.reason)
        return self._challenge(admission, facts, now)

    def drops(self, source: Address) -> bool:
        """Whether who sends what is malformed or of no call is to hear nothing.

        The hook hears of the sender alone: no request is let in or challenged here.
        """
        return isinstance(self._admit(read_facts(None, source)), Drop)

    def recall(self, key: tuple[str, ...], now: float) -> Rejection | None:
        """What a request with this key was refused with (status 0: silence), None if it is new."""
        until, rejection = self._refused.get(_short(key), (now, None))
        return rejection if until > now else None

    def remember(self, key: tuple[str, ...], rejection: Rejection, now: float) -> bool:
        """Keep a refusal for `memory` seconds; False when it was kept already."""
        if self.recall(key, now) is not None:
            return False
        short = _short(key)
        self._refused[short] = (now + self._memory, rejection)
        self._refused.move_to_end(short)
        if len(self._refused) > REMEMBERED:
            self._refused.popitem(last=False)
        return True

    def _challenge(self, challenge: Challenge, facts: RequestFacts, now: float) -> Refusal:
        if self._digest is None:
            return Refusal(Rejection(403, ""), "digest is not configured here")
        values = self._digest.challenge(challenge.realm, self._token(), now, stale=facts.authorization == "stale")
        headers = tuple(("WWW-Authenticate", value) for value in values)
        return Refusal(Rejection(401, "", headers), "credentials are needed", final=False)


def _short(key: tuple[str, ...]) -> bytes:
    return hashlib.blake2b("\n".join(key).encode("utf-8", "surrogateescape"), digest_size=16).digest()
