import math

import numpy as np
import pytest
from rouge_score.tokenizers import DefaultTokenizer

from fsim.data.answer_metrics import (
    METRICS,
    Words,
    best_choice,
    exact_match,
    perplexity,
    rouge_l,
    token_recall,
)
from fsim.data.tasks import TASKS


def test_tasks_name_only_metrics_that_there_are():
    assert all(set(task.metrics) <= set(METRICS) for task in TASKS.values())


def test_perplexity_of_even_odds_is_the_number_of_sides():
    assert perplexity(math.log(6)) == pytest.approx(6)
    assert perplexity(0.0) == 1.0
    assert perplexity(1000.0) == math.inf
    assert math.isnan(perplexity(math.nan))


def test_exact_match_is_all_or_nothing():
    assert [exact_match(hits, 3) for hits in range(4)] == [0.0, 0.0, 0.0, 1.0]


def test_best_choice_goes_by_the_token():
    # Sums -2, -3, -9 over 1, 2, 3 tokens are -2, -1.5, -3 a token.
    assert best_choice([-2.0, -3.0, -9.0], [1, 2, 3]) == 1
    assert best_choice([-2.0, -3.0, -9.0], [1, 1, 1]) == 0
    assert best_choice([-4.0, -2.0, -1.0], [4, 2, 1]) == 0
    assert best_choice([math.nan, -5.0, -1.0, -1.0], [1, 1, 1, 1]) == 2
    assert best_choice([math.nan, math.nan], [1, 2]) is None


def test_rouge_l_worked_by_hand():
    # Longest common subsequence: the, cat, on, mat. Precision 4/5, recall 4/6, F = 8/11.
    assert rouge_l("The cat lay on mat.", "the cat sat on the mat") == pytest.approx(8 / 11)
    # Order counts: of "b a" only one word can stay.
    assert rouge_l("b a", "a b") == pytest.approx(0.5)
    assert rouge_l(" heart  failure\n", "Heart failure") == 1.0
    assert rouge_l("", "heart") == 0.0
    assert rouge_l("heart", "...") == 0.0


@pytest.mark.parametrize(
    ("said", "answer", "value"),
    [
        # Russian, 2 of 3 words; Spanish, where "ano" is another word; Telugu, whose vowel signs
        # belong to their letters; Arabic; Chinese, 2 of 3 characters against 2.
        ("сегодня идёт снег", "сегодня был снег", 2 / 3),
        ("año", "ano", 0.0),
        ("cafe\u0301", "café", 1.0),
        ("సోమవారం రాత్రి", "సోమవారం", 2 / 3),
        ("يوم الاثنين", "يوم الثلاثاء", 1 / 2),
        ("星期一", "星期", 4 / 5),
    ],
)
def test_rouge_l_of_other_scripts(said, answer, value):
    assert rouge_l(said, answer) == pytest.approx(value)


def test_words():
    assert Words().tokenize("Año 2025: naïve, snake_case") == ["año", "2025", "naïve", "snake",
                                                               "case"]  # fmt: skip
    assert Words().tokenize("共3天。") == ["共", "3", "天"]
    assert Words().tokenize("ప్రతి\u200cరోజు") == ["ప్రతిరోజు"]


def test_ascii_text_falls_into_the_words_of_the_package_itself():
    rng = np.random.default_rng(0)
    characters = [chr(code) for code in range(9, 127) if chr(code).isprintable() or code in (9, 10)]
    for _ in range(200):
        text = "".join(rng.choice(characters, size=60))
        assert Words().tokenize(text) == DefaultTokenizer(use_stemmer=False).tokenize(text)


def test_token_recall_worked_by_hand():
    scores = [0.1, 0.9, 0.5, 0.7, 0.3]
    kept = [True, True, False, False, True]
    # The top 40% are the second and the fourth; the top 60% the third as well.
    assert token_recall(kept, scores, 0.4) == 1 / 2
    assert token_recall(kept, scores, 0.6) == 1 / 3
    assert token_recall(kept, scores, 1.0) == 3 / 5
    assert token_recall([kept], [scores], 0.4) == 1 / 2
    # One in five is the least that a share can mean here; ties go to the earlier.
    assert token_recall(kept, scores, 1e-12) == 1.0
    assert token_recall([True, False], [0.5, 0.5], 0.5) == 1.0
    assert token_recall([False, True], [0.5, 0.5], 0.5) == 0.0


def test_token_recall_takes_a_tenth_of_thirty_as_three():
    kept = np.arange(30) < 3
    assert token_recall(kept, -np.arange(30.0), 0.1) == 1.0


@pytest.mark.parametrize(
    ("kept", "scores", "share", "message"),
    [
        ([True], [1.0, 2.0], 0.5, r"shape \(1,\) and scores of shape \(2,\)"),
        ([], [], 0.5, "one token or more"),
        ([True], [math.nan], 0.5, "NaN"),
        ([True], [1.0], 0.0, "top_share: found 0.0"),
        ([True], [1.0], 1.1, "top_share: found 1.1"),
        ([True], [1.0], math.nan, "top_share: found nan"),
    ],
)
def test_token_recall_refuses(kept, scores, share, message):
    with pytest.raises(ValueError, match=message):
        token_recall(kept, scores, share)
