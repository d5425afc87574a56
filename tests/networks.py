"""Random small networks and random plans for them, as hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

from darkfuse.graph import Graph, Node, build_graph
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.program import Program, passes
from darkfuse.plan.types import Group, LayerPlan, Plan

CHANNELS = (3, 5, 8, 16, 24, 32, 48)  # with and without a partial block of 16


@st.composite
def networks(draw, max_layers: int = 8, max_side: int = 19) -> Graph:
    """A graph of up to `max_layers` layers: chains with routes, shortcuts and upsampling."""
    channels = draw(st.sampled_from((1, 3, 3, 16)))
    height, width = draw(st.integers(3, max_side)), draw(st.integers(3, max_side))
    text = f"[net]\nwidth={width}\nheight={height}\nchannels={channels}\n"
    for _ in range(draw(st.integers(1, max_layers))):
        # Layers that cannot follow the ones before are refused by the graph: draw another.
        for section in draw(st.lists(_section(), min_size=1, max_size=4)):
            try:
                graph = build_graph(parse_cfg(text + section))
            except Exception:
                continue
            shape = graph.nodes[-1].out_shape
            if max(shape.h, shape.w) > 2 * max_side or shape.c > 96:
                continue
            if min(shape.h, shape.w) < 4 and draw(st.integers(0, 9)):
                continue  # mostly keep something to cut into tiles
            text += section
            break
    if text.endswith(f"channels={channels}\n"):
        text += _conv(16, 3, 1, 1, 1, "leaky", 1)
    return build_graph(parse_cfg(text))


def _conv(filters: int, size: int, stride: int, dilation: int, groups: int, act: str, pad: int) -> str:
    return (f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\n"
            f"dilation={dilation}\ngroups={groups}\npad={pad}\nactivation={act}\n")


@st.composite
def _section(draw) -> str:
    kind = draw(st.sampled_from(("conv",) * 10
                                + ("pooled", "maxpool", "concat", "shortcut", "upsample") * 2
                                + ("route", "reorg", "dropout", "avgpool", "reorg3d", "batchnorm",
                                   "activation", "crop", "connected", *LATER)))
    if kind in LATER:
        return draw(LATER[kind]())
    if kind == "pooled":
        return (_conv(draw(st.sampled_from(CHANNELS)), draw(st.sampled_from((1, 3))), 1, 1, 1, "leaky", 1)
                + "[maxpool]\nsize=2\nstride=2\n")
    if kind == "conv":
        size = draw(st.sampled_from((1, 3, 3, 3, 5, 2)))
        return _conv(draw(st.sampled_from(CHANNELS)), size, draw(st.sampled_from((1, 1, 1, 1, 2, 3))),
                     draw(st.sampled_from((1, 1, 1, 2))) if size in (3, 5) else 1,
                     draw(st.sampled_from((1, 1, 1, 8))),
                     draw(st.sampled_from(("leaky", "linear", "mish", "logistic"))),
                     draw(st.sampled_from((1, 1, 1, 0))))
    if kind == "maxpool":
        size, stride = draw(st.sampled_from(((2, 2), (2, 2), (2, 1), (3, 2), (3, 1), (5, 1), (3, 3))))
        padding = draw(st.sampled_from(("", "", f"padding={draw(st.integers(0, size - 1))}\n")))
        return f"[maxpool]\nsize={size}\nstride={stride}\n{padding}"
    if kind == "activation":
        return f"[activation]\nactivation={draw(st.sampled_from(('leaky', 'tanh', 'hard_mish')))}\n"
    if kind == "crop":
        return f"[crop]\ncrop_width={draw(st.integers(3, 9))}\ncrop_height={draw(st.integers(3, 9))}\n" \
               f"noadjust={draw(st.integers(0, 1))}\n"
    if kind == "connected":
        return f"[connected]\noutput={draw(st.sampled_from((5, 33)))}\nactivation=leaky\n"
    if kind == "route":
        groups = draw(st.sampled_from((1, 1, 2)))
        return f"[route]\nlayers=-{draw(st.integers(1, 4))}\ngroups={groups}\ngroup_id={groups - 1}\n"
    if kind == "concat":
        others = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
        return "[route]\nlayers=-1" + "".join(f",-{n}" for n in others) + "\n"
    if kind == "shortcut":
        return f"[shortcut]\nfrom=-{draw(st.integers(2, 4))}\nactivation=linear\n"
    if kind in ("upsample", "reorg", "reorg3d"):
        return f"[{kind}]\nstride=2\n"
    return f"[{kind}]\n"


@st.composite
def _uneven(draw) -> str:
    pair = f"stride_x={draw(st.integers(1, 2))}\nstride_y={draw(st.integers(1, 2))}\n"
    if draw(st.booleans()):
        return f"[maxpool]\nsize={draw(st.integers(2, 3))}\n{pair}"
    return _conv(draw(st.sampled_from(CHANNELS)), 3, 1, 1, 1, "leaky", 1) + pair


@st.composite
def _shared(draw) -> str:
    """Twice the same convolution, the second time with the weights of the first."""
    first = _conv(16, 3, 1, 1, 1, "leaky", 1)
    return first + first + _conv(16, 3, 1, draw(st.integers(1, 2)), 1, "linear", 1) + "share_index=-1\n"


@st.composite
def _gated(draw) -> str:
    """Squeeze and excitation."""
    count = draw(st.sampled_from(CHANNELS))
    act = draw(st.sampled_from(("linear", "leaky", "logistic")))
    return (_conv(count, draw(st.sampled_from((1, 3))), 1, 1, 1, "leaky", 1) + "[avgpool]\n"
            + _conv(8, 1, 1, 1, 1, "swish", 0) + _conv(count, 1, 1, 1, 1, "logistic", 0)
            + f"[scale_channels]\nfrom=-4\nactivation={act}\n")


@st.composite
def _gate_by_pixel(draw) -> str:
    return _conv(1, draw(st.sampled_from((1, 3))), 1, 1, 1, "logistic", 1) \
        + f"[scale_channels]\nfrom=-{draw(st.integers(2, 4))}\nscale_wh=1\n"


@st.composite
def _sam(draw) -> str:
    count = draw(st.sampled_from(CHANNELS))
    return (_conv(count, 3, 1, 1, 1, "leaky", 1)
            + _conv(count, draw(st.sampled_from((1, 3))), 1, 1, 1, "logistic", 1)
            + "[sam]\nfrom=-2\n")


@st.composite
def _mix(draw) -> str:
    """A shortcut of several maps, weighted or not."""
    count, maps = draw(st.sampled_from(CHANNELS)), draw(st.integers(1, 3))
    text = "".join(_conv(count, draw(st.sampled_from((1, 3))), 1, 1, 1, "leaky", 1) for _ in range(maps + 1))
    kind = draw(st.sampled_from(("none", "per_feature", "per_channel")))
    how = draw(st.sampled_from(("none", "relu", "softmax")))
    places = ",".join(f"-{n}" for n in range(2, maps + 2))
    return text + f"[shortcut]\nfrom={places}\nactivation=leaky\nweights_type={kind}\n" \
                  f"weights_normalization={how}\n"


@st.composite
def _local_avgpool(draw) -> str:
    size, stride = draw(st.sampled_from(((2, 2), (3, 1), (3, 2), (5, 1))))
    return f"[local_avgpool]\nsize={size}\nstride={stride}\n"


@st.composite
def _local(draw) -> str:
    size, pad = draw(st.sampled_from(((1, 0), (3, 1), (3, 0), (2, 0))))
    return f"[local]\nfilters={draw(st.sampled_from((3, 16)))}\nsize={size}\npad={pad}\nactivation=leaky\n" \
           f"stride={draw(st.integers(1, 2))}\n"


# Layers that need others before them: each draws those, too
LATER = {"uneven": _uneven, "shared": _shared, "gated": _gated, "gate by pixel": _gate_by_pixel, "sam": _sam,
         "mix": _mix, "local_avgpool": _local_avgpool, "local": _local}


@st.composite
def plans(draw, graph: Graph, caches: tuple[str, ...] = ("full", "rows", "none"), exact: bool = True,
          threads: int = 1) -> Plan:
    """Any plan for a graph: cut points, grids, cache modes, kernels and residencies."""
    groups = []
    start = 0
    while start < len(graph.nodes):
        end = min(start + draw(st.sampled_from((8, 4, 3, 2, 1))), len(graph.nodes))
        nodes = graph.nodes[start:end]
        grid = (1, 1)
        if all(tileable(graph, node.index) for node in nodes):
            last = nodes[-1].out_shape
            grid = draw(st.integers(1, last.h)), draw(st.integers(1, last.w))
        layers = tuple(draw(_layer(graph, node, exact)) for node in nodes)
        groups.append(Group(layers, grid, draw(st.sampled_from(caches))))
        start = end
    ahead = draw(st.sampled_from((0, 0, 4096, 50_000, 1 << 20)))
    return Plan(graph.name, graph.fingerprint(), tuple(groups), threads, exact, ahead_bytes=ahead)


@st.composite
def _layer(draw, graph: Graph, node: Node, exact: bool) -> LayerPlan:
    kernel, raw = draw(st.sampled_from(kernels(graph, node.index, exact))), draw(st.sampled_from((8, 16)))
    residency = draw(st.sampled_from(("pinned", "loaded", "streamed"))) if node.has_kernels else "none"
    slots = 32 // raw if residency == "streamed" and kernel == "winograd" else 2  # they hold a block
    return LayerPlan(node.index, kernel, residency, raw=raw, slots=slots, strip=draw(st.integers(0, 2)))


def tileable(graph: Graph, index: int) -> bool:
    """Whether a layer may be in a group with more than one tile."""
    node = graph.node(index)
    if node.kind == "shortcut":
        return all((s.h, s.w) == (node.out_shape.h, node.out_shape.w) for s in node.in_shapes)
    return node.kind not in ("avgpool", "reorg", "softmax", "connected", "local")


def kernels(graph: Graph, index: int, exact: bool = True) -> list[str]:
    """Kernels that can run a layer; 'first' wherever it can."""
    options = graph.node(index).options
    if not isinstance(options, ConvOptions):
        return ["none"]
    readers = [graph.node(i).options for i in graph.consumers(-1)]
    if graph.node(index).inputs[0] == -1 and graph.input.c == 3 \
            and all(isinstance(r, ConvOptions) and r.groups == r.dilation == 1 and not r.stride_x
                    for r in readers):
        return ["first"]
    if options.groups > 1 or options.stride_x:
        return ["general"]
    found = ["direct", "direct", "general"]
    if not exact and (options.size, options.stride, options.dilation, options.pad) == (3, 1, 1, 1):
        found.append("winograd")
    return found


def bytes_read(program: Program) -> int:
    """Weights read in a frame: of a layer that is streamed, for each tile that computes something of it."""
    total = 0
    for op in (op for stage in program.stages for op in stage.ops if op.weights >= 0):
        w = program.weights[op.weights]
        often = {"pinned": 0, "loaded": 1, "streamed": passes(op)}[w.residency]
        total += often * w.filters * w.per_filter * 4
    return total
