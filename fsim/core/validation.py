"""The base of all settings, and their errors in one line: what was found, what is allowed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from fsim.core.errors import shown

LONGEST_PATH = 120
"""Characters of a key path that are told."""

_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
_MISSING = ("missing", "missing_argument")


class Settings(BaseModel):
    """A part of what users set: unknown keys are refused, values never change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False
    )


def explain(error: ValidationError, model: type) -> str:
    """The first problem of a validation error as ``key.path: found X, allowed is Y``.

    Parameters
    ----------
    error
        What pydantic raised.
    model
        The pydantic model or dataclass that was validated, for the keys it allows.
    """
    problems = error.errors()
    # An unknown key is the likeliest cause of whatever else is wrong: it is told first.
    first = min(problems, key=lambda problem: problem["type"] not in _UNKNOWN_KEY)
    path, allowed_keys = _walk(model, first["loc"])
    path = path if len(path) <= LONGEST_PATH else path[: LONGEST_PATH - 3] + "..."
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    prefix = f"{path}: " if path else ""
    return f"{prefix}{_sentence(first, allowed_keys)}{more}"


def kinds_allowed(conditions: Mapping[str, str]) -> str:
    """Names and what each is allowed with: ``a, b, or c with this: that``.

    Parameters
    ----------
    conditions
        Name -> what follows it, empty where it is allowed whatever else is set.
    """
    parts = [name for name, condition in conditions.items() if not condition]
    for condition in dict.fromkeys(filter(None, conditions.values())):
        *others, last = (name for name, its in conditions.items() if its == condition)
        names = f"{', '.join(others)} or {last}" if others else last
        parts.append(f"{names} {condition}")
    *first, end = parts
    return ", ".join([*first, f"or {end}"]) if first else end


def repeated(names: Iterable[str]) -> str | None:
    """The first of the names that was there before, None if there is none."""
    earlier: set[str] = set()
    for name in names:
        if name in earlier:
            return name
        earlier.add(name)
    return None


def _sentence(problem: Mapping[str, Any], allowed_keys: list[str]) -> str:
    kind, value = problem["type"], problem["input"]
    message = str(problem["msg"]).removeprefix("Value error, ")
    if kind in _UNKNOWN_KEY:
        return f"unknown key, allowed are {', '.join(allowed_keys) or 'none'}"
    if kind in _MISSING:
        return "is missing"
    if kind == "value_error":
        return message
    if kind == "union_tag_invalid":
        context = problem["ctx"]
        return f"kind: found {shown(context['tag'])}, allowed are {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return "kind: is missing"
    allowed = message.removeprefix("Input should be ")
    if kind in ("model_type", "dataclass_type", "model_attributes_type"):
        allowed = f"a mapping with the keys {', '.join(allowed_keys)}"
    return f"found {shown(value)}, allowed is {allowed}"


def _walk(model: type, location: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """The key path without pydantic's own marks of unions, and the keys allowed at its end."""
    candidates, path = [model], []
    allowed: list[str] = _keys(model)
    for part in location:
        if isinstance(part, str) and "[" in part:
            continue  # a union's or a validator's own mark
        fields = {name: kind for c in candidates for name, kind in _fields(c).items()}
        if part in fields:
            candidates = _models(fields[str(part)])
            path.append(str(part))
            inside = [key for candidate in candidates for key in _keys(candidate)]
            allowed = inside or allowed
            continue
        tagged = [c for c in candidates if part in _tags(c)]
        if tagged:
            candidates, allowed = tagged, _keys(tagged[0])
        else:
            path.append(str(part))
    return ".".join(path), allowed


def _fields(model: type) -> dict[str, Any]:
    if issubclass(model, BaseModel):
        return {name: field.annotation for name, field in model.model_fields.items()}
    return {field.name: field.type for field in dataclasses.fields(cast(Any, model))}


def _keys(model: type) -> list[str]:
    return list(_fields(model))


def _tags(model: type) -> tuple[Any, ...]:
    return get_args(_fields(model).get("kind"))


def _models(annotation: Any) -> list[type]:
    """The pydantic models among an annotation and its parts."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
