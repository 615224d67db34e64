"""The compression policies in Flower: a client mod, and a strategy that reads what it sends.

Written for the message API of Flower (https://flower.ai/docs/framework, "Use built-in mods" and
"Implement strategies"), tested with 1.41. The client's app and the server's inner strategy stay as
they are: both still see whole adapters, and only what travels from one to the other changes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from fsim.adapters.state_dict import apply_update, as_policy, decode_update, encode_update
from fsim.compression import Policy
from fsim.core.errors import EncodingFailed, FsimError, PayloadError

try:
    from flwr.app import Array, ArrayRecord, Context, Error, Message, MessageType, RecordDict
    from flwr.common.constant import ErrorCode
    from flwr.serverapp.strategy import Strategy
except ImportError as error:
    raise ImportError(
        f"fsim.adapters.flower needs Flower 1.41 or later ({error}): pip install 'fsim[flower]'"
    ) from None

FISHER = "fsim.fisher"
"""Where a client's app puts its diagonal Fisher, an ArrayRecord in its reply; it is never sent."""

PAYLOAD = "payload"
"""The one array of a compressed reply."""

PAYLOAD_TYPE = "fsim.payload"
"""How that array says it is serialised: its data is the payload and nothing else. Whatever takes it
for numbers, such as a strategy that was not wrapped, gets an error from Flower and no average."""

_MEMORY = "fsim.memory"
_ROUND = "server-round"
_CLIENT = "partition-id"


class CompressionMod:
    """A client mod that sends an update's payload in place of the trained adapter.

    It acts on training messages: of the adapter that came and the one that the app returns, both in
    the only ArrayRecord of their message, it encodes the difference. What a policy keeps from round
    to round (error feedback) is in the state of the client's context. Mods that work on the numbers
    (clipping, noise) go after it in the list, nearer to the app::

        app = ClientApp(mods=[CompressionMod("masked-sign:share=0.1")])

    Parameters
    ----------
    policy
        A policy, or its name and options; the server needs the same.
    seed
        Of random draws, with the round (``server-round`` in the message, as Flower's strategies
        send it) and the client: ``partition-id`` of the node's configuration, or else the node's
        own id.
    budget
        Bytes that a payload should not exceed, for the policies that take a budget.

    Raises
    ------
    ScenarioError
        The policy is none.
    """

    def __init__(self, policy: str | Policy, *, seed: int = 0, budget: int | None = None) -> None:
        self.policy = as_policy(policy)
        self.seed = seed
        self.budget = budget

    def __call__(
        self, message: Message, context: Context, call_next: Callable[[Message, Context], Message]
    ) -> Message:
        """Call the app, and compress its reply to a training message.

        Raises
        ------
        EncodingFailed
            The message or the reply has not one adapter, the message no round, or the policy cannot
            express the update. Flower reports it to the server as a failed reply.
        """
        if message.metadata.message_type.split(".")[0] != MessageType.TRAIN:
            return call_next(message, context)
        _, arrays = _only_arrays(message.content)
        # An app may well change the arrays that it was given.
        before = {name: array.numpy() for name, array in arrays.items()}
        round_number = _round_of(message.content)
        reply = call_next(message, context)
        if reply.has_error():
            return reply
        fisher = reply.content.pop(FISHER, None)
        key, trained = _only_arrays(reply.content)
        memory = _load_memory(context.state)
        payload = encode_update(
            before,
            _arrays(trained),
            self.policy,
            seed=self.seed,
            round_number=round_number,
            client=int(context.node_config.get(_CLIENT, context.node_id)),
            fisher=None if fisher is None else _arrays(fisher),
            memory=memory,
            budget=self.budget,
        )
        _save_memory(context.state, memory)
        reply.content[key] = ArrayRecord(
            {PAYLOAD: Array("uint8", (len(payload),), PAYLOAD_TYPE, payload)}
        )
        return reply


class CompressedStrategy(Strategy):  # type: ignore[misc]
    """Any strategy of Flower, its clients compressing by :class:`CompressionMod`.

    Payloads are decoded and added to the arrays that their client was sent, so that the strategy
    inside aggregates adapters as ever. A reply that holds no payload of the policy for this adapter
    becomes a failed one, with the reason in it::

        strategy = CompressedStrategy(FedAvgM(server_momentum=0.6), "masked-sign:share=0.1")
        strategy.start(grid=grid, initial_arrays=arrays, num_rounds=3)

    Parameters
    ----------
    strategy
        The one inside.
    policy
        As the clients have it.

    Attributes
    ----------
    payload_bytes
        Bytes of all payloads received, by round.

    Raises
    ------
    ScenarioError
        The policy is none.
    """

    def __init__(self, strategy: Strategy, policy: str | Policy) -> None:
        super().__init__()
        self.strategy = strategy
        self.policy = as_policy(policy)
        self.payload_bytes = Counter[int]()
        self._messages: dict[int, tuple[Message, ArrayRecord]] = {}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: Any, grid: Any
    ) -> Iterable[Message]:
        """The inner strategy's messages; what each client is sent is remembered."""
        messages = list(self.strategy.configure_train(server_round, arrays, config, grid))
        self._messages = {
            message.metadata.dst_node_id: (message, _only_arrays(message.content)[1])
            for message in messages
        }
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, Any]:
        """Decode, and let the inner strategy aggregate."""
        decoded = [self._decoded(server_round, reply) for reply in replies]
        return self.strategy.aggregate_train(server_round, decoded)  # type: ignore[no-any-return]

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: Any, grid: Any
    ) -> Iterable[Message]:
        """The inner strategy's."""
        return self.strategy.configure_evaluate(  # type: ignore[no-any-return]
            server_round, arrays, config, grid
        )

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> Any:
        """The inner strategy's."""
        return self.strategy.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        """The inner strategy's."""
        self.strategy.summary()

    def _decoded(self, server_round: int, reply: Message) -> Message:
        if reply.has_error():
            return reply
        node = reply.metadata.src_node_id
        if node not in self._messages:
            raise PayloadError(f"found a reply of node {node}, which was sent nothing to train")
        message, before = self._messages[node]
        try:
            key, record = _only_arrays(reply.content)
            self.payload_bytes[server_round] += len(_payload(record))
            reply.content[key] = decode_arrays(record, before, self.policy)
        except FsimError as error:
            return Message(Error(ErrorCode.MOD_FAILED_PRECONDITION, str(error)), reply_to=message)
        return reply


def decode_arrays(record: ArrayRecord, before: ArrayRecord, policy: str | Policy) -> ArrayRecord:
    """The adapter that a compressed reply stands for, for a strategy of one's own.

    Parameters
    ----------
    record
        The reply's arrays, as :class:`CompressionMod` leaves them.
    before
        What the client was sent; names, order and types are taken from it.

    Raises
    ------
    PayloadError
        The record holds no payload, or not one of this policy for this adapter.
    """
    start = _arrays(before)
    update = decode_update(_payload(record), start, policy)
    moved = apply_update(start, update)
    return ArrayRecord({name: Array(np.asarray(moved[name])) for name in start})


def _payload(record: ArrayRecord) -> bytes:
    array = record.get(PAYLOAD)
    if len(record) != 1 or array is None or array.stype != PAYLOAD_TYPE:
        raise PayloadError(
            f"found {len(record)} arrays, allowed is the one of a client with CompressionMod"
        )
    return bytes(array.data)


def _arrays(record: ArrayRecord) -> dict[str, np.ndarray]:
    return {name: array.numpy() for name, array in record.items()}


def _only_arrays(content: RecordDict) -> tuple[str, ArrayRecord]:
    """The only ArrayRecord of a message, and its key.

    Raises
    ------
    EncodingFailed
        None, several, or the nameless arrays of a ``NumPyClient``.
    """
    records = content.array_records
    if len(records) != 1:
        raise EncodingFailed(f"found {len(records)} ArrayRecords in a message, allowed is one")
    key, record = next(iter(records.items()))
    if key in ("fitins.parameters", "fitres.parameters"):
        raise EncodingFailed(
            "found the arrays of a NumPyClient, which have no names; allowed are "
            "those of the message API"
        )
    return key, record


def _round_of(content: RecordDict) -> int:
    for config in content.config_records.values():
        if isinstance(config.get(_ROUND), int):
            return int(config[_ROUND])
    raise EncodingFailed(f"found no {_ROUND!r} in the message's configuration, allowed is a number")


def _load_memory(state: RecordDict) -> dict[str, Any]:
    """A client's memory, nested as the policies left it."""
    memory: dict[str, Any] = {}
    for path, array in state.array_records.get(_MEMORY, {}).items():
        *parents, last = json.loads(path)
        place = memory
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = array.numpy()
    return memory


def _save_memory(state: RecordDict, memory: Mapping[str, Any]) -> None:
    if leaves := dict(_leaves(memory, ())):
        # Names of matrices hold dots and slashes: the path is written so that any name survives.
        state[_MEMORY] = ArrayRecord(
            {json.dumps(path): Array(leaf) for path, leaf in leaves.items()}
        )


def _leaves(
    memory: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    for key, value in memory.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))
        elif isinstance(value, np.ndarray):
            yield (*path, key), value
        else:
            raise EncodingFailed(
                f"memory {key!r}: found {type(value).__name__}, allowed are arrays"
            )
