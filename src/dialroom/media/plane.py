"""The media plane as the rest of the program sees it.

`MediaPlane` is what flows, calls and rooms depend on. Two things are one: `dialroom.media.client.MediaClient`, which
speaks to the media process, and `dialroom.media.fake.FakeMediaPlane`, which tests use.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeVar

from dialroom.media.protocol import (
    Answer,
    CloseLeg,
    Command,
    Done,
    Event,
    GetMetrics,
    GetStatistics,
    LegOpened,
    LegStatistics,
    Metrics,
    OpenLeg,
    OpenPeer,
    PeerOpened,
    PutClip,
    RestartPeer,
    Snapshot,
    Statistics,
)

EventHandler = Callable[[Event], None]
LinkHandler = Callable[[Snapshot | None], None]
Unlisten = Callable[[], None]

AnswerT = TypeVar("AnswerT", bound=Answer)


class MediaError(Exception):
    """A command to the media plane had no success."""


class MediaRefused(MediaError):  # noqa: N818 - named for what happened
    """The media plane did not carry the command out; ``code`` is one of those listed at `protocol.Refused`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class MediaLost(MediaError):  # noqa: N818 - named for what happened
    """There is no link to the media plane, or it broke before the answer came. Commands may be repeated safely."""


class MediaPlane(Protocol):
    """Commands in, events out.

    Handlers are called in the order of events, in the event loop, and must not block; what one raises is logged and
    disturbs nobody else.
    """

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Whether commands can be sent now."""

    @property
    @abstractmethod
    def last_event(self) -> int:
        """Sequence of the last must-deliver event that was handed to the handlers; store it with `instance`."""

    @property
    @abstractmethod
    def instance(self) -> str | None:
        """Which media process it is; another one knows nothing of the legs of this one."""

    @abstractmethod
    async def request(self, command: Command) -> Answer:
        """Carries out ``command``. Raises `MediaRefused` or `MediaLost`."""

    @abstractmethod
    def listen(self, subject_id: str, handler: EventHandler) -> Unlisten:
        """Calls ``handler`` for each event of the leg, peer or bridge with this id, until the result is called."""

    @abstractmethod
    def listen_all(self, handler: EventHandler) -> Unlisten:
        """Calls ``handler`` for each event."""

    @abstractmethod
    def listen_link(self, handler: LinkHandler) -> Unlisten:
        """Calls ``handler`` with the `Snapshot` after each reconnection, and with None when the link is lost."""

    async def perform(self, command: Command) -> None:
        """Carries out a command that is answered by `Done`."""
        await self._expect(Done, command)

    async def open_leg(
        self,
        leg: str,
        *,
        tag: str = "",
        remote_address: str | None = None,
        remote_rtp_port: int | None = None,
        signalling_address: str | None = None,
    ) -> LegOpened:
        """Reserves a phone leg's local port; see `OpenLeg`. Raises `MediaRefused` ``no_port`` when all are taken."""
        command = OpenLeg(
            leg=leg,
            tag=tag,
            remote_address=remote_address,
            remote_rtp_port=remote_rtp_port,
            signalling_address=signalling_address,
        )
        return await self._expect(LegOpened, command)

    async def close_leg(self, leg: str) -> Statistics:
        """Closes a leg and returns its last statistics."""
        return (await self._expect(LegStatistics, CloseLeg(leg=leg))).statistics

    async def leg_statistics(self, leg: str) -> Statistics:
        """A leg's quality so far."""
        return (await self._expect(LegStatistics, GetStatistics(leg=leg))).statistics

    async def put_clip(self, clip: str, audio: bytes) -> None:
        """Keeps a prompt (WAV) under the name ``clip``. Raises `MediaRefused` ``bad_audio``."""
        await self.perform(PutClip(clip=clip, audio=audio))

    async def open_peer(self, command: OpenPeer) -> str:
        """Opens a browser peer and returns the SDP answer. Raises `MediaRefused` ``bad_offer``."""
        return (await self._expect(PeerOpened, command)).answer

    async def restart_peer(self, peer: str, offer: str) -> str:
        """Restarts ICE of a peer and returns the SDP answer."""
        return (await self._expect(PeerOpened, RestartPeer(peer=peer, offer=offer))).answer

    async def metrics(self) -> dict[str, float]:
        """Counters and gauges of the media process by Prometheus name."""
        return (await self._expect(Metrics, GetMetrics())).values

    async def _expect(self, kind: type[AnswerT], command: Command) -> AnswerT:
        answer = await self.request(command)
        if not isinstance(answer, kind):
            raise MediaRefused("internal", f"{type(command).__name__} was answered by {type(answer).__name__}")
        return answer


def subject_of(event: Event) -> str:
    """The id of the leg, peer or bridge that ``event`` is about."""
    for name in ("leg", "peer", "bridge"):
        subject = getattr(event, name, None)
        if isinstance(subject, str):
            return subject
    raise TypeError(f"{type(event).__name__} has no subject")
