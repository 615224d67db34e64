"""The client mod and the strategy, with the real Flower."""

import importlib.util

import numpy as np
import pytest

from fsim.adapters import encode_update
from fsim.compression import POLICIES
from fsim.core.errors import EncodingFailed, PayloadError, ScenarioError

pytestmark = pytest.mark.extras("flwr")

if importlib.util.find_spec("flwr"):
    from flwr.app import (
        Array,
        ArrayRecord,
        ConfigRecord,
        Context,
        Error,
        Message,
        MetricRecord,
        RecordDict,
    )
    from flwr.clientapp import ClientApp
    from flwr.serverapp.strategy import FedAvg, FedAvgM
    from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
    from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
    from flwr.supercore.task_identity import TaskIdentity

    from fsim.adapters.flower import (
        FISHER,
        PAYLOAD,
        CompressedStrategy,
        CompressionMod,
        decode_arrays,
    )

A, B = "base_model.model.x.lora_A.weight", "base_model.model.x.lora_B.weight"


@pytest.fixture(autouse=True)
def _a_server(monkeypatch):
    """Who the messages made here come from; in a run, Flower sets it."""
    for field in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, field, 1)


def adapter(seed):
    rng = np.random.default_rng(seed)
    return {A: rng.normal(size=(8, 64)).astype("f4"), B: rng.normal(size=(96, 8)).astype("f4")}


def record(arrays):
    return ArrayRecord({name: Array(value) for name, value in arrays.items()})


def numbers(arrays):
    return {name: array.numpy() for name, array in arrays.items()}


def step(client, round_number, policy=None):
    """What a client's training adds, known to the test."""
    made = adapter(1000 * client + round_number)
    return {
        name: value * (policy is None or policy.trains(name, round_number))
        for name, value in made.items()
    }


class NoMod:
    policy = None

    def __call__(self, message, context, call_next):
        return call_next(message, context)


def client_app(mods, with_fisher=False):
    app = ClientApp(mods=mods)

    @app.train()
    def train(message, context):
        config = next(iter(message.content.config_records.values()))
        moves = step(context.node_config["partition-id"], config["server-round"], mods[0].policy)
        arrays = numbers(message.content["arrays"])
        trained = {name: arrays[name] + moves[name] for name in arrays}
        content = RecordDict(
            {"arrays": record(trained), "metrics": MetricRecord({"num-examples": 1})}
        )
        if with_fisher:
            content[FISHER] = record({name: value**2 for name, value in trained.items()})
        return Message(content, reply_to=message)

    @app.evaluate()
    def evaluate(message, context):
        assert A in message.content["arrays"]
        metrics = MetricRecord({"num-examples": 1, "loss": 0.5})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def over_the_wire(message):
    """A message as it is taken apart for sending and put together again, and its bytes."""
    contents = {key: each.deflate() for key, each in get_all_nested_objects(message).items()}
    back = inflate_object_from_contents(message.object_id, dict(contents))
    return back, sum(len(part) for part in contents.values())


class TwoNodes:
    """A grid that calls the clients in this process, their states kept between rounds."""

    def __init__(self, app, mangle=lambda reply: reply):
        self.app, self.mangle = app, mangle
        self.contexts = {
            7 + at: Context(1, 7 + at, {"partition-id": at}, RecordDict(), {}) for at in range(2)
        }
        self.uplink = []

    def get_node_ids(self):
        return list(self.contexts)

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            reply = self.app(over_the_wire(message)[0], self.contexts[node])
            received, size = over_the_wire(reply)
            self.uplink.append((message.metadata.message_type, size))
            replies.append(self.mangle(received))
        return replies


def training_message(arrays, round_number=1, **changes):
    content = RecordDict(
        {"arrays": record(arrays), "config": ConfigRecord({"server-round": round_number})} | changes
    )
    return Message(content, 7, "train")


def context():
    return Context(1, 7, {"partition-id": 0}, RecordDict(), {})


@pytest.mark.parametrize("name", POLICIES)
def test_a_round_trip_through_the_mod(name):
    start = adapter(0)
    mod = CompressionMod(name, seed=5, budget=900)
    app = client_app([mod], with_fisher=True)
    reply, size = over_the_wire(app(training_message(start), context()))
    assert list(reply.content) == ["arrays", "metrics"]  # and no Fisher
    (array,) = reply.content["arrays"].values()
    trained = {key: start[key] + value for key, value in step(0, 1, mod.policy).items()}
    fisher = {key: value**2 for key, value in trained.items()}
    expected = encode_update(
        start, trained, name, seed=5, round_number=1, client=0, fisher=fisher, budget=900
    )
    assert array.data == expected
    assert (array.dtype, array.shape) == ("uint8", (len(expected),))
    # Flower adds its own metadata, in text, whatever is sent.
    assert len(expected) < size < len(expected) + 2000
    decoded = decode_arrays(reply.content["arrays"], record(start), name)
    assert list(decoded) == list(start)
    if name == "float32":
        for key, value in numbers(decoded).items():
            np.testing.assert_allclose(value, trained[key], atol=1e-6)


def test_billed_bytes_shrink():
    _, plain = over_the_wire(client_app([NoMod()])(training_message(adapter(0)), context()))
    reply = client_app([CompressionMod("masked-sign:share=0.1")])(
        training_message(adapter(0)), context()
    )
    # Frame 13, seed 2 + 4, two scales 2 + 2, 51 + 77 signs 1 + 16 (docs/wire-format.md).
    assert reply.content["arrays"].count_bytes() == len(PAYLOAD) + 40
    # Two arrays of 1280 float32 in all, and the 128 bytes of each one's .npy header.
    assert over_the_wire(reply)[1] < plain - 4 * 1280 - 2 * 128 + 40


def test_two_clients_as_without_compression():
    plain = FedAvgM(fraction_evaluate=1.0, server_momentum=0.5)
    grid = TwoNodes(client_app([CompressionMod("float32")]))
    strategy = CompressedStrategy(plain, "float32")
    result = strategy.start(grid, record(adapter(0)), num_rounds=3)
    # Flower's FedAvgM by hand: v <- 0.5 v + mean step, x <- x + v.
    x, v = adapter(0), dict.fromkeys((A, B), np.float32(0))
    for round_number in (1, 2, 3):
        moves = [step(client, round_number) for client in (0, 1)]
        v = {key: 0.5 * v[key] + (moves[0][key] + moves[1][key]) / 2 for key in x}
        x = {key: x[key] + v[key] for key in x}
    for key, value in numbers(result.arrays).items():
        np.testing.assert_allclose(value, x[key], atol=1e-5)
    # 1280 float32 and a frame of 14 bytes, from two clients.
    assert strategy.payload_bytes == dict.fromkeys((1, 2, 3), 2 * (4 * 1280 + 14))
    assert result.evaluate_metrics_clientapp[3]["loss"] == 0.5


def test_error_feedback_lives_in_the_state_of_each_client():
    policy = "topk:ratio=0.05:error_feedback=true"
    grid = TwoNodes(client_app([CompressionMod(policy)]))
    strategy = CompressedStrategy(FedAvg(fraction_evaluate=0.0), policy)
    result = strategy.start(grid, record(adapter(0)), num_rounds=4)
    # All that was learnt is in the adapter or in a residual.
    residuals = [
        array.numpy()
        for each in grid.contexts.values()
        for array in each.state["fsim.memory"].values()
    ]
    found = sum(value.astype(float).sum() for value in numbers(result.arrays).values())
    learnt = sum(
        value.astype(float).sum() / 2
        for client in (0, 1)
        for round_number in (1, 2, 3, 4)
        for value in step(client, round_number).values()
    )
    start = sum(value.astype(float).sum() for value in adapter(0).values())
    assert len(residuals) == 2
    assert found + sum(r.astype(float).sum() / 2 for r in residuals) == pytest.approx(
        start + learnt, abs=1e-2
    )


def test_nested_memory_survives():
    # PowerSGD keeps a matrix for each matrix, alternating has one memory a factor.
    mod = CompressionMod("alternating:inner=powersgd")
    grid = TwoNodes(client_app([mod]))
    strategy = CompressedStrategy(FedAvg(fraction_evaluate=0.0), mod.policy)
    strategy.start(grid, record(adapter(0)), num_rounds=2)
    strategy.start(grid, record(adapter(0)), num_rounds=2)
    paths = "".join(grid.contexts[7].state["fsim.memory"])
    assert "factor A" in paths
    assert "factor B" in paths


def test_a_bad_reply_fails_alone():
    def mangle(reply):
        if reply.metadata.src_node_id == 8 and reply.has_content():
            (array,) = reply.content["arrays"].values()
            broken = array.data[:-1] + bytes([array.data[-1] ^ 1])
            bad = Array(array.dtype, array.shape, array.stype, broken)
            reply.content["arrays"] = ArrayRecord({PAYLOAD: bad})
        return reply

    grid = TwoNodes(client_app([CompressionMod("float32")]), mangle)
    seen = []

    class Watching(FedAvg):
        def aggregate_train(self, server_round, replies):
            seen.extend(replies)
            return super().aggregate_train(server_round, seen)

    strategy = CompressedStrategy(Watching(fraction_evaluate=0.0), "float32")
    result = strategy.start(grid, record(adapter(0)), num_rounds=1)
    for key, value in numbers(result.arrays).items():
        np.testing.assert_allclose(value, adapter(0)[key] + step(0, 1)[key], atol=1e-6)
    (failed,) = [reply for reply in seen if reply.has_error()]
    assert failed.metadata.src_node_id == 8
    assert "checksum" in failed.error.reason


def test_a_client_without_the_mod_fails_with_a_reason():
    strategy = CompressedStrategy(FedAvg(), "float32")
    grid = TwoNodes(client_app([NoMod()]))
    config = ConfigRecord()
    messages = strategy.configure_train(1, record(adapter(0)), config, grid)
    replies = [strategy._decoded(1, reply) for reply in grid.send_and_receive(messages)]
    assert all("CompressionMod" in reply.error.reason for reply in replies)
    assert strategy.payload_bytes == {}


def test_a_strategy_that_was_not_wrapped_does_not_average_bytes():
    grid = TwoNodes(client_app([CompressionMod("float32")]))
    with pytest.raises(TypeError, match=r"fsim\.payload"):
        FedAvg(fraction_evaluate=0.0).start(grid, record(adapter(0)), num_rounds=1)


def test_evaluation_and_errors_pass_through():
    mod = CompressionMod("float32")
    app = client_app([mod])
    message = Message(RecordDict({"arrays": record(adapter(0))}), 7, "evaluate")
    assert app(message, context()).content["metrics"]["loss"] == 0.5
    training = training_message(adapter(0))
    failed = Message(Error(2, "out of memory"), reply_to=training)
    assert mod(training, context(), lambda message, context: failed) is failed


def test_types_and_an_app_that_trains_in_place():
    start = {name: value.astype("f2") for name, value in adapter(0).items()}

    def in_place(message, context):
        arrays = message.content["arrays"]
        for name in arrays:
            arrays[name] = Array(arrays[name].numpy() + np.float16(0.5))
        return Message(RecordDict({"arrays": arrays}), reply_to=message)

    reply = CompressionMod("float32")(training_message(start), context(), in_place)
    decoded = numbers(decode_arrays(reply.content["arrays"], record(start), "float32"))
    for name, value in start.items():
        assert decoded[name].dtype == np.float16
        np.testing.assert_array_equal(decoded[name], value + np.float16(0.5))


def test_what_is_refused():
    mod = CompressionMod("float32")
    app = client_app([mod])
    no_round = training_message(adapter(0), config=ConfigRecord({"lr": 0.1}))
    with pytest.raises(EncodingFailed, match="no 'server-round'"):
        app(no_round, context())
    two = training_message(adapter(0), more=record(adapter(1)))
    with pytest.raises(EncodingFailed, match="found 2 ArrayRecords"):
        app(two, context())
    nameless = RecordDict({"fitins.parameters": ArrayRecord([np.zeros(3)])})
    with pytest.raises(EncodingFailed, match="NumPyClient"):
        mod(Message(nameless, 7, "train"), context(), None)
    with pytest.raises(ScenarioError, match="allowed are"):
        CompressionMod("zip")
    strategy = CompressedStrategy(FedAvg(), "float32")
    unasked = Message(RecordDict(), reply_to=training_message(adapter(0)))
    with pytest.raises(PayloadError, match="node 7"):
        strategy.aggregate_train(1, [unasked])
