"""Registries: what there is of a kind by name, that which ships and that which a user adds.

A :class:`Registry` knows classes (policies, protocols, ...), whose fields are their options, a
:class:`Catalog` data (devices). Both take more: by ``register``, or from installed packages
(:mod:`fsim.core.plugins`).
"""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from fsim.core import plugins
from fsim.core.documents import parse_yaml
from fsim.core.errors import ScenarioError, shown
from fsim.core.sources import source_of
from fsim.core.validation import explain

T = TypeVar("T")
E = TypeVar("E")
A = TypeVar("A")

_ADAPTERS: dict[type, TypeAdapter[Any]] = {}

LARGEST_OPTION = 1e18
"""Infinity and NaN are no values of any option either."""

INNER = "inner"
"""The option of what is around another choice."""


def parse_choice(argument: str, text: str) -> tuple[str, dict[str, Any]]:
    """Read a name with options as the command line has it: ``qsgd:bits=2:bucket=64``.

    Parameters
    ----------
    argument
        What the error names.
    text
        A name, then ``:OPTION=VALUE`` any number of times, values as in YAML. An option ``inner``,
        which is a choice itself, has all that follows for its own options, and so comes last:
        ``ffa:inner=qsgd:bits=2``.

    Raises
    ------
    ScenarioError
        A part that is no option.
    """
    name, *rest = text.strip().split(":")
    options: dict[str, Any] = {}
    while rest:
        part, *rest = rest
        key, equals, value = part.partition("=")
        if key in options:
            raise ScenarioError(f"{argument}: found the option {shown(key)} twice")
        if key == INNER:
            options[key] = ":".join([value, *rest])
            break
        if not equals:
            raise ScenarioError(
                f"{argument}: found {shown(text)}, allowed is NAME or NAME:OPTION=VALUE:..."
            )
        try:
            options[key] = parse_yaml(value)
        except ValueError as error:
            raise ScenarioError(
                f"{argument}: {key}: found {shown(value)}, not a YAML value: {error}"
            ) from None
    return name, options


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    """The adapter that checks a class; making one takes longer than a small simulated run."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def choose(what: str, registry: Mapping[str, type[T]], name: str, options: Mapping[str, Any]) -> T:
    """Make the thing of that name with its options, the defaults for those not given.

    Raises
    ------
    ValueError
        Unknown name or option, or a value that the option does not allow; the message says what
        was found and what is allowed.
    """
    if name not in registry:
        raise ValueError(f"found {what} {shown(name)}, allowed are {', '.join(registry)}")
    checked: TypeAdapter[T] = _adapter(registry[name])
    try:
        instance = checked.validate_python(dict(options))
    except ValidationError as error:
        raise ValueError(f"{what} {name}: {explain(error, registry[name])}") from None
    # What the class itself says of its options is plainer, and comes first.
    for option, value in options.items():
        if isinstance(value, int | float) and not abs(value) <= LARGEST_OPTION:
            raise ValueError(
                f"{what} {name}: {str(option)[:60]}: found {shown(value)}, allowed is no number "
                f"beyond {LARGEST_OPTION:g}"
            )
    return instance


# What the command line and folders can hold: `NAME:OPTION=VALUE`, several separated by commas.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_ALL: dict[str, _Names[Any]] = {}


class _Names(ABC, Mapping[str, E]):
    """The common part of registries of classes and catalogs of data.

    Parameters
    ----------
    noun
        What messages call one of them.
    base
        What each is derived from, or for data an instance of.
    where
        Where the base is to be imported from, as messages name it.
    shipped
        Those that come with fsim.
    in_results
        Whether results of a run may rest on them.
    """

    def __init__(
        self,
        noun: str,
        base: type[Any],
        where: str,
        shipped: Iterable[E] = (),
        *,
        in_results: bool = True,
    ) -> None:
        self.noun = noun
        self.in_results = in_results
        self._base, self._where = base, where
        self._shipped: dict[str, E] = {}
        self._added: dict[str, Addition] = {}
        self._packages: dict[str, str] = {}
        _ALL[noun] = self
        self.ship(*shipped)

    def __getitem__(self, name: str) -> E:
        if name in self._shipped:
            return self._shipped[name]
        if name not in self._added:
            plugins.load()
        return cast(E, self._added[name].entry)

    def __iter__(self) -> Iterator[str]:
        plugins.load()
        return iter([*self._shipped, *self._added])

    def __len__(self) -> int:
        plugins.load()
        return len(self._shipped) + len(self._added)

    def ship(self, *entries: E) -> None:
        """Take up those that come with fsim, where the base's module cannot import them."""
        self._shipped |= {cast(Any, entry).name: entry for entry in entries}

    def ships(self, name: str) -> bool:
        """True if the one of that name comes with fsim."""
        return name in self._shipped

    def register(self, entry: A) -> A:
        """Make one of a user's own known by its name, in this process; usable as a decorator.

        A second one of the same name takes the first one's place, so that a notebook's cell can be
        run again. Other processes that do runs are told of it, where they can import it.

        Parameters
        ----------
        entry
            A class derived from the base, each field, an option, with a default; in a
            :class:`Catalog` an instance.

        Returns
        -------
        type or object
            What was given.

        Raises
        ------
        ValueError
            In one line: what is not as it must be, or a name that is taken.
        """
        self._check(entry)
        name = self._checked_name(entry)
        package = plugins.loading()
        if package is not None:
            if name in self._packages and self._packages[name] != package:
                raise ValueError(
                    f"{self.noun} {name}: found in package {package} and in package "
                    f"{self._packages[name]}, allowed is one"
                )
            if name in self._added and name not in self._packages:
                return entry  # the user's own stays, whenever packages are looked at
            self._packages[name] = package
        else:
            self._packages.pop(name, None)
        self._added[name] = Addition(self.noun, name, entry, self._source(entry))
        return entry

    def unregister(self, name: str) -> None:
        """Forget one that was registered.

        Raises
        ------
        KeyError
            None of that name was.
        """
        del self._added[name]
        self._packages.pop(name, None)

    def added(self) -> tuple[E, ...]:
        """Those that :meth:`register` has made known, in the order of their names."""
        return tuple(cast(E, each.entry) for each in self.additions())

    def additions(self) -> tuple[Addition, ...]:
        """The same with what other processes must know of them."""
        plugins.load()
        return tuple(self._added[name] for name in sorted(self._added))

    def adopt(self, addition: Addition) -> None:
        """Make known what another process has registered, and checked."""
        self._added[addition.name] = addition

    @abstractmethod
    def _check(self, entry: Any) -> None:
        """Refuse what is none of the kind."""

    @abstractmethod
    def _source(self, entry: Any) -> str:
        """The source that an entry rests on."""

    def _checked_name(self, entry: Any) -> str:
        label, name = self._label(entry), getattr(entry, "name", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            allowed = "allowed are letters, digits, ., _ and -"
            raise ValueError(f"{label}: name: found {shown(name)}, {allowed}")
        if name in self._shipped:
            raise ValueError(
                f"{label}: name: found {name!r}, which is {_a(self.noun)} that ships with fsim"
            )
        return name

    def _label(self, entry: Any) -> str:
        return f"{self.noun} {shown(getattr(entry, '__name__', entry))}"


class Registry(_Names[type[T]], Generic[T]):
    """The classes of a kind by name: dataclasses whose fields are the options.

    Parameters
    ----------
    noun, base, where, shipped, in_results
        As in ``_Names``; the base may be a protocol.
    frozen
        Whether each must be a frozen dataclass; those that keep a state are not.
    defaults
        Whether each option must have a default.
    """

    def __init__(
        self,
        noun: str,
        base: type[Any],
        where: str,
        shipped: Iterable[type[T]] = (),
        *,
        in_results: bool = True,
        frozen: bool = True,
        defaults: bool = True,
    ) -> None:
        super().__init__(noun, base, where, shipped, in_results=in_results)
        self._frozen, self._defaults = frozen, defaults

    def make(self, name: str, options: Mapping[str, Any]) -> T:
        """One by name; see :func:`choose` for what is raised."""
        return choose(self.noun, self, name, options)

    def _check(self, entry: Any) -> None:
        label = self._label(entry)
        by_methods = getattr(self._base, "_is_protocol", False)
        if not isinstance(entry, type) or not (by_methods or issubclass(entry, self._base)):
            raise ValueError(f"{label}: found no class derived from {self._where}")
        missing = set(getattr(entry, "__abstractmethods__", ()))
        if by_methods:
            methods = [name for name, each in vars(self._base).items() if callable(each)]
            missing |= {name for name in methods if name[0] != "_" and not hasattr(entry, name)}
        if missing:
            names = ", ".join(sorted(missing))
            raise ValueError(f"{label}: found no {names}, which every {self.noun} has")
        # Looked for in the class itself: a base's decoration would not know its fields.
        parameters = entry.__dict__.get("__dataclass_params__")
        if parameters is None or (self._frozen and not parameters.frozen):
            decorator = "@dataclass(frozen=True)" if self._frozen else "@dataclass"
            allowed = "a frozen dataclass" if self._frozen else "a dataclass"
            raise ValueError(f"{label}: found no {decorator}, allowed is {allowed}")
        for field in dataclasses.fields(cast(Any, entry)):
            bare = field.default is field.default_factory is dataclasses.MISSING
            if self._defaults and field.init and bare:
                raise ValueError(f"{label}: {field.name}: found no default, allowed is one")

    def _source(self, entry: Any) -> str:
        return source_of(entry)


class Catalog(_Names[T], Generic[T]):
    """Data of a kind by name: instances of a dataclass, each with a ``name`` and a ``summary``."""

    def _check(self, entry: Any) -> None:
        if not isinstance(entry, self._base):
            raise ValueError(f"{self._label(entry)}: found no instance of {self._where}")

    def _source(self, entry: Any) -> str:
        own = "" if type(entry) is self._base else source_of(type(entry))
        return f"{own}{entry!r}"


@dataclasses.dataclass(frozen=True)
class Addition:
    """An entry that a user has registered, as another process receives it.

    Attributes
    ----------
    noun
        Of the registry that it is in.
    entry
        The class or the instance.
    source
        What it rested on as it was registered (:func:`fsim.core.sources.source_of`).
    """

    noun: str
    name: str
    entry: Any
    source: str


def additions() -> tuple[Addition, ...]:
    """All that has been registered and that results may rest on, whatever its kind."""
    plugins.load()
    registries = [_ALL[noun] for noun in sorted(_ALL) if _ALL[noun].in_results]
    return tuple(each for registry in registries for each in registry.additions())


def adopt(entries: Iterable[Addition]) -> None:
    """Make known here what another process has registered."""
    for addition in entries:
        _ALL[addition.noun].adopt(addition)


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
