"""The weights of tiers."""

import pytest

from fsim.server.protocols.tiered import fedat_weights


def test_fedat_weights_worked_by_hand():
    # Of 10 updates the fast tier made 6, the middle 3 and the slow one 1.
    assert fedat_weights([6, 3, 1]) == [0.1, 0.3, 0.6]
    # Until the slowest has updated, the fastest weighs nothing, unless there is a prior.
    assert fedat_weights([4, 0]) == [0.0, 1.0]
    assert fedat_weights([4, 0], prior=1) == [1 / 6, 5 / 6]


@pytest.mark.parametrize("counts", [[], [0, 0], [-1, 3]])
def test_fedat_needs_counts(counts):
    with pytest.raises(ValueError, match="updates_by_tier"):
        fedat_weights(counts)
