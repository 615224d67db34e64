import numpy as np
import pytest
import torch

from fsim.core.errors import ScenarioError
from fsim.data.encoding import (
    NOT_SCORED,
    Batch,
    BatchShape,
    Encoded,
    draw_batches,
    encode_examples,
)
from fsim.data.tasks import Example
from fsim.model.loading import load_base


def test_only_the_context_is_shortened():
    tokenizer = load_base("nano", device="cpu").tokenizer
    example = Example("An abnormality of the kidney " * 20, "\nOrgan system:", " eye", "eye")
    (row,) = encode_examples(tokenizer, [example], 20)
    assert row.truncated
    assert len(row.ids) == 20 + row.scored
    text = tokenizer.decode(row.ids)
    assert text.startswith("<bos>An abnormality")
    assert text.endswith("\nOrgan system: eye<eos>")
    assert tokenizer.decode(row.ids[-row.scored :]) == " eye<eos>"
    with pytest.raises(ScenarioError, match="the question alone takes"):
        encode_examples(tokenizer, [example], 4)


def test_a_batch_is_padded_on_the_right_and_knows_its_scored_positions():
    batch = Batch.of([Encoded((1, 5, 6, 7, 2), 2, False), Encoded((1, 8, 2), 1, False)])
    assert batch.ids.tolist() == [[1, 5, 6, 7], [1, 8, 0, 0]]
    assert batch.read.tolist() == [[True] * 4, [True, True, False, False]]
    assert batch.targets.tolist() == [[7, 2], [2, NOT_SCORED]]
    assert batch.at.tolist() == [[2, 3], [1, 0]]
    assert batch.scored.tolist() == [[True, True], [True, False]]
    assert batch.ids.gather(1, batch.at)[batch.scored].tolist() == [6, 7, 8]


def test_batches_of_one_shape_stack_and_missing_rows_score_nothing():
    shape = BatchShape(2, 5, 3)
    first = Batch.of([Encoded((1, 5, 2), 1, False)], shape)
    stacked = Batch.stack([first, Batch.of((), shape)])
    assert stacked.ids.shape == (4, 5)
    assert stacked.targets.shape == (4, 3)
    assert stacked.scored.sum() == 1
    assert stacked.lengths.tolist() == [2, 0, 0, 0]


def test_shortening_takes_tokens_out_and_keeps_places_and_targets():
    batch = Batch.of([Encoded((1, 5, 6, 7, 9, 2), 2, False), Encoded((1, 8, 2), 1, False)])
    keep = torch.tensor([[True, False, False, True, True], [False, True, False, False, False]])
    short = batch.shortened(keep)
    assert short.ids.tolist() == [[1, 7, 9, 0, 0], [8, 0, 0, 0, 0]]
    assert short.lengths.tolist() == [3, 1]
    assert short.positions[0, :3].tolist() == [0, 3, 4]
    assert short.positions[1, :1].tolist() == [1]
    assert torch.equal(short.targets, batch.targets)
    assert short.ids.gather(1, short.at)[short.scored].tolist() == [7, 9, 8]


def test_batches_pass_over_the_shard_before_any_row_comes_again():
    shard = [Encoded((1, i, 2), 1, False) for i in range(10)]
    rows = draw_batches(shard, 5, 4, np.random.default_rng(0))
    assert [len(batch) for batch in rows] == [4] * 5
    firsts = [row.ids[1] for batch in rows[:2] for row in batch]
    assert len(set(firsts)) == 8
    small = draw_batches(shard[:3], 4, 8, np.random.default_rng(0))
    assert [sorted(row.ids[1] for row in batch) for batch in small] == [[0, 1, 2]] * 4
