"""Every state × every event of the four transaction machines (RFC 3261 §17, RFC 6026).

A row is (state, event, reliable) → (outputs, next state, timers then running). Outputs: T transmit, D deliver, F fail,
X terminate, ! the user asked for something illegal. `drive` brings a machine into each state by legal means.
"""

from __future__ import annotations

import pytest

from dialroom.sip.errors import LocalError
from dialroom.sip.message import Request, Response
from dialroom.sip.parser import parse
from dialroom.sip.transaction.client import ClientTransaction
from dialroom.sip.transaction.invite_client import InviteClientTransaction
from dialroom.sip.transaction.invite_server import InviteServerTransaction
from dialroom.sip.transaction.machine import Machine, State
from dialroom.sip.transaction.outputs import Deliver, Fail, Output, Terminate, Transmit
from dialroom.sip.transaction.server import ServerTransaction

LETTERS = {Transmit: "T", Deliver: "D", Fail: "F", Terminate: "X"}


def request(method: str) -> Request:
    message = parse(
        f"{method} sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n"
        f"To: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


def response(status: int) -> Response:
    message = parse(
        f"SIP/2.0 {status} x\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n"
        "To: <sip:b@x>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, Response)
    return message


def happen(machine: Machine, event: str, now: float) -> list[Output]:
    """One event: `INVITE`, `ACK`, `send 200`, `got 200`, `timer`, `transport error`."""
    if event == "transport error":
        return machine.transport_failed(now)
    if event == "timer":
        deadline = machine.deadline
        return machine.handle_timeout(deadline.at if deadline is not None else now + 1000)
    verb, _, what = event.partition(" ")
    if verb == "send":
        assert isinstance(machine, InviteServerTransaction | ServerTransaction)
        return machine.respond(int(what), what.encode(), now)
    if verb == "got":
        assert isinstance(machine, InviteClientTransaction | ClientTransaction)
        return machine.receive(response(int(what)), now)
    assert isinstance(machine, InviteServerTransaction | ServerTransaction)
    return machine.receive(request(event), now)


def check(machine: Machine, event: str, expected: str) -> None:
    outputs, state, timers = expected.split(" ", 2) if expected.count(" ") >= 2 else [*expected.split(" "), ""]
    try:
        letters = "".join(LETTERS[type(output)] for output in happen(machine, event, 100.0))
    except LocalError:
        letters = "!"
    running = "".join(sorted(timer.name for timer in machine._timers))
    assert (letters or "-", machine.state.value, running) == (outputs, state, timers)


def table(text: str) -> list[tuple[str, str, str]]:
    """Rows `state | event | udp result`; a fourth column is the result on a reliable transport, if it differs."""
    rows = []
    for line in text.strip().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        rows.append((f"{cells[0]} unreliable", cells[1], cells[2]))
        rows.append((f"{cells[0]} reliable", cells[1], cells[3] if len(cells) > 3 else cells[2]))
    return rows


def complete(rows: list[tuple[str, str, str]], states: str, events: str) -> None:
    """The table really is every state × every event."""
    expected = {(state, event) for state in states.split() for event in events.split(",")}
    assert {(row[0].split()[0], row[1]) for row in rows} == expected


INVITE_SERVER = table(
    """
    Proceeding | INVITE          | - Proceeding
    Proceeding | ACK             | - Proceeding
    Proceeding | send 180        | T Proceeding
    Proceeding | send 200        | T Accepted L
    Proceeding | send 486        | T Completed GH    | T Completed H
    Proceeding | timer           | - Proceeding
    Proceeding | transport error | FX Terminated
    Ringing    | INVITE          | T Proceeding
    Ringing    | ACK             | - Proceeding
    Ringing    | send 180        | T Proceeding
    Ringing    | send 200        | T Accepted L
    Ringing    | send 486        | T Completed GH    | T Completed H
    Ringing    | timer           | - Proceeding
    Ringing    | transport error | FX Terminated
    Accepted   | INVITE          | - Accepted L
    Accepted   | ACK             | D Accepted L
    Accepted   | send 180        | ! Accepted L
    Accepted   | send 200        | T Accepted L
    Accepted   | send 486        | ! Accepted L
    Accepted   | timer           | X Terminated
    Accepted   | transport error | - Accepted L
    Completed  | INVITE          | T Completed GH    | T Completed H
    Completed  | ACK             | - Confirmed I     | X Terminated
    Completed  | send 180        | ! Completed GH    | ! Completed H
    Completed  | send 200        | ! Completed GH    | ! Completed H
    Completed  | send 486        | ! Completed GH    | ! Completed H
    Completed  | timer           | T Completed GH    | FX Terminated
    Completed  | transport error | FX Terminated
    Confirmed  | INVITE          | - Confirmed I     | - Terminated
    Confirmed  | ACK             | - Confirmed I     | - Terminated
    Confirmed  | send 180        | ! Confirmed I     | ! Terminated
    Confirmed  | send 200        | ! Confirmed I     | ! Terminated
    Confirmed  | send 486        | ! Confirmed I     | ! Terminated
    Confirmed  | timer           | X Terminated      | - Terminated
    Confirmed  | transport error | - Confirmed I     | - Terminated
    Terminated | INVITE          | - Terminated
    Terminated | ACK             | - Terminated
    Terminated | send 180        | ! Terminated
    Terminated | send 200        | ! Terminated
    Terminated | send 486        | ! Terminated
    Terminated | timer           | - Terminated
    Terminated | transport error | - Terminated
    """
)
INVITE_SERVER_WAYS = {
    "Proceeding": [],
    "Ringing": ["send 180"],
    "Accepted": ["send 200"],
    "Completed": ["send 486"],
    "Confirmed": ["send 486", "ACK"],
    "Terminated": ["send 200", "timer"],
}


@pytest.mark.parametrize(("state", "event", "expected"), INVITE_SERVER)
def test_the_invite_server_transaction(state: str, event: str, expected: str) -> None:
    name, transport = state.split()
    machine = InviteServerTransaction(reliable=transport == "reliable")
    for step in INVITE_SERVER_WAYS[name]:
        happen(machine, step, 0.0)
    check(machine, event, expected)


SERVER = table(
    """
    Trying     | OPTIONS         | - Trying
    Trying     | send 100        | T Proceeding
    Trying     | send 200        | T Completed J     | TX Terminated
    Trying     | timer           | - Trying
    Trying     | transport error | FX Terminated
    Proceeding | OPTIONS         | T Proceeding
    Proceeding | send 100        | T Proceeding
    Proceeding | send 200        | T Completed J     | TX Terminated
    Proceeding | timer           | - Proceeding
    Proceeding | transport error | FX Terminated
    Completed  | OPTIONS         | T Completed J     | - Terminated
    Completed  | send 100        | ! Completed J     | ! Terminated
    Completed  | send 200        | ! Completed J     | ! Terminated
    Completed  | timer           | X Terminated      | - Terminated
    Completed  | transport error | FX Terminated     | - Terminated
    Terminated | OPTIONS         | - Terminated
    Terminated | send 100        | ! Terminated
    Terminated | send 200        | ! Terminated
    Terminated | timer           | - Terminated
    Terminated | transport error | - Terminated
    """
)
SERVER_WAYS = {
    "Trying": [],
    "Proceeding": ["send 100"],
    "Completed": ["send 200"],
    "Terminated": ["send 200", "timer"],
}


@pytest.mark.parametrize(("state", "event", "expected"), SERVER)
def test_the_server_transaction(state: str, event: str, expected: str) -> None:
    name, transport = state.split()
    machine = ServerTransaction(reliable=transport == "reliable")
    for step in SERVER_WAYS[name]:
        happen(machine, step, 0.0)
    check(machine, event, expected)


INVITE_CLIENT = table(
    """
    Calling    | got 180         | D Proceeding
    Calling    | got 200         | D Accepted M
    Calling    | got 486         | TD Completed D    | TDX Terminated
    Calling    | timer           | T Calling AB      | FX Terminated
    Calling    | transport error | FX Terminated
    Proceeding | got 180         | D Proceeding
    Proceeding | got 200         | D Accepted M
    Proceeding | got 486         | TD Completed D    | TDX Terminated
    Proceeding | timer           | - Proceeding
    Proceeding | transport error | FX Terminated
    Accepted   | got 180         | - Accepted M
    Accepted   | got 200         | D Accepted M
    Accepted   | got 486         | - Accepted M
    Accepted   | timer           | X Terminated
    Accepted   | transport error | - Accepted M
    Completed  | got 180         | - Completed D     | - Terminated
    Completed  | got 200         | - Completed D     | - Terminated
    Completed  | got 486         | T Completed D     | - Terminated
    Completed  | timer           | X Terminated      | - Terminated
    Completed  | transport error | FX Terminated     | - Terminated
    Terminated | got 180         | - Terminated
    Terminated | got 200         | - Terminated
    Terminated | got 486         | - Terminated
    Terminated | timer           | - Terminated
    Terminated | transport error | - Terminated
    """
)
INVITE_CLIENT_WAYS = {
    "Calling": [],
    "Proceeding": ["got 180"],
    "Accepted": ["got 200"],
    "Completed": ["got 486"],
    "Terminated": ["got 200", "timer"],
}


@pytest.mark.parametrize(("state", "event", "expected"), INVITE_CLIENT)
def test_the_invite_client_transaction(state: str, event: str, expected: str) -> None:
    name, transport = state.split()
    machine = InviteClientTransaction(request("INVITE"), reliable=transport == "reliable")
    machine.start(0.0)
    for step in INVITE_CLIENT_WAYS[name]:
        happen(machine, step, 0.0)
    check(machine, event, expected)


CLIENT = table(
    """
    Trying     | got 100         | D Proceeding EF   | D Proceeding F
    Trying     | got 200         | D Completed K     | DX Terminated
    Trying     | timer           | T Trying EF       | FX Terminated
    Trying     | transport error | FX Terminated
    Proceeding | got 100         | D Proceeding EF   | D Proceeding F
    Proceeding | got 200         | D Completed K     | DX Terminated
    Proceeding | timer           | T Proceeding EF   | FX Terminated
    Proceeding | transport error | FX Terminated
    Completed  | got 100         | - Completed K     | - Terminated
    Completed  | got 200         | - Completed K     | - Terminated
    Completed  | timer           | X Terminated      | - Terminated
    Completed  | transport error | FX Terminated     | - Terminated
    Terminated | got 100         | - Terminated
    Terminated | got 200         | - Terminated
    Terminated | timer           | - Terminated
    Terminated | transport error | - Terminated
    """
)
CLIENT_WAYS = {
    "Trying": [],
    "Proceeding": ["got 100"],
    "Completed": ["got 200"],
    "Terminated": ["got 200", "timer"],
}


@pytest.mark.parametrize(("state", "event", "expected"), CLIENT)
def test_the_client_transaction(state: str, event: str, expected: str) -> None:
    name, transport = state.split()
    machine = ClientTransaction(b"x", reliable=transport == "reliable")
    machine.start(0.0)
    for step in CLIENT_WAYS[name]:
        happen(machine, step, 0.0)
    check(machine, event, expected)


def test_the_tables_are_complete() -> None:
    server_states = "Proceeding Ringing Accepted Completed Confirmed Terminated"
    complete(INVITE_SERVER, server_states, "INVITE,ACK,send 180,send 200,send 486,timer,transport error")
    complete(SERVER, "Trying Proceeding Completed Terminated", "OPTIONS,send 100,send 200,timer,transport error")
    client_states = "Calling Proceeding Accepted Completed Terminated"
    complete(INVITE_CLIENT, client_states, "got 180,got 200,got 486,timer,transport error")
    complete(CLIENT, "Trying Proceeding Completed Terminated", "got 100,got 200,timer,transport error")


def sends(machine: Machine, outputs: list[Output], until: float) -> list[float]:
    """When a machine left alone transmits, up to its end."""
    times = [0.0] * sum(isinstance(output, Transmit) for output in outputs)
    while (deadline := machine.deadline) is not None and deadline.at <= until:
        for output in machine.handle_timeout(deadline.at):
            if isinstance(output, Transmit):
                times.append(deadline.at)
    return times


def test_timer_a_doubles_without_bound_until_timer_b() -> None:
    machine = InviteClientTransaction(request("INVITE"), reliable=False)
    assert sends(machine, machine.start(0.0), 100) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert machine.state is State.TERMINATED


def test_timer_e_doubles_up_to_t2_until_timer_f() -> None:
    machine = ClientTransaction(b"x", reliable=False)
    assert sends(machine, machine.start(0.0), 100) == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert machine.state is State.TERMINATED


def test_timer_g_doubles_up_to_t2_until_timer_h() -> None:
    machine = InviteServerTransaction(reliable=False)
    expected = [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert sends(machine, machine.respond(486, b"x", 0.0), 100) == expected
    assert machine.state is State.TERMINATED


def test_a_stalled_clock_does_not_cause_a_burst() -> None:
    machine = ClientTransaction(b"x", reliable=False)
    machine.start(0.0)
    assert [type(output) for output in machine.handle_timeout(20.0)] == [Transmit]


def test_the_ack_of_a_refusal_repeats_branch_and_route_and_takes_the_to_tag() -> None:
    invite = request("INVITE")
    invite.add("Route", "<sip:p;lr>")
    machine = InviteClientTransaction(invite, reliable=False)
    machine.start(0.0)
    first = machine.receive(response(486), 1.0)[0]
    assert isinstance(first, Transmit)
    ack = parse(first.data)
    assert isinstance(ack, Request)
    assert (ack.method, ack.via.branch, ack.to.tag, str(ack.cseq)) == ("ACK", "z9hG4bK1", "2", "1 ACK")
    assert ack.get("route") == "<sip:p;lr>"
