"""dialroom's media process, freshly started and controlled over its own link."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from bench.machine import ROOT, cpus
from bench.process import BenchError, Process, until_exists
from bench.subjects import Subject
from dialroom.media.client import MediaClient
from dialroom.media.protocol import Codec, ConfigureLeg, JoinLeg, LegMedia, LegOpened, OpenBridge, OpenLeg

CANDIDATES = (ROOT / "src/dialroom/_bin/dialroom-media", ROOT / "rust/target/release/dialroom-media")
LEGS_PER_SECOND = 100
RTP_PORTS = "21000-25999"


class MediaPlane(Subject):
    """The media process."""

    name = "dialroom"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._client: MediaClient | None = None

    async def _start(self) -> Process:
        command: list[str | Path] = [
            binary(),
            f"--control=unix:{self.folder}/media",
            "--rtp-address=127.0.0.1",
            f"--rtp-ports={RTP_PORTS}",
            "--webrtc-port=0",
        ]
        return await Process.start(command, cpu=cpus().server, log=self.folder / "media.log")

    async def _connect(self) -> None:
        await until_exists(self.folder / "media", self.process)
        self._client = MediaClient(f"unix:{self.folder}/media")
        await self._client.connect()

    async def _disconnect(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def open_legs(self, sources: Sequence[str], room_size: int) -> AsyncIterator[str]:
        """Legs as calls make them: opened, configured, put into the bridge of their room, not faster than a
        server takes calls. So most legs find a port whose other legs have been heard of."""
        assert self._client is not None
        clock = asyncio.get_running_loop().time
        began = clock()
        for number, source in enumerate(sources):
            await asyncio.sleep(began + number / LEGS_PER_SECOND - clock())
            yield await open_leg(self._client, number, f"bench_{number // room_size}", source)


async def open_leg(client: MediaClient, number: int, bridge: str, source: str) -> str:
    """A PCMU leg for the phone at ``source``, as participant of ``bridge``; where the phone is to send."""
    leg = f"leg_bench{number}"
    address, port = source.rsplit(":", 1)
    await client.request(OpenBridge(bridge=bridge))
    opened = await client.request(OpenLeg(leg=leg, remote_address=address, remote_rtp_port=int(port)))
    if not isinstance(opened, LegOpened):
        raise BenchError(f"the media process answered OpenLeg by {type(opened).__name__}")
    media = LegMedia(
        remote_address=address,
        remote_rtp_port=int(port),
        remote_rtcp_port=int(port),
        rtcp_mux=True,
        codec=Codec(name="PCMU", payload_type=0),
    )
    await client.request(ConfigureLeg(leg=leg, media=media))
    await client.request(JoinLeg(leg=leg, bridge=bridge, participant=f"part_bench{number}"))
    return f"{opened.address}:{opened.rtp_port}"


def binary() -> Path:
    """The newest built media process; ``BENCH_MEDIA_BINARY`` names another. Raises `BenchError` without one."""
    named = os.environ.get("BENCH_MEDIA_BINARY")
    built = [Path(named)] if named else [path for path in CANDIDATES if path.exists()]
    if not built:
        raise BenchError("dialroom-media is not built; run `make media`")
    return max(built, key=lambda path: path.stat().st_mtime)
