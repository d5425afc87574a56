"""Groups of several tiles that stream: the untiled network's bits, with the weights read for each tile."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from networks import bytes_read
from small import CONV, made, noise

from darkfuse.engine._engine import Engine
from darkfuse.errors import PlanError
from darkfuse.graph import Graph, build_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.check import check_program
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.price.predict import predict
from darkfuse.plan.program import Program
from darkfuse.plan.search.search import plan_for
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.show.notation import format_plan, parse_plan
from darkfuse.plan.types import Group, LayerPlan, Plan

# Late layers with more weights than map, and a route back to an early one
NET = ("[net]\nwidth=28\nheight=36\nchannels=3\n" + CONV.format(16, 3, 1) + "[maxpool]\nsize=2\nstride=2\n"
       + CONV.format(40, 3, 1) + CONV.format(96, 3, 1) + CONV.format(48, 1, 1) + CONV.format(130, 3, 1)
       + "[route]\nlayers=-1,-4\n" + CONV.format(33, 3, 2) + CONV.format(64, 1, 1))
LAST = 8
# Large filters on maps that are large for them
LATE = ("[net]\nwidth=48\nheight=48\nchannels=3\n" + CONV.format(32, 3, 2) + CONV.format(64, 3, 1)
        + "[maxpool]\nsize=2\nstride=2\n" + CONV.format(128, 3, 1) + CONV.format(256, 3, 1)
        + CONV.format(128, 1, 1) + CONV.format(256, 3, 1) + CONV.format(64, 1, 1))
PLAIN = 2, 3, 5  # 3x3 convolutions with stride 1, which any kernel can run


def striped(graph: Graph, kernel: str, rows: int, threads: int, columns: int = 1, **weights: int) -> Plan:
    """All layers but the first two in one group of `rows` stripes, streamed; the first two untiled."""
    groups = layer_by_layer(graph, threads, "pinned").groups
    layers = []
    for layer in (group.layers[0] for group in groups[2:]):
        if layer.residency != "none":
            own = kernel if layer.node in PLAIN else "direct"
            slots = {"raw": 16, "slots": 2} if own == "winograd" else {}
            layer = LayerPlan(layer.node, own, "streamed", **{**weights, **slots})
        layers.append(layer)
    last = Group(tuple(layers), (rows, columns))
    return Plan(graph.name, graph.fingerprint(), (*groups[:2], last), threads)


def resident(plan: Plan, graph: Graph, tiled: bool) -> Plan:
    """The same kernels with their weights resident, every layer on its own or on the same tiles."""
    layers = {layer.node: LayerPlan(layer.node, layer.kernel, "none" if layer.kernel == "none" else "pinned")
              for group in plan.groups for layer in group.layers}
    alone = tuple(Group((layers[node.index],)) for node in graph.nodes)
    same = tuple(Group(tuple(layers[n] for n in group.nodes), group.grid) for group in plan.groups)
    return dataclasses.replace(plan, threads=1, groups=same if tiled else alone)


def program_of(graph: Graph, plan: Plan, weights: str) -> Program:
    return lower(graph, plan, (), weight_offsets(graph, weights))


@pytest.mark.parametrize("kernel", ["direct", "general", "winograd"])
@pytest.mark.parametrize("threads", [1, 3])
def test_stripes_of_any_height_give_the_untiled_bits(kernel: str, threads: int, tmp_path: Path) -> None:
    graph, weights = made(NET, tmp_path)
    frame = noise(graph)
    for rows, columns, slots in ((2, 1, 1), (3, 1, 3), (9, 1, 2), (4, 3, 2)):
        for raw in (8, 32):
            plan = striped(graph, kernel, rows, threads, columns, raw=raw, slots=slots)
            program = program_of(graph, plan, weights)
            # Winograd's bits depend on where its squares of 4 x 4 begin
            whole = resident(plan, graph, kernel == "winograd")
            engine = Engine(program_of(graph, whole, weights), weights, 1)
            engine.run_chw(frame)
            want = bytes(engine.output(LAST))
            for guard in (True, False):
                engine = Engine(program, weights, threads, guard=guard)
                for _ in range(2):
                    engine.run_chw(frame)
                    assert bytes(engine.output(LAST)) == want, (rows, columns, slots, raw)
                    assert engine.stats()["bytes_read"] == bytes_read(program)
                    assert engine.stats()["macs"] == graph.macs
                engine.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_reads_that_stay_are_read_once_for_all_stripes_and_frames(threads: int, tmp_path: Path) -> None:
    graph, weights = made(NET, tmp_path)
    frame = noise(graph)
    plan = striped(graph, "direct", 3, threads, raw=8)
    engine = Engine(program_of(graph, plan, weights), weights, threads)
    engine.run_chw(frame)
    want, all_reads = bytes(engine.output(LAST)), engine.stats()["bytes_read"]
    layers = tuple(dataclasses.replace(layer, resident=2) if layer.node == 5 else layer
                   for layer in plan.groups[2].layers)
    stay = dataclasses.replace(plan, groups=(*plan.groups[:2], Group(layers, plan.groups[2].grid)))
    engine = Engine(program_of(graph, stay, weights), weights, threads)
    kept = 2 * 8 * 48 * 9 * 4  # two reads of eight filters of 48 channels
    for frames in range(3):
        engine.run_chw(frame)
        assert bytes(engine.output(LAST)) == want
        assert engine.stats()["bytes_read"] == all_reads - (3 if frames else 2) * kept


def test_each_picture_of_a_batch_gets_its_bits(tmp_path: Path) -> None:
    graph, weights = made(NET, tmp_path)
    frames = [noise(graph), 0.5 * noise(graph)]
    plan = striped(graph, "winograd", 3, 2)
    engine, want = Engine(program_of(graph, plan, weights), weights, 2), []
    for frame in frames:
        engine.run_chw(frame)
        want.append(bytes(engine.output(LAST)))
        once = engine.stats()["bytes_read"]
    engine = Engine(program_of(graph, dataclasses.replace(plan, batch=2), weights), weights, 2)
    engine.run_chw(frames[0], more=True)
    engine.run_chw(frames[1])
    assert [bytes(engine.output(LAST, picture)) for picture in range(2)] == want
    assert engine.stats()["bytes_read"] == once  # for both
    with pytest.raises(PlanError, match="tiles of the whole width"):
        lower(graph, dataclasses.replace(striped(graph, "direct", 3, 2, 2), batch=2))


def test_a_program_in_stripes_is_proved_and_comes_back_from_its_notation() -> None:
    text = NET.replace("width=28", "width=8").replace("height=36", "height=12")
    graph = build_graph(parse_cfg(text))
    plan = parse_plan("1x1/2/3x1s", graph, exact=True)
    assert {layer.residency for layer in plan.groups[-1].layers} == {"streamed", "none"}
    assert format_plan(plan, graph) == "p/2/3x1s"
    assert Plan.from_json(plan.to_json()) == plan
    program = lower(graph, plan)
    check_program(graph, program)
    blocks = [buffer for buffer in program.buffers if buffer.name == "stage 1 packed"]
    assert len(blocks) == 1  # the layers take turns


def test_what_the_planner_cuts_into_stripes_gives_the_untiled_bits(tmp_path: Path) -> None:
    """In arenas that no plan without stripes fits."""
    graph, weights = made(LATE, tmp_path)
    frame, last = noise(graph), len(graph.nodes) - 1
    least = plan_for(graph, 0, 2, exact=True)
    engine = Engine(program_of(graph, resident(least, graph, False), weights), weights, 1)
    engine.run_chw(frame)
    want = bytes(engine.output(last))
    for plan in (least, plan_for(graph, least.arena_bytes + least.arena_bytes // 16, 2, exact=True)):
        assert any(layer.residency == "streamed" for group in plan.groups if group.grid != (1, 1)
                   for layer in group.layers)
        program = program_of(graph, plan, weights)
        assert program.arena_bytes == plan.arena_bytes
        engine = Engine(program, weights, 2)
        for _ in range(2):  # some reads may stay after the first frame
            engine.run_chw(frame)
            assert bytes(engine.output(last)) == want
        assert engine.stats()["bytes_read"] == predict(graph, plan).read_bytes
