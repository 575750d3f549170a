"""Numbers as clips: small ones are whole clips, greater ones are put together; this is the rule that does it.

Clip names: `number_21`, and where the word changes with its place, one or more of these endings:

* `_joined`: with something joined to it (Spanish *cien*, but *ciento cinco*; *treinta*, but *treinta y uno*; German
  *ein-und*-zwanzig; Arabic *wa-'ishrūn*);
* `_after_hundred`: what follows a hundred (Mandarin says the missing tens: *yì bǎi líng wǔ*, *yì bǎi yī shí*);
* `_people`: before the word for people (feminine in Spanish, French and Portuguese; Mandarin *liǎng*; Japanese *yo*).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dialroom.prompts.keys import NUMBER_LIMIT


@dataclass(frozen=True, slots=True)
class NumberRule:
    """How a language puts 0 to 99 together, and the values that sound different in a place of their own.

    Below `whole_below` every number is a clip; above, tens and units are two, the units first if `units_first`.
    """

    whole_below: int = 100
    units_first: bool = False
    people: frozenset[int] = frozenset()
    joined: frozenset[int] = frozenset()
    joined_people: frozenset[int] = frozenset()
    after_hundred: frozenset[int] = frozenset()


_UNITS: Final = frozenset(range(1, 10))
_TENS: Final = frozenset(range(20, 100, 10))
_HUNDREDS: Final = frozenset(range(100, 1000, 100))
_HUNDREDS_WITH_GENDER: Final = frozenset(range(200, 1000, 100))
_WHOLE: Final = NumberRule()

RULES: Final = {
    "en": NumberRule(whole_below=20),
    "es": NumberRule(whole_below=30, people=frozenset({1, 21}) | _HUNDREDS_WITH_GENDER, joined=_TENS - {20} | {100}),
    "fr": NumberRule(people=frozenset({1, 21, 31, 41, 51, 61, 81})),
    "de": NumberRule(whole_below=20, units_first=True, joined=_UNITS),
    "it": _WHOLE,
    "pt": NumberRule(
        whole_below=20,
        people=frozenset({1, 2}) | _HUNDREDS_WITH_GENDER,
        joined=_TENS | _HUNDREDS,
        joined_people=_HUNDREDS_WITH_GENDER,
    ),
    "ja": NumberRule(whole_below=20, people=frozenset({4, 14})),
    "zh": NumberRule(whole_below=20, people=frozenset({2}), after_hundred=frozenset(range(1, 20))),
    "hi": _WHOLE,
    "ar": NumberRule(whole_below=20, units_first=True, joined=_TENS | _HUNDREDS),
}


def spoken_number(language: str, n: int, *, people: bool = False) -> tuple[str, ...]:
    """The clips that say `n`, in order; `people=True` for the form before the word for people.

    A language without a rule of its own is taken to have whole clips below 100 and no special forms.

    Raises:
        ValueError: `n` is not within 0 to 999.
    """
    if not 0 <= n <= NUMBER_LIMIT:
        raise ValueError(f"only 0 to {NUMBER_LIMIT} can be spoken, not {n}")
    rule = RULES.get(language, _WHOLE)
    hundreds, rest = n - n % 100, n % 100
    if not hundreds:
        return _below_hundred(rule, rest, people)
    if not rest:
        return (_plain(rule, hundreds, people),)
    if rest in rule.after_hundred:
        return _joined(rule, hundreds, people), f"number_{rest}_after_hundred"
    return _joined(rule, hundreds, people), *_below_hundred(rule, rest, people)


def spoken_digits(digits: str) -> tuple[str, ...]:
    """The clips that read a code digit by digit.

    Raises:
        ValueError: something other than 0 to 9 is among them.
    """
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("only the digits 0 to 9 can be read out one by one")
    return tuple(f"number_{digit}" for digit in digits)


def number_clips(language: str) -> frozenset[str]:
    """Every clip that `spoken_number` can ask for in this language."""
    return frozenset(_all_clips(RULES.get(language, _WHOLE)))


def _plain(rule: NumberRule, n: int, people: bool) -> str:
    return f"number_{n}_people" if people and n in rule.people else f"number_{n}"


def _joined(rule: NumberRule, n: int, people: bool) -> str:
    if people and n in rule.joined_people:
        return f"number_{n}_joined_people"
    return f"number_{n}_joined" if n in rule.joined else _plain(rule, n, people)


def _below_hundred(rule: NumberRule, n: int, people: bool) -> tuple[str, ...]:
    tens, units = n - n % 10, n % 10
    if n < rule.whole_below or not units:
        return (_plain(rule, n, people),)
    if rule.units_first:
        return _joined(rule, units, people), _joined(rule, tens, people)
    return _joined(rule, tens, people), _plain(rule, units, people)


def _all_clips(rule: NumberRule) -> Iterator[str]:
    yield from (f"number_{n}" for n in {*range(rule.whole_below), *_TENS, *_HUNDREDS})
    for ending in ("people", "joined", "joined_people", "after_hundred"):
        yield from (f"number_{n}_{ending}" for n in getattr(rule, ending))
