"""Token Recall in training."""

import dataclasses
import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from fsim.compression import make_policy
from fsim.core.types import SensitivitySettings
from fsim.data.answer_metrics import token_recall
from fsim.simulation.run import simulate
from fsim.store import Store
from fsim.training.token_recall import TokenRecall
from tests.training.test_cohort import ADAMW, LORA, SGD, base_of, jobs_of, train

SETTINGS = SensitivitySettings(token_ratio=0.5, refresh_every=4, recall=0.2)


def test_worked_by_hand():
    recall = TokenRecall(2, 0.5)
    kept = torch.tensor([[True, False, False], [True, True, False]])
    among = torch.tensor([[True, True, True], [True, True, False]])
    # The top two of 3, 2, 1 are the first two, of which one is kept; of 5, 7 it is the 7.
    recall.observe(kept, among, torch.tensor([[3.0, 2.0, 1.0], [5.0, 7.0, 9.0]]))
    assert (recall.mean(0), recall.mean(1)) == (0.5, 1.0)
    recall.observe(kept & False, among, torch.ones(2, 3))
    assert (recall.mean(0), recall.mean(1)) == (0.25, 0.5)
    assert TokenRecall(1, 0.5).mean(0) is None


@pytest.mark.parametrize("mask", ["targets", "inputs"])
@pytest.mark.parametrize("settings", [ADAMW, SGD], ids=["adamw", "sgd"])
def test_measuring_it_changes_nothing(nano, rows, settings, mask):
    asked = dataclasses.replace(SETTINGS, mask=mask)
    jobs = jobs_of(nano, rows, 3, steps=4)
    plain = train(nano, rows, jobs, 3, settings, dataclasses.replace(asked, recall=0.0))
    measured = train(nano, rows, jobs, 3, settings, asked)
    (alone,) = train(nano, rows, jobs[1:2], 3, settings, asked)
    for one, other in zip(plain, measured, strict=True):
        assert np.array_equal(one.end, other.end)
        assert np.array_equal(one.fisher, other.fisher)
        assert (one.losses, one.tokens_kept) == (other.losses, other.tokens_kept)
        assert one.token_recall is None
        assert 0 < other.token_recall <= 1
    assert alone.token_recall == measured[1].token_recall


def gradients(model, embedding, batch):
    """Squared gradient norms of a batch's mean loss at each position read, row by row, by peft."""
    length = max(len(row.ids) for row in batch)
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for at, row in enumerate(batch):
        ids[at, : len(row.ids)] = torch.tensor(row.ids)
        mask[at, : len(row.ids)] = 1
        labels[at, len(row.ids) - row.scored : len(row.ids)] = torch.tensor(row.ids[-row.scored :])
    embedded = embedding(ids).detach().requires_grad_()
    loss = model(inputs_embeds=embedded, attention_mask=mask, labels=labels).loss
    (gradient,) = torch.autograd.grad(loss, embedded)
    norms = gradient.square().sum(-1)
    return [norms[at, : len(row.ids) - 1].numpy() for at, row in enumerate(batch)]


def test_it_is_what_a_loop_over_tokens_finds(nano, rows):
    still = SGD.model_copy(update={"learning_rate": 0.0})
    (job,) = jobs_of(nano, rows, 1, steps=2, size=8)
    (result,) = train(nano, rows, [job], 1, still, SETTINGS, size=8)
    lora = LORA["nano"]
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, target_modules=targets, task_type="CAUSAL_LM"
    )
    model = get_peft_model(base_of("nano").model, config)
    named = {n.replace(".default.", "."): p for n, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, value in nano.layout.unflatten(job.start).items():
            named[name].copy_(torch.from_numpy(value))
    first, second = job.batches
    embedding = model.get_input_embeddings()
    found = defaultdict(list)
    for row, norms in zip(first, gradients(model, embedding, first), strict=True):
        for token, norm in zip(row.ids, norms, strict=False):
            found[token].append(float(norm))
    average = {token: np.mean(norms) for token, norms in found.items()}
    kept, reference = [], []
    for row, norms in zip(second, gradients(model, embedding, second), strict=True):
        places = range(len(norms) - row.scored, len(norms))
        order = sorted(places, key=lambda at: (-average.get(row.ids[at], math.inf), at))
        stay = set(order[: math.ceil(0.5 * row.scored)])
        kept += [at in stay for at in places]
        reference += [norms[at] for at in places]
    assert result.token_recall == pytest.approx(token_recall(kept, reference, 0.2))


def test_who_keeps_everything_recalls_everything(nano, rows):
    everything = dataclasses.replace(SETTINGS, token_ratio=1.0)
    (result,) = train(nano, rows, jobs_of(nano, rows, 1, steps=3), 1, ADAMW, everything)
    assert result.token_recall == 1


def test_it_is_in_the_records_and_the_store(tiny, tmp_path):
    policy = {"policy": "fstq", "refresh_every": 2, "recall": 0.25}
    runs = [simulate(tiny(compression=policy), store=Store(tmp_path)) for _ in range(2)]
    compute = runs[0].records[runs[0].records["kind"] == "compute"]
    assert all("token_recall" in details for details in compute["details"])
    assert runs[1].records.equals(runs[0].records)
    assert runs[1].facts["jobs_trained"] == 0


def test_a_share_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"recall: found 2\.0, allowed is 0 to 1"):
        make_policy("fstq", {"recall": 2})
