"""Names with options as the command line has them."""

import pytest

from fsim.compression import make_policy
from fsim.core.errors import ScenarioError
from fsim.core.registry import parse_choice
from fsim.experiments.policies import parse_policies


def test_options_are_yaml():
    assert parse_choice("", "qsgd:bits=2:packed=true") == ("qsgd", {"bits": 2, "packed": True})
    assert parse_choice("", " float16 ") == ("float16", {})


def test_what_follows_inner_is_the_inner_choices_own():
    name, options = parse_choice("", "tome:keep=0.75:inner=fstq:token_ratio=0.5:coding=entropy")
    assert (name, options["keep"]) == ("tome", 0.75)
    assert parse_choice("", options["inner"]) == ("fstq", {"token_ratio": 0.5, "coding": "entropy"})


def test_a_policy_with_another_inside_among_others():
    first, second = parse_policies("float16,ffa:inner=masked-sign:share=0.26:gain=4")
    assert first.label == "float16"
    assert make_policy(second.policy, second.options).policy.share == 0.26


def test_a_part_that_is_no_option():
    with pytest.raises(ScenarioError, match="allowed is NAME or NAME:OPTION=VALUE"):
        parse_choice("--policies", "qsgd:2")
