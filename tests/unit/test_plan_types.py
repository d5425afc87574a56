"""Plans as data: JSON there and back, and plans that make no sense."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import networks, plans
from profiles import examples

from darkfuse.errors import PlanError
from darkfuse.graph import load_graph
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.show.notation import parse_plan
from darkfuse.plan.types import Plan


@pytest.fixture(scope="module")
def tiny(root):
    return load_graph(str(root / "cfg" / "yolov2-tiny.cfg"))


@examples(60)
@given(st.data())
def test_json_gives_back_an_equal_plan(data):
    graph = data.draw(networks())
    plan = data.draw(plans(graph))
    text = plan.to_json()
    assert "\n" not in text and Plan.from_json(text) == plan
    assert Plan.from_json(text).to_json() == text


def test_a_plan_written_by_an_earlier_version_still_loads(tiny):
    """What is `resident` now was called `kept` in plans of darkfuse 0.1."""
    text = parse_plan("s", tiny).to_json()
    former = text.replace('"resident":', '"kept":')
    assert former != text and Plan.from_json(former) == Plan.from_json(text)


def changed(raw: dict, path: tuple, value: object) -> str:
    here = raw
    for key in path[:-1]:
        here = here[key]
    if value is KeyError:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return json.dumps(raw)


@pytest.mark.parametrize(("path", "value"), [
    (("groups",), 3), (("groups",), KeyError), (("groups", 0), []), (("groups", 0, "grid"), [1]),
    (("groups", 0, "grid"), [0, 1]), (("groups", 0, "grid"), ["1", 1]), (("groups", 0, "layers"), {}),
    (("groups", 0, "layers", 0, "node"), "0"), (("groups", 0, "layers", 0, "node"), 1.5),
    (("groups", 0, "layers", 0, "node"), True), (("groups", 0, "layers", 0, "kernel"), 3),
    (("groups", 0, "layers", 0, "block"), 10**30), (("groups", 0, "layers", 0, "colour"), "red"),
    (("groups", 0, "cache"), None), (("threads",), "two"), (("network",), KeyError), (("speed",), 1),
    (("predicted_ms",), float("nan")), (("exact",), 0),
])
def test_what_is_not_a_plan_is_refused(tiny, path, value):
    raw = json.loads(parse_plan("s", tiny).to_json())
    with pytest.raises(ValueError):
        Plan.from_json(changed(raw, path, value))


def test_json_that_is_no_object_is_refused():
    for text in ("", "[]", "null", "7", "{", '{"groups": []}'):
        with pytest.raises(ValueError):
            Plan.from_json(text)


@examples(300)
@given(st.data())
def test_a_spoilt_plan_is_refused_in_one_line_or_runs(tiny, data):
    """Any number or word of a plan may be changed: lowering says so in one line, or lays it out."""
    plan = parse_plan(data.draw(st.sampled_from(("s", "p", "13x1l/8/s", "4x4n/6/p"))), tiny)
    at = data.draw(st.integers(0, len(plan.groups) - 1))
    group = plan.groups[at]
    which = data.draw(st.integers(0, len(group.layers) - 1))
    layer = group.layers[which]
    field = data.draw(st.sampled_from([f.name for f in dataclasses.fields(layer)]))
    value = data.draw(st.sampled_from(("none", "first", "direct", "general", "winograd", "pinned", "loaded",
                                       "streamed", "nonsense")) if isinstance(getattr(layer, field), str)
                      else st.integers(-3, 70))
    layers = list(group.layers)
    layers[which] = dataclasses.replace(layer, **{field: value})
    grid = group.grid
    if data.draw(st.booleans()):
        grid = data.draw(st.tuples(st.integers(0, 20), st.integers(0, 20)))
    cache = data.draw(st.sampled_from(("full", "rows", "none", "all")))
    groups = list(plan.groups)
    groups[at] = dataclasses.replace(group, layers=tuple(layers), grid=grid, cache=cache)
    if data.draw(st.booleans()):
        groups = data.draw(st.permutations(groups))
    spoilt = dataclasses.replace(plan, groups=tuple(groups), threads=data.draw(st.integers(-1, 3)))
    try:
        program = lower(tiny, spoilt)
    except PlanError as error:
        assert "\n" not in str(error)
    else:
        assert program.arena_bytes > 0


def test_a_plan_of_another_network_is_refused(tiny, root):
    plan = parse_plan("s", tiny)
    with pytest.raises(PlanError, match="plan it again"):
        lower(load_graph(str(root / "cfg" / "yolov3-tiny.cfg")), plan)
    with pytest.raises(PlanError, match="missing from the plan"):
        lower(tiny, dataclasses.replace(plan, groups=plan.groups[:-3]))
    with pytest.raises(PlanError, match="twice"):
        lower(tiny, dataclasses.replace(plan, groups=(*plan.groups, plan.groups[0])))
    with pytest.raises(PlanError, match="no layer 99"):
        lower(tiny, plan, [99])
