"""`host.record` against the standard library's dataclasses."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any, ClassVar

import pytest

from darkfuse.graph import load_graph
from darkfuse.host.record import dataclass


def classes(make: Any) -> tuple[type, type, type, type]:
    """The same four, made by one decorator or the other."""

    @make(frozen=True)
    class Nothing:
        pass

    @make(frozen=True)
    class Base:
        kind: ClassVar[str] = "of the class"
        size: int
        name: str = "a"
        beside: float = dataclasses.field(default=0.5, compare=False, repr=False)

    @make(frozen=True)
    class Derived(Base):
        more: tuple[int, ...] = ()
        made: list[int] = dataclasses.field(default_factory=list, compare=False)
        later: int = dataclasses.field(default=7, init=False)

        def __repr__(self) -> str:
            return "one of its own"

    @make
    class Open:
        rows: list[int] = dataclasses.field(default_factory=list)

        def __post_init__(self) -> None:
            self.rows.append(1)

    for cls in (Nothing, Base, Derived, Open):
        cls.__qualname__ = cls.__name__
    return Nothing, Base, Derived, Open


def test_as_the_standard_librarys() -> None:
    for made in list(zip(classes(dataclass), classes(dataclasses.dataclass)))[:3]:
        ours, theirs = ((lambda *a, cls=cls: cls(*a)) for cls in made)
        for values in ((), (3,), (3, "b"), (3, "b", 0.1)):
            try:
                wanted = theirs(*values)
            except TypeError:
                with pytest.raises(TypeError):
                    ours(*values)
                continue
            found = ours(*values)
            assert repr(found) == repr(wanted)
            assert dataclasses.asdict(found) == dataclasses.asdict(wanted)
            assert [f.name for f in dataclasses.fields(found)] == [f.name for f in dataclasses.fields(wanted)]
            assert found == ours(*values) and found != wanted and found != 3
            assert (made[0].__hash__ is None) == (made[1].__hash__ is None)
            if made[0].__hash__:
                assert hash(found) == hash(ours(*values))


def test_what_does_not_compare_and_what_differs() -> None:
    _, base, derived, _ = classes(dataclass)
    assert base(1, "a", 0.1) == base(1, "a", 0.2) != base(1, "b", 0.1)
    assert base(1) != derived(1) and hash(base(1, "a", 0.1)) == hash(base(1, "a", 0.2))
    assert dataclasses.replace(base(1), size=2) == base(2)


def test_frozen_ones_stay_as_they_are() -> None:
    _, base, derived, made = classes(dataclass)
    for one in (base(1), derived(1)):
        for name in ("size", "kind", "other"):
            with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{name}'"):
                setattr(one, name, 2)
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'size'"):
            del one.size
    free = made()
    assert free.rows == [1] and free == made() and free.__hash__ is None
    free.rows = [2]
    assert free.rows == [2] and repr(free) == "Open(rows=[2])"


def test_fingerprints_are_those_that_plans_were_written_with(root: Path) -> None:
    """They are made of the texts of layers' options, and stand in annotated cfgs out there."""
    graph = load_graph(str(root / "cfg" / "yolov2.cfg"))
    assert repr(graph.nodes[0].options).startswith("ConvOptions(filters=32, size=3, stride=1, pad=1, ")
    assert graph.fingerprint() == "6b33c5b94fd2a7ad"


def test_plans_survive_pickling() -> None:
    from darkfuse.plan.types import LayerPlan

    assert pickle.loads(pickle.dumps(LayerPlan(3, "direct"))) == LayerPlan(3, "direct")
