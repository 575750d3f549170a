"""Digest, both sides."""

from __future__ import annotations

import pytest

from dialroom.sip.auth import Credentials, DigestServer, answer_challenge, digest_response, parse_digest
from dialroom.sip.errors import SipError

ALICE = Credentials("alice", 'se"cret')


def lookup(realm: str, username: str) -> str | None:
    return ALICE.password if (realm, username) == ("dialroom", "alice") else None


def server(**more: object) -> DigestServer:
    return DigestServer(b"k" * 32, lookup, **more)  # type: ignore[arg-type]


def answer(challenges: list[str], credentials: Credentials = ALICE, uri: str = "sip:x") -> str:
    value = answer_challenge(challenges, credentials, method="INVITE", uri=uri, cnonce="c0ffee")
    assert value is not None
    return value


def test_the_examples_of_rfc_7616_come_out() -> None:
    parameters = {
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "nc": "00000001",
        "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        "qop": "auth",
    }
    expected = {
        "MD5": "8ca523f5e9506fed4657c9700eebdbec",
        "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    }
    for algorithm, response in expected.items():
        assert (
            digest_response(parameters, algorithm=algorithm, username="Mufasa", password="Circle of Life", method="GET")
            == response
        )


def test_the_example_of_rfc_2617_without_qop_comes_out() -> None:
    parameters = {
        "realm": "testrealm@host.com",
        "uri": "/dir/index.html",
        "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
    }
    response = digest_response(parameters, algorithm="MD5", username="Mufasa", password="Circle Of Life", method="GET")
    assert response == "670fd8c2df070c60b045671b8b24ff02"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
def test_our_answer_satisfies_our_challenge(algorithm: str) -> None:
    digest = server(algorithms=(algorithm,))
    header = answer(digest.challenge("dialroom", "salt", 100.0))
    verdict = digest.verify([header], method="INVITE", uri="sip:x", now=101.0)
    assert (verdict.outcome, verdict.username, verdict.realm) == ("good", "alice", "dialroom")


def test_the_strongest_algorithm_offered_is_answered() -> None:
    challenges = server().challenge("dialroom", "salt", 100.0)
    assert [parse_digest(text)["algorithm"] for text in challenges] == ["SHA-256", "MD5"]
    assert parse_digest(answer(challenges[::-1]))["algorithm"] == "SHA-256"


@pytest.mark.parametrize(
    ("change", "into"),
    [
        ("alice", "bob"),
        ('uri="sip:x"', 'uri="sip:y"'),
        ("nc=00000001", "nc=00000002"),
        ('realm="dialroom"', 'realm="other"'),
        ("qop=auth,", ""),
        ("algorithm=SHA-256", "algorithm=MD5"),
        ("algorithm=SHA-256", "algorithm=none"),
        ("Digest ", "Basic "),
        ('response="', 'response="é'),
    ],
)
def test_anything_changed_is_wrong(change: str, into: str) -> None:
    digest = server()
    header = answer(digest.challenge("dialroom", "salt", 100.0))
    assert change in header
    assert digest.verify([header.replace(change, into)], method="INVITE", uri="sip:x", now=101.0).outcome == "wrong"


def test_another_method_or_password_is_wrong() -> None:
    digest = server()
    header = answer(digest.challenge("dialroom", "salt", 100.0))
    assert digest.verify([header], method="BYE", uri="sip:x", now=101.0).outcome == "wrong"
    header = answer(digest.challenge("dialroom", "salt2", 100.0), Credentials("alice", "guess"))
    assert digest.verify([header], method="INVITE", uri="sip:x", now=101.0).outcome == "wrong"


def test_a_right_answer_to_the_nonce_of_an_earlier_process_is_stale_and_a_wrong_one_wrong() -> None:
    earlier = DigestServer(b"x" * 32, lookup)
    header = answer(earlier.challenge("dialroom", "salt", 100.0))
    assert server().verify([header], method="INVITE", uri="sip:x", now=101.0).outcome == "stale"
    header = answer(earlier.challenge("dialroom", "salt", 100.0), Credentials("alice", "guess"))
    assert server().verify([header], method="INVITE", uri="sip:x", now=101.0).outcome == "wrong"


def test_an_unknown_user_with_an_empty_password_is_wrong() -> None:
    digest = server()
    header = answer(digest.challenge("dialroom", "salt", 100.0), Credentials("mallory", ""))
    assert digest.verify([header], method="INVITE", uri="sip:x", now=101.0).outcome == "wrong"


def test_an_old_nonce_is_stale_and_a_new_challenge_says_so() -> None:
    digest = server()
    header = answer(digest.challenge("dialroom", "salt", 100.0))
    assert digest.verify([header], method="INVITE", uri="sip:x", now=1000.0).outcome == "stale"
    assert all("stale=true" in text for text in digest.challenge("dialroom", "s", 1000.0, stale=True))


def test_an_answer_is_good_only_once() -> None:
    digest = server()
    header = answer(digest.challenge("dialroom", "salt", 100.0))
    assert digest.verify([header], method="INVITE", uri="sip:x", now=101.0).outcome == "good"
    assert digest.verify([header], method="INVITE", uri="sip:x", now=101.0).outcome == "stale"


def test_a_challenge_with_commas_in_quotes_is_read() -> None:
    text = 'Digest realm="a, b", qop="auth,auth-int", nonce="n", opaque="o,p", algorithm=MD5'
    header = parse_digest(answer([text]))
    assert (header["realm"], header["qop"], header["opaque"]) == ("a, b", "auth", "o,p")


def test_a_challenge_we_cannot_answer_is_not_answered() -> None:
    for text in (
        'Digest realm="a", nonce="n", algorithm=MD5-sess',
        'Digest realm="a", nonce="n", qop="auth-int"',
        "Basic x",
    ):
        assert answer_challenge([text], ALICE, method="INVITE", uri="sip:x", cnonce="c") is None


def test_malformed_headers_are_refused() -> None:
    for text in ("", "Digest", "Digest a", "Digest a=1, a=2", 'Digest a="1', "Digest =x"):
        with pytest.raises(SipError):
            parse_digest(text)
    assert server().verify(['Digest a="1'], method="INVITE", uri="sip:x", now=1.0).outcome == "wrong"


def test_a_password_is_not_shown() -> None:
    assert "cret" not in repr(ALICE)
