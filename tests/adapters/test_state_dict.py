"""State dicts to bytes and back."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fsim.adapters import apply_update, as_policy, decode_update, encode_update
from fsim.compression import POLICIES, EncodingContext, make_policy
from fsim.core.errors import EncodingFailed, PayloadError, ScenarioError
from fsim.core.rng import stream, torch_seed
from fsim.core.types import Layout

A, B = "base_model.model.x.lora_A.weight", "base_model.model.x.lora_B.weight"
IN_MEMORY = {name: name.replace(".weight", ".default.weight") for name in (A, B)}
WHO = {"seed": 1, "round_number": 2, "client": 3}


def example(dtype=torch.float32, seed=0):
    """Before and after, of whole multiples of 2^-7 below 1: exact in every type."""
    rng = np.random.default_rng(seed)
    both = [
        {name: torch.tensor(rng.integers(-8, 8, shape) / 128.0, dtype=dtype)
         for name, shape in ((A, (4, 12)), (B, (16, 4)))}
        for _ in range(2)
    ]  # fmt: skip
    return both[0], both[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_there_and_back_in_every_type(dtype):
    before, after = example(dtype)
    payload = encode_update(before, after, "float32", **WHO)
    update = decode_update(payload, before, "float32")
    moved = apply_update(before, update)
    for name in (A, B):
        assert update[name].dtype == np.float32
        assert moved[name].dtype == dtype
        assert torch.equal(moved[name], after[name])


def test_numpy_arrays_serve_too():
    before, after = ({k: v.numpy() for k, v in part.items()} for part in example())
    update = decode_update(encode_update(before, after, "float16", **WHO), before, "float16")
    moved = apply_update(before, update, scale=0.5)
    for name in (A, B):
        assert isinstance(moved[name], np.ndarray)
        np.testing.assert_array_equal(moved[name], (before[name] + after[name]) / 2)


def test_names_of_a_model_and_of_a_checkpoint_mean_the_same():
    before, after = example()
    in_memory = {IN_MEMORY[name]: value for name, value in after.items()}
    payload = encode_update(before, in_memory, "float32", **WHO)
    assert payload == encode_update(before, after, "float32", **WHO)
    update = decode_update(payload, in_memory, "float32")
    assert set(update) == set(in_memory)
    assert torch.equal(apply_update(before, update)[A], after[A])


@pytest.mark.parametrize("name", POLICIES)
def test_bytes_are_those_of_the_simulator(name):
    before, after = example()
    policy = make_policy(name, {})
    start, end = ({k: v.numpy() for k, v in part.items()} for part in (before, after))
    fisher = {k: np.abs(v) for k, v in end.items()}
    update = {k: np.where(policy.trains(k, 2), end[k] - start[k], np.float32(0)) for k in start}
    context = EncodingContext(
        rng=stream(1, "compression", 3, 2),
        fisher=fisher,
        seed=torch_seed(1, "compression.shared", 3, 2),
        round_number=2,
        budget=150,
    )
    expected = policy.encode(update, context)
    trained = {k: start[k] + update[k] for k in start}
    payload = encode_update(start, trained, name, **WHO, fisher=fisher, budget=150)
    assert payload == expected
    decoded = decode_update(payload, before, name)
    for key, value in policy.decode(expected, Layout.of(update)).items():
        np.testing.assert_array_equal(decoded[key], value)


def test_error_feedback_is_kept_by_the_caller():
    before, after = example()
    memory = {}
    sent = {name: np.zeros(tuple(value.shape), np.float32) for name, value in before.items()}
    for round_number in range(1, 40):
        payload = encode_update(
            before, after, "topk:error_feedback=true", seed=0, round_number=round_number, client=0,
            memory=memory,
        )  # fmt: skip
        for name, value in decode_update(payload, before, "topk").items():
            sent[name] += value
    # Karimireddy et al. 2019: all that was ever sent is all there was, less the last residual.
    update = {name: (after[name] - before[name]).numpy() for name in (A, B)}
    layout = Layout.of(update)
    np.testing.assert_allclose(
        layout.flatten(sent) + memory["residual"], 39 * layout.flatten(update), rtol=1e-5, atol=1e-5
    )


def test_training_that_is_not_sent_is_refused():
    before, after = example()
    with pytest.raises(EncodingFailed, match=r"lora_A.weight: found a change.*ffa.*freeze"):
        encode_update(before, after, "ffa", **WHO)
    payload = encode_update(before, {A: before[A], B: after[B]}, "ffa:inner=float32", **WHO)
    moved = apply_update(before, decode_update(payload, before, "ffa:inner=float32"))
    assert torch.equal(moved[B], after[B])


def test_a_state_dict_that_trained_along_is_refused():
    model = torch.nn.Linear(3, 3)
    before = model.state_dict()
    with torch.no_grad():
        model.weight.add_(1.0)
    with pytest.raises(EncodingFailed, match="same memory, allowed is a copy"):
        encode_update(before, model.state_dict(), "float32", **WHO)
    arrays = {"x": np.ones(3, np.float32)}
    with pytest.raises(EncodingFailed, match="same memory"):
        encode_update(arrays, {"x": arrays["x"][:]}, "float32", **WHO)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda after: {A: after[A]}, "lora_B.weight' only in before"),
        (lambda after: after | {"x": after[A]}, "'x' only in after"),
        (lambda after: after | {A: after[A].T}, r"found shape \(12, 4\) in after"),
        (lambda after: after | {A: after[A].int()}, "found torch.int32, allowed are floating"),
        (lambda after: after | {A: after[A].numpy().astype(int)}, "found int64, allowed are float"),
        (lambda after: {}, "without tensors"),
        (lambda after: after | {A: after[A] * np.nan}, "client 3, round 2: float16 cannot express"),
        (lambda after: after | {IN_MEMORY[A]: after[A]}, "allowed is one adapter"),
    ],
)
def test_what_cannot_be_encoded(change, message):
    before, after = example()
    with pytest.raises(EncodingFailed, match=message):
        encode_update(before, change(after), "float16", **WHO)


def test_a_fisher_that_lacks_a_tensor_is_refused():
    before, after = example()
    with pytest.raises(EncodingFailed, match=r"only in before, .*fisher"):
        encode_update(before, after, "fstq", **WHO, fisher={A: before[A]})
    with pytest.raises(EncodingFailed, match="needs the client's Fisher"):
        encode_update(before, after, "fstq", **WHO)


def test_a_payload_for_another_adapter_is_refused():
    before, after = example()
    payload = encode_update(before, after, "float16", **WHO)
    with pytest.raises(PayloadError, match="layout"):
        decode_update(payload, {A: before[A]}, "float16")
    with pytest.raises(PayloadError):
        decode_update(payload[:-1], before, "float16")


@pytest.mark.parametrize("text", ["zip", "qsgd:bits=99", "qsgd:depth=3", "qsgd:bits"])
def test_policies_that_there_are_not(text):
    with pytest.raises(ScenarioError):
        as_policy(text)


FINITE = st.floats(-100, 100, width=32)


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, max_dims=3), elements=FINITE))
@settings(max_examples=50, deadline=None)
def test_any_shape_survives(values):
    before = {"x": np.zeros_like(values)}
    payload = encode_update(before, {"x": values}, "float32", **WHO)
    moved = apply_update(before, decode_update(payload, before, "float32"))
    np.testing.assert_array_equal(moved["x"], values)
    as_tensor = {"x": torch.zeros(values.shape, dtype=torch.float64)}
    assert torch.equal(
        apply_update(as_tensor, {"x": values})["x"], torch.from_numpy(values).double()
    )


def test_neither_torch_nor_simpy_is_imported():
    for module in ("fsim.compression", "fsim.adapters"):
        code = f"import sys, {module}; print(sorted({{'torch', 'simpy'}} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout == "[]\n", done.stderr


def test_nor_are_they_needed_for_numpy_arrays():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['simpy'] = None\n"
        "import numpy as np\n"
        "from fsim.adapters import apply_update, decode_update, encode_update\n"
        "a, b = {'x': np.zeros(8, 'f4')}, {'x': np.ones(8, 'f4')}\n"
        "p = encode_update(a, b, 'signsgd', seed=0, round_number=1, client=0)\n"
        "print(apply_update(a, decode_update(p, a, 'signsgd'))['x'].tolist() == [1] * 8)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
