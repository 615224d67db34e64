"""Whatever the bytes, decoding gives an update of the layout or the one typed error."""

import os
import random
import time
import tracemalloc
import zlib

import numpy as np
import pytest

from fsim.compression import POLICIES, EncodingContext, make_policy
from fsim.compression.coding.wire import HEADER_BYTES, Section, encode_varint, pack
from fsim.core.errors import PayloadError
from fsim.core.types import Layout

MUTANTS = int(os.environ.get("FSIM_FUZZ_MUTANTS", "30000"))
"""Of each policy. All 46 places in the code that refuse one of 100,000 refuse one of these, the
last to do so (fstq, scales of another length) the 25,699th."""
SHAPES = {"a.lora_A": (2, 9), "a.lora_B": (7, 2), "bias": (3,)}
LAYOUT = Layout.of({name: np.zeros(shape) for name, shape in SHAPES.items()})
VARIANTS = [
    ("fstq", {"coding": "entropy"}),
    ("fstq", {"coding": "entropy", "scales": "least-squares", "share16": 0.5}),
    ("fstq", {"scales": "least-squares"}),
    ("fstq", {"quantise": False}),
    ("fisher-rdo", {"rate": 3}),
]


def payloads(name, options):
    """Payloads to begin with: of updates at several scales, and of one that is nearly all zero."""
    policy, found = make_policy(name, options), []
    for seed, scale in enumerate((1e-3, 1.0, 30.0, 1e-3)):
        rng = np.random.default_rng(seed)
        update = {k: (scale * rng.laplace(size=s)).astype(np.float32) for k, s in SHAPES.items()}
        if seed == 3:
            update["a.lora_A"][:] = 0
        fisher = {k: rng.gamma(0.3, size=s).astype(np.float32) for k, s in SHAPES.items()}
        found.append(policy.encode(update, EncodingContext(rng, fisher, seed=seed)))
    return policy, found


def sealed(payload):
    """The payload with a checksum that fits."""
    if len(payload) < HEADER_BYTES:
        return payload
    begin = HEADER_BYTES - 4
    checksum = zlib.crc32(payload[HEADER_BYTES:], zlib.crc32(payload[:begin]))
    return payload[:begin] + checksum.to_bytes(4, "little") + payload[HEADER_BYTES:]


def mutant(rng, payload, other):
    """A payload with something wrong inside it, as a rule behind a valid header and checksum."""
    data = bytearray(payload)
    first = 0 if rng.random() < 0.1 else HEADER_BYTES
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(min(first, len(data)), len(data) + 1)
        match rng.randrange(8):
            case 0 | 1:
                if at < len(data):
                    data[at] ^= 1 << rng.randrange(8)
            case 2:
                if at < len(data):
                    data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))
            case 3:
                del data[at:]
            case 4:
                del data[at : at + rng.randrange(1, 5)]
            case 5:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 6:
                data[at : at + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(1, 9))
            case _:
                data[at:] = other[at:]
    return bytes(data) if rng.random() < 0.05 else sealed(bytes(data))


def attempt(policy, payload):
    """Whether the bytes decode; anything but an update of the layout or the error fails."""
    try:
        decoded = policy.decode(payload, LAYOUT)
    except PayloadError:
        return False
    assert Layout.of(decoded) == LAYOUT
    assert all(array.dtype == np.float32 for array in decoded.values())
    return True


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in POLICIES), VARIANTS[0]])
def test_mutated_payloads(name, options):
    policy, begun = payloads(name, options)
    rng = random.Random(repr((name, options)))
    accepted, slowest = 0, 0.0
    for _ in range(MUTANTS):
        payload = mutant(rng, rng.choice(begun), rng.choice(begun))
        began = time.process_time()
        accepted += attempt(policy, payload)
        slowest = max(slowest, time.process_time() - began)
    # Some must get through, or the fuzzing has never been inside.
    assert 0 < accepted < MUTANTS
    assert slowest < 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in POLICIES), *VARIANTS])
def test_mutated_payloads_of_every_form_in_bounded_memory(name, options):
    policy, begun = payloads(name, options)
    rng = random.Random(repr((name, options)))
    assert all(attempt(policy, payload) for payload in begun)
    tracemalloc.start()
    try:
        for _ in range(1000):
            attempt(policy, mutant(rng, rng.choice(begun), rng.choice(begun)))
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in POLICIES), *VARIANTS])
def test_sections_of_noise(name, options):
    # Nothing of a valid payload but its frame.
    policy, rng = make_policy(name, options), random.Random(name)
    for _ in range(500):
        kinds = rng.sample(list(Section), rng.randrange(len(Section) + 1))
        sections = {kind: rng.randbytes(rng.choice((0, 1, 4, 12, 40))) for kind in kinds}
        attempt(policy, pack(name, LAYOUT, sections))


@pytest.mark.parametrize("name", POLICIES)
def test_every_truncation_is_refused(name):
    policy, begun = payloads(name, {})
    for payload in begun:
        for length in range(len(payload)):
            with pytest.raises(PayloadError):
                policy.decode(payload[:length], LAYOUT)


def test_a_length_beyond_the_payload_is_refused_without_reserving_it():
    policy, begun = payloads("float32", {})
    head = begun[0][:HEADER_BYTES] + bytes([Section.VALUES])
    tracemalloc.start()
    with pytest.raises(PayloadError, match="within a section"):
        policy.decode(sealed(head + encode_varint(2**34) + bytes(8)), LAYOUT)
    assert tracemalloc.get_traced_memory()[1] < 2**16
    tracemalloc.stop()
