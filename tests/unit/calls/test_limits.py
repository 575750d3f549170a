from datetime import UTC, datetime

from dialroom.calls.limits import TONE_PAUSE, Bucket, EntryTones


class HandClock:
    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    clock = HandClock()
    bucket = Bucket(clock, rate=2.0, burst=5)
    assert [bucket.allow() for _ in range(6)] == [True] * 5 + [False]
    clock.at += 1.0
    assert [bucket.allow() for _ in range(3)] == [True, True, False]


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    clock = HandClock()
    bucket = Bucket(clock, rate=2.0, burst=3)
    clock.at += 3600
    assert [bucket.allow() for _ in range(4)] == [True, True, True, False]


def test_a_crowd_coming_in_is_one_tone_per_room_and_moment() -> None:
    clock = HandClock()
    tones = EntryTones(clock)
    assert tones.allow("sess_a")
    assert not tones.allow("sess_a")
    assert tones.allow("sess_b")
    clock.at += TONE_PAUSE
    assert tones.allow("sess_a")
