from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialroom.core.errors import Invalid
from dialroom.net.http import GuardedHttp, HttpFailed, Resolver, check_url, is_public
from tests.support.receiver import Received, Receiver, running_receiver, status

LOOPBACK = (ip_network("127.0.0.0/8"),)

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"]
INNER = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "3fff::1",
    "4000::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_may_not_be_reached_in_any_spelling(address: str) -> None:
    assert not is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_ipv6_form_is_judged_as_the_ipv4_address_it_stands_for(address: object) -> None:
    number = int(ip_address(str(address)))
    verdict = is_public(ip_address(number))
    assert is_public(ip_address((0xFFFF << 32) | number)) == verdict
    assert is_public(ip_address((0x64FF9B << 96) | number)) == verdict
    assert is_public(ip_address((0x2002 << 112) | (number << 80))) == verdict


def test_an_allowed_network_may_be_reached_in_every_form() -> None:
    allowed = (ip_network("10.0.0.0/8"),)
    assert is_public(ip_address("10.1.2.3"), allowed)
    assert is_public(ip_address("::ffff:10.1.2.3"), allowed)
    assert not is_public(ip_address("192.168.0.1"), allowed)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "http://",
        "http:///path",
        "http://user:password@example.com/",
        "http://user@example.com/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "https://169.254.169.254/latest/meta-data",
        "http://example.com:99999/",
        "http://" + "x" * 3000,
        "http://exa mple.com/",
        "http://[::1",
        "\x00",
    ],
)
def test_a_url_we_would_never_send_to_is_refused_when_it_is_given(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_url(url)
    assert refused.value.field == "url"


def test_a_url_of_an_allowed_network_is_taken() -> None:
    assert check_url("http://127.0.0.1:9/x", LOOPBACK) == "http://127.0.0.1:9/x"
    assert check_url("https://example.com/x?y=z") == "https://example.com/x?y=z"


async def test_a_request_reaches_an_allowed_receiver_whole(receiver: Receiver) -> None:
    http = GuardedHttp(LOOPBACK)
    receiver.answer_with(200)
    answer = await http.post(receiver.url + "?a=b", {"X-Test": "1", "Content-Type": "application/json"}, b"{}")
    await http.close()
    assert answer.status == 200
    got = receiver.received[0]
    assert (got.path, got.body, got.headers["x-test"]) == ("/hook?a=b", b"{}", "1")
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0x7f000001", "127.1", "0.0.0.0", "[::1]", "[::ffff:7f00:1]"],
)
async def test_no_spelling_of_loopback_gets_through(receiver: Receiver, host: str) -> None:
    http = GuardedHttp()
    with pytest.raises(HttpFailed) as failed:
        await http.post(f"http://{host}:{receiver.port}/", {}, b"")
    await http.close()
    assert failed.value.why in ("address_refused", "name_not_found")
    assert receiver.received == []


async def test_a_name_is_resolved_once_and_every_address_must_be_public(receiver: Receiver) -> None:
    asked: list[str] = []

    def resolver(*answers: Sequence[str]) -> Resolver:
        left = list(answers)

        async def resolve(host: str, _port: int) -> Sequence[str]:
            asked.append(host)
            return left.pop(0)

        return resolve

    # Public first, then loopback: the second answer must never be asked for.
    http = GuardedHttp(timeout=0.2, resolve=resolver(["192.88.99.1"], ["127.0.0.1"]))
    with pytest.raises(HttpFailed):
        await http.post(f"http://rebind.example:{receiver.port}/", {}, b"")
    assert asked == ["rebind.example"]
    await http.close()
    http = GuardedHttp(resolve=resolver(["8.8.8.8", "127.0.0.1"]))
    with pytest.raises(HttpFailed) as failed:
        await http.post(f"http://mixed.example:{receiver.port}/", {}, b"")
    await http.close()
    assert failed.value.why == "address_refused"
    assert receiver.received == []


async def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver) -> None:
    async def redirect(_request: Received) -> bytes:
        return status(302, f"Location: http://127.0.0.1:{receiver.port}/inner")

    receiver.answer = redirect
    http = GuardedHttp(LOOPBACK)
    answer = await http.post(receiver.url, {}, b"")
    await http.close()
    assert answer.status == 302
    assert len(receiver.received) == 1


async def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    http = GuardedHttp(LOOPBACK)
    assert (await http.post(receiver.url, {}, b"")).status == 204
    await http.close()


async def test_a_long_answer_is_cut(receiver: Receiver) -> None:
    async def long(_request: Received) -> bytes:
        return status(200, body=b"x" * 1_000_000)

    receiver.answer = long
    http = GuardedHttp(LOOPBACK, max_body=1000)
    assert (await http.post(receiver.url, {}, b"")).body == b"x" * 1000
    await http.close()


async def test_a_receiver_that_never_answers_or_drips_is_given_up(receiver: Receiver) -> None:
    async def never(_request: Received) -> bytes:
        await asyncio.sleep(60)
        return b""

    receiver.answer = never
    http = GuardedHttp(LOOPBACK, timeout=0.2)
    with pytest.raises(HttpFailed) as failed:
        await http.post(receiver.url, {}, b"")
    await http.close()
    assert failed.value.why == "timeout"


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nA" * 10_000])
async def test_what_is_no_http_is_a_failure_with_a_reason(receiver: Receiver, answer: bytes) -> None:
    async def nonsense(_request: Received) -> bytes:
        return answer

    receiver.answer = nonsense
    http = GuardedHttp(LOOPBACK, timeout=2)
    with pytest.raises(HttpFailed) as failed:
        await http.post(receiver.url, {}, b"")
    await http.close()
    assert failed.value.why in ("protocol", "connection")


async def test_a_refused_connection_and_a_wrong_tls_are_told_apart() -> None:
    async def no_tls(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 this is no TLS\r\n")
        writer.close()

    server = await asyncio.start_server(no_tls, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    http = GuardedHttp(LOOPBACK, timeout=5)
    with pytest.raises(HttpFailed) as refused:
        await http.post("http://127.0.0.1:1/", {}, b"")
    with pytest.raises(HttpFailed) as tls:
        await http.post(f"https://127.0.0.1:{port}/", {}, b"")
    await http.close()
    server.close()
    assert (refused.value.why, tls.value.why) == ("connection", "tls")


async def test_a_name_nobody_knows_is_said_to_be() -> None:
    async def nowhere(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    http = GuardedHttp(resolve=nowhere, ssl_context=ssl.create_default_context())
    with pytest.raises(HttpFailed) as failed:
        await http.post("https://nowhere.example/", {}, b"")
    await http.close()
    assert failed.value.why == "name_not_found"


async def test_headers_cannot_be_injected(receiver: Receiver) -> None:
    http = GuardedHttp(LOOPBACK)
    with pytest.raises(HttpFailed) as failed:
        await http.post(receiver.url, {"X-Test": "a\r\nX-Evil: 1"}, b"")
    await http.close()
    assert failed.value.why == "protocol"
    assert receiver.received == []
