"""The prompts a caller can hear, by key: one per thing we say, the same in every language.

A sentence with a number in it is three clips: `<key>_before`, the number, `<key>_after_<plural category>`.
Plural categories are those of Unicode CLDR for whole numbers.
"""

from __future__ import annotations

from typing import Final

PROMPTS: Final = (
    "welcome_enter_code",
    "enter_code",
    "enter_pin",
    "nothing_entered",
    "wrong_code",
    "try_again_later",
    "goodbye",
    "one_moment",
    "not_open_yet",
    "still_waiting",
    "waiting_limit_reached",
    "you_are_the_first",
    "only_you",
    "people_thousand",
    "menu_hint",
    "muted",
    "unmuted",
    "muted_by_host",
    "unmuted_by_host",
    "hand_raised",
    "hand_lowered",
    "hand_lowered_by_host",
    "louder",
    "quieter",
    "volume_max",
    "volume_min",
    "menu",
    "invalid_key",
    "room_locked",
    "room_full",
    "dial_in_off",
    "meeting_ended",
    "removed_by_host",
    "moved_to_other_room",
    "error_hang_up",
)
"""Said as they stand. An unknown code and a wrong PIN share `wrong_code`: they must sound the same."""

COUNTED: Final = ("others", "people")
"""Said with a number: `others` counts everyone but the listener, `people` counts the listener too."""

SOUNDS: Final = ("entry_tone", "hold_music")
"""The same in every language."""

NUMBER_LIMIT: Final = 999
"""The greatest number that can be spoken; a greater count of people is said as `people_thousand`."""

_ARABIC: Final = ("few", "many", "other")


def plural_category(language: str, n: int) -> str:
    """CLDR category of `n`. Japanese has a word of its own for two people (futari), so it gets "two" as well."""
    if n == 1:
        return "one"
    if language == "ar":
        if n == 2:
            return "two"
        last = n % 100
        return "few" if 3 <= last <= 10 else "many" if 11 <= last <= 99 else "other"
    return "two" if language == "ja" and n == 2 else "other"


def plural_keys(language: str) -> tuple[str, ...]:
    """The clips this language needs to count people. For one person counting everybody, `only_you` is said."""
    keys = ["others_one", "others_before", "people_before"]
    if language in ("ar", "ja"):
        keys += ["others_two", "people_two"]
    for category in _ARABIC if language == "ar" else ("other",):
        keys += [f"others_after_{category}", f"people_after_{category}"]
    return tuple(keys)
