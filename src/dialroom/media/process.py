"""The media process on this machine: started once, found again after a restart of the control plane.

It is started in a session of its own, so that it outlives a control plane that is killed, and calls go on. Its control
socket and a pid file lie in the data folder; whoever starts next adopts it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from dialroom.media.client import MediaClient
from dialroom.media.plane import MediaError, MediaRefused

logger = logging.getLogger(__name__)

BINARY_NAME = "dialroom-media"
BINARY_VARIABLE = "DIALROOM_MEDIA_BINARY"
START_SECONDS = 15.0
STOP_SECONDS = 5.0
PROBE_SECONDS = 3.0


class MediaProcessError(Exception):
    """The media process cannot be started; the message says what to do."""


@dataclass(frozen=True, slots=True)
class MediaProcessSettings:
    """How to run the media process. Ports of 0 let the system choose. ``data_dir`` must exist.

    ``linger``: seconds after which it ends by itself, and with it all calls, when no control plane is connected; 0:
    never.
    """

    data_dir: Path
    rtp_address: str = "0.0.0.0"  # noqa: S104 - phones come from everywhere
    advertise: Sequence[str] = ()
    rtp_ports: str = "20000-29999"
    webrtc_port: int = 7882
    linger: int = 600
    log: str = "json"
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.data_dir / "media.sock"

    @property
    def pid_file(self) -> Path:
        """The process's number."""
        return self.data_dir / "media.pid"

    @property
    def log_file(self) -> Path:
        """What the process says."""
        return self.data_dir / "media.log"


class MediaProcess:
    """Starts, finds and ends the media process of a data folder."""

    def __init__(self, settings: MediaProcessSettings) -> None:
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where `MediaClient` connects."""
        return f"unix:{self._settings.socket}"

    async def ensure(self) -> bool:
        """Adopts the process that runs, or starts one; True if it was started.

        Raises `MediaProcessError`. Fits as ``revive`` of `MediaClient`.
        """
        if self._is_running():
            answer = await self._probe()
            if answer is None:
                self._note(self.pid())
                return False
            logger.warning("The media process that runs is of no use, it is replaced: %s", answer)
            await self.stop()
        await self._start()
        return True

    def pid(self) -> int | None:
        """The number of the process that runs, if one does."""
        try:
            noted = int(self._settings.pid_file.read_text())
        except (OSError, ValueError):
            noted = 0
        if noted and _is_media_process(noted, self.url):
            return noted
        # Whoever started it may have been killed before it could write the number down.
        listening = _listening_at(self._settings.socket)
        return listening if listening and _is_media_process(listening, self.url) else None

    async def stop(self) -> None:
        """Ends the process, and with it all calls. Nothing running is no error."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        if not await self._ended(pid):
            logger.warning("The media process %d does not end; it is killed", pid)
            os.kill(pid, signal.SIGKILL)
            await self._ended(pid)
        self._settings.pid_file.unlink(missing_ok=True)

    def _note(self, pid: int | None) -> None:
        if pid is not None:
            self._settings.pid_file.write_text(f"{pid}\n")

    def _is_running(self) -> bool:
        if self._child is not None and self._child.poll() is not None:
            logger.error(
                "The media process ended with code %d; see %s", self._child.returncode, self._settings.log_file
            )
            self._child = None
        return self.pid() is not None

    async def _probe(self) -> str | None:
        """Why the process that runs cannot be used; None if it can."""
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_unix_connection(self._settings.socket), PROBE_SECONDS)
        except (OSError, TimeoutError) as error:
            return f"its socket does not answer: {error}"
        writer.close()
        if self._child is not None:
            return None
        # A process of another version may speak another protocol: only the hello tells.
        client = MediaClient(self.url, timeout=PROBE_SECONDS)
        try:
            await client.connect()
        except MediaRefused as error:
            return str(error) if error.code == "protocol_mismatch" else None
        except MediaError as error:
            return str(error)
        finally:
            await client.close()
            del reader
        return None

    async def _start(self) -> None:
        settings = self._settings
        binary = find_binary()
        command = [str(binary), "--control", self.url, "--rtp-address", settings.rtp_address]
        command += ["--rtp-ports", settings.rtp_ports, "--webrtc-port", str(settings.webrtc_port)]
        command += ["--log", settings.log, "--log-file", str(settings.log_file), "--linger", str(settings.linger)]
        if settings.advertise:
            command += ["--advertise", ",".join(settings.advertise)]
        child = await self._spawned(command)
        try:
            ready = await asyncio.wait_for(asyncio.to_thread(_read_ready, child), START_SECONDS)
        except BaseException as error:
            # Also when the start is given up: nobody else knows of the process, and it would linger.
            child.kill()
            await asyncio.to_thread(child.wait)
            if isinstance(error, TimeoutError):
                raise MediaProcessError(f"The media process did not get ready; see {settings.log_file}") from None
            raise
        if ready is None:
            code = await asyncio.to_thread(child.wait)
            raise MediaProcessError(f"The media process ended with code {code}: {self._last_words()}")
        self._note(child.pid)
        self._child = child
        logger.info("The media process %d is ready on UDP and TCP port %s", child.pid, ready.get("webrtc_port"))

    async def _spawned(self, command: list[str]) -> subprocess.Popen[bytes]:
        spawning = asyncio.ensure_future(asyncio.to_thread(self._spawn, command))
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:  # a thread that has begun to start it cannot be called back
            with await spawning as child:
                child.kill()
            raise

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self._settings.log_file.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own binary
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self._settings.environment},
            )

    def _last_words(self) -> str:
        try:
            lines = self._settings.log_file.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else f"see {self._settings.log_file}"

    async def _ended(self, pid: int) -> bool:
        for _ in range(int(STOP_SECONDS / 0.02)):
            if self._child is not None and self._child.pid == pid:
                if self._child.poll() is not None:
                    self._child = None
                    return True
            elif not _is_media_process(pid, self.url):
                return True
            await asyncio.sleep(0.02)
        return False


def find_binary() -> Path:
    """The media process's program: named by the environment, packed with us, or built in this checkout.

    Raises `MediaProcessError`.
    """
    named = os.environ.get(BINARY_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise MediaProcessError(f"{BINARY_VARIABLE} names {named}, which is no file")
        return Path(named)
    packed = Path(str(resources.files("dialroom"))) / "_bin" / BINARY_NAME
    target = Path(os.environ.get("CARGO_TARGET_DIR") or Path(__file__).parents[3] / "rust" / "target")
    candidates = [packed, target / "release" / BINARY_NAME, target / "debug" / BINARY_NAME]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise MediaProcessError(
        f"There is no {BINARY_NAME}; build it with `cargo build --release` in rust/, or set {BINARY_VARIABLE}"
    )


def _read_ready(child: subprocess.Popen[bytes]) -> dict[str, object] | None:
    if child.stdout is None:
        return None
    with child.stdout:
        line = child.stdout.readline()
    try:
        ready = json.loads(line)
    except ValueError:
        return None
    return ready if isinstance(ready, dict) else None


def _listening_at(path: Path) -> int:
    """The number of the process that listens at a Unix socket; 0 if none does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
            pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError:
            return 0
    return int(pid)


def _is_media_process(pid: int, url: str) -> bool:
    """Whether the process with this number runs and was told to listen at ``url``, whatever its program is called.

    Numbers are used again, even for the media process of somebody else.
    """
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z" and os.fsencode(url) in command
