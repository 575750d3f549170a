"""SIPp as a phone that says exactly what a test wants it to, also what no phone should say."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from .ports import free_port

OFFER = """\
v=0
o=sipp 1 {version} IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio {port} RTP/AVP {payload_type} 101
a=rtpmap:{payload_type} {codec}/8000
a=rtpmap:101 telephone-event/8000
a=ptime:{ptime}
a={direction}
"""
VIA = "SIP/2.0/[transport] [local_ip]:[local_port];branch="
CONTACT = "<sip:sipp@[local_ip]:[local_port];transport=[transport]>"


GO_ON = """\
NOTIFY sip:sipp@127.0.0.1:{port} SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK-go-on-{count}
From: <sip:test@127.0.0.1>;tag=test
To: <sip:sipp@127.0.0.1>
Call-ID: {call_id}
CSeq: {count} NOTIFY
Content-Length: 0

"""


def sdp(
    port: int = 6000,
    direction: str = "sendrecv",
    version: int = 1,
    codec: Literal["PCMU", "PCMA"] = "PCMU",
    ptime: int = 20,
) -> str:
    """A session description of one stream of G.711 with digits."""
    payload_type = {"PCMU": 0, "PCMA": 8}[codec]
    return OFFER.format(
        port=port, direction=direction, version=version, codec=codec, payload_type=payload_type, ptime=ptime
    )


class Playing:
    """A scenario that SIPp plays now."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._port = port
        self._call_id = f"1-{process.pid}@127.0.0.1"
        self._times = 0

    def go_on(self) -> None:
        """Lets it go on from where it stands: a `Scenario.stand`."""
        self._times += 1
        message = GO_ON.format(port=self._port, call_id=self._call_id, count=self._times)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as test:
            test.sendto(message.replace("\n", "\r\n").encode(), ("127.0.0.1", self._port))


class Scenario:
    """What SIPp sends and expects, in order. Each method adds to it; `run` plays it."""

    def __init__(self, user: str = "1000", caller: str = "+15550003333") -> None:
        self._user = user
        self._caller = caller
        self._steps: list[str] = []
        self._cseq = 0
        self._messages = ""
        self._invite_cseq = 0
        self._invite_branch = ""

    # --- what is sent ------------------------------------------------------------------------------------------

    def invite(self, body: str | None = None, headers: Mapping[str, str] | None = None, *, again: bool = False) -> Self:
        """The first INVITE, with these headers; ``again``: the same one once more, as if the network had doubled it."""
        if not again:
            self._new_invite()
        uri = f"sip:{self._user}@[remote_ip]:[remote_port]"
        return self._send("INVITE", uri, self._invite_branch, body, headers or {}, peer_tag=False)

    def reinvite(self, body: str | None) -> Self:
        """INVITE within the call."""
        self._new_invite()
        return self._send("INVITE", "[next_url]", self._invite_branch, body, {})

    def ack(self, body: str | None = None) -> Self:
        """ACK of a 200."""
        return self._send("ACK", "[next_url]", "[branch]", body, {})

    def ack_refusal(self) -> Self:
        """ACK of a failure, which belongs to the INVITE's transaction."""
        uri = f"sip:{self._user}@[remote_ip]:[remote_port]"
        return self._send("ACK", uri, self._invite_branch, None, {})

    def cancel(self) -> Self:
        """CANCEL of the INVITE."""
        uri = f"sip:{self._user}@[remote_ip]:[remote_port]"
        return self._send("CANCEL", uri, self._invite_branch, None, {}, peer_tag=False)

    def info(self, digit: str) -> Self:
        """A digit by SIP INFO, answered with 200."""
        self._cseq += 1
        body = f"Signal={digit}\nDuration=160\n"
        headers = {"Content-Type": "application/dtmf-relay"}
        return self._send("INFO", "[next_url]", "[branch]", body, headers).expect(200)

    def prack(self, rseq: int) -> Self:
        """PRACK of a provisional response of the first INVITE, answered with 200."""
        self._cseq += 1
        return self._send("PRACK", "[next_url]", "[branch]", None, {"RAck": f"{rseq} 1 INVITE"}).expect(200)

    def bye(self) -> Self:
        """BYE, answered with 200."""
        self._cseq += 1
        return self._send("BYE", "[next_url]", "[branch]", None, {}).expect(200)

    def ok(self) -> Self:
        """200 to the request received last."""
        lines = ["SIP/2.0 200 OK", "[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"]
        return self._add("<send><![CDATA[\n" + "\n".join([*lines, "Content-Length: 0", "", ""]) + "\n]]></send>")

    # --- what is expected --------------------------------------------------------------------------------------

    def expect(self, status: int, *, optional: bool = False) -> Self:
        """A response."""
        option = ' optional="true"' if optional else ' rrs="true"'
        return self._add(f'<recv response="{status}"{option} timeout="20000"/>')

    def expect_request(self, method: str) -> Self:
        """A request of the server's."""
        return self._add(f'<recv request="{method}" timeout="20000"/>')

    def answered(self, body: str | None = None) -> Self:
        """100 or none, 200, and our ACK (with ``body``, if the answer goes there)."""
        return self.expect(100, optional=True).expect(200).ack(body)

    def refused(self, status: int) -> Self:
        """100 or none, a failure, and our ACK."""
        return self.expect(100, optional=True).expect(status).ack_refusal()

    def pause(self, milliseconds: int) -> Self:
        """A time in which nothing is sent."""
        return self._add(f'<pause milliseconds="{milliseconds}"/>')

    def stand(self) -> Self:
        """Until the test says `Playing.go_on` (UDP only)."""
        return self._add('<recv request="NOTIFY" timeout="60000"/>')

    # --- playing it --------------------------------------------------------------------------------------------

    def run(self, port: int, *, transport: str = "udp") -> str:
        """Plays it to a server on loopback; returns all messages when all of it happened, and fails if it did not."""
        with self.running(port, transport=transport):
            pass
        return self._messages

    @contextmanager
    def running(self, port: int, *, transport: str = "udp") -> Iterator[Playing]:
        """Plays it during the block, at whose end all of it must have happened."""
        with tempfile.TemporaryDirectory(prefix="sipp-") as name:
            folder = Path(name)
            body = "\n".join(self._steps)
            (folder / "scenario.xml").write_text(
                f'<?xml version="1.0"?>\n<scenario name="test">\n{body}\n</scenario>\n'
            )
            command = ["sipp", f"127.0.0.1:{port}", "-sf", "scenario.xml", "-m", "1", "-i", "127.0.0.1"]
            # A port of its own: what the server still sends to an earlier scenario must not reach this one.
            own_port = free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM)
            command += ["-p", str(own_port)]
            command += ["-t", "t1" if transport == "tcp" else "u1", "-timeout", "90s", "-timeout_error"]
            command += ["-trace_err", "-error_file", "errors.txt", "-trace_msg", "-message_file", "messages.txt"]
            with (folder / "screen.txt").open("w") as screen:
                process = subprocess.Popen(
                    command, cwd=folder, stdin=subprocess.DEVNULL, stdout=screen, stderr=screen, text=True
                )
            try:
                yield Playing(process, own_port)
                code = process.wait(100)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            assert code == 0, f"SIPp ended with {code}:\n{_told(folder)}"
            self._messages = (folder / "messages.txt").read_text(errors="replace")

    def _send(
        self, method: str, uri: str, branch: str, body: str | None, headers: Mapping[str, str], *, peer_tag: bool = True
    ) -> Self:
        tag = "[peer_tag_param]" if peer_tag else ""
        lines = {
            "Via": f"{VIA}{branch}",
            "Max-Forwards": "70",
            "From": f"<sip:{self._caller}@[local_ip]>;tag=[pid]-[call_number]",
            "To": f"<sip:{self._user}@[remote_ip]:[remote_port]>{tag}",
            "Call-ID": "[call_id]",
            "CSeq": f"{self._invite_cseq if method in ('ACK', 'CANCEL') else self._cseq} {method}",
            "Contact": CONTACT,
            **({"Content-Type": "application/sdp"} if body else {}),
            **headers,
            "Content-Length": "[len]",
        }
        text = "\n".join([f"{method} {uri} SIP/2.0", *(f"{name}: {value}" for name, value in lines.items())])
        return self._add(f"<send><![CDATA[\n{text}\n\n{body or ''}\n]]></send>")

    def _new_invite(self) -> None:
        self._cseq += 1
        self._invite_cseq = self._cseq
        self._invite_branch = f"z9hG4bK-[pid]-[call_number]-invite-{self._cseq}"

    def _add(self, step: str) -> Self:
        self._steps.append(step)
        return self


def _told(folder: Path) -> str:
    files = [folder / "errors.txt", folder / "messages.txt"]
    return "\n".join(path.read_text(errors="replace")[-2500:] for path in files if path.exists())
