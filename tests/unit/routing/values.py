"""Short ways to make what routing reads."""

from datetime import UTC, datetime
from ipaddress import ip_network

from dialroom.rooms.values import Gateway, Number

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def number(e164: str, *, organisation: str = "org_a", dial_in: bool = True, room: str | None = None) -> Number:
    return Number(
        id=f"num_{e164}",
        organisation=organisation,
        number=e164,
        display=e164,
        country=None,
        language=None,
        dial_in=dial_in,
        room=room,
        created_at=LONG_AGO,
    )


def gateway(
    name: str,
    *networks: str,
    organisation: str = "org_a",
    username: str | None = None,
    region: str | None = None,
) -> Gateway:
    return Gateway(
        id=f"gw_{name}",
        organisation=organisation,
        name=name,
        addresses=tuple(ip_network(network) for network in networks),
        username=username,
        password="secret" if username else None,
        region=region,
        created_at=LONG_AGO,
    )
