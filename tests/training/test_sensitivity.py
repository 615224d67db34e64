import dataclasses

import pytest
import torch

from fsim.core.types import SensitivitySettings
from fsim.data.encoding import Batch, Encoded
from fsim.training.sensitivity import Fisher, TokenSensitivity

# Two rows; the last three tokens read are scored, in the second row the last two.
BATCH = Batch.of([Encoded((9, 3, 4, 5, 2), 3, False), Encoded((9, 9, 4, 6, 2), 2, False)])
NORMS = [[99.0, 1, 5, 2], [99, 99, 3, 6]]


def gradient(norms):
    """A gradient of width 1 with the given squared norms."""
    return torch.tensor(norms).sqrt().unsqueeze(-1)


def observed(slots=1, step=0, norms=NORMS, size=10, **settings):
    tokens = TokenSensitivity(slots, size, SensitivitySettings(**settings), torch.device("cpu"))
    tokens.observe(BATCH, gradient(norms), step)
    return tokens


def test_the_most_sensitive_scored_tokens_keep_their_loss():
    # S by token: 3 -> 1, 4 -> (5 + 3) / 2, 5 -> 2, 6 -> 6. Half of 3 is 2, half of 2 is 1.
    mask = observed(token_ratio=0.5).target_mask(BATCH)
    assert mask.tolist() == [[False, True, True], [False, True, False]]


def test_slots_do_not_share_sensitivities():
    # A slot a row: the first sees 4 -> 5, the second 4 -> 3.
    tokens = observed(slots=2, token_ratio=0.3)
    assert tokens.target_mask(BATCH).tolist() == [[False, True, False], [False, True, False]]
    again = observed(slots=2, token_ratio=0.3, norms=[[0.0, 1, 1.5, 2], [0, 0, 9, 6]])
    assert again.target_mask(BATCH).tolist() == [[False, False, True], [True, False, False]]


def test_by_position():
    # Means over rows: 99, 50, 4, 4; the first row's scored positions are 1 to 3.
    tokens = observed(token_ratio=0.3, by="position", size=4)
    assert tokens.target_mask(BATCH)[0].tolist() == [True, False, False]


def test_the_mask_holds_until_the_next_refresh_and_s_is_smoothed():
    low = [[0.0, 1, 5, 2], [0, 0, 5, 6]]
    tokens = observed(token_ratio=0.3, refresh_every=2, norms=low)
    before = tokens.target_mask(BATCH)
    assert before[0].tolist() == [False, True, False]
    # Token 3 becomes 0.9 x 1 + 0.1 x 1000: far above the rest, but not before a refresh.
    tokens.observe(BATCH, gradient([[0.0, 1000, 5, 2], [0, 0, 5, 6]]), step=1)
    assert torch.equal(tokens.target_mask(BATCH), before)
    tokens.observe(BATCH, gradient(low), step=2)
    assert tokens.target_mask(BATCH)[0].tolist() == [True, False, False]


def test_what_was_never_measured_is_kept_first():
    other = Batch.of([Encoded((4, 6, 8, 2), 3, False)])
    assert observed(token_ratio=0.3).target_mask(other).tolist() == [[False, False, True]]


def test_inputs_are_taken_out_least_sensitive_first_and_scored_ones_stay():
    # Of four tokens read, ceil(0.5 x 4) stay, and the scored ones at any rate.
    keep = observed(token_ratio=0.5).input_mask(BATCH)
    assert keep.tolist() == [[False, True, True, True], [False, False, True, True]]
    longer = Batch.of([Encoded((9, 3, 4, 5, 6, 2), 1, False)])
    # S: 9 -> 99, 3 -> 1, 4 -> 4, 5 -> 2, and 6 is scored: 3 of 5 stay.
    kept = observed(token_ratio=0.5).input_mask(longer)
    assert kept.tolist() == [[True, False, True, False, True]]


def test_soft_weights_have_mean_one_and_follow_sensitivity():
    weights = observed(weights="soft").target_weights(BATCH)
    # First row: S = 1, 4, 2 over a mean of 7/3; second: 4, 6 over 5, and nothing for the padding.
    assert weights[0].tolist() == pytest.approx([3 / 7, 12 / 7, 6 / 7])
    assert weights[1].tolist() == pytest.approx([0.8, 1.2, 0.0])


def test_refresh_steps():
    tokens = observed(refresh_every=10)
    assert [step for step in range(25) if tokens.is_full(step)] == [0, 10, 20]
    patient = observed(refresh_every=10, first="full")
    assert [step for step in range(25) if patient.is_full(step)] == [*range(11), 20]


def test_fisher_as_average_and_as_sum_worked_by_hand():
    gradients = torch.tensor([[1.0, 2.0]])
    average = Fisher(gradients, SensitivitySettings(smoothing=0.9))
    total = Fisher(gradients, dataclasses.replace(SensitivitySettings(), fisher_average="sum"))
    for fisher in (average, total):
        fisher.observe()
        gradients.mul_(2)
        fisher.observe()
        gradients.div_(2)
    # 0.9 x (0.1 x 1) + 0.1 x 4, and four times that for twice the gradient.
    assert average.values[0].tolist() == pytest.approx([0.49, 1.96])
    assert total.values[0].tolist() == pytest.approx([5.0, 20.0])
