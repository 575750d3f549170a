"""What can be loaded with phone legs, in the same way for each: a reflector, dialroom's media process, Janus."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType

from bench import load
from bench.machine import cpus
from bench.process import Process


class Subject(ABC):
    """A server of phone legs, running while it is entered. ``folder`` is its own, for sockets and logs."""

    name: str
    has_rooms = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The process whose CPU time and memory are the subject's."""
        assert self._process is not None
        return self._process

    async def __aenter__(self) -> Subject:
        self._process = await self._start()
        try:
            await self._connect()
        except BaseException:
            await self._process.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._disconnect()
        finally:
            await self.process.stop()

    @abstractmethod
    async def _start(self) -> Process:
        """Starts the process."""

    @abstractmethod
    async def _connect(self) -> None:
        """Opens the way to control it."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Closes the way to control it."""

    @abstractmethod
    def open_legs(self, sources: Sequence[str], room_size: int) -> AsyncIterator[str]:
        """A PCMU leg for each source address, ``room_size`` of them to a room; where each phone is to send."""


class Reflector(Subject):
    """Sends each packet back: the floor."""

    name = "UDP reflector"
    has_rooms = False

    def __init__(self, folder: Path, seconds: float = 60.0) -> None:
        super().__init__(folder)
        self._seconds = seconds
        self._address = ""

    async def _start(self) -> Process:
        arguments = ["reflect", "--seconds", f"{self._seconds:g}"]
        return await load.start(arguments, cpus().server, self.folder / "reflector.log")

    async def _connect(self) -> None:
        self._address = (await load.line(self.process))["address"]

    async def _disconnect(self) -> None:
        """It is not controlled."""

    async def open_legs(self, sources: Sequence[str], room_size: int) -> AsyncIterator[str]:
        """All phones send to the one port."""
        for _ in sources:
            yield self._address
