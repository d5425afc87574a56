"""Dataclasses that start quickly: without code of their own for what all of them do alike.

Python writes and compiles six functions for every frozen dataclass, 1.1 ms of a start each time; a `detect`
has forty of them. Here only `__init__` is written, and the others are the same functions for all. Nothing
else is different: fields, `replace`, `asdict`, comparison, hashes, texts and errors are as in `dataclasses`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import field as field
from operator import attrgetter
from typing import Any, Callable

TYPE_CHECKING = False  # type checkers take it for true, and know what a dataclass is

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, *, frozen=False, eq=True, repr=True):
        """As `dataclasses.dataclass` with these options."""
        if cls is None:
            return lambda it: dataclass(it, frozen=frozen, eq=eq, repr=repr)
        cls = dataclasses.dataclass(cls, eq=False, repr=False, init=not frozen)
        fields, own = dataclasses.fields(cls), {}
        if repr:
            cls._told = tuple(field.name for field in fields if field.repr)
            own["__repr__"] = _repr
        if eq:
            compared = [field.name for field in fields if field.compare]
            cls._compared = attrgetter(*compared) if compared else staticmethod(_nothing)
            own["__eq__"], own["__hash__"] = _eq, _hash if frozen else None
        if frozen:
            own["__init__"], own["__setattr__"], own["__delattr__"] = _init(cls, fields), _set, _delete
        for name, method in own.items():
            if name not in cls.__dict__ or cls.__dict__[name] is None:
                setattr(cls, name, method)
        return cls


def _init(cls: type, fields: Sequence[dataclasses.Field[Any]]) -> Callable[..., None]:
    """`__init__` of a frozen class, which writes past `_set`."""
    names: dict[str, Any] = {"put": object.__setattr__, "NONE": dataclasses.MISSING}
    given, lines = ["self"], []
    for one in fields:
        value = one.name
        if one.default_factory is not dataclasses.MISSING:
            names[f"make_{one.name}"], value = one.default_factory, f"make_{one.name}()"
            value += f" if {one.name} is NONE else {one.name}" if one.init else ""
            given += [f"{one.name}=NONE"] if one.init else []
        elif one.default is not dataclasses.MISSING:
            names[f"else_{one.name}"] = one.default
            value = one.name if one.init else f"else_{one.name}"
            given += [f"{one.name}=else_{one.name}"] if one.init else []
        elif one.init:
            given.append(one.name)
        else:  # __post_init__ has to
            continue
        lines.append(f" put(self, {one.name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    exec(f"def __init__({', '.join(given)}):\n" + "\n".join(lines or [" pass"]), names)
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = {**{one.name: one.type for one in fields if one.init}, "return": None}
    return made


def _repr(self: object) -> str:
    told = ", ".join([f"{name}={getattr(self, name)!r}" for name in self._told])  # type: ignore[attr-defined]
    return f"{type(self).__qualname__}({told})"


def _eq(self: object, other: object) -> object:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self._compared(self) == self._compared(other)  # type: ignore[attr-defined]


def _hash(self: object) -> int:
    return hash(self._compared(self))  # type: ignore[attr-defined]


def _set(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delete(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _nothing(self: object) -> tuple[()]:
    return ()
