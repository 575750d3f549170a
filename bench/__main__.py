"""``python -m bench``: measures and prints the table."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import replace

from bench import browser_delay, call_setup, delay, machine, media_density
from bench.table import Figures, render

STEPS = ("density", "delay", "browser", "calls")


def main() -> None:
    """Runs the steps asked for and prints the table."""
    parser = argparse.ArgumentParser(prog="bench", description="The figures of dialroom, as one table.")
    parser.add_argument("--quick", action="store_true", help="tiny loads: shows that it works, measures nothing")
    parser.add_argument("--only", action="append", choices=STEPS, help="one step instead of all; may be repeated")
    arguments = parser.parse_args()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s {text}", file=sys.stderr, flush=True)

    if machine.load_average() > 0.5:
        say(f"the machine is not idle (load average {machine.load_average():.1f}); figures will be disturbed")
    figures = asyncio.run(measure(arguments.only or STEPS, arguments.quick, say))
    print(render(machine.describe(), figures))


async def measure(steps: tuple[str, ...] | list[str], quick: bool, say: media_density.Say) -> Figures:
    """The figures of ``steps``."""
    figures = Figures()
    if "density" in steps:
        say("media: cost of a phone leg")
        density = await media_density.measure(media_density.QUICK if quick else media_density.Plan(), say)
        figures = replace(figures, density=density)
    if "delay" in steps:
        say("media: added delay, phone to phone")
        figures = replace(figures, phone_delay=await delay.measure(delay.QUICK if quick else delay.Plan(), say))
    if "browser" in steps:
        say("added delay, phone to browser")
        figures = replace(figures, browser=await browser_delay.measure(say))
    if "calls" in steps:
        say("calls: set-up and memory")
        calls = await call_setup.measure(call_setup.QUICK if quick else call_setup.Plan(), say)
        figures = replace(figures, calls=calls)
    return figures


if __name__ == "__main__":
    main()
