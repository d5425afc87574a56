"""Programs made from plans: checked cell by cell on random small networks."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import networks, plans
from profiles import examples

from darkfuse.errors import PlanError
from darkfuse.graph import build_graph
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.check import check_program
from darkfuse.plan.layout._ahead import MOST_LANDINGS
from darkfuse.plan.layout.lower import finish, lay_out, lower, with_reads
from darkfuse.plan.program import PAGE, arrived, slot_bytes
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.show.notation import parse_plan

walks = examples(150)


@walks
@given(st.data())
def test_any_plan_of_any_network_computes_it(data):
    graph = data.draw(networks())
    plan = data.draw(plans(graph, exact=False, threads=data.draw(st.integers(1, 3))))
    extra = data.draw(st.lists(st.integers(0, len(graph.nodes) - 1), max_size=2))
    check_program(graph, lower(graph, plan, extra))


@walks
@given(st.data())
def test_full_caches_compute_everything_once(data):
    graph = data.draw(networks())
    program = lower(graph, data.draw(plans(graph, caches=("full",))))
    computed = check_program(graph, program)
    for op in (op for stage in program.stages for op in stage.ops if op.kind not in ("copy", "export")):
        assert computed[op.node] == graph.shape(op.node).values
    assert sum(op.macs for stage in program.stages for op in stage.ops) == graph.macs


@walks
@given(st.data())
def test_reads_may_land_wherever_the_arena_is_idle(data):
    graph = data.draw(networks())
    plan = data.draw(plans(graph, exact=False, threads=data.draw(st.integers(1, 3))))
    plan = dataclasses.replace(plan, ahead_bytes=PAGE * data.draw(st.integers(0, 40)))
    program = lower(graph, plan)
    own = {w.raw for w in program.weights}
    for stage in program.stages:
        for w in (program.weights[op.weights] for op in stage.ops if op.weights >= 0):
            if w.all_reads == w.resident:
                assert not w.landings
                continue
            until, size = arrived(stage, w), slot_bytes(w.raw_filters, w.per_filter)
            slots = program.buffers[w.raw]
            assert all(slots.offset <= at and at + size <= slots.offset + slots.bytes
                       for at, _ in w.landings[: w.slots])
            others = [b for n, b in enumerate(program.buffers)
                      if n not in own and b.bytes and b.first <= until]
            for at, step in w.landings:
                assert at % PAGE == 0 and 0 <= at <= program.arena_bytes - size and 0 <= step <= until
                before = [b.last for b in others if b.offset < at + size and at < b.offset + b.bytes]
                assert max(before, default=-1) == step - 1  # neither too soon nor later than need be
            taken = sorted([(at, at + size) for at, _ in w.landings]
                           + [(b.offset, b.offset + b.bytes) for b in others if b.last >= until])
            end = 0
            for low, high in [*taken, (program.arena_bytes, program.arena_bytes)]:
                assert low - end < size + 2 * PAGE or len(w.landings) == MOST_LANDINGS  # no room left
                end = max(end, high)
            places = sorted(at for at, _ in w.landings)
            assert all(low + size <= high for low, high in zip(places, places[1:]))


def chain(text: str, side: int = 24):
    """A graph of 3x3 convolutions ('16', '32': filters) and 2x2 poolings ('m')."""
    words = [f"[net]\nwidth={side}\nheight={side}\nchannels=16\n"]
    for word in text.split():
        words.append("[maxpool]\nsize=2\nstride=2\n" if word == "m" else
                     f"[convolutional]\nfilters={word}\nsize=3\nstride=1\npad=1\nactivation=leaky\n")
    return build_graph(parse_cfg("".join(words)))


def test_an_output_lies_over_dead_rows_of_its_input():
    graph = chain("64 64 64 64")
    program = lower(graph, parse_plan("24x1l/2/24x1l", graph, exact=True))
    check_program(graph, program)
    assert all(b.over < 0 for b in program.buffers)  # the last map goes out through a line buffer
    graph = chain("64 64 64 64 64 64 m")
    program = lower(graph, parse_plan("24x1l/2/24x1l/4/12x1l", graph, exact=True))
    check_program(graph, program)
    (written,) = (b for b in program.buffers if b.over >= 0)
    source = program.buffers[written.over]
    assert (source.name, written.name) == ("layer 1 map", "layer 3 map")
    # Layer 2 has read row n of layer 1 for the last time when layer 3 writes its own: no row between them.
    assert source.last == written.first == 1 and source.bytes == written.bytes == 24 * 4 * 64 * 26
    assert source.offset == written.offset
    end, row = program.arena_bytes, 4 * 64 * 26  # a row further on, what is written is still to be read
    places = {source: end, written: end + row}
    buffers = tuple(b._replace(offset=places.get(b, b.offset)) for b in program.buffers)
    with pytest.raises(PlanError, match="layer 2 reads layer 1"):
        check_program(graph, dataclasses.replace(program, buffers=buffers, arena_bytes=end + 25 * row))


def test_a_one_strip_winograd_layer_may_write_where_its_input_was():
    """Its input is transformed whole before it writes: arena for the larger of the two, not for both."""
    graph = chain("64 64 64 m", 16)
    plan = parse_plan("s", graph, exact=False)
    groups = list(plan.groups)
    (layer,) = groups[1].layers
    assert (layer.kernel, layer.strip) == ("winograd", 4)  # rows of 4x4 tiles: all there are
    program = lower(graph, plan)
    check_program(graph, program)
    stage = program.stages[1]
    assert stage.last == stage.first + 1
    maps = (*stage.ops[0].inputs, stage.ops[0].output)
    read, written = (program.buffers[program.tensors[n].buffer] for n in maps)
    assert read.last == stage.first and written.first == stage.last
    groups[1] = dataclasses.replace(groups[1], layers=(dataclasses.replace(layer, strip=2),))
    strips = lower(graph, dataclasses.replace(plan, groups=tuple(groups)))
    check_program(graph, strips)
    assert strips.stages[1].last == strips.stages[1].first
    # To do as much in strips would overwrite what the next strip reads
    with pytest.raises(PlanError, match="alive together"):
        check_program(graph, dataclasses.replace(strips, arena_bytes=program.arena_bytes, buffers=tuple(
            b._replace(offset=read.offset) if b.name in (read.name, written.name) else b
            for b in strips.buffers)))


def test_line_buffers_hold_what_a_window_needs():
    graph = chain("16 16 16", 32)
    program = lower(graph, parse_plan("32x1", graph, exact=True))
    # The first tile needs two rows of layer 1's map, so three of layer 0's and four of the input.
    assert [t.slots for t in program.tensors if t.layout == "blocks"] == [4, 3, 3, 1]
    assert [t.cols for t in program.tensors if t.layout == "blocks"] == [34, 34, 34, 32]


def test_a_pooled_convolution_is_never_stored():
    graph = chain("16 m 32")
    for text in ("s", "12x1", "4x3r", "3x3n"):
        program = lower(graph, parse_plan(text, graph, exact=True))
        check_program(graph, program)
        assert [op.pool for stage in program.stages for op in stage.ops if op.kind == "conv"] == [2, 0]
        assert all(t.height <= 24 and t.node != 0 for t in program.tensors)
    program = lower(graph, parse_plan("s", graph, exact=True), [0])  # asked for, it must be
    assert [op.kind for stage in program.stages for op in stage.ops].count("maxpool") == 1


def test_weights_are_read_before_their_stage_where_that_is_free():
    """All reads there are, and room to read ahead takes exactly what the plan says."""
    graph = chain("64 64 64 64")
    plan = parse_plan("s", graph, exact=True)
    program, more = lower(graph, plan), lower(graph, dataclasses.replace(plan, ahead_bytes=1 << 20))
    assert more.arena_bytes == program.arena_bytes + (1 << 20)
    stage_of = {op.weights: n for n, stage in enumerate(program.stages) for op in stage.ops}
    stage_of.pop(-1, None)
    for number, stage in stage_of.items():
        places = program.weights[number].landings
        assert program.weights[number].slots <= len(places) and len(set(places)) == len(places)
        assert all(0 <= place.step <= stage for place in places)
    early = {n for n, stage in stage_of.items() if min(p.step for p in program.weights[n].landings) < stage}
    assert early  # the maps of the first layers are larger than those of the last
    # Reads of all layers fit into 1 MiB: nothing has to wait for a map
    assert all(any(landing.step == 0 for landing in w.landings) for w in more.weights)


def test_other_reads_of_loaded_layers_are_those_of_another_plan() -> None:
    graph = chain("64 64 64 64")
    plan = parse_plan("4x1/2/4x1", graph, exact=True)
    groups = tuple(dataclasses.replace(group, layers=tuple(
        dataclasses.replace(layer, residency="loaded", raw=8 + 8 * number, slots=3)
        for number, layer in enumerate(group.layers))) for group in plan.groups)
    loaded = tuple(dataclasses.replace(group, layers=tuple(
        dataclasses.replace(layer, residency="loaded") for layer in group.layers)) for group in plan.groups)
    changed = with_reads(lay_out(graph, dataclasses.replace(plan, groups=loaded)), groups)
    plan = dataclasses.replace(plan, groups=groups, ahead_bytes=1 << 20)
    assert finish(changed, 1 << 20) == lower(graph, plan)


@pytest.mark.parametrize("wrong", [{"resident": -1}, {"resident": 4}, {"slots": 65}, {"raw": 0},
                                   {"block": 32, "raw": 24}])
def test_reads_that_cannot_be_are_refused(wrong):
    graph = chain("16 40")
    plan = layer_by_layer(graph, 1, "streamed")
    layer = dataclasses.replace(plan.groups[1].layers[0], kernel="direct", **wrong)
    groups = plan.groups[0], dataclasses.replace(plan.groups[1], layers=(layer,))
    with pytest.raises(PlanError, match="layer 1"):
        lower(graph, dataclasses.replace(plan, groups=groups))
