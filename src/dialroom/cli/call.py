"""``dialroom call``: one call with the test phone, said step by step."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from dialroom.cli.own_media import own_media
from dialroom.cli.phone import Line, PhoneFailure, TestPhone
from dialroom.cli.sound import read_wav
from dialroom.core.errors import Invalid
from dialroom.media.plane import MediaRefused
from dialroom.media.protocol import Statistics
from dialroom.sip.errors import SipError

ANSWERED, REFUSED, NO_ANSWER, HUNG_UP_EARLY, HEARD_NOTHING = 0, 3, 4, 5, 6
CODECS = ("opus", "G722", "PCMU", "PCMA")
DIGITS = frozenset("0123456789*#ABCD,")


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What the phone is to do. ``after`` and ``seconds`` count from the answer."""

    target: str
    digits: str
    after: float
    play: Path | None
    tone: float | None
    record: Path | None
    seconds: float
    codecs: tuple[str, ...]
    caller: str

    def check(self) -> None:
        """Raises Invalid, naming the option."""
        if unknown := set(self.codecs) - set(CODECS):
            raise Invalid(f"--codec {unknown.pop()}: there is no such codec.", f"Use {', '.join(CODECS)}.")
        if not set(self.digits.upper()) <= DIGITS:
            raise Invalid("--digits: only 0-9, *, #, A-D and commas can be pressed.")
        if self.play is not None and self.tone is not None:
            raise Invalid("--play and --tone exclude each other.", "Choose one.")


async def make_call(plan: CallPlan, out: Console) -> int:
    """Calls, does what the plan says, and returns the exit code."""
    plan.check()
    began = time.monotonic()

    def say(text: str) -> None:
        out.print(f"{time.monotonic() - began:7.2f} s  {text}", markup=False)

    async with own_media() as media, TestPhone.open(media, say) as phone:
        try:
            line = await phone.dial(plan.target, caller=plan.caller, codecs=plan.codecs)
        except PhoneFailure as failure:
            say(str(failure))
            return NO_ANSWER if failure.status in (408, 480, 487) else REFUSED
        except SipError as error:
            raise Invalid(f"{plan.target}: {error}", "Write it as sip:1000@127.0.0.1:5060.") from error
        try:
            early = await _talk(plan, line)
        except BaseException:  # Ctrl-C among them: the other side must not be left with a call that nobody ends
            await line.hang_up()
            raise
        statistics = await line.hang_up()
        say(_quality(statistics))
    return _verdict(plan, statistics, early, out)


async def _talk(plan: CallPlan, line: Line) -> bool:
    """Whether the other side hung up before the time was over."""
    if plan.record is not None:
        await line.record(plan.record.resolve())
    try:
        async with asyncio.timeout(plan.seconds):
            await _act(plan, line)
            await line.ended.wait()
    except TimeoutError:
        return False
    except MediaRefused as error:
        raise Invalid(f"The media process cannot do that: {error.message}") from error
    return True


async def _act(plan: CallPlan, line: Line) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(line.ended.wait(), plan.after)
    if plan.digits and not line.ended.is_set():
        await line.send_digits(plan.digits.upper())
    if plan.play is not None:
        await line.play_file(plan.play)
    elif plan.tone is not None:
        await line.play_tone(plan.tone)


def _quality(statistics: Statistics) -> str:
    mos = f", MOS {statistics.mos:.1f}" if statistics.mos is not None else ""
    return (
        f"{statistics.packets_sent} packets sent, {statistics.packets_received} received, "
        f"{100 * statistics.loss:.1f} % lost, jitter {statistics.jitter:.1f} ms{mos}"
    )


def _verdict(plan: CallPlan, statistics: Statistics, early: bool, out: Console) -> int:
    if plan.record is not None:
        sound = read_wav(plan.record)
        out.print(f"           heard {sound.seconds:.1f} s at {sound.level:.0f} dBov: {plan.record}", markup=False)
    if statistics.packets_received == 0:
        return HEARD_NOTHING
    return HUNG_UP_EARLY if early else ANSWERED
