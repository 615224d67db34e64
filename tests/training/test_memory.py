"""The most memory that local training takes."""

import dataclasses

import numpy as np
import pytest
import torch

from fsim.compression import make_policy
from fsim.core.errors import ScenarioError
from fsim.data.encoding import BatchShape
from fsim.model.loading import load_base
from fsim.model.slots import aligned
from fsim.simulation.run import simulate
from fsim.store import Store
from fsim.training.cohort import Cohort
from fsim.training.memory import TrainingMemory
from tests.training.test_cohort import ADAMW, jobs_of

PLAIN = make_policy("float16", {}).training_request()
ALONE = {"training__cohort_width": 1, "training__measure_memory": True}
ADAMW_STEP_COUNT = 4
"""Bytes: AdamW keeps the number of its step as a tensor of one float32."""


def cohort(adapted, rows, settings=ADAMW, request=PLAIN, width=1, size=4):
    return Cohort(adapted, width, BatchShape.of(rows, size), settings, request)


def peak(adapted, rows, settings=ADAMW, request=PLAIN, size=4):
    memory = TrainingMemory(cohort(adapted, rows, settings, request, size=size))
    (job,) = jobs_of(adapted, rows, 1, steps=1, size=size)
    # One batch again and again: the optimiser's state is there only after the first step.
    memory.train([dataclasses.replace(job, batches=3 * job.batches)])
    return memory.peak


def test_what_is_held_is_the_base_model_and_the_slot(nano, rows):
    weights = 4 * nano.model.num_parameters()
    buffers = sum(each.nbytes for each in nano.model.buffers())
    values_and_gradients = 2 * 4 * aligned(nano.layout.size)
    assert values_and_gradients == 655_360
    assert cohort(nano, rows).held_bytes == weights + buffers + values_and_gradients


def test_the_optimisers_two_moments_are_counted_to_the_byte(nano, rows):
    sgd = ADAMW.model_copy(update={"optimizer": "sgd"})
    moments = 2 * 4 * aligned(nano.layout.size) + ADAMW_STEP_COUNT
    # AdamW's are there while activations are, which are what the most is made of.
    assert peak(nano, rows) - peak(nano, rows, sgd) == pytest.approx(moments, abs=64)


def test_it_is_the_same_every_time_and_changes_nothing(nano, rows):
    own = cohort(nano, rows)
    jobs = jobs_of(nano, rows, 1)
    (plain,) = own.train(jobs)
    memory = TrainingMemory(own)
    assert memory.peak == 0
    (measured,) = memory.train(jobs)
    first = memory.peak
    memory.train(jobs)
    assert memory.peak == first > own.held_bytes
    assert TrainingMemory(own).peak == 0
    assert np.array_equal(measured.end, plain.end)
    assert measured.losses == plain.losses


def test_more_rows_take_more_merged_tokens_less(nano, rows):
    merging = make_policy("tome", {}).training_request()
    assert peak(nano, rows, size=8) > peak(nano, rows, size=4)
    assert peak(nano, rows, request=merging, size=8) < peak(nano, rows, size=8)


def test_clients_side_by_side_are_not_measured(nano, rows):
    with pytest.raises(ValueError, match="found 2 slots, allowed is 1"):
        TrainingMemory(cohort(nano, rows, width=2))


def test_a_device_that_tells_nothing_is_refused(nano, rows):
    own = cohort(nano, rows)
    own.device = torch.device("mps")
    with pytest.raises(ScenarioError, match=r"model\.device: found mps, allowed is one of cpu"):
        TrainingMemory(own)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpus_memory_is_what_its_allocator_says(rows):
    from fsim.model.adapter import AdaptedModel
    from fsim.model.lora import LoraSettings

    base = load_base("nano", device="cuda")
    adapted = AdaptedModel(base, LoraSettings(rank=8, alpha=16, targets="all-linear"), 0)
    own = cohort(adapted, rows)
    jobs = jobs_of(adapted, rows, 1)
    own.train(jobs)  # libraries take their workspaces once
    memory = TrainingMemory(own)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    memory.train(jobs)
    above = torch.cuda.max_memory_allocated() - before
    # The allocator rounds up to 512 bytes.
    assert memory.peak - own.held_bytes == pytest.approx(above, rel=0.02)


def test_a_run_tells_it_whatever_is_in_the_store(tiny, tmp_path):
    scenario = tiny(**ALONE)
    store = Store(tmp_path)
    without = simulate(tiny(training__cohort_width=1), store=store)
    runs = [simulate(scenario, store=store) for _ in range(2)]
    for run in runs:
        assert run.facts["jobs_reused"] == 0 < run.facts["jobs_trained"]
        assert run.records.equals(without.records)
        assert run.facts["encoding_memory_bytes"] > 0
    assert "training_memory_bytes" not in without.facts
    assert "encoding_memory_bytes" not in without.facts
    first, second = (run.facts["training_memory_bytes"] for run in runs)
    assert first == second > 4 * 1_377_408


@pytest.mark.parametrize("width", [None, 3])
def test_a_wider_cohort_is_refused(tiny, width):
    with pytest.raises(ScenarioError, match=r"cohort_width: found .*, allowed is 1 where measure"):
        tiny(training__cohort_width=width, training__measure_memory=True)
