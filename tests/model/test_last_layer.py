"""The last layer at scored positions only: nothing that is scored changes."""

import numpy as np
import pytest
import torch

from fsim.data.encoding import Batch, Encoded
from fsim.model import last_layer


def rows_of(lengths, scored, seed=0):
    rng = np.random.default_rng(seed)
    return [Encoded(tuple(rng.integers(3, 4000, n).tolist()), scored, False) for n in lengths]


@pytest.mark.parametrize("slots", [1, 2])
def test_losses_and_gradients_are_as_with_all_positions(nano, monkeypatch, slots):
    nano.packs = slots == 1
    batch = Batch.of(rows_of([20, 17, 9, 12], scored=3))
    room = nano.slots(slots, trainable=True)
    flat = nano.layout.flatten(nano.initial)
    room.load([flat + np.random.default_rng(0).normal(0, 0.02, flat.shape).astype("f4")])
    nano.use(room)
    found, seen = [], []
    mlp = nano.model.model.layers[-1].mlp.down_proj
    mlp.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].shape[:2]))
    for share in (0.0, 1.0):
        monkeypatch.setattr(last_layer, "WORTH_IT", share)
        loss = nano.loss(batch, batch.scored.float(), slots)
        room.backward(loss.sum())
        found.append((loss.detach().clone(), room.gradients.clone()))
    positions = int(batch.lengths.sum()) if slots == 1 else batch.ids.numel()
    assert seen[0].numel() == positions
    assert seen[1].numel() == batch.targets.numel()
    for every, few in zip(*found, strict=True):
        assert float(every.norm()) > 0
        assert float((every - few).norm()) <= 2e-6 * float(every.norm())


def test_chosen_places_are_distinct_and_hold_all_that_is_scored():
    # The second row scores fewer than there are columns, its own first position among them.
    batch = Batch.of([*rows_of([6], 3), *rows_of([3], 2)])
    chosen = batch.columns_scored()
    assert chosen.shape == (2, 3)
    assert len(set(chosen.flatten().tolist())) == 6
    assert {2, 3, 4} == set(chosen[0].tolist())
    assert {5, 6} <= set(chosen[1].tolist())
    assert torch.all(chosen[1] // 5 == 1)
