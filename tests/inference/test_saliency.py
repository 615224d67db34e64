import copy
import math
from pathlib import Path

import pytest
import torch

from fsim.core.errors import InferenceError
from fsim.data.answer_metrics import token_recall
from fsim.data.encoding import encode_examples
from fsim.data.tasks import make_task
from fsim.inference.pruning import PromptPruner, View
from fsim.inference.recorder import NOT_SCORED, SaliencyRecorder
from fsim.inference.saliency import (
    AttentionScorer,
    FisherHead,
    FisherTable,
    RandomScorer,
    Sample,
    shares,
)
from fsim.inference.token_choice import Keep

LAYER = 2


def view_of(ids, hidden=None):
    hidden = torch.zeros(*ids.shape, 4) if hidden is None else hidden
    return View(ids, torch.ones_like(ids, dtype=torch.bool), hidden)


def answered(ids, scored):
    labels = torch.full_like(ids, NOT_SCORED)
    labels[:, -scored:] = ids[:, -scored:]
    return labels


@pytest.fixture(scope="module")
def measured(nano_base):
    """What was recorded of 60 short prompts of a real task, the last 20 held out from fitting."""
    model = copy.deepcopy(nano_base.model)
    examples = make_task("medical", {}).load(Path).train[:60]
    rows = encode_examples(nano_base.tokenizer, examples, 64)
    with SaliencyRecorder(model, LAYER) as recorder:
        for row in rows:
            ids = torch.tensor([row.ids])
            model(input_ids=ids, labels=answered(ids, row.scored)).loss.backward()
    return recorder.samples[:40], recorder.samples[40:]


@torch.no_grad()
def last_row_of_attention(model, ids, mask):
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    output = eager(
        input_ids=ids, attention_mask=mask, position_ids=positions, output_attentions=True
    )
    return output.attentions[LAYER - 1][:, :, -1].mean(1)


def test_attention_is_the_last_tokens_own(nano):
    torch.manual_seed(0)
    ids = torch.randint(3, 1000, (2, 20))
    mask = torch.ones_like(ids)
    mask[1, :6] = 0
    scorer = AttentionScorer()
    seen = []
    usual = scorer.score
    scorer.score = lambda view: seen.append(usual(view)) or seen[-1]
    PromptPruner(nano, LAYER, scorer, Keep(ratio=0.5)).read(ids, mask)
    expected = last_row_of_attention(nano, ids, mask)
    torch.testing.assert_close(seen[0].exp() * mask, expected * mask, rtol=1e-4, atol=1e-6)


def test_watching_changes_nothing_and_leaves_nothing(nano):
    ids = torch.arange(3, 23)[None]
    before = nano.config.to_dict()
    layer = nano.model.layers[LAYER - 1]
    config = layer.self_attn.config
    reading = PromptPruner(nano, LAYER, AttentionScorer(), Keep(ratio=1.0)).read(ids)
    with torch.no_grad():
        expected = nano(input_ids=ids, use_cache=True, logits_to_keep=1).logits[:, -1]
    assert torch.equal(reading.logits, expected)
    assert layer.self_attn.config is config
    assert nano.config.to_dict() == before


def test_a_layer_whose_attention_is_out_of_reach_is_refused():
    with (
        pytest.raises(InferenceError, match="attention: found a layer of another build"),
        AttentionScorer().watching(torch.nn.Linear(2, 2)),
    ):
        pass


def test_recorded_gradients_are_those_of_a_loss_taken_apart_by_hand(nano_base):
    model = nano_base.model
    torch.manual_seed(1)
    ids = torch.randint(3, 1000, (2, 15))
    mask = torch.ones_like(ids)
    mask[1, 12:] = 0  # on the right, as in training
    labels = ids.clone()
    labels[0, :11] = NOT_SCORED
    labels[1, :9] = NOT_SCORED
    labels[mask == 0] = NOT_SCORED
    with SaliencyRecorder(model, LAYER) as recorder:
        output = model(input_ids=ids, attention_mask=mask, labels=labels)
        output.loss.backward()
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    logits = model(inputs_embeds=embedded, attention_mask=mask).logits[:, :-1]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
    (gradient,) = torch.autograd.grad(loss, embedded)
    for row, (sample, prompt) in enumerate(zip(recorder.samples, (11, 9), strict=True)):
        assert torch.equal(sample.ids, ids[row, :prompt])
        expected = gradient[row, :prompt].square().sum(-1)
        torch.testing.assert_close(sample.fisher, expected, rtol=1e-4, atol=1e-12)
    with torch.no_grad():
        hidden = model(input_ids=ids, output_hidden_states=True).hidden_states[LAYER]
    torch.testing.assert_close(
        recorder.samples[0].hidden.float(), hidden[0, :11], rtol=1e-2, atol=1e-2
    )


def test_recording_leaves_training_as_it_is(nano_base):
    from peft import LoraConfig, get_peft_model

    ids = torch.arange(3, 23)[None]
    found = []
    for recording in (False, True):
        torch.manual_seed(0)
        model = get_peft_model(
            copy.deepcopy(nano_base.model), LoraConfig(r=2, target_modules=["q_proj"])
        )
        recorder = SaliencyRecorder(model, LAYER) if recording else None
        model(input_ids=ids, labels=ids).loss.backward()
        if recorder is not None:
            assert len(recorder.samples) == 1
            assert len(recorder.samples[0].ids) == ids.shape[1]  # every token carries loss
            recorder.close()
            model(input_ids=ids, labels=ids).loss.backward()
            assert len(recorder.samples) == 1
            model.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
        found.append([p.grad for n, p in model.named_parameters() if "lora_B" in n])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_a_recorder_keeps_the_latest(nano):
    with SaliencyRecorder(nano, LAYER, limit=2) as recorder:
        for first in (3, 4, 5):
            ids = torch.arange(first, first + 8)[None]
            nano(input_ids=ids, labels=ids).loss.backward()
    assert [int(sample.ids[0]) for sample in recorder.samples] == [4, 5]


def test_a_recorder_refuses_a_layer_that_there_is_not(nano):
    with pytest.raises(InferenceError, match="layer: found 99, allowed are 1 to"):
        SaliencyRecorder(nano, 99)


def test_shares_are_of_norms():
    torch.testing.assert_close(shares(torch.tensor([1.0, 9.0])), torch.tensor([0.25, 0.75]))


def even(fitted, samples):
    """Cross-entropy of scores that say nothing."""
    return sum(math.log(len(sample.ids)) for sample in samples) / len(samples)


def recall(score, samples):
    """Token Recall of the top tenth, a third of the tokens being kept."""
    found = []
    for sample in samples:
        scores = score(sample)[None]
        read = torch.ones_like(scores, dtype=torch.bool)
        kept = Keep(ratio=0.34).mask(scores, read)[0]
        found.append(token_recall(kept.numpy(), sample.fisher.numpy(), 0.1))
    return sum(found) / len(found)


def test_a_head_ranks_prompts_that_it_has_not_seen(measured):
    fitting, held_out = measured
    head = FisherHead.fit(fitting, rank=8, epochs=10)
    loss = sum(map(head.loss, held_out)) / len(held_out)
    start = FisherHead.fit(fitting, rank=8, epochs=10, learning_rate=0.0)
    assert loss < sum(map(start.loss, held_out)) / len(held_out)
    assert loss < even(head, held_out)
    learned = recall(lambda sample: head.of(sample.hidden[None])[0], held_out)
    rng = torch.Generator().manual_seed(0)
    chance = [
        recall(lambda sample: torch.rand(len(sample.ids), generator=rng), held_out)
        for _ in range(20)
    ]
    assert learned > max(chance)


def test_a_table_ranks_prompts_that_it_has_not_seen(measured, nano):
    fitting, held_out = measured
    table = FisherTable.fit(fitting, nano.config.vocab_size)
    learned = recall(lambda sample: table.score(view_of(sample.ids[None]))[0], held_out)
    rng = torch.Generator().manual_seed(0)
    chance = [
        recall(lambda sample: torch.rand(len(sample.ids), generator=rng), held_out)
        for _ in range(20)
    ]
    assert learned > max(chance)


def test_a_fit_is_repeated_to_the_bit_and_kept_to_the_bit(measured):
    fitting, _ = measured
    head, again = (FisherHead.fit(fitting[:5], rank=4, epochs=2) for _ in range(2))
    assert head.to_bytes() == again.to_bytes()
    hidden = fitting[0].hidden[None]
    assert torch.equal(FisherHead.from_bytes(head.to_bytes()).of(hidden), head.of(hidden))


def test_a_table_worked_by_hand():
    # One prompt of two tokens with norms 1 and 3: shares 1/4 and 3/4, over an even share 1/2, 3/2.
    sample = Sample(torch.tensor([0, 1]), torch.tensor([1.0, 9.0]), torch.zeros(2, 4))
    table = FisherTable.fit([sample], vocabulary=3)
    half = math.log(3) / 2  # both logs' distance from their mean
    place = half / 5  # one sighting, and the prior's four
    own = (half - place) / 5
    scores = table.score(view_of(torch.tensor([[0, 1]])))[0]
    torch.testing.assert_close(scores, torch.tensor([-place - own, place + own]))
    unseen = table.score(view_of(torch.tensor([[2, 2]])))[0]
    torch.testing.assert_close(unseen, torch.tensor([-place, place]))


def test_random_scores_differ_from_prompt_to_prompt_and_come_back_with_the_seed():
    ids = torch.zeros(1, 30, dtype=torch.long)
    one, two = RandomScorer(0), RandomScorer(0)
    first, second = one.score(view_of(ids)), one.score(view_of(ids))
    assert not torch.equal(first, second)
    assert torch.equal(first, two.score(view_of(ids)))


@pytest.mark.parametrize("fit", [FisherHead.fit, lambda samples: FisherTable.fit(samples, 10)])
def test_nothing_measured_is_refused(fit):
    with pytest.raises(InferenceError, match="found no prompts that were measured"):
        fit([])
