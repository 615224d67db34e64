import numpy as np
import pytest

from fsim.errors import ScenarioError
from fsim.learning.encoding import NOT_SCORED, Batch, Encoded, draw_batches, encode_examples
from fsim.learning.models import load_base
from fsim.learning.tasks import Example


def test_only_the_context_is_shortened():
    tokenizer = load_base("nano").tokenizer
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


def test_a_batch_is_aligned_at_its_end():
    batch = Batch.of([Encoded((1, 5, 6, 7, 2), 2, False), Encoded((1, 8, 2), 1, False)])
    assert batch.ids.tolist() == [[1, 5, 6, 7], [0, 0, 1, 8]]
    assert batch.mask.tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert batch.positions.tolist() == [[0, 1, 2, 3], [0, 0, 0, 1]]
    assert batch.targets.tolist() == [[7, 2], [NOT_SCORED, 2]]
    assert batch.scored_ids.tolist() == [[6, 7], [1, 8]]
    assert batch.tokens == 6


def test_batches_pass_over_the_shard_before_any_row_comes_again():
    shard = [Encoded((1, i, 2), 1, False) for i in range(10)]
    rows = draw_batches(shard, 5, 4, np.random.default_rng(0))
    assert [len(batch) for batch in rows] == [4] * 5
    firsts = [row.ids[1] for batch in rows[:2] for row in batch]
    assert len(set(firsts)) == 8
    small = draw_batches(shard[:3], 4, 8, np.random.default_rng(0))
    assert [sorted(row.ids[1] for row in batch) for batch in small] == [[0, 1, 2]] * 4
