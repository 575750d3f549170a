"""Tones and hold music for scripts/make_prompts.py: our own composition, made by arithmetic, free of others' rights.

The music: 20 bars of 4/4 at 80 to the minute, 60 s, whose last bar leads back into the first; electric-piano chords,
a soft bass and a sparse melody. Notes ring on across the end into the beginning, so that the loop has no seam.
"""

from __future__ import annotations

import numpy as np

from prompt_audio import RATE, Sound

MUSIC_DBFS = -27.0
TONE_DBFS = -24.0
BEAT = 0.75  # seconds

# Chord tones as MIDI numbers, one chord a bar: root for the bass, then the voicing.
_CHORDS = {
    "C": (36, (52, 55, 59, 62)),
    "Am": (33, (52, 55, 57, 60)),
    "F": (29, (53, 57, 60, 64)),
    "G": (31, (53, 55, 59, 62)),
    "Dm": (38, (53, 57, 60, 64)),
    "Em": (28, (52, 55, 59, 62)),
    "Bb": (34, (53, 57, 58, 62)),
}
_BARS = ("C Am F G " * 2 + "Am Em F C Dm Em F G C Am Bb G").split()

# Melody: (bar, beat, length in beats, MIDI number).
_MELODY = (
    *((0, 0, 2, 76), (0, 2, 1, 79), (0, 3, 1, 74), (1, 0, 3, 72), (2, 1, 1, 69), (2, 2, 2, 72), (3, 0, 3, 74)),
    *((4, 0, 2, 76), (4, 2, 1, 79), (4, 3, 1, 81), (5, 0, 3, 79), (6, 1, 1, 77), (6, 2, 2, 76), (7, 0, 3, 74)),
    *((8, 0, 1, 72), (8, 1, 1, 76), (8, 2, 2, 81), (9, 0, 3, 79), (10, 0, 1, 77), (10, 1, 1, 76), (10, 2, 2, 72)),
    *((11, 0, 3, 76), (12, 1, 1, 74), (12, 2, 2, 77), (13, 0, 3, 76), (14, 0, 2, 72), (14, 2, 2, 69), (15, 0, 3, 71)),
    *((16, 0, 2, 72), (16, 2, 1, 74), (16, 3, 1, 76), (17, 0, 3, 72), (18, 1, 1, 74), (18, 2, 2, 70), (19, 0, 3, 67)),
)


def entry_tone() -> Sound:
    """Two rising notes, 0.35 s."""
    return _two_notes(72, 79)


def hold_music() -> Sound:
    """One minute of music that loops without a seam."""
    loop = np.zeros(round(len(_BARS) * 4 * BEAT * RATE))
    for bar, name in enumerate(_BARS):
        root, chord = _CHORDS[name]
        for beat, strength in ((0, 1.0), (2.5, 0.55)):
            for late, note in enumerate(chord):
                _add(loop, bar * 4 + beat + 0.03 * late, 0.16 * strength * _piano(note, 2.6))
        for beat, length in ((0, 1.8), (2, 1.2)):
            _add(loop, bar * 4 + beat, 0.30 * _bass(root + 12, length))
    for bar, beat, length, note in _MELODY:
        _add(loop, bar * 4 + beat, 0.26 * _piano(note, 0.9 + 0.6 * length))
    return _at_level(loop, MUSIC_DBFS)


def _two_notes(first: int, second: int) -> Sound:
    tone = np.zeros(round(0.35 * RATE))
    _add(tone, 0, _piano(first, 0.16), wrap=False)
    _add(tone, 0.16 / BEAT, _piano(second, 0.19), wrap=False)
    return _at_level(tone, TONE_DBFS)


def _at_level(sound: Sound, dbfs: float) -> Sound:
    return sound * float(10 ** (dbfs / 20) / np.sqrt((sound**2).mean()))


def _add(track: Sound, beat: float, note: Sound, *, wrap: bool = True) -> None:
    at = np.arange(note.size) + round(beat * BEAT * RATE)
    if wrap:
        np.add.at(track, at % track.size, note)
    else:
        inside = at < track.size
        track[at[inside]] += note[inside]


def _piano(note: int, seconds: float) -> Sound:
    """An electric piano: two partials with a bell that dies away first, a slow tremolo, 8 ms attack."""
    time, pitch = _time(seconds), _hertz(note)
    bell = 0.9 * np.exp(-7 * time) * np.sin(2 * np.pi * pitch * 2 * time)
    body = np.sin(2 * np.pi * pitch * time + bell) + 0.18 * np.exp(-3 * time) * np.sin(2 * np.pi * pitch * 3 * time)
    return body * np.exp(-1.9 * time) * (1 + 0.08 * np.sin(2 * np.pi * 4.5 * time)) * _edges(time, seconds, 0.008)


def _bass(note: int, seconds: float) -> Sound:
    """A soft bass, with enough second and third partial to be heard on a telephone."""
    time, pitch = _time(seconds), _hertz(note)
    sound = np.sin(2 * np.pi * pitch * time)
    sound += 0.6 * np.sin(4 * np.pi * pitch * time) + 0.25 * np.sin(6 * np.pi * pitch * time)
    return sound * np.exp(-1.4 * time) * _edges(time, seconds, 0.015)


def _edges(time: Sound, seconds: float, attack: float) -> Sound:
    return np.minimum(1.0, time / attack) * np.clip((seconds - time) / 0.06, 0.0, 1.0)


def _time(seconds: float) -> Sound:
    return np.arange(round(seconds * RATE)) / RATE


def _hertz(note: int) -> float:
    return float(440 * 2 ** ((note - 69) / 12))
