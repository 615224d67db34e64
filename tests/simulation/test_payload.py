"""PayloadEncoder: encoded once for all that determines them, and read as they arrive."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

from fsim.compression import POLICIES, EncodingContext, make_policy
from fsim.compression.policies.floats import Float32
from fsim.compression.wrapper import Wrapper
from fsim.core.errors import PayloadError
from fsim.core.types import Layout
from fsim.network import Datagram, Tcp
from fsim.network.transports.transports import TRANSPORTS, make_transport
from fsim.simulation.build import prepare_task
from fsim.simulation.payload import EncodedUpdate, PayloadEncoder
from fsim.simulation.run import simulate
from fsim.store import Store
from fsim.store.memory_cache import MemoryCache


@dataclass(frozen=True)
class Counting(Float32):
    """Notes whose updates it encodes."""

    name: ClassVar[str] = "counting"
    encoded: list[int] = field(default_factory=list)

    def encode(self, update, context):
        self.encoded.append(context.seed)
        return super().encode(update, context)


@pytest.fixture
def update():
    rng = np.random.default_rng(1)
    return {"x.lora_A.weight": rng.normal(size=(2, 3)).astype("f4")}


def context(client=1, round_number=1, **more):
    return EncodingContext.of(0, client, round_number, **more)


def test_the_same_training_of_the_same_client_and_round_is_encoded_once(update):
    policy = Counting()
    encoder = PayloadEncoder(policy, Tcp(), MemoryCache())
    first = encoder.of(update, context(), "a")
    assert encoder.of(update, context(), "a") is first
    assert len(policy.encoded) == 1
    for other in (context(client=2), context(round_number=2), context(budget=10**6)):
        encoder.of(update, other, "a")
    encoder.of(update, context(), "b")
    assert len(policy.encoded) == 5


def test_training_that_is_not_stored_is_encoded_every_time(update):
    policy = Counting()
    encoder = PayloadEncoder(policy, Tcp(), MemoryCache())
    for _ in range(2):
        encoder.of(update, context(), "")
    assert len(policy.encoded) == 2


def test_what_memory_has_a_part_in_is_encoded_every_time(update):
    encoder = PayloadEncoder(make_policy("signsgd", {}), Tcp(), MemoryCache())
    memory = {}
    payloads = [encoder.of(update, context(memory=memory), "a").pieces for _ in range(3)]
    assert len(set(payloads)) == 3  # each has what the one before left out
    fresh = {}
    assert encoder.of(update, context(memory=fresh), "a").pieces == payloads[0]
    assert fresh


def test_policies_and_ways_of_sending_are_told_apart(update):
    recent = MemoryCache()
    made = [
        PayloadEncoder(make_policy(name, {}), transport, recent).of(update, context(), "a")
        for name, transport in (("float32", Tcp()), ("float16", Tcp()), ("float32", Datagram()))
    ]
    assert len({(encoded.pieces, encoded.in_packets) for encoded in made}) == 3


def test_what_is_decoded_is_for_reading_alone(update):
    encoded = EncodedUpdate.of(update, make_policy("float32", {}), context(), Tcp())
    (array,) = encoded.decoded.values()
    with pytest.raises(ValueError, match="read-only"):
        array += 1
    assert np.array_equal(array, update["x.lora_A.weight"])


def test_a_changed_payload_is_decoded_anew(update):
    encoded = EncodedUpdate.of(update, make_policy("float32", {}), context(), Tcp())
    assert encoded.decoded
    assert encoded.changed(lambda piece: piece) is encoded
    with pytest.raises(PayloadError):
        _ = encoded.changed(lambda piece: piece[:-1]).decoded


@pytest.mark.parametrize("policy", ["fstq", "signsgd", "qsgd"])
def test_runs_on_one_prepared_task_are_what_they_are_alone(tiny, tmp_path, policy):
    """The second finds training and payloads of the first in memory."""
    store, slow = Store(tmp_path), {"fleet__uplink__rate": "50 kbit/s"}
    benches = {}

    def kept(loaded):
        return benches.setdefault("one", prepare_task(loaded))

    simulate(tiny(compression__policy=policy), store=store, build=kept)
    again = simulate(tiny(compression__policy=policy, **slow), store=store, build=kept)
    alone = simulate(tiny(compression__policy=policy, **slow))
    assert again.facts["jobs_trained"] == 0 < again.facts["jobs_reused"]
    assert again.records.equals(alone.records)
    assert again.evaluations.equals(alone.evaluations)
    assert all(np.array_equal(again.adapter[name], alone.adapter[name]) for name in alone.adapter)


SHAPES = {"x.lora_A.weight": (8, 512), "x.lora_B.weight": (512, 8), "y.lora_B.weight": (700, 8)}
INSIDE = {f"{around}:inner={inside}": {"inner": inside}
          for around, kind in POLICIES.items() if issubclass(kind, Wrapper)
          for inside, own in POLICIES.items() if not issubclass(own, Wrapper)}  # fmt: skip


@pytest.mark.parametrize("round_number", [1, 2])
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("choice", [*POLICIES, *INSIDE])
def test_every_policy_goes_over_every_transport(choice, transport, round_number):
    """What a policy trains arrives, and what it leaves alone stays as it is."""
    policy = make_policy(choice.partition(":")[0], INSIDE.get(choice, {}))
    rng = np.random.default_rng(0)
    drawn = {name: rng.laplace(size=shape, scale=1e-3) for name, shape in SHAPES.items()}
    trained = {name for name in drawn if policy.trains(name, round_number)}
    update = {name: (a if name in trained else 0 * a).astype("f4") for name, a in drawn.items()}
    asked = context(
        round_number=round_number,
        fisher={name: array**2 + np.float32(1e-12) for name, array in update.items()},
        scales=dict.fromkeys(update, 1e-3),
    )
    decoded = EncodedUpdate.of(update, policy, asked, make_transport(transport, {})).decoded
    assert Layout.of(decoded) == Layout.of(update)
    assert trained
    for name, array in decoded.items():
        assert np.vdot(array, update[name]) > 0 if name in trained else not array.any(), name
