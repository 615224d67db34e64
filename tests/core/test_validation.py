"""What errors say is allowed."""

import pytest

from fsim.core.validation import kinds_allowed


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        ({"a": ""}, "a"),
        ({"a": "with x"}, "a with x"),
        ({"a": "with x", "b": ""}, "b, or a with x"),
        ({"a": "", "b": "with x", "c": "", "d": "with x"}, "a, c, or b or d with x"),
        (
            {"a": "with x", "b": "with x", "c": "with x", "d": "with y"},
            "a, b or c with x, or d with y",
        ),
    ],
)
def test_kinds_are_listed_with_what_they_need(conditions, text):
    assert kinds_allowed(conditions) == text
