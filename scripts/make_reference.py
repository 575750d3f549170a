#!/usr/bin/env python3
"""Writes the reference pages that are made from code: configuration, errors, events, and the end of the API's page.

`make_reference.py` writes them; a test compares. Edit the code they are made from, then run this again.
"""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from dialroom.api.problem import INVALID_JSON, http_error
from dialroom.calls.events import call_event
from dialroom.calls.record import CallRecord
from dialroom.config import PRIVATE_NETWORKS, Config, TurnServer
from dialroom.core.ending import Ending
from dialroom.core.errors import DialroomError
from dialroom.core.events import EVENT_TYPES, Event
from dialroom.core.numbers import mask_number
from dialroom.rooms.happenings import participant_event, session_event
from dialroom.rooms.values import Participant, Session

ROOT = Path(__file__).resolve().parent.parent
MADE = "<!-- Made by scripts/make_reference.py; edit {source} and run it again. -->\n"
BEGIN, END = "<!-- reference: made by scripts/make_reference.py -->", "<!-- /reference -->"


def pages() -> Mapping[Path, str]:
    """Every made page as it should be."""
    api_page = ROOT / "web/docs/index.html"
    return {
        ROOT / "docs/reference/configuration.md": configuration(),
        ROOT / "docs/reference/errors.md": errors(),
        ROOT / "docs/reference/events.md": events(),
        api_page: with_reference(api_page.read_text("utf-8")),
    }


# --- configuration -----------------------------------------------------------------------------------------------

CONFIGURATION = """\
# Configuration

Nothing has to be configured. What is, is written into one TOML file (`dialroom serve --config dialroom.toml`, or the
path in `DIALROOM_CONFIG`) or into environment variables, which win over the file. A key or value that is wrong stops
the start with a message that names it and says what to write instead.

```toml
# dialroom.toml
public_url = "https://rooms.example.com"
sip_advertised_host = "203.0.113.7"
rtp_ports = "20000-20999"

[[turn_servers]]
urls = ["turn:turn.example.com:3478?transport=udp"]
secret = "the static-auth-secret of coturn"
```

Lists may be written with commas in environment variables (`DIALROOM_ALLOWED_ORIGINS=https://a.example,https://b.example`),
`turn_servers` as JSON.

| key | variable | default | what |
|---|---|---|---|
"""


def configuration() -> str:
    """`docs/reference/configuration.md`."""
    lines = [MADE.format(source="src/dialroom/config.py"), CONFIGURATION]
    for key, field in Config.model_fields.items():
        what = " ".join(part for part in (field.description, allowed(field)) if part)
        lines.append(f"| `{key}` | `DIALROOM_{key.upper()}` | {default(key, field)} | {cell(what)} |\n")
    lines.append("\nA TURN server (`[[turn_servers]]`):\n\n| key | default | what |\n|---|---|---|\n")
    for key, field in TurnServer.model_fields.items():
        lines.append(f"| `{key}` | {default(key, field)} | {cell(TURN[key])} |\n")
    return "".join(lines)


TURN = {
    "urls": "Its URLs, such as `turn:turn.example.com:3478`.",
    "secret": "The secret it shares with us (coturn: `static-auth-secret`); browsers get passwords made from it.",
    "ttl": "Seconds such a password lives. 60 to 86400.",
}


def default(key: str, field: FieldInfo) -> str:
    """A default as one would write it."""
    if field.is_required():
        return "needed"
    value = field.default
    if value == PRIVATE_NETWORKS:
        return "loopback and private addresses"
    if key == "rtp_ports":
        return f"`{value[0]}-{value[1]}`"
    if value in ("", (), None):
        return ""
    return f"`{value}`"


def allowed(field: FieldInfo) -> str:
    """Which values a field takes, if not any of its type."""
    if get_origin(field.annotation) is Literal:
        return "One of " + ", ".join(f"`{value}`" for value in get_args(field.annotation)) + "."
    limits = list(constraints(field.metadata))
    low = next((each.ge for each in limits if hasattr(each, "ge")), None)
    high = next((each.le for each in limits if hasattr(each, "le")), None)
    return f"{low} to {high}." if low is not None and high is not None and high != 65535 else ""


def constraints(metadata: list[Any]) -> Iterator[Any]:
    """The limits in an annotation, nested ones too."""
    for each in metadata:
        yield from constraints(each.metadata) if isinstance(each, FieldInfo) else [each]


# --- errors ------------------------------------------------------------------------------------------------------

ERRORS = """\
# Errors

Every error of the API is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): `title` says
what kind it is, `detail` what happened this time, `fix` what to do, `code` is for programs and never changes its
meaning. `errors` lists each wrong value of a request with its `field`. The room socket and the SDK use the same codes.

```json
{
  "type": "/api/docs#room_locked",
  "title": "The room is locked",
  "status": 403,
  "code": "room_locked",
  "detail": "The room “Weekly planning” is locked.",
  "fix": "Ask a host to unlock the room."
}
```

| code | status | title | what to do |
|---|---|---|---|
"""

_NOT_BY_HTTP = frozenset({"config"})


def error_rows() -> list[tuple[str, int, str, str]]:
    """Code, status, title and what to do of every error, ours and those of HTTP itself, by status and code."""
    rows = {(kind.code, kind.status, kind.title, kind.default_fix) for kind in kinds(DialroomError)}
    rows = {row for row in rows if row[0] not in _NOT_BY_HTTP}
    rows.add((INVALID_JSON, 400, "The body is not JSON", "Send one JSON object as body, in UTF-8."))
    for status, fix in (
        (405, "See /api/docs for what works on this path."),
        (413, "Send less, at most 256 kB."),
        (415, "Send JSON, with the header `Content-Type: application/json`."),
    ):
        code, title = http_error(status)
        rows.add((code, status, title, fix))
    return sorted(rows, key=lambda row: (row[1], row[0]))


def kinds(kind: type[DialroomError]) -> Iterator[type[DialroomError]]:
    """This kind of error and all below it in `core.errors`, where all that reach users are."""
    if kind.__module__ == DialroomError.__module__:
        yield kind
    for each in kind.__subclasses__():
        yield from kinds(each)


def errors() -> str:
    """`docs/reference/errors.md`."""
    rows = [f"| `{code}` | {status} | {title} | {cell(fix)} |\n" for code, status, title, fix in error_rows()]
    return "".join([MADE.format(source="src/dialroom/core/errors.py"), ERRORS, *rows])


# --- events ------------------------------------------------------------------------------------------------------

EVENTS = """\
# Events

What happens is told by [webhook](../guide/webhooks.md), live over the WebSocket `/api/live`, and can be read for 30
days at `GET /api/events`. The types are the same in all three. Types are added, never renamed; ignore those you do not
know.

| type | meaning |
|---|---|
"""

BODIES = """
The body of a webhook is `type`, `timestamp` and `data`; `/api/live` adds the event's `id`. Phone numbers in events are
not masked: they go to the organisation that has the number.

"""


def events() -> str:
    """`docs/reference/events.md`."""
    rows = [f"| `{type_}` | {cell(what)} |\n" for type_, what in EVENT_TYPES.items()]
    examples = [f"## {heading}\n\n```json\n{example}\n```\n\n" for heading, example in event_examples()]
    return (
        "".join([MADE.format(source="src/dialroom/core/events.py"), EVENTS, *rows, BODIES, *examples]).rstrip() + "\n"
    )


def event_examples() -> Iterator[tuple[str, str]]:
    """One event of each family, as the code writes it."""
    at = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    organisation, room, session = (f"{prefix}_k3v7q2m5n4p6r7s2t3u4" for prefix in ("org", "room", "sess"))
    person = Participant(
        id="part_k3v7q2m5n4p6r7s2t3u4",
        organisation=organisation,
        room=room,
        session=session,
        identity="phone:call_k3v7q2m5n4p6r7s2t3u4",
        name=mask_number("+12025550176"),
        kind="phone",
        role="guest",
        phone_number="+12025550176",
        call="call_k3v7q2m5n4p6r7s2t3u4",
        joined_at=at + timedelta(seconds=9),
    )
    record = CallRecord(
        id="call_k3v7q2m5n4p6r7s2t3u4",
        organisation=organisation,
        direction="inbound",
        from_number="+12025550176",
        to_number="+12025550100",
        from_uri="sip:+12025550176@198.51.100.7",
        to_uri="sip:+12025550100@203.0.113.7",
        source="udp:198.51.100.7:5060",
        sip_call_id="843817637684230@998sdasdh09",
        received_at=at,
        state="ended",
        gateway="gw_k3v7q2m5n4p6r7s2t3u4",
        number="num_k3v7q2m5n4p6r7s2t3u4",
        room=room,
        session=session,
        participant=person.id,
        codec="PCMU",
        answered_at=at,
        joined_at=person.joined_at,
        ended_at=at + timedelta(seconds=90),
        ending=Ending("completed", "caller_hung_up", 200, "caller"),
    )
    meeting = Session(id=session, organisation=organisation, room=room, started_at=at)
    yield "Sessions", example_of(session_event("session.started", meeting, at))
    yield "Participants", example_of(participant_event("participant.joined", person, person.joined_at))
    yield "Calls", example_of(call_event("call.ended", record, at + timedelta(seconds=90)))


def example_of(event: Event) -> str:
    """The body as JSON."""
    return json.dumps(event.body(), indent=2, ensure_ascii=False)


# --- the API's page ----------------------------------------------------------------------------------------------


def with_reference(page: str) -> str:
    """The page with its tables of errors and events between the two comments; an error's `type` links to its row."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = [
        (
            "errors",
            "Errors",
            ("code", "status", "what", "what to do"),
            [(code, str(status), title, fix) for code, status, title, fix in error_rows()],
        ),
        ("events", "Events", ("type", "meaning"), list(EVENT_TYPES.items())),
    ]
    lines = [line for part in table for line in html_table(*part)]
    return before + BEGIN + "\n" + "".join(f"        {line}\n" for line in lines) + "        " + END + after


def html_table(id_: str, heading: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """A headed table; each row can be linked to by its first cell."""
    yield f'<h2 id="{id_}">{heading}</h2>'
    yield "<table>"
    yield "  <thead><tr>" + "".join(f'<th scope="col">{name}</th>' for name in columns) + "</tr></thead>"
    yield "  <tbody>"
    for first, *others in rows:
        cells = "".join(f"<td>{html_text(each)}</td>" for each in others)
        yield f'    <tr id="{first}"><td><code>{first}</code></td>{cells}</tr>'
    yield "  </tbody>"
    yield "</table>"


def html_text(text: str) -> str:
    """Markdown's code as HTML's."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    for path, text in pages().items():
        path.write_text(text, "utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
