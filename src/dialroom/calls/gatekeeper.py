"""Who may come in: the gateways of all organisations, kept at hand, because SIP asks before anything can be awaited."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import structlog

from dialroom.core.clock import Clock, SystemClock
from dialroom.core.errors import StoreUnavailable
from dialroom.rooms.ports import GatewayStore
from dialroom.rooms.values import Gateway
from dialroom.routing.gateways import Admission, Admitted, MustAuthenticate, Network, admit
from dialroom.sip.admission import Admission as SipAdmission
from dialroom.sip.admission import Admit, Challenge, Drop, Refuse
from dialroom.sip.facts import RequestFacts

REALM = "dialroom"
PATIENCE: Final = 32.0
"""Seconds (64 × T1 of RFC 3261) in which a challenged call comes back with credentials, or does not."""
MANY_CHALLENGED: Final = 1024
_log = structlog.get_logger("dialroom.calls")


class Gatekeeper:
    """Answers SIP's question whether to let a request in. ``strangers``: ``403`` or ``drop``."""

    def __init__(
        self, store: GatewayStore, allowed: Sequence[Network], strangers: str, clock: Clock | None = None
    ) -> None:
        self._store = store
        self._allowed = tuple(allowed)
        self._silent = strangers == "drop"
        self._gateways: tuple[Gateway, ...] = ()
        self._clock = clock or SystemClock()
        self._challenged: OrderedDict[tuple[str, str], tuple[float, RequestFacts]] = OrderedDict()

    async def refresh(self) -> None:
        """Reads the gateways again. Call at start and after each change of one."""
        self._gateways = await self._store.list()

    async def keep_fresh(self, clock: Clock, every: float = 5.0) -> None:
        """Runs `refresh` for ever; changes of gateways hold within ``every`` seconds."""
        while True:
            await clock.sleep(every)
            try:
                await self.refresh()
            except StoreUnavailable:
                _log.warning("gateways.not_refreshed")

    def identify(self, facts: RequestFacts) -> Admission:
        """Which gateway a request comes from, and why."""
        proved = facts.authenticated if facts.authorization == "good" else None
        return self.identify_source(facts.source_host, proved)

    def identify_source(self, source: str, username: str | None = None) -> Admission:
        """The same for an address, and the user name that was proved by digest."""
        known = next((each.id for each in self._gateways if username and each.username == username), None)
        return admit(source, self._gateways, self._allowed, known)

    def admit(self, facts: RequestFacts) -> SipAdmission:
        """SIP's hook."""
        admission = self.identify(facts)
        if isinstance(admission, MustAuthenticate) and facts.authorization != "wrong":
            self._challenge(facts)
            return Challenge(REALM)
        self._challenged.pop(_call(facts), None)
        if isinstance(admission, Admitted):
            return Admit()
        why = admission.trace[-1].why if admission.trace else "not allowed"
        return Drop(why) if self._silent else Refuse(403, why)

    def gave_up(self) -> tuple[RequestFacts, ...]:
        """The calls that were asked for credentials `PATIENCE` ago and never came back, each once."""
        latest = self._clock.monotonic() - PATIENCE
        gone: list[RequestFacts] = []
        while self._challenged:
            asked_at, facts = next(iter(self._challenged.values()))
            if asked_at > latest:
                break
            self._challenged.popitem(last=False)
            gone.append(facts)
        return tuple(gone)

    def _challenge(self, facts: RequestFacts) -> None:
        if facts.method == "INVITE":
            self._challenged.setdefault(_call(facts), (self._clock.monotonic(), facts))
            if len(self._challenged) > MANY_CHALLENGED:
                self._challenged.popitem(last=False)

    def password(self, realm: str, username: str) -> str | None:
        """SIP's lookup of a digest user. User names are unique among gateways with one."""
        if realm != REALM:
            return None
        return next((each.password for each in self._gateways if each.username == username), None)


def _call(facts: RequestFacts) -> tuple[str, str]:
    return facts.source_host, facts.call_id
