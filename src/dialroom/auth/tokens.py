"""Join tokens and resume tokens: JWT (RFC 7519), HS256 with the organisation's own secret.

An organisation may sign join tokens itself: claims ``iss`` (its id), ``aud`` (``dialroom:join``), ``room`` (id),
``identity``, ``name``, ``role``, ``exp``, ``jti``. The algorithm is fixed, whatever a token's header says; the
unverified issuer serves only to look up whose secret must fit; the audience keeps the two kinds apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Protocol

import jwt

from dialroom.core.clock import Clock
from dialroom.core.errors import Invalid, TokenRefused
from dialroom.core.ids import is_id, new_id

MAX_TOKEN: Final = 4096
MAX_LIFETIME: Final = timedelta(days=30)
MAX_IDENTITY: Final = 128
_LEEWAY = timedelta(seconds=30)
_JOIN = "dialroom:join"
_RESUME = "dialroom:resume"
_IDENTITY = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinClaims:
    """What a join token says. ``room`` is a room's id."""

    organisation: str
    room: str
    identity: str
    name: str
    role: Literal["host", "guest"]
    expires_at: datetime
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeClaims:
    """What a resume token says: who goes on where."""

    organisation: str
    session: str
    participant: str
    expires_at: datetime


class SecretStore(Protocol):
    async def token_secret(self, organisation: str) -> str | None:
        """The organisation's signing secret, None if there is no such organisation."""


class Tokens:
    """Issues and verifies tokens of all organisations."""

    def __init__(self, store: SecretStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def issue_join(
        self, organisation: str, room: str, *, identity: str, name: str, role: str, ttl: timedelta
    ) -> tuple[str, JoinClaims]:
        """A join token and what it says. Raises Invalid."""
        if not _IDENTITY.fullmatch(identity):
            raise Invalid("An identity has 1 to 128 visible ASCII characters, no blanks.", field="identity")
        if not 1 <= len(name) <= 120 or not name.isprintable():
            raise Invalid("A name has 1 to 120 printable characters.", field="name")
        if role not in ("host", "guest"):
            raise Invalid("A role is `host` or `guest`.", field="role")
        if not timedelta(seconds=1) <= ttl <= MAX_LIFETIME:
            raise Invalid("A token lives one second to 30 days.", field="ttl")
        expires = (self._clock.now() + ttl).replace(microsecond=0)
        claims = JoinClaims(
            organisation=organisation,
            room=room,
            identity=identity,
            name=name,
            role="host" if role == "host" else "guest",
            expires_at=expires,
            id=new_id("tok"),
        )
        body = {"room": room, "identity": identity, "name": name, "role": role, "jti": claims.id}
        return await self._sign(organisation, _JOIN, expires, body), claims

    async def verify_join(self, token: str) -> JoinClaims:
        """What a join token says. Raises TokenRefused."""
        organisation, expires, body = await self._verify(token, _JOIN)
        room, identity, name = body.get("room"), body.get("identity"), body.get("name", "")
        role, id_ = body.get("role", "guest"), body.get("jti", "")
        if not isinstance(room, str) or not is_id(room, "room"):
            raise TokenRefused("The token names no room.")
        if not isinstance(identity, str) or not _IDENTITY.fullmatch(identity):
            raise TokenRefused("The token's `identity` must have 1 to 128 visible ASCII characters.")
        if not isinstance(name, str) or len(name) > 120 or role not in ("host", "guest") or not isinstance(id_, str):
            raise TokenRefused("The token's `name`, `role` or `jti` cannot be used.")
        return JoinClaims(
            organisation=organisation,
            room=room,
            identity=identity,
            name=name,
            role=role,
            expires_at=expires,
            id=id_[:128],
        )

    async def issue_resume(self, organisation: str, session: str, participant: str, ttl: timedelta) -> str:
        """A token with which a participant's broken connection goes on."""
        expires = (self._clock.now() + ttl).replace(microsecond=0)
        return await self._sign(organisation, _RESUME, expires, {"session": session, "participant": participant})

    async def verify_resume(self, token: str) -> ResumeClaims:
        """What a resume token says. Raises TokenRefused."""
        organisation, expires, body = await self._verify(token, _RESUME)
        session, participant = body.get("session"), body.get("participant")
        if not isinstance(session, str) or not isinstance(participant, str):
            raise TokenRefused
        return ResumeClaims(organisation=organisation, session=session, participant=participant, expires_at=expires)

    async def _sign(self, organisation: str, audience: str, expires: datetime, body: dict[str, str]) -> str:
        secret = await self._store.token_secret(organisation)
        if secret is None:
            raise Invalid("There is no such organisation.", field="organisation")
        claims = {"iss": organisation, "aud": audience, "exp": int(expires.timestamp()), **body}
        return jwt.encode(claims, secret, algorithm="HS256")

    async def _verify(self, token: str, audience: str) -> tuple[str, datetime, dict[str, Any]]:
        if len(token) > MAX_TOKEN or not token.isascii():
            raise TokenRefused
        organisation = _issuer(token)
        secret = await self._store.token_secret(organisation)
        try:
            body = jwt.decode(
                token,
                secret or "no such organisation, but as much work",
                algorithms=["HS256"],
                audience=audience,
                issuer=organisation,
                options={
                    "require": ["exp", "iss", "aud"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise TokenRefused from error
        if secret is None:
            raise TokenRefused
        return organisation, self._check_times(body), body

    def _check_times(self, body: dict[str, Any]) -> datetime:
        now = self._clock.now()
        expires, not_before = _time(body.get("exp")), _time(body.get("nbf", 0))
        if expires is None or not_before is None:
            raise TokenRefused("The token's `exp` or `nbf` is no time.")
        if now >= expires:
            raise TokenRefused("The token has expired.")
        if now + _LEEWAY < not_before:
            raise TokenRefused("The token is not valid yet.")
        if expires > now + MAX_LIFETIME + _LEEWAY:
            raise TokenRefused("The token lives too long; 30 days is the limit.")
        return expires


def _issuer(token: str) -> str:
    try:
        body = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise TokenRefused from error
    issuer = body.get("iss")
    if not isinstance(issuer, str) or not is_id(issuer, "org"):
        raise TokenRefused("The token's `iss` must be your organisation's id.")
    return issuer


def _time(value: Any) -> datetime | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return None
