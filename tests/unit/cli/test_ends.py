from __future__ import annotations

from dataclasses import dataclass, field

from dialroom.cli.ends import hear_each_other


@dataclass
class Ear:
    """An end that hears what it is told to."""

    name: str
    frequency: float
    hears: dict[float, float]
    spoke: list[str] = field(default_factory=list)

    async def speak(self) -> None:
        self.spoke.append(self.name)

    async def listen(self, seconds: float, frequencies: tuple[float, ...]) -> dict[float, float]:
        return {each: self.hears.get(each, -96.0) for each in frequencies}


async def test_two_ends_that_hear_each_other_and_not_themselves_are_good() -> None:
    ends = (Ear("a", 440, {660: -21.0, 440: -70.0}), Ear("b", 660, {440: -20.0, 660: -60.0}))
    findings = await hear_each_other(ends, seconds=0)
    assert all(finding.good for finding in findings)
    assert {(each.listener, each.speaker) for each in findings} == {("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")}
    assert [end.spoke for end in ends] == [["a"], ["b"]]


async def test_a_deaf_end_is_found() -> None:
    ends = (Ear("a", 440, {}), Ear("b", 660, {440: -20.0}))
    bad = [(each.listener, each.speaker) for each in await hear_each_other(ends, seconds=0) if not each.good]
    assert ("a", "b") in bad
    assert ("b", "a") not in bad


async def test_an_end_that_hears_itself_is_found() -> None:
    ends = (Ear("a", 440, {660: -21.0, 440: -25.0}), Ear("b", 660, {440: -20.0}))
    bad = [(each.listener, each.speaker) for each in await hear_each_other(ends, seconds=0) if not each.good]
    assert bad == [("a", "a")]
