"""What a WAV file holds, as far as the media plane can play it: PCM 16 bit or G.711 mu-law, mono, 8, 16 or 48 kHz."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PCM: Final = 1
MULAW: Final = 7
RATES: Final = (8000, 16000, 48000)
MAX_BYTES: Final = 20_000_000
_BITS: Final = {PCM: 16, MULAW: 8}
_CONVERT: Final = "Convert it, for example with: sox IN.wav -c 1 -r 16000 -b 16 -e signed-integer OUT.wav"


class WavError(ValueError):
    """The file cannot be played. The text says what is wrong, `fix` what to do."""

    def __init__(self, detail: str, fix: str = _CONVERT) -> None:
        super().__init__(detail)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class WavInfo:
    """Where the sound is in the file (`start`, `size`, bytes) and how to read it (`rate` in Hz)."""

    encoding: int
    rate: int
    start: int
    size: int

    @property
    def duration_ms(self) -> int:
        """Length in ms, rounded down."""
        return self.size * 1000 // (self.rate * _BITS[self.encoding] // 8)


def read_wav(data: bytes) -> WavInfo:
    """Check a whole WAV file.

    Raises:
        WavError: it is no WAV file, cut short, empty, or of a kind the media plane does not play.
    """
    if len(data) > MAX_BYTES:
        raise WavError(f"larger than {MAX_BYTES // 1_000_000} MB", "Shorten it.")
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError("not a WAV file")
    encoding: int | None = None
    rate, at = 0, 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"fmt ":
            encoding, rate = _read_format(data[body : body + size])
        elif name == b"data":
            if encoding is None:
                raise WavError("the sound comes before its description")
            return _sound(data, encoding, rate, body, size)
        at = body + size + size % 2
    raise WavError("no sound in it, or cut short")


def _read_format(body: bytes) -> tuple[int, int]:
    if len(body) < 16:
        raise WavError("its description is cut short")
    encoding, channels = int.from_bytes(body[0:2], "little"), int.from_bytes(body[2:4], "little")
    rate, bits = int.from_bytes(body[4:8], "little"), int.from_bytes(body[14:16], "little")
    if _BITS.get(encoding) != bits:
        raise WavError(f"neither 16-bit PCM nor mu-law (WAV format {encoding}, {bits} bits)")
    if channels != 1:
        raise WavError(f"{channels} channels where one is needed")
    if rate not in RATES:
        raise WavError(f"{rate} Hz where 8000, 16000 or 48000 is needed")
    return encoding, rate


def _sound(data: bytes, encoding: int, rate: int, start: int, size: int) -> WavInfo:
    if not size:
        raise WavError("no sound in it", "Record it again.")
    if start + size > len(data):
        raise WavError("cut short", "Copy it again.")
    return WavInfo(encoding, rate, start, size)
