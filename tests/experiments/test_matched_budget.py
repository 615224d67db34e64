"""Tuning to a budget: the search on lengths known in closed form, and once for real."""

import math
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fsim.compression import POLICIES, make_policy
from fsim.compression.size_option import SizeOption
from fsim.core.errors import ScenarioError
from fsim.experiments.compare import budget_table
from fsim.experiments.matched_budget import (
    CLOSE,
    Tuned,
    match_budget,
    search,
)
from fsim.experiments.policies import PolicyChoice
from tests.conftest import ROOT

SHARE = SizeOption(("ratio",), 1e-3, 1.0)
BITS = SizeOption(("bits",), 2, 16, whole_from=1)
SIZED = {name: policy.size_option for name, policy in POLICIES.items() if policy.size_option}


def tried(size):
    """What a value of an option comes to, for payloads of that size."""
    return lambda value: Tuned(None, {"option": value}, size(value))


@given(st.integers(2_000, 900_000))
def test_a_share_comes_close_to_any_budget(budget):
    found = search(tried(lambda share: 1e6 * share), budget, SHARE)
    assert found.payload_bytes == pytest.approx(budget, rel=CLOSE)


@given(st.integers(1, 3_000))
def test_whole_bits_come_as_close_as_they_can(budget):
    found = search(tried(lambda bits: 100 * bits), budget, BITS)
    best = min(range(2, 17), key=lambda bits: (abs(100 * bits - budget), bits))
    # A budget met within 1% is met.
    assert abs(found.payload_bytes - budget) <= max(abs(100 * best - budget), CLOSE * budget)
    assert found.options["option"] == int(found.options["option"])


def test_a_budget_out_of_reach_leaves_the_end_of_the_range():
    assert search(tried(lambda bits: 100 * bits), 10**9, BITS).options == {"option": 16}
    assert search(tried(lambda bits: 100 * bits), 1, BITS).options == {"option": 2}
    assert search(tried(lambda share: 1e6 * share), 10**9, SHARE).options["option"] > 0.99


@example(0.007)
@given(st.floats(1e-3, 1.0))
def test_several_shares_keep_their_proportions_and_stay_shares_of_a_whole(total):
    policy = make_policy("fstq", {"share16": 0.1, "share4": 0.2, "share2": 0.1})
    options = policy.size_option.options(policy, total)
    assert sum(options.values()) <= 1
    assert options["share4"] == pytest.approx(2 * options["share16"], abs=2e-6 + 1e-9)
    # Each of the three is rounded down by less than a millionth, and by what floats are off.
    assert sum(options.values()) == pytest.approx(total, abs=3e-6 + 1e-9)


@settings(max_examples=20)
@given(st.floats(0, 1), st.sampled_from(sorted(SIZED)))
def test_every_policy_takes_every_value_of_its_option(share, name):
    option = SIZED[name]
    value = option.least * (option.most / option.least) ** share
    if value >= option.whole_from:
        value = round(value)
    make_policy(name, option.options(make_policy(name, {}), min(value, option.most)))


def test_the_page_lists_every_policys_option():
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    rows = page.split("| policy | option |\n|---|---|\n")[1].split("\n\n")[0].splitlines()
    listed = {}
    for row in rows:
        policies, options = (re.findall(r"`(.+?)`", cell) for cell in row.strip("|").split("|"))
        listed |= dict.fromkeys(policies, tuple(options))
    assert listed == {name: option.names for name, option in SIZED.items()}


def test_tuned_for_real(tiny):
    loaded = tiny()
    choices = [PolicyChoice.parse(text) for text in ("float16", "topk:ratio=0.5", "qsgd")]
    left, topk, qsgd = match_budget(loaded, choices, 2_000)
    # 8192 coordinates at 2 bytes, and the header.
    assert (left.options, left.choice) == ({}, choices[0])
    assert left.payload_bytes > 16_384
    assert topk.payload_bytes == pytest.approx(2_000, rel=CLOSE)
    assert topk.choice.label == "topk:ratio=0.5"
    assert topk.choice.options == topk.options
    assert qsgd.options == {"bits": 2}
    table = budget_table([left, topk, qsgd], 2_000)
    assert table["options"].tolist()[::2] == ["", "bits=2"]
    assert table["ratio"].iloc[0] == pytest.approx(left.payload_bytes / 2_000)
    assert math.isfinite(table["payload_bytes"].sum())
    with pytest.raises(ScenarioError, match="--match-budget: found 0"):
        match_budget(loaded, choices, 0)
