import itertools
import unicodedata
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from babel import Locale
from babel.dates import format_date

from fsim.data.held_out import is_held_out
from fsim.data.tasks import multilingual
from fsim.data.tasks.multilingual import LANGUAGES, QUESTIONS, Multilingual, draw_examples
from fsim.model.nano.corpus import LANGUAGES as CORPUS_LANGUAGES
from fsim.model.nano.corpus import locale_documents


@pytest.fixture(scope="module")
def data():
    return Multilingual().load(Path)


def of_question(examples, question):
    return [example for example in examples if example.question == f"\n{question}:"]


def test_every_language_has_the_same_number_of_every_question(data):
    assert LANGUAGES == CORPUS_LANGUAGES
    for examples, number in ((data.train, 81), (data.test, 9)):
        found = Counter((example.label, example.question) for example in examples)
        assert found == {(at, f"\n{q}:"): number for at in LANGUAGES for q in QUESTIONS}
    assert len(data.train) == 7128
    assert len(data.test) == 792


def test_no_held_out_value_is_trained_on_in_any_language_or_question():
    keys = {False: set(), True: set()}
    for _, _, value in draw_examples():
        keys[is_held_out(value.key)].add(value.key)
    assert len(keys[True]) > 400
    assert not keys[False] & keys[True]


def test_examples_are_on_their_side_of_the_split(data):
    # From the canonical answers alone, which are the keys themselves.
    for question in ("ISO date", "Time", "Quantity", "Amount", "Number", "Percent"):
        for examples, held_out in ((data.train, False), (data.test, True)):
            answers = [e.answer.removeprefix(" ") for e in of_question(examples, question)]
            assert all(is_held_out(answer) == held_out for answer in answers)


def test_parts_of_a_date_are_asked_about_dates_on_their_side_of_the_split(data):
    # All days from 1950 to 2049 as English writes them, from babel alone.
    first, last = date(1950, 1, 1).toordinal(), date(2049, 12, 31).toordinal()
    days = {
        format_date(day, "full", locale=Locale.parse("en")): day
        for day in map(date.fromordinal, range(first, last + 1))
    }
    checked = 0
    for examples, held_out in ((data.train, False), (data.test, True)):
        for question, answer in (("Month", "%m"), ("Weekday", "%u"), ("ISO date", "%Y-%m-%d")):
            for example in of_question(examples, question):
                if example.label == "en":
                    day = days[example.context]
                    assert example.answer == f" {day:{answer}}"
                    assert is_held_out(day.isoformat()) == held_out
                    checked += 1
    assert checked == 3 * 90


def test_no_text_is_asked_about_twice_and_none_is_in_both_parts(data):
    prompts = [(e.label, e.context, e.question) for e in (*data.train, *data.test)]
    assert len(set(prompts)) == len(prompts)
    trained = {(e.label, e.context) for e in data.train}
    assert not any((e.label, e.context) in trained for e in data.test)


@pytest.mark.parametrize(
    ("language", "question", "key", "text", "answer"),
    [
        ("es", "Weekday", "2021-04-23", "viernes, 23 de abril de 2021", "5"),
        ("fr", "Month", "2021-04-23", "vendredi 23 avril 2021", "04"),
        ("zh", "ISO date", "2021-04-23", "2021年4月23日星期五", "2021-04-23"),
        ("en", "Time", "21:08", "9:08 at night", "21:08"),
        ("pt", "Hour", "21:08", "9:08 da noite", "21"),
        ("ru", "Quantity", "17 kg", "17 килограмм", "17 kg"),
        ("zh", "Unit", "17 km", "17公里", "km"),
        ("fr", "Amount", "17 EUR", "17,00 euros", "17 EUR"),
        ("te", "Currency", "17 JPY", "17 జపాను దేశ యెన్", "JPY"),
        ("fr", "Number", "1234.5", "1\u202f234,5", "1234.5"),
        ("ru", "Percent", "12.5%", "12,5\u00a0%", "12.5%"),
        ("ar", "Percent", "12%", "12%", "12%"),
    ],
)
def test_values_are_written_as_their_language_does(language, question, key, text, answer):
    class Draws:
        """Hands out the draws of one value in turn."""

        def __init__(self, *numbers):
            self.numbers = iter(numbers)

        def integers(self, *bounds, endpoint=False):
            found = next(self.numbers)
            low, high = (0, *bounds) if len(bounds) == 1 else bounds
            assert low <= found < high + endpoint
            return found

    units, currencies = tuple(multilingual._UNITS.values()), multilingual._CURRENCIES
    if "-" in key:
        draws = (date.fromisoformat(key).toordinal(),)
    elif ":" in key:
        draws = tuple(map(int, key.split(":")))
    elif "%" in key:
        draws = (int(Decimal(key[:-1]) * 10),)
    elif " " in key:
        number, code = key.split()
        draws = ((units if code in units else currencies).index(code), int(number))
    else:
        draws = (len(key) - 1, int(Decimal(key) * 10))
    value = QUESTIONS[question](Draws(*draws), Locale.parse(language))
    assert (value.key, value.text, value.answers[question]) == (key, text, answer)


def test_one_text_has_one_right_answer_in_its_language():
    answers = {}
    for language, _, value in draw_examples():
        for question, answer in value.answers.items():
            assert answers.setdefault((language, question, value.text), answer) == answer


def test_every_hour_is_written_in_its_own_way():
    class At:
        """Draws half past an hour, or half past one where that hour is refused."""

        def __init__(self, hour):
            self.numbers = iter((hour, 30, 13, 30))

        def integers(self, _):
            return next(self.numbers)

    for language in LANGUAGES:
        values = [QUESTIONS["Hour"](At(hour), Locale.parse(language)) for hour in range(24)]
        keys = {value.key for value in values}
        assert len(keys) == (18 if language == "ar" else 24), language
        assert len({value.text for value in values}) == len(keys), language


def test_the_base_model_never_read_a_test_text_beside_its_answer(data):
    read = set()
    for document in locale_documents(np.random.default_rng(np.random.SeedSequence([0, 1]))):
        for line in document.split("\n"):
            read.update(itertools.permutations(line.split("; "), 2))
    # What it has read, by an example that is in its corpus.
    assert any(answer.startswith("21:08:") for _, answer in read)
    for example in data.test:
        answer = example.answer.removeprefix(" ")
        assert (example.context, answer) not in read
        assert not any((example.context, f"{answer}:{s:02d}") in read for s in range(60))


def test_answers_are_plain_and_short_and_contexts_keep_their_marks(data):
    examples = (*data.train, *data.test)
    assert all(e.answer.isascii() and e.answer.isprintable() for e in examples)
    assert all(e.answer == " " + e.answer.strip() and len(e.answer) <= 11 for e in examples)
    marks = {c for e in examples for c in e.context if unicodedata.category(c) in ("Cf", "Zs")}
    assert marks == {" ", "\u00a0", "\u202f", "\u200c"}
    # babel writes the identifier of a unit that it finds no words for.
    assert not any(unit in e.context for e in examples for unit in multilingual._UNITS)


def test_nothing_asks_for_a_name_that_is_held_out(data):
    assert not any(map(is_held_out, multilingual._CURRENCIES))
    asked = {e.answer.strip() for e in of_question(data.train, "Currency")}
    assert asked == set(multilingual._CURRENCIES)
    assert {e.answer for e in of_question(data.test, "Currency")} == {f" {code}" for code in asked}


def test_no_constant_answer_is_worth_much(data):
    for examples in (data.train, data.test):
        answers = Counter(example.answer for example in examples)
        assert answers.most_common(1)[0][1] / len(examples) < 0.05


def test_the_same_examples_every_time(data):
    assert Multilingual().load(Path) == data
