"""G.711 for measurements: what its 256 codes mean, and the code nearest to a sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .tones import Samples

Codes = NDArray[np.uint8]


def _mu_law() -> Samples:
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 0x84 << ((code >> 4) & 7).astype(np.int32)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude) / 32768.0


def _a_law() -> Samples:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment = ((code >> 4) & 7).astype(np.int32)
    step = ((code & 0x0F).astype(np.int32) << 4) + 8
    magnitude = np.where(segment == 0, step, step + 0x100 << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude) / 32768.0


VALUES = {"PCMU": _mu_law(), "PCMA": _a_law()}
"""What each code means, from -1 to 1."""


def decode(codec: str, payload: bytes) -> Samples:
    """The samples of a payload, at 8 kHz."""
    return VALUES[codec][np.frombuffer(payload, dtype=np.uint8)]


def encode(codec: str, samples: Samples) -> bytes:
    """The nearest code of each sample."""
    values = VALUES[codec]
    order = np.argsort(values)
    middles = (values[order][1:] + values[order][:-1]) / 2
    codes: Codes = order[np.searchsorted(middles, samples)].astype(np.uint8)
    return codes.tobytes()
