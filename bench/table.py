"""All figures as one Markdown table, each with its aim and whether it was met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bench import browser_delay, call_setup, delay, media_density
from bench.janus import Janus
from bench.media_density import Cell, Cost
from bench.media_plane import MediaPlane
from bench.subjects import Reflector

OVERLOADED = 0.95
FLOOR_RATIO = 1.6
JANUS_RATIO = 4.0
FLAT_RATIO = 1.1
DELAY_MS = 40.0
CALLS_PER_SECOND = 50
HEADER = ("", "dialroom", "UDP reflector", "Janus AudioBridge", "first aim")


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that was measured; None for what was not asked for. ``browser``: delay phone → browser."""

    density: media_density.Results | None = None
    phone_delay: delay.Results | None = None
    browser: browser_delay.BrowserDelay | str | None = None
    calls: call_setup.Results | None = None


Row = tuple[str, str, str, str, str]


def render(machine: str, figures: Figures) -> str:
    """The table and, under it, what its marks mean and why figures are missing."""
    notes: list[str] = []
    rows = [HEADER, ("---", "--:", "--:", "--:", "---"), *_rows(figures, notes)]
    lines = [f"Measured on {machine}", "", *(f"| {' | '.join(row)} |" for row in rows)]
    if any("†" in cell for row in rows for cell in row):
        lines += ["", "† overloaded: not every phone got its packets or heard speech, so the true cost is higher."]
    if any("‡" in cell for row in rows for cell in row):
        lines += ["", "‡ the load generator could not send all packets on its CPU, so the true cost is higher."]
    return "\n".join([*lines, *(f"\n{note}" for note in notes)])


def _rows(figures: Figures, notes: list[str]) -> Iterator[Row]:
    if figures.density is not None:
        yield from _density(figures.density, notes)
    if figures.phone_delay is not None:
        yield _phone_delay(figures.phone_delay, notes)
    if figures.browser is not None:
        yield from _browser_delay(figures.browser, notes)
    if figures.calls is not None:
        yield from _calls(figures.calls, notes)


def _density(results: media_density.Results, notes: list[str]) -> Iterator[Row]:
    loads = sorted({(cell.legs, cell.room) for cell in results if cell.room is not None})
    for title, value in (("CPU µs per leg-second", _cpu), ("memory per leg, kB", _memory)):
        for legs, room in loads:
            ours, floor, janus = _at(results, legs, room)
            layout = "one room" if room == legs else f"rooms of {room}"
            if ours is None and janus is None and floor is None:
                continue
            aim = _cpu_aim(results, legs, room) if value is _cpu else ""
            yield (f"{title}: {legs} legs, {layout}", value(ours), value(floor), value(janus), aim)
    notes += [f"{cell.subject}, {cell.legs} legs: {why}" for cell, why in results.items() if isinstance(why, str)]


def _at(results: media_density.Results, legs: int, room: int | None) -> tuple[Cost | None, Cost | None, Cost | None]:
    def cost(name: str, of: int | None) -> Cost | None:
        found = results.get(Cell(name, legs, of))
        return found if isinstance(found, Cost) else None

    floor = cost(Reflector.name, None)
    if floor is not None:
        # What a reflector sends back is mostly quiet lines: only the talkers hear speech.
        floor = replace(floor, hearing=1.0)
    return cost(MediaPlane.name, room), floor, cost(Janus.name, room)


def _cpu(cost: Cost | None) -> str:
    return "–" if cost is None else f"{cost.cpu:,.0f}{_marks(cost)}"


def _memory(cost: Cost | None) -> str:
    return "–" if cost is None else f"{cost.memory / 1000:,.1f}"


def _marks(cost: Cost) -> str:
    served = cost.fed >= OVERLOADED and cost.hearing >= OVERLOADED
    return ("" if served else " †") + ("" if cost.offered >= media_density.UNDISTURBED else " ‡")


def _cpu_aim(results: media_density.Results, legs: int, room: int | None) -> str:
    ours, floor, janus = _at(results, legs, room)
    if ours is None:
        return ""
    parts = []
    if floor is not None:
        parts.append(_verdict(ours.cpu / floor.cpu, "×{:.2f} of reflector", f"≤ ×{FLOOR_RATIO}", at_most(FLOOR_RATIO)))
    if janus is not None:
        ratio = janus.cpu / ours.cpu
        if ratio < JANUS_RATIO and _marks(janus):
            parts.append(f"Janus more than ×{ratio:.1f} (≥ ×{JANUS_RATIO:g}: not comparable, Janus was overloaded)")
        else:
            parts.append(_verdict(ratio, "Janus ×{:.1f}", f"≥ ×{JANUS_RATIO:g}", at_least(JANUS_RATIO)))
    tens = _at(results, legs, media_density.ROOM_OF_TEN)[0]
    if room == legs and tens is not None and room != media_density.ROOM_OF_TEN:
        ratio = ours.cpu / tens.cpu
        parts.append(_verdict(ratio, "×{:.2f} of rooms of ten", f"≤ ×{FLAT_RATIO:g}", at_most(FLAT_RATIO)))
    return ", ".join(parts)


def at_most(limit: float) -> Callable[[float], bool]:
    """Whether a value is within ``limit``."""
    return lambda value: value <= limit


def at_least(limit: float) -> Callable[[float], bool]:
    """Whether a value reaches ``limit``."""
    return lambda value: value >= limit


def _verdict(value: float, shape: str, aim: str, met: Callable[[float], bool]) -> str:
    return f"{shape.format(value)} ({aim}: {'met' if met(value) else '**missed**'})"


def _phone_delay(results: delay.Results, notes: list[str]) -> Row:
    title = "added delay phone → phone, median (p95), ms"
    shown = {name: _shown_delay(value, f"phone → phone, {name}", notes) for name, value in results.items()}
    ours = results.get(MediaPlane.name)
    aim = ""
    if isinstance(ours, delay.Delay):
        aim = _verdict(ours.median, "median {:.1f}", f"≤ {DELAY_MS:g}", at_most(DELAY_MS))
    return (title, shown.get(MediaPlane.name, "–"), "", shown.get(Janus.name, "–"), aim)


def _browser_delay(found: browser_delay.BrowserDelay | str, notes: list[str]) -> Iterator[Row]:
    title = "added delay phone → browser until {}, median (p95), ms"
    if isinstance(found, str):
        yield (title.format("it arrives"), _shown_delay(found, "phone → browser", notes), "", "", "")
        return
    aim = _verdict(found.arrived.median, "median {:.1f}", f"≤ {DELAY_MS:g}", at_most(DELAY_MS))
    yield (title.format("it arrives"), _shown_delay(found.arrived, "phone → browser", notes), "", "", aim)
    heard = f"{_shown_delay(found.heard, 'phone → browser', notes)}, {found.output:.0f} of it sound output"
    yield (title.format("Chromium plays it"), heard, "", "", "")


def _shown_delay(value: delay.Delay | str, what: str, notes: list[str]) -> str:
    if isinstance(value, str):
        notes.append(f"{what}: {value}")
        return "–"
    lost = f", {value.missed} of {value.missed + value.heard} tones not heard" if value.missed else ""
    return f"{value.median:.1f} ({value.p95:.1f}){lost}"


def _calls(results: call_setup.Results, notes: list[str]) -> Iterator[Row]:
    for rate, found in results.rates.items():
        title = f"call set-up at {rate} calls/s: success, INVITE → 200 p50 / p99, ms"
        if isinstance(found, str):
            notes.append(f"{rate} calls/s: {found}")
            yield (title, "–", "", "", "")
            continue
        aim = ""
        if rate == CALLS_PER_SECOND:
            aim = _verdict(found.failed, "{:.0f} failed", "none", at_most(0))
        shown = f"{found.calls - found.failed} of {found.calls}, {found.median:.0f} / {found.p99:.0f}"
        yield (title, shown, "", "", aim)
    if isinstance(results.memory, str):
        notes.append(f"memory: {results.memory}")
        return
    memory = results.memory
    idle = f"{memory.control_idle / 1e6:.0f} + {memory.media_idle / 1e6:.0f}"
    held = f"{memory.control_per_call / 1e3:.1f} + {memory.media_per_call / 1e3:.1f}"
    yield ("memory idle, control + media plane, MB", idle, "", "", "")
    yield (f"memory per call ({memory.held} held), control + media plane, kB", held, "", "", "")
