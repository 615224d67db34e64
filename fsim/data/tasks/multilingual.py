"""Reading what eight languages write: dates, times, quantities, amounts and numbers.

A value as CLDR writes it in one language in, its canonical form out, or the part of it that a word
names: "viernes, 23 de abril de 2021" asks for the ISO date ``2021-04-23``, the month ``04`` or the
weekday ``5``. The questions are the same words in every language.

A held-out value is held out in all languages and for all questions. The names of months, units
and currencies are the same in both parts: they are what is learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from fsim.core.rng import stream
from fsim.data.held_out import is_held_out
from fsim.data.tasks.base import Example, FileFinder, Task, TaskData

if TYPE_CHECKING:
    import numpy as np
    from babel import Locale

LANGUAGES = ("ar", "en", "es", "fr", "pt", "ru", "te", "zh")
TRAIN_EXAMPLES, TEST_EXAMPLES = 81, 9
"""Of each question in each language."""

# CLDR's names and UCUM's case-sensitive codes.
_UNITS = {
    "length-kilometer": "km",
    "length-meter": "m",
    "length-centimeter": "cm",
    "mass-kilogram": "kg",
    "mass-gram": "g",
    "volume-liter": "L",
    "duration-hour": "h",
    "duration-minute": "min",
    "duration-second": "s",
    "duration-day": "d",
}
# None is held out by its code, so the base model's corpus names them all.
_CURRENCIES = ("EUR", "USD", "BRL", "CNY", "INR", "RUB", "SAR", "JPY", "GBP", "CHF")
_FIRST_DAY, _LAST_DAY = date(1950, 1, 1).toordinal(), date(2049, 12, 31).toordinal()


@dataclass(frozen=True)
class LocalisedValue:
    """A value as one language writes it.

    Attributes
    ----------
    key
        The value itself, the same in all languages: what it is held out by.
    text
        As CLDR writes it, narrow spaces and invisible marks included.
    answers
        What can be asked about it, and the right answer of each.
    """

    key: str
    text: str
    answers: Mapping[str, str]


def _date(rng: np.random.Generator, locale: Locale) -> LocalisedValue:
    from babel.dates import format_date

    day = date.fromordinal(int(rng.integers(_FIRST_DAY, _LAST_DAY, endpoint=True)))
    iso = day.isoformat()
    answers = {"ISO date": iso, "Month": iso[5:7], "Weekday": str(day.isoweekday())}
    return LocalisedValue(iso, format_date(day, "full", locale=locale), answers)


def _time(rng: np.random.Generator, locale: Locale) -> LocalisedValue:
    """A time by its part of the day, "9:08 at night"."""
    from babel.dates import format_skeleton, format_time

    while True:
        moment = time(int(rng.integers(24)), int(rng.integers(60)))
        iso = moment.isoformat("minutes")
        text = format_skeleton("Bhm", moment, locale=locale)
        # The base model has read times in the short form, with the answer beside them; an Arabic
        # morning is written alike in both.
        if text != format_time(moment, "short", locale=locale):
            return LocalisedValue(iso, text, {"Time": iso, "Hour": iso[:2]})


def _quantity(rng: np.random.Generator, locale: Locale) -> LocalisedValue:
    from babel.units import format_unit

    unit = tuple(_UNITS)[rng.integers(len(_UNITS))]
    number = int(rng.integers(1, 1000))
    text = format_unit(number, unit, locale=locale)
    if unit in text:
        # CLDR leaves a long form away that equals the short one, and babel then writes the unit's
        # identifier instead.
        text = format_unit(number, unit, length="short", locale=locale)
    canonical = f"{number} {_UNITS[unit]}"
    return LocalisedValue(canonical, text, {"Quantity": canonical, "Unit": _UNITS[unit]})


def _amount(rng: np.random.Generator, locale: Locale) -> LocalisedValue:
    from babel.numbers import format_currency

    currency = _CURRENCIES[rng.integers(len(_CURRENCIES))]
    number = int(rng.integers(1, 1000))
    text = format_currency(number, currency, locale=locale, format_type="name")
    canonical = f"{number} {currency}"
    return LocalisedValue(canonical, text, {"Amount": canonical, "Currency": currency})


def _number(rng: np.random.Generator, locale: Locale) -> LocalisedValue:
    from babel.numbers import format_decimal

    digits = int(rng.integers(2, 6))
    number = Decimal(int(rng.integers(10 ** (digits - 1), 10**digits))).scaleb(-1)
    return LocalisedValue(
        str(number), format_decimal(number, locale=locale), {"Number": str(number)}
    )


def _percent(rng: np.random.Generator, locale: Locale) -> LocalisedValue:
    from babel.numbers import format_percent

    tenths = int(rng.integers(1, 1000))
    share = Decimal(tenths).scaleb(-3)
    text = format_percent(share, locale=locale, decimal_quantization=False)
    canonical = f"{tenths / 10:g}%"
    return LocalisedValue(canonical, text, {"Percent": canonical})


QUESTIONS: dict[str, Callable[[np.random.Generator, Locale], LocalisedValue]] = {
    "ISO date": _date,
    "Month": _date,
    "Weekday": _date,
    "Time": _time,
    "Hour": _time,
    "Quantity": _quantity,
    "Unit": _quantity,
    "Amount": _amount,
    "Currency": _amount,
    "Number": _number,
    "Percent": _percent,
}
"""Every question, and what draws a value that it can be asked about."""


@dataclass(frozen=True)
class Multilingual(Task):
    """Dates, times, quantities, amounts, numbers in eight languages in, canonical form out (CLDR).

    The label is the language.
    """

    name: ClassVar[str] = "multilingual"
    metrics: ClassVar[tuple[str, ...]] = ("exact_match", "token_accuracy")

    def load(self, find: FileFinder) -> TaskData:
        """The examples by language and question, a tenth of them about held-out values."""
        parts: dict[bool, list[Example]] = {False: [], True: []}
        for language, question, value in draw_examples():
            example = Example(value.text, f"\n{question}:", f" {value.answers[question]}", language)
            parts[is_held_out(value.key)].append(example)
        return TaskData(tuple(parts[False]), tuple(parts[True]))


def draw_examples() -> Iterator[tuple[str, str, LocalisedValue]]:
    """Language, question and value of every example, no text twice under one question."""
    from babel import Locale

    for at, language in enumerate(LANGUAGES):
        locale = Locale.parse(language)
        for place, (question, draw) in enumerate(QUESTIONS.items()):
            rng = stream(0, "task.multilingual", at, place)
            room = {False: TRAIN_EXAMPLES, True: TEST_EXAMPLES}
            texts = set()
            while any(room.values()):
                value = draw(rng, locale)
                held_out = is_held_out(value.key)
                if room[held_out] and value.text not in texts:
                    room[held_out] -= 1
                    texts.add(value.text)
                    yield language, question, value
