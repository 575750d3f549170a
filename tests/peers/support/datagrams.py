"""A phone of single datagrams, each exactly as a test writes it."""

from __future__ import annotations

import socket
from typing import Self

INVITE = """\
INVITE sip:1000@127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP LOCAL;branch=z9hG4bK-{name}
Max-Forwards: 70
From: <sip:+15550003333@127.0.0.1>;tag=1
To: <sip:1000@127.0.0.1>
Call-ID: {name}
CSeq: 1 INVITE
Contact: <sip:someone@LOCAL>
Content-Type: application/sdp
Content-Length: {length}

{body}"""
WITHIN_THE_CALL = """\
{method} sip:1000@127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP LOCAL;branch=z9hG4bK-{name}-{method}
Max-Forwards: 70
From: <sip:+15550003333@127.0.0.1>;tag=1
To: {to}
Call-ID: {name}
CSeq: {cseq} {method}
Content-Length: 0

"""


class Datagrams:
    """One socket towards the server; use it as a context manager. ``LOCAL`` in a message is its address."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(20)
        self._local = f"127.0.0.1:{self._socket.getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, message: str) -> None:
        """Sends this."""
        self._socket.sendto(message.replace("LOCAL", self._local).replace("\n", "\r\n").encode(), self._server)

    def receive(self) -> str:
        """What comes next, within 20 s."""
        return self._socket.recv(65535).decode().replace("\r\n", "\n")

    def receive_final(self) -> str:
        """The next final response."""
        while status_of(response := self.receive()) < 200:
            pass
        return response

    def invite(self, name: str, body: str) -> None:
        """Begins a call of this name, which is its Call-ID."""
        self.send(INVITE.format(name=name, body=body, length=len(body.replace("\n", "\r\n"))))

    def ack(self, answer: str) -> None:
        """ACK of a 200 to `invite`."""
        self._send_within(answer, "ACK", 1)

    def bye(self, answer: str) -> None:
        """BYE of the call that a 200 to `invite` answered."""
        self._send_within(answer, "BYE", 2)

    def _send_within(self, answer: str, method: str, cseq: int) -> None:
        name, to = header(answer, "Call-ID"), header(answer, "To")
        self.send(WITHIN_THE_CALL.format(name=name, to=to, method=method, cseq=cseq))


def status_of(response: str) -> int:
    """The status of a response."""
    return int(response.split(maxsplit=2)[1])


def header(message: str, name: str) -> str:
    """The first header of this name."""
    return next(line.partition(":")[2].strip() for line in message.splitlines() if line.startswith(f"{name}:"))
