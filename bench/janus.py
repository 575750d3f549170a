"""Janus with its AudioBridge plugin and plain-RTP participants, as the Debian package ``janus`` installs it.

Set up in its favour: rooms mix at 8 kHz, so that G.711 is never resampled; no recording, no events, quiet log.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench.machine import cpus
from bench.process import BenchError, Process
from bench.subjects import Subject

PLUGIN = "janus.plugin.audiobridge"
ANSWER_SECONDS = 20.0
READY_SECONDS = 15.0
AT_ONCE = 16

MAIN_CONFIG = """
general: {{
  configs_folder = "{folder}"
  plugins_folder = "{libraries}/plugins"
  transports_folder = "{libraries}/transports"
  events_folder = "{folder}"
  loggers_folder = "{folder}"
  debug_level = 2
  session_timeout = 0
  interface = "127.0.0.1"
}}
plugins: {{ disable = "{other_plugins}" }}
transports: {{ disable = "{other_transports}" }}
"""

TRANSPORT_CONFIG = """
general: {{ ws = true, ws_port = {port}, ws_ip = "127.0.0.1", wss = false, json = "compact" }}
admin: {{ admin_ws = false, admin_wss = false }}
"""

PLUGIN_CONFIG = """
general: { events = false, rtp_port_range = "40000-59999", local_ip = "127.0.0.1" }
"""


class Janus(Subject):
    """Janus, controlled over its WebSocket on loopback."""

    name = "Janus AudioBridge"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._api: Api | None = None
        self._port = _free_port()

    async def _start(self) -> Process:
        program = shutil.which("janus")
        if program is None:
            raise BenchError("janus is not installed; apt-get install janus")
        _write_configuration(self.folder, _libraries(), self._port)
        command = [program, f"--configs-folder={self.folder}", f"--config={self.folder}/janus.jcfg"]
        return await Process.start(command, cpu=cpus().server, log=self.folder / "janus.log")

    async def _connect(self) -> None:
        self._api = await Api.open(f"ws://127.0.0.1:{self._port}", self.process)

    async def _disconnect(self) -> None:
        if self._api is not None:
            await self._api.close()

    async def open_legs(self, sources: Sequence[str], room_size: int) -> AsyncIterator[str]:
        """One handle per phone, as every Janus client makes them. All are there before the first phone sends: with
        hundreds of participants the control of a Janus that already mixes takes minutes."""
        assert self._api is not None
        api = self._api
        keeper = await api.attach()
        for number in range(-(-len(sources) // room_size)):
            body = {"request": "create", "room": number + 1, "sampling_rate": 8000, "allow_rtp_participants": True}
            await api.message(keeper, {**body, "is_private": True, "audiolevel_event": False})
        gate = asyncio.Semaphore(AT_ONCE)

        async def join(number: int) -> str:
            async with gate:
                return await api.join(number // room_size + 1, sources[number])

        for target in await asyncio.gather(*(join(number) for number in range(len(sources)))):
            yield target


class Api:
    """The Janus API: JSON messages over a WebSocket, answers by transaction."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self._session = 0
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, process: Process) -> Api:
        """Connects as soon as ``process`` listens, and makes a session."""
        api = cls(await _connect_when_ready(url, process))
        api._session = (await api._ask({"janus": "create"}))["data"]["id"]
        return api

    async def close(self) -> None:
        """Closes the connection; Janus then ends the session."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._connection.close()

    async def attach(self) -> int:
        """A new handle to the AudioBridge."""
        answer = await self._ask({"janus": "attach", "plugin": PLUGIN, "session_id": self._session})
        handle: int = answer["data"]["id"]
        return handle

    async def message(self, handle: int, body: dict[str, Any]) -> dict[str, Any]:
        """Asks the AudioBridge. Raises `BenchError` with what it says if it refuses."""
        request = {"janus": "message", "session_id": self._session, "handle_id": handle, "body": body}
        data: dict[str, Any] = (await self._ask(request))["plugindata"]["data"]
        if "error" in data:
            raise BenchError(f"Janus refused {body['request']}: {data['error']}")
        return data

    async def join(self, room: int, source: str) -> str:
        """Makes the phone at ``source`` a participant; where it is to send."""
        handle = await self.attach()
        address, port = source.rsplit(":", 1)
        rtp = {"ip": address, "port": int(port), "payload_type": 0}
        data = await self.message(handle, {"request": "join", "room": room, "codec": "pcmu", "rtp": rtp})
        return f"{data['rtp']['ip']}:{data['rtp']['port']}"

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        transaction = str(self._count)
        answer = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps({**request, "transaction": transaction}))
        try:
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            raise BenchError(f"Janus did not answer {request['janus']} in {ANSWER_SECONDS:g} s") from None
        finally:
            del self._waiting[transaction]

    async def _read(self) -> None:
        async for text in self._connection:
            message = json.loads(text)
            answer = self._waiting.get(message.get("transaction", ""))
            # An "ack" says only that the answer will come later, as an event of the same transaction.
            if answer is None or answer.done() or message["janus"] == "ack":
                continue
            if message["janus"] == "error":
                answer.set_exception(BenchError(f"Janus: {message['error']['reason']}"))
            else:
                answer.set_result(message)


async def _connect_when_ready(url: str, process: Process) -> ClientConnection:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            return await connect(
                url,
                subprotocols=[Subprotocol("janus-protocol")],
                max_size=None,
                ping_interval=None,  # an overloaded Janus does not answer in time, and is measured all the same
                close_timeout=1,
            )
        except OSError as error:
            process.check()
            if time.monotonic() > deadline:
                raise BenchError(f"Janus was not ready after {READY_SECONDS:g} s: {error}") from error
            await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _libraries() -> Path:
    for folder in [*Path("/usr/lib").glob("*/janus"), Path("/usr/lib/janus")]:
        if (folder / "plugins").is_dir():
            return folder
    raise BenchError("the plugins of janus are not under /usr/lib; is it the Debian package?")


def _write_configuration(folder: Path, libraries: Path, port: int) -> None:
    def others(kind: str, wanted: str) -> str:
        names = {path.name for path in (libraries / kind).glob("libjanus_*.so") if wanted not in path.name}
        return ",".join(sorted(names))

    main = MAIN_CONFIG.format(
        folder=folder,
        libraries=libraries,
        other_plugins=others("plugins", "audiobridge"),
        other_transports=others("transports", "websockets"),
    )
    (folder / "janus.jcfg").write_text(main)
    (folder / "janus.transport.websockets.jcfg").write_text(TRANSPORT_CONFIG.format(port=port))
    (folder / "janus.plugin.audiobridge.jcfg").write_text(PLUGIN_CONFIG)
