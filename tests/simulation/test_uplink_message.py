"""An update and its companion in one message."""

import numpy as np
import pytest

from fsim.compression import EncodingContext, make_policy
from fsim.core.errors import PayloadError
from fsim.network import Tcp
from fsim.simulation.payload import EncodedUpdate
from fsim.simulation.uplink_message import UplinkMessage, join, joined_length, part
from tests.algorithms.federations import EQUAL, learner, settings
from tests.simulation.quadratic import run


def test_a_joined_message_comes_apart(tiny):
    for first in (b"", b"a" * 127, b"b" * 128, b"c" * 20_000):
        message = join(first, b"second")
        assert part(message) == (first, b"second")
        assert len(message) == joined_length(len(first), 6)
    with pytest.raises(PayloadError, match="ends within its first payload"):
        part(b"\x05abc")


def test_a_byte_changed_anywhere_in_a_message_is_found(tiny):
    world = run(tiny(**settings(EQUAL | {"correction": "scaffold"}, rounds=1)), learner())
    layout, policy = world.learner.layout, make_policy("float32", {})
    client = world._algorithm.client(0, 2, [spec.name for spec in layout.tensors])
    context = EncodingContext(np.random.default_rng(0))
    encoded = EncodedUpdate.of(world.adapter, policy, context, Tcp())
    message = UplinkMessage(encoded, client.encode(world.adapter, 5), client.companion)
    parts = message.breakdown()
    assert sum(parts.values()) == message.size
    assert message.changed(lambda whole: whole) is message

    def both(arrived):
        update, change = arrived.read()
        return client.decode(change), update.decoded

    for at in range(message.size):
        for bit in (0x01, 0x80):
            damaged = message.changed(
                lambda whole, at=at, bit=bit: (
                    whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
                )
            )
            assert damaged.size == message.size
            with pytest.raises(PayloadError):
                both(damaged)
