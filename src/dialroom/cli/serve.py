"""``dialroom serve``: the server until a signal stops it."""

from __future__ import annotations

import asyncio
import signal

from rich.console import Console

from dialroom.config import Config
from dialroom.core.log import set_up_logging
from dialroom.core.open_files import raise_open_files
from dialroom.rooms.values import Number, Room
from dialroom.server import Doors, Server


async def serve_until_stopped(config: Config, out: Console, *, keep_calls: bool) -> None:
    """Starts, says where the doors are, and serves until SIGTERM or SIGINT."""
    set_up_logging(config.log_format, config.log_level)
    raise_open_files()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = Server(config)
    doors = await server.start()
    try:
        await print_doors(server, doors, out)
        await stopped.wait()
    finally:
        await server.stop(keep_calls=keep_calls)


async def print_doors(server: Server, doors: Doors, out: Console) -> None:
    """The addresses, the demo room and, at the very first start, the API key."""
    lines: list[tuple[str, str]] = []
    room, number = await demo_room(server)
    if room is not None:
        link = f"{doors.base_url}/r/{room.slug}"
        lines.append(("Room page", link))
        lines.append(("… for its host", f"{link}#host={room.host_key}"))
    lines.append(("API", f"{doors.base_url}/api/  (documentation: {doors.base_url}/api/docs)"))
    lines.append(("SIP", f"sip:{doors.sip_host}:{doors.sip_port}  (UDP and TCP)"))
    if number is not None and room is not None and room.code is not None:
        port = "" if doors.sip_port == 5060 else f":{doors.sip_port}"
        lines.append(("Call", f"sip:{number.number}@{doors.sip_host}{port}  and enter the code {room.code}"))
    if doors.first is not None:
        lines.append(("API key", f"{doors.first.api_key}  (shown only now; more with `dialroom keys create`)"))
    if doors.calls_taken_up:
        lines.append(("Calls", f"{doors.calls_taken_up} taken up again"))
    for name, value in lines:
        out.print(f"{name:<16}{value}", markup=False)
    out.print("dialroom is ready.", markup=False)


async def demo_room(server: Server) -> tuple[Room | None, Number | None]:
    """The oldest organisation's first dial-in room and number; what the very first start made, unless deleted."""
    organisations = await server.store.organisations.list()
    if not organisations:
        return None, None
    house = organisations[0].id
    rooms = (await server.rooms.page(house, limit=200)).items
    numbers = [each for each in await server.store.numbers.list(house) if each.dial_in and each.room is None]
    return (rooms[-1] if rooms else None), (numbers[0] if numbers else None)
