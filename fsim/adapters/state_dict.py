"""A peft state dict before and after training to bytes and back, with any compression policy.

What a state dict holds may be PyTorch tensors of any floating-point type, on any device, or NumPy
arrays; PyTorch is imported only where there are tensors. Payloads are those of the simulator
(docs/wire-format.md): for the same update, policy, seed, round and client, the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fsim.adapters.names import by_checkpoint_name
from fsim.compression import EncodingContext, Policy, make_policy
from fsim.core.errors import EncodingFailed, ScenarioError
from fsim.core.registry import parse_choice
from fsim.core.types import FloatArray, Layout, TensorSpec, Update

StateDict = Mapping[str, Any]
"""PyTorch tensors or NumPy arrays by name."""


def as_policy(policy: str | Policy) -> Policy:
    """A policy, or one by its name and options: ``"masked-sign:share=0.1"``.

    Raises
    ------
    ScenarioError
        Unknown name or option, or a value that the option does not allow.
    """
    if isinstance(policy, Policy):
        return policy
    name, options = parse_choice("policy", policy)
    try:
        return make_policy(name, options)
    except ValueError as error:
        raise ScenarioError(str(error)) from None


def encode_update(
    before: StateDict,
    after: StateDict,
    policy: str | Policy,
    *,
    seed: int,
    round_number: int,
    client: int,
    fisher: StateDict | None = None,
    memory: dict[str, Any] | None = None,
    budget: int | None = None,
) -> bytes:
    """The update that a client sends: its adapter after local training minus the one before.

    Parameters
    ----------
    before, after
        State dicts of the same tensors; the two may name them as a checkpoint and as a model does.
    policy
        As for :func:`as_policy`; the server needs the same.
    seed, round_number, client
        What random draws derive from, each 0 or more; rounds are counted from 1.
    fisher
        Diagonal Fisher, a value a coordinate, for the policies that ask for it
        (:class:`fsim.adapters.fisher.FisherMeter`).
    memory
        This client's own, kept by the caller from one of its rounds to the next and changed here:
        error feedback lives in it. Without it nothing is carried over.
    budget
        Bytes that the payload should not exceed, for the policies that take one.

    Raises
    ------
    ScenarioError
        See :func:`as_policy`.
    EncodingFailed
        Names or shapes that differ, a type that is not floating-point, values that the policy
        cannot express, a change in a tensor that the policy does not send in this round, or two
        state dicts that are the same memory.
    """
    made_policy = as_policy(policy)
    start, end = as_update(before), as_update(after)
    _check_same("before", start, "after", end)
    _check_apart(before, after)
    update = {name: np.asarray(end[name] - start[name]) for name in start}
    _check_frozen(made_policy, update, round_number)
    sensitivities = None if fisher is None else as_update(fisher)
    if sensitivities is not None:
        _check_same("before", start, "fisher", sensitivities)
    context = EncodingContext.of(
        seed,
        client,
        round_number,
        fisher=sensitivities,
        memory={} if memory is None else memory,
        budget=budget,
    )
    try:
        return made_policy.encode(update, context)
    except ValueError as error:
        raise EncodingFailed(f"client {client}, round {round_number}: {error}") from None


def decode_update(payload: bytes, like: StateDict, policy: str | Policy) -> Update:
    """The update that a payload stands for, float32 arrays under the names that ``like`` uses.

    Parameters
    ----------
    like
        A state dict of the same adapter, for its names and shapes alone.
    policy
        The one that encoded.

    Raises
    ------
    ScenarioError
        See :func:`as_policy`.
    PayloadError
        The bytes are not a payload of this policy for this adapter.
    """
    names = by_checkpoint_name(like)
    specs = (TensorSpec(key, tuple(like[names[key]].shape)) for key in sorted(names))
    update = as_policy(policy).decode(payload, Layout(tuple(specs)))
    return {names[key]: update[key] for key in names}


def apply_update(state_dict: StateDict, update: StateDict, scale: float = 1.0) -> dict[str, Any]:
    """A new state dict, ``state_dict + scale * update``, with the types and devices of the old.

    The sum is made in float32 at least and then rounded to each tensor's own type. Bfloat16 keeps
    8 bits, so that a server should hold its adapter in float32: small steps would be lost.

    Raises
    ------
    EncodingFailed
        Names or shapes that differ, or a type that is not floating-point.
    """
    steps, names = as_update(update), by_checkpoint_name(state_dict)
    _check_same("state_dict", as_update(state_dict), "update", steps)
    return {
        name: _moved(state_dict[name], np.asarray(steps[key] * scale))
        for key, name in names.items()
    }


def as_update(state_dict: StateDict) -> Update:
    """A state dict as float32 arrays under the names of peft's checkpoints.

    Raises
    ------
    EncodingFailed
        No tensors, two of one name, or a type that is not floating-point.
    """
    names = by_checkpoint_name(state_dict)
    if not names:
        raise EncodingFailed("found a state dict without tensors, allowed is one or more")
    return {key: _as_float32(name, state_dict[name]) for key, name in names.items()}


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "is_floating_point")


def _as_float32(name: str, value: Any) -> FloatArray:
    if _is_tensor(value):
        allowed = value.is_floating_point()
        # NumPy has no bfloat16: the tensor is widened first.
        array = value.detach().cpu().float().numpy() if allowed else value
    else:
        array = np.asarray(value)
        allowed = np.issubdtype(array.dtype, np.floating)
    if not allowed:
        raise EncodingFailed(f"{name}: found {value.dtype}, allowed are floating-point types")
    widened: FloatArray = np.ascontiguousarray(array, dtype=np.float32).reshape(array.shape)
    return widened


def _moved(value: Any, step: FloatArray) -> Any:
    if _is_tensor(value):
        import torch

        wide = torch.promote_types(value.dtype, torch.float32)
        return (value.detach().to(wide) + torch.from_numpy(step).to(value.device)).to(value.dtype)
    array = np.asarray(value)
    wide_type = np.result_type(array.dtype, np.float32)
    return (array.astype(wide_type) + step).astype(array.dtype)


def _check_apart(before: StateDict, after: StateDict) -> None:
    # A state dict is a view of its model: taken before training and not copied, it trains along.
    places = {_address(value) for value in before.values()}
    if all(_address(value) in places for value in after.values()):
        raise EncodingFailed(
            "found before and after in the same memory, allowed is a copy made before training: "
            "{name: value.clone() for name, value in state_dict.items()}"
        )


def _address(value: Any) -> Any:
    if _is_tensor(value):
        return value.device, value.data_ptr()
    return "numpy", np.asarray(value).ctypes.data


def _check_same(first: str, one: Update, second: str, other: Update) -> None:
    """True if both have the same tensors, by name and shape."""
    if lone := sorted(one.keys() ^ other.keys()):
        where = first if lone[0] in one else second
        more = f" (and {len(lone) - 1} more)" if len(lone) > 1 else ""
        raise EncodingFailed(
            f"found {lone[0]!r}{more} only in {where}, allowed are the same tensors in {first} "
            f"and {second}"
        )
    for name, array in one.items():
        if array.shape != other[name].shape:
            raise EncodingFailed(
                f"{name}: found shape {other[name].shape} in {second}, allowed is {array.shape}"
            )


def _check_frozen(policy: Policy, update: Update, round_number: int) -> None:
    # Training that is not sent would be lost without a word.
    for name, step in update.items():
        if not policy.trains(name, round_number) and step.any():
            raise EncodingFailed(
                f"{name}: found a change, which policy {policy.name} does not send in round "
                f"{round_number}; freeze what policy.trains(name, round_number) denies"
            )
