"""Digest authentication (RFC 8760, RFC 7616, RFC 3261 §22), both sides.

Our nonces carry their own expiry and an HMAC, so that a challenge costs no memory: a flood of strangers leaves
nothing behind. Only the use of a nonce is remembered, in a bounded table, so that a captured answer is not good twice.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dialroom.sip.errors import SipError
from dialroom.sip.text import is_token, quote, split_outside, unquote

ALGORITHMS: Final = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
"""Strongest first: the order in which a client chooses and a server offers."""
NONCE_LIFE = 300.0
"""Seconds for which a nonce may be used."""
_REMEMBERED = 10_000
_NC_WINDOW = 2**32


@dataclass(frozen=True, slots=True)
class Credentials:
    """What we log in with at a gateway: only where `realm` matches, or, when None, at the realm first seen."""

    username: str
    password: str
    realm: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, realm={self.realm!r})"


CredentialLookup = Callable[[str, str], str | None]
"""(realm, user name) → password, None when unknown."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an Authorization header is worth: `outcome` is `none`, `good`, `stale` or `wrong`."""

    outcome: str
    username: str | None = None
    realm: str | None = None


def parse_digest(text: str) -> dict[str, str]:
    """The parameters of a `Digest …` challenge or credentials, names in lower case. Raises SipError."""
    scheme, _, rest = text.strip().partition(" ")
    if scheme.lower() != "digest":
        raise SipError("not a Digest header")
    result: dict[str, str] = {}
    for part in split_outside(rest, ",", angles=False):
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not equals or not is_token(name) or name in result:
            raise SipError("a Digest header is malformed")
        result[name] = unquote(value.strip())
    return result


def _hash(algorithm: str, *parts: str) -> str:
    data = ":".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.new(ALGORITHMS[algorithm], data, usedforsecurity=False).hexdigest()


def digest_response(parameters: Mapping[str, str], *, algorithm: str, username: str, password: str, method: str) -> str:
    """`response` of RFC 7616 §3.4.1 for the nonce, realm, uri, qop, nc and cnonce in `parameters`."""
    secret = _hash(algorithm, username, parameters["realm"], password)
    action = _hash(algorithm, method, parameters["uri"])
    names = ("nonce", "nc", "cnonce", "qop") if parameters.get("qop") else ("nonce",)
    return _hash(algorithm, secret, *(parameters[name] for name in names), action)


def answer_challenge(
    challenges: Sequence[str], credentials: Credentials, *, method: str, uri: str, cnonce: str
) -> str | None:
    """The (Proxy-)Authorization value for the strongest challenge we can answer, or None.

    A challenge of another realm is never answered: anyone who is called could otherwise ask for our secret's hash.
    """
    offered: dict[str, dict[str, str]] = {}
    for text in challenges:
        try:
            parameters = parse_digest(text)
        except SipError:
            continue
        algorithm = parameters.get("algorithm", "MD5").upper()
        if algorithm in ALGORITHMS and "nonce" in parameters and "realm" in parameters:
            offered.setdefault(algorithm, parameters)
    for algorithm in ALGORITHMS:
        challenge = offered.get(algorithm)
        if challenge is None or credentials.realm not in (None, challenge["realm"]):
            continue
        qops = [value.strip().lower() for value in challenge.get("qop", "").split(",") if value.strip()]
        if qops and "auth" not in qops:
            continue
        return _authorization(challenge, credentials, algorithm, bool(qops), method, uri, cnonce)
    return None


def _authorization(
    challenge: Mapping[str, str],
    credentials: Credentials,
    algorithm: str,
    qop: bool,
    method: str,
    uri: str,
    cnonce: str,
) -> str:
    parameters = {"realm": challenge["realm"], "nonce": challenge["nonce"], "uri": uri}
    if qop:
        parameters |= {"qop": "auth", "nc": "00000001", "cnonce": cnonce}
    response = digest_response(
        parameters, algorithm=algorithm, username=credentials.username, password=credentials.password, method=method
    )
    parts = [f"username={quote(credentials.username)}"]
    parts += [f"{name}={quote(parameters[name])}" for name in ("realm", "nonce", "uri")]
    parts += [f'response="{response}"', f"algorithm={algorithm}"]
    if qop:
        parts += ["qop=auth", "nc=00000001", f"cnonce={quote(cnonce)}"]
    if "opaque" in challenge:
        parts.append(f"opaque={quote(challenge['opaque'])}")
    return "Digest " + ", ".join(parts)


class DigestServer:
    """Makes challenges and verifies their answers. `key` (32 random bytes) signs the nonces."""

    def __init__(self, key: bytes, lookup: CredentialLookup, *, algorithms: Sequence[str] = ("SHA-256", "MD5")) -> None:
        self._key = key
        self._lookup = lookup
        self._algorithms = tuple(algorithms)
        self._used: OrderedDict[str, int] = OrderedDict()

    def challenge(self, realm: str, salt: str, now: float, *, stale: bool = False) -> list[str]:
        """WWW-Authenticate values, strongest first (RFC 8760 §2.4). `salt` makes the nonce unique."""
        nonce = self._nonce(salt, realm, int(now + NONCE_LIFE))
        end = ", stale=true" if stale else ""
        return [
            f'Digest realm={quote(realm)}, nonce="{nonce}", algorithm={algorithm}, qop="auth"{end}'
            for algorithm in self._algorithms
        ]

    def verify(self, authorizations: Sequence[str], *, method: str, uri: str, now: float) -> Verdict:
        """What the Authorization headers of a request prove. Never raises."""
        verdict = Verdict("none")
        for text in authorizations[:4]:
            try:
                verdict = self._verify(parse_digest(text), method, uri, now)
            except SipError:
                verdict = Verdict("wrong")
            if verdict.outcome == "good":
                return verdict
        return verdict

    def _verify(self, given: dict[str, str], method: str, uri: str, now: float) -> Verdict:
        algorithm = given.get("algorithm", "MD5").upper()
        username, realm = given.get("username", ""), given.get("realm", "")
        wrong = Verdict("wrong", username, realm)
        needed = ("nonce", "realm", "uri", "response", "nc", "cnonce", "username")
        if algorithm not in self._algorithms or given.get("qop") != "auth" or any(name not in given for name in needed):
            return wrong
        if given["uri"] != uri:
            return wrong
        # A right answer to a nonce that is not ours may be one to the process before us: it gets a new challenge
        # instead of a refusal (RFC 7616 §3.3, stale).
        expires = self._read_nonce(given["nonce"], realm) or 0
        # The password is hashed for unknown users too, so that both take equally long.
        password = self._lookup(realm, username)
        expected = digest_response(
            given, algorithm=algorithm, username=username, password=password or "", method=method
        )
        matches = hmac.compare_digest(expected.encode(), given["response"].lower().encode("utf-8", "replace"))
        if not matches or password is None:
            return wrong
        if expires < now or not self._count(given["nonce"], given["nc"]):
            return Verdict("stale", username, realm)
        return Verdict("good", username, realm)

    def _nonce(self, salt: str, realm: str, expires: int) -> str:
        text = f"{expires:x}.{salt}"
        return f"{text}.{self._sign(text, realm)}"

    def _sign(self, text: str, realm: str) -> str:
        data = f"{text}\n{realm}".encode("utf-8", "surrogateescape")
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()[:32]

    def _read_nonce(self, nonce: str, realm: str) -> int | None:
        """When a nonce of ours expires; None when it is not ours."""
        text, _, signature = nonce.rpartition(".")
        expected = self._sign(text, realm).encode()
        if not hmac.compare_digest(expected, signature.encode("utf-8", "replace")):
            return None
        return int(text.partition(".")[0], 16)

    def _count(self, nonce: str, text: str) -> bool:
        """Whether this nonce count is higher than any seen with the nonce (RFC 7616 §5.12)."""
        try:
            count = int(text, 16) if len(text) == 8 else 0
        except ValueError:
            count = 0
        if not 0 < count < _NC_WINDOW or count <= self._used.get(nonce, 0):
            return False
        self._used[nonce] = count
        self._used.move_to_end(nonce)
        if len(self._used) > _REMEMBERED:
            self._used.popitem(last=False)
        return True
