from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest

from dialroom.auth.tokens import Tokens
from dialroom.core.errors import Invalid, TokenRefused
from dialroom.core.ids import new_id
from dialroom.rooms.values import Organisation
from dialroom.store.store import Store
from tests.support.clock import ManualClock

ROOM = new_id("room")


@pytest.fixture
def tokens(store: Store, clock: ManualClock) -> Tokens:
    return Tokens(store.organisations, clock)


async def _issue(tokens: Tokens, organisation: Organisation, **changes: Any) -> str:
    values: dict[str, Any] = {"identity": "ann", "name": "Ann", "role": "guest", "ttl": timedelta(hours=1)}
    token, _ = await tokens.issue_join(organisation.id, ROOM, **{**values, **changes})
    return token


def _signed(
    organisation: Organisation, clock: ManualClock, header: dict[str, Any] | None = None, **changes: Any
) -> str:
    """A token as an organisation's own server would make it."""
    claims = {
        "iss": organisation.id,
        "aud": "dialroom:join",
        "room": ROOM,
        "identity": "ann",
        "name": "Ann",
        "role": "host",
        "exp": int(clock.now().timestamp()) + 600,
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    # Below `jwt.encode`, which would not let us sign nonsense.
    return jwt.PyJWS().encode(json.dumps(kept).encode(), organisation.token_secret, "HS256", header)


async def test_a_join_token_says_who_may_enter_which_room(tokens: Tokens, ours: Organisation) -> None:
    token, claims = await tokens.issue_join(
        ours.id, ROOM, identity="ann@example.com", name="Ann", role="host", ttl=timedelta(hours=1)
    )
    assert await tokens.verify_join(token) == claims
    assert (claims.organisation, claims.room, claims.identity, claims.role) == (
        ours.id,
        ROOM,
        "ann@example.com",
        "host",
    )


async def test_an_organisation_may_sign_its_own_tokens(tokens: Tokens, ours: Organisation, clock: ManualClock) -> None:
    claims = await tokens.verify_join(_signed(ours, clock))
    assert (claims.role, claims.id) == ("host", "")
    assert (await tokens.verify_join(_signed(ours, clock, role=None))).role == "guest"


async def test_a_token_ends_by_the_clock(tokens: Tokens, ours: Organisation, clock: ManualClock) -> None:
    token = await _issue(tokens, ours, ttl=timedelta(minutes=1))
    clock.set(59)
    await tokens.verify_join(token)
    clock.set(1)
    with pytest.raises(TokenRefused, match="expired"):
        await tokens.verify_join(token)


@pytest.mark.parametrize(
    "change",
    [
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 1e400},
        {"exp": 10**18},
        {"exp": 4102444800},
        {"nbf": 4102444800},
        {"iss": None},
        {"iss": "org_" + "z" * 20},
        {"iss": ["org"]},
        {"aud": None},
        {"aud": "dialroom:resume"},
        {"aud": "other"},
        {"room": None},
        {"room": "../etc"},
        {"room": 7},
        {"identity": None},
        {"identity": ""},
        {"identity": "a b"},
        {"identity": "x" * 129},
        {"identity": "é"},
        {"role": "admin"},
        {"role": ["host"]},
        {"name": 7},
        {"name": "x" * 121},
        {"jti": 7},
    ],
    ids=str,
)
async def test_a_well_signed_token_with_wrong_claims_is_refused(
    tokens: Tokens, ours: Organisation, clock: ManualClock, change: dict[str, Any]
) -> None:
    with pytest.raises(TokenRefused):
        await tokens.verify_join(_signed(ours, clock, **change))


async def test_claims_as_long_as_they_may_be_are_taken(tokens: Tokens, ours: Organisation, clock: ManualClock) -> None:
    claims = await tokens.verify_join(_signed(ours, clock, identity="x" * 128, name="x" * 120))
    assert (len(claims.identity), len(claims.name)) == (128, 120)


def _unsigned(token: str, algorithm: str) -> str:
    _, body, _ = token.split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()).decode().rstrip("=")
    return f"{header}.{body}."


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: _unsigned(token, "none"),
        lambda token: _unsigned(token, "None"),
        lambda token: _unsigned(token, "nOnE"),
        lambda token: _unsigned(token, "HS256"),
        lambda token: _unsigned(token, "RS256"),
        lambda token: token[:-2],
        lambda token: token + "A",
        lambda token: token.replace(".", "", 1),
        lambda token: token.split(".")[1],
        lambda _: "",
        lambda _: "..",
        lambda _: "a.b.c",
        lambda _: "x" * 100_000,
        lambda _: "é.é.é",
        lambda _: base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.x",
    ],
)
async def test_a_forged_token_is_refused(tokens: Tokens, ours: Organisation, forge: Callable[[str], str]) -> None:
    token = await _issue(tokens, ours)
    with pytest.raises(TokenRefused):
        await tokens.verify_join(forge(token))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_only_one_algorithm_counts(
    tokens: Tokens, ours: Organisation, clock: ManualClock, algorithm: str
) -> None:
    claims = jwt.decode(_signed(ours, clock), options={"verify_signature": False})
    with pytest.raises(TokenRefused):
        await tokens.verify_join(jwt.encode(claims, ours.token_secret, algorithm=algorithm))


@pytest.mark.parametrize("name", ["kid", "jku", "x5u", "jwk"])
async def test_a_header_never_chooses_the_key(
    tokens: Tokens, ours: Organisation, theirs: Organisation, clock: ManualClock, name: str
) -> None:
    value: Any = {"kty": "oct", "k": "AAAA"} if name == "jwk" else f"{theirs.id}/../../etc/passwd' OR 1=1"
    assert (await tokens.verify_join(_signed(ours, clock, {name: value}))).organisation == ours.id
    stolen = jwt.decode(_signed(ours, clock), options={"verify_signature": False})
    forged = jwt.encode({**stolen, "iss": ours.id}, theirs.token_secret, headers={name: value})
    with pytest.raises(TokenRefused):
        await tokens.verify_join(forged)


async def test_a_resume_token_is_no_join_token_and_the_other_way_round(tokens: Tokens, ours: Organisation) -> None:
    resume = await tokens.issue_resume(ours.id, "sess_a", "part_a", timedelta(hours=12))
    claims = await tokens.verify_resume(resume)
    assert (claims.organisation, claims.session, claims.participant) == (ours.id, "sess_a", "part_a")
    with pytest.raises(TokenRefused):
        await tokens.verify_join(resume)
    with pytest.raises(TokenRefused):
        await tokens.verify_resume(await _issue(tokens, ours))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"identity": "a b"}, "identity"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"role": "admin"}, "role"),
        ({"ttl": timedelta(0)}, "ttl"),
        ({"ttl": timedelta(days=31)}, "ttl"),
    ],
)
async def test_a_token_that_would_be_refused_is_not_issued(
    tokens: Tokens, ours: Organisation, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await _issue(tokens, ours, **change)
    assert refused.value.field == field
