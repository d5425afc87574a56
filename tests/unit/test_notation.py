"""Plans written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import networks, tileable
from profiles import examples

from darkfuse.errors import PlanError
from darkfuse.graph import load_graph
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.layout.order import execution_orders, memory_order
from darkfuse.plan.layout.weights import raw_bytes
from darkfuse.plan.layout.wiring import Wiring
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.show.notation import format_plan, parse_plan
from darkfuse.plan.types import Plan


@pytest.fixture(scope="module")
def yolov2(root):
    return load_graph(str(root / "cfg" / "yolov2.cfg"))


@pytest.fixture(scope="module")
def paper(root):
    return load_graph(str(root / "cfg" / "yolov2-16.cfg"))


def test_the_papers_notation(paper):
    plan = parse_plan("5x5/8/2x2", paper)
    assert [group.nodes for group in plan.groups] == [tuple(range(8)), tuple(range(8, 16))]
    assert [group.grid for group in plan.groups] == [(5, 5), (2, 2)]
    assert {group.cache for group in plan.groups} == {"full"}
    assert parse_plan("3x3/NoCut", paper).groups[0].nodes == tuple(range(16))
    assert format_plan(plan, paper) == "5x5/8/2x2"


@pytest.mark.parametrize("text", [
    "5x5/8/2x2", "5x5n/8/2x2r", "38x38l", "1x1/12/s", "76x1l/10/38x1l/12/p", "s", "p", "l", "4x4/8/l/12/s",
    "5x5nl", "1x1/14/p/15/s",
])
def test_there_and_back(paper, text):
    plan = parse_plan(text, paper, threads=2)
    again = parse_plan(format_plan(plan, paper), paper, threads=2)
    assert again == plan
    assert Plan.from_json(plan.to_json()) == plan
    assert lower(paper, plan).arena_bytes > 0


def test_single_layers_keep_their_pooling(paper):
    groups = parse_plan("s", paper).groups
    assert groups[0].nodes == (0, 1) and groups[3].nodes == (5,)
    assert all(layer.residency == "streamed" for group in groups for layer in group.layers
               if layer.kernel != "none")


def test_hoisting_moves_the_branch(yolov2):
    plan = parse_plan("76x1l/10/38x1l/12/s", yolov2)
    order = [n for group in plan.groups for n in group.nodes]
    assert order.index(26) == order.index(16) + 2 and sorted(order) == list(range(32))
    plain = replace(plan, groups=tuple(sorted(plan.groups, key=lambda group: group.nodes)))
    assert [n for group in plain.groups for n in group.nodes] == list(range(32))
    assert lower(yolov2, plan).arena_bytes < lower(yolov2, plain).arena_bytes


@pytest.mark.parametrize(("text", "what"), [
    ("5x5/8", "grid/cut/grid"), ("", "neither a grid"), ("5x5/8/2x2/4/s", "does not come after"),
    ("5x5/16/s", "no layer to cut before"), ("5x5/0/s", "no layer to cut before"), ("0x1", "does not fit"),
    ("39x1", "does not fit the 38x38"), ("5x5q", "neither a grid"), ("5x5nr", "neither a grid"),
    ("x", "neither a grid"), ("5x5/eight/2x2", "no layer to cut before"), ("5x5ll", "neither a grid"),
    ("5x5ls", "neither a grid"),
])
def test_nonsense_is_refused_in_one_line(paper, text, what):
    with pytest.raises(PlanError, match=what) as error:
        parse_plan(text, paper)
    assert "\n" not in str(error.value)


def test_what_cannot_be_tiled_is_refused(yolov2):
    with pytest.raises(PlanError, match="needs its whole input"):
        lower(yolov2, parse_plan("5x5/8/2x2", yolov2))


@examples(100)
@given(st.data())
def test_any_notation_of_any_network_comes_back(data):
    graph = data.draw(networks())
    order = memory_order(graph)
    words, start = [], 0
    while start < len(order):
        end = data.draw(st.integers(start + 1, len(order)))
        last = graph.node(order[end - 1]).out_shape
        if all(tileable(graph, n) for n in order[start:end]) and data.draw(st.booleans()):
            grid = f"{data.draw(st.integers(1, last.h))}x{data.draw(st.integers(1, last.w))}"
            flags = data.draw(st.sampled_from(("", "n", "r", "f", "l", "nl", "rl", "lf", "s", "ns", "sr")))
            words.append(grid + flags)
        else:
            words.append(data.draw(st.sampled_from(("s", "p", "l"))))
        start = end
        if start < len(order):
            words.append(str(order[start]))
    plan = parse_plan("/".join(words), graph)
    assert sorted(n for group in plan.groups for n in group.nodes) == list(range(len(graph.nodes)))
    lower(graph, plan)
    text = format_plan(plan, graph)
    again = parse_plan(text, graph)
    assert format_plan(again, graph) == text
    lower(graph, again)


@examples(100)
@given(networks(max_layers=12))
def test_orders_are_possible(graph):
    for order in execution_orders(graph):
        assert sorted(order) == list(range(len(graph.nodes)))
        for place, layer in enumerate(order):
            assert set(graph.node(layer).inputs) <= {-1, *order[:place]}


def test_order_of_the_shipped_networks(root, yolov2):
    lean = memory_order(yolov2)
    assert lean[lean.index(16) + 1 : lean.index(16) + 3] == [25, 26]
    assert lean.index(27) > lean.index(22)  # its slice opens a concatenation: as late as can be
    chain = load_graph(str(root / "cfg" / "yolov2-tiny.cfg"))
    assert execution_orders(chain) == [list(range(len(chain.nodes)))]


def test_every_layer_by_itself(yolov2):
    plan = layer_by_layer(yolov2, residency="streamed", exact=True)
    assert [group.nodes for group in plan.groups] == [(n,) for n in range(32)]
    assert {layer.kernel for group in plan.groups for layer in group.layers} == {"first", "direct", "none"}
    program = lower(yolov2, plan)
    assert sum(op.macs for stage in program.stages for op in stage.ops) == yolov2.macs
    # Layer 0's input and output, whole: what fusing is there to avoid.
    assert program.arena_bytes > 49 << 20


def test_yolov2_fits_in_few_mebibytes(root):
    """One thread, direct kernels, full caches: nothing computed twice, no large layer kept."""
    for side, text, mebibytes in ((608, "76x1l/8/76x1l/10/s", 6), (416, "52x1l/8/52x1l/10/s", 4)):
        graph = load_graph(str(root / "cfg" / "yolov2.cfg"), side, side)
        plan = parse_plan(text, graph, exact=True)
        program = lower(graph, plan)
        assert program.arena_bytes <= mebibytes << 20
        assert sum(op.macs for stage in program.stages for op in stage.ops) == graph.macs
        layers = [layer for group in plan.groups for layer in group.layers]
        assert not any(layer.residency == "pinned" for layer in layers)
        assert sum(raw_bytes(graph.node(layer.node), layer) > 0 for layer in layers) == 23


def test_wide_inputs_cost_lines_not_areas(root):
    """The fused part holds rows: twice the side, about twice the bytes."""
    sizes = []
    for side in (416, 832, 1664):
        graph = load_graph(str(root / "cfg" / "yolov2-16.cfg"), side, side)
        program = lower(graph, parse_plan(f"{side // 16}x1l", graph, exact=True))
        maps = [b.bytes for b in program.buffers if b.name.endswith(" map") or b.name == "network input"]
        sizes.append(sum(maps))
    assert sizes[1] < 2.1 * sizes[0] and sizes[2] < 2.1 * sizes[1]


def test_concatenations_are_written_in_place(yolov2):
    wiring = Wiring(yolov2, {}, image=True)
    whole = wiring.root(wiring.views[28])
    first, second = wiring.root(wiring.views[27]), wiring.root(wiring.views[24])
    assert first.storage == second.storage == whole.storage
    assert (first.channel, second.channel) == (0, 256)
    assert not any(leaf.kind == "copy" for leaf in wiring.leaves)
