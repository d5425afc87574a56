"""Small networks to run: their cfgs, random weights, programs and frames."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from darkfuse.engine._engine import Engine
from darkfuse.graph import Graph, build_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.program import Program
from darkfuse.plan.search.simple import layer_by_layer
from tools.make_weights import make_weights

CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\nstride={}\npad=1\nactivation=leaky\n"
SMALL = ("[net]\nwidth=28\nheight=20\nchannels=3\n" + CONV.format(36, 3, 1) + "[maxpool]\nsize=2\nstride=2\n"
         + CONV.format(40, 3, 1) + CONV.format(70, 1, 1))
# 20 G multiply-adds: no processor is through before somebody else gets a word in
LONG = "[net]\nwidth=304\nheight=304\nchannels=3\n" + CONV.format(64, 3, 1) + 6 * CONV.format(64, 3, 1)
# Weights that no room is for until late
HEAVY = LONG + 6 * "[maxpool]\nsize=2\nstride=2\n" + CONV.format(512, 3, 1) + CONV.format(1024, 3, 1)


def made(text: str, folder: Path, seed: int = 1) -> tuple[Graph, str]:
    """A graph and random weights for it, with the cfg beside them as net.cfg."""
    graph = build_graph(parse_cfg(text))
    (folder / "net.cfg").write_text(text)
    weights = str(folder / "net.weights")
    make_weights(graph, weights, seed)
    return graph, weights


def program_of(graph: Graph, weights: str, threads: int = 1, residency: str = "pinned", exact: bool = False,
               outputs: tuple[int, ...] = ()) -> Program:
    """The plan without any fusion, laid out for a file of weights."""
    plan = layer_by_layer(graph, threads, residency, exact)
    return lower(graph, plan, outputs, weight_offsets(graph, weights))


def noise(graph: Graph, seed: int = 0) -> np.ndarray:
    """A frame for the graph: uniform from 0 to 1."""
    shape = (graph.input.c, graph.input.h, graph.input.w)
    return np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)


def all_layers(graph: Graph, weights: str, frame: np.ndarray, **how) -> list[np.ndarray]:
    """Every layer's map, of an engine whose buffers are guarded."""
    threads = how.get("threads", 1)
    program = program_of(graph, weights, outputs=tuple(range(len(graph.nodes))), **how)
    engine = Engine(program, weights, threads, guard=True)
    engine.run_chw(frame)
    found = [np.array(engine.output(n.index)) for n in graph.nodes]
    engine.close()
    return found


def tasks() -> int:
    """Threads of this process, as the kernel lists them."""
    return len(os.listdir("/proc/self/task"))


def tasks_fall_to(count: int, patience_s: float = 10) -> bool:
    """Whether at most `count` threads are left, now or soon: a joined one has to leave the list yet."""
    end = time.monotonic() + patience_s
    while tasks() > count and time.monotonic() < end:
        time.sleep(0.001)
    return tasks() <= count
