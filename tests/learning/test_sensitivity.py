import torch

from fsim.learning.encoding import NOT_SCORED, Batch
from fsim.learning.sensitivity import TokenSensitivity
from fsim.vocabulary import SensitivitySettings

# Two rows; the last three columns are scored, but for the second row's first of them.
BATCH = Batch(
    ids=torch.tensor([[9, 3, 4, 5], [9, 9, 4, 6]]),
    mask=torch.ones(2, 4, dtype=torch.long),
    positions=torch.arange(4).expand(2, 4),
    targets=torch.tensor([[4, 5, 2], [NOT_SCORED, 6, 2]]),
)


def gradient(norms):
    """A gradient of width 1 with the given squared norms."""
    return torch.tensor(norms).sqrt().unsqueeze(-1)


def test_the_most_sensitive_scored_tokens_are_kept():
    tokens = TokenSensitivity(10, SensitivitySettings(token_ratio=0.5))
    tokens.observe(BATCH, gradient([[99.0, 1, 5, 2], [99, 99, 3, 6]]), step=0)
    # S by token: 3 -> 1, 4 -> (5 + 3) / 2, 5 -> 2, 6 -> 6. Half of 3 is 2, half of 2 is 1.
    assert tokens.mask(BATCH).tolist() == [[False, True, True], [False, False, True]]


def test_the_mask_holds_until_the_next_refresh_and_s_is_smoothed():
    settings = SensitivitySettings(token_ratio=0.3, refresh_every=2, smoothing=0.9)
    tokens = TokenSensitivity(10, settings)
    tokens.observe(BATCH, gradient([[0.0, 1, 5, 2], [0, 0, 5, 6]]), step=0)
    before = tokens.mask(BATCH)
    assert before.tolist() == [[False, True, False], [False, False, True]]
    # Token 3 becomes 0.9 x 1 + 0.1 x 1000: far above the rest, but not before a refresh.
    tokens.observe(BATCH, gradient([[0.0, 1000, 5, 2], [0, 0, 5, 6]]), step=1)
    assert torch.equal(tokens.mask(BATCH), before)
    tokens.observe(BATCH, gradient([[0.0, 1, 5, 2], [0, 0, 5, 6]]), step=2)
    assert tokens.mask(BATCH)[0].tolist() == [True, False, False]


def test_a_token_never_measured_is_kept_first():
    tokens = TokenSensitivity(10, SensitivitySettings(token_ratio=0.3))
    tokens.observe(BATCH, gradient([[0.0, 1, 5, 2], [0, 0, 5, 6]]), step=0)
    other = Batch(torch.tensor([[4, 6, 8]]), BATCH.mask[:1, :3], BATCH.positions[:1, :3],
                  torch.tensor([[6, 8, 2]]))  # fmt: skip
    assert tokens.mask(other).tolist() == [[False, False, True]]


def test_refresh_steps():
    tokens = TokenSensitivity(10, SensitivitySettings(refresh_every=10))
    assert [step for step in range(25) if tokens.is_refresh(step)] == [0, 10, 20]
