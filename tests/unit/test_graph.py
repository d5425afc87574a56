"""Shapes, work and weights of whole networks against published figures and Darknet's own runs."""

from __future__ import annotations

import csv
import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import examples

from darkfuse.graph import Graph, Shape, build_graph, load_graph
from darkfuse.graph.activations import ACTIVATIONS
from darkfuse.graph.layers.convolutional import ConvOptions
from darkfuse.graph.layers.region import RegionOptions
from darkfuse.graph.layers.route import RouteOptions
from darkfuse.graph.layers.yolo import YoloOptions
from darkfuse.model.cfg import parse_cfg


def graph_of(size: tuple[int, int, int], *sections: str) -> Graph:
    """A graph from one-line sections: 'maxpool size=2 stride=2'."""
    c, h, w = size
    text = f"[net]\nwidth={w}\nheight={h}\nchannels={c}\n"
    for section in sections:
        kind, *entries = section.split()
        text += "\n".join([f"[{kind}]", *entries]) + "\n"
    return build_graph(parse_cfg(text))


# Sizes of the official weights files; their headers take 16 bytes (YOLOv2's) or 20.
@pytest.mark.parametrize(("name", "layers", "size", "file_bytes", "header", "bflops"), [
    ("yolov2", 32, 608, 203_934_260, 16, 62.938),
    ("yolov2-voc", 32, 416, 202_704_260, 16, 29.360),
    ("yolov2-tiny", 16, 416, 44_948_600, 20, 5.406),
    ("yolov2-tiny-voc", 16, 416, 63_471_556, 16, 6.971),
    ("yolov3", 107, 416, 248_007_048, 20, 65.864),
    ("yolov3-tiny", 24, 416, 35_434_956, 20, 5.565),
])
def test_published_networks(root: Path, name: str, layers: int, size: int, file_bytes: int, header: int,
                            bflops: float) -> None:
    graph = load_graph(str(root / "cfg" / f"{name}.cfg"))
    assert graph.name == name and len(graph.nodes) == layers
    assert graph.input == Shape(3, size, size)
    assert graph.weight_bytes + header == file_bytes
    assert round(2 * graph.macs / 1e9, 3) == bflops


def test_first_sixteen_layers_of_yolov2(root: Path) -> None:
    whole, part = (load_graph(str(root / "cfg" / f"{name}.cfg")) for name in ("yolov2", "yolov2-16"))
    assert len(part.nodes) == 16 and part.outputs == (15,)
    for a, b in zip(whole.nodes, part.nodes):
        assert dataclasses.replace(a, line=0) == dataclasses.replace(b, line=0)


@pytest.mark.parametrize("size", [608, 416])
def test_layer_by_layer_against_the_yolov2_inventory(root: Path, shared: Path, size: int) -> None:
    text = (shared / "design/yolov2-layers.md").read_text()
    part = text.split(f"## YOLOv2 {size}x{size}")[1].split("## ")[0]
    rows = re.findall(r"^\| (\d+) \| (\w+)[^|]*\| (\d)/(\d) \| [^|]* \| (\d+)x(\d+)x(\d+) \|(?: [^|]*\|){5}"
                      r" ([\d.]+) \| ([\d.]+) \|$", part, re.MULTILINE)
    graph = load_graph(str(root / "cfg/yolov2.cfg"), size, size)
    assert len(rows) == len(graph.nodes) == 32
    for node, (index, kind, k, stride, w, h, c, weights, gflop) in zip(graph.nodes, rows):
        assert (node.index, node.kind) == (int(index), kind)
        assert node.out_shape == Shape(int(c), int(h), int(w))
        if node.window:
            assert (node.window.kernel, node.window.stride) == (int(k), int(stride))
        assert abs(node.weight_bytes / 2**20 - float(weights)) < 6e-4
        assert abs(2 * node.macs / 1e9 - float(gflop)) < 6e-4


def test_every_layer_has_the_shape_darknet_gave_it(root: Path, shared: Path) -> None:
    tables = sorted((shared / "golden").glob("*.layers.csv"))
    assert tables
    for table in tables:
        case = table.name[: -len(".layers.csv")]
        model = re.sub(r"(-416|-608)?(-random)?-(dog|person|giraffe)$", "", case)
        cfg = root / "cfg" / f"{model}.cfg"
        rows = list(csv.DictReader(table.open()))
        side = {"yolov2-416-random": 416, "yolov2-608-random": 608}.get(table.name.rsplit("-", 1)[0])
        graph = load_graph(str(cfg if cfg.exists() else shared / "models" / cfg.name), side, side)
        assert [tuple(int(r[k]) for k in ("channels", "height", "width")) for r in rows] == [
            dataclasses.astuple(node.out_shape) for node in graph.nodes]


@pytest.mark.parametrize("name", [
    "yolov2", "yolov2-tiny", "yolov3-tiny", "yolov4-tiny", "yolo-fastest-1.1-xl", "enet-coco",
])
def test_our_cfgs_describe_the_same_networks(root: Path, shared: Path, name: str) -> None:
    ours = load_graph(str(root / f"cfg/{name}.cfg"))
    model = shared / "models" / ("enet-coco-96.cfg" if name == "enet-coco" else f"{name}.cfg")
    theirs = load_graph(str(model), ours.input.w, ours.input.h)
    assert ours.fingerprint() == theirs.fingerprint()
    assert [n.options for n in ours.nodes] == [n.options for n in theirs.nodes]


def test_fingerprint_follows_what_a_plan_depends_on() -> None:
    base = graph_of((3, 32, 32), "convolutional filters=8 size=3 pad=1", "maxpool size=2 stride=2")
    assert base.fingerprint() == graph_of((3, 32, 32), "convolutional filters=8 pad=1 size=3 momentum=2",
                                          "maxpool stride=2").fingerprint()
    for size, first in (((3, 32, 64), "filters=8 size=3 pad=1"), ((3, 32, 32), "filters=9 size=3 pad=1"),
                        ((3, 32, 32), "filters=8 size=3 pad=1 activation=relu")):
        assert base.fingerprint() != graph_of(size, "convolutional " + first,
                                              "maxpool size=2 stride=2").fingerprint()


def test_a_plan_outlives_another_way_to_thin_boxes_out() -> None:
    """Plans written before `nms_kind` was read still belong to their networks."""
    heads = [graph_of((3, 32, 32), "convolutional filters=18", "yolo classes=1 num=3 anchors=1,2,3,4,5,6"
                      + words) for words in ("", " nms_kind=greedynms beta_nms=0.7")]
    assert heads[0].fingerprint() == heads[1].fingerprint()


def test_wiring_and_consumers() -> None:
    graph = graph_of((3, 8, 8), "convolutional filters=8", "convolutional filters=4", "route layers=-2",
                     "route layers=-1,1 ", "shortcut from=-1", "cost")
    assert [n.inputs for n in graph.nodes] == [(-1,), (0,), (0,), (2, 1), (3, 3), (4,)]
    assert graph.consumers(-1) == (0,) and graph.consumers(0) == (1, 2) and graph.consumers(3) == (4,)
    assert graph.consumers(5) == () and graph.outputs == (4,)
    assert graph.node(3).out_shape == Shape(12, 8, 8)
    with pytest.raises(IndexError):
        graph.node(6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.nodes[0].index = 3  # type: ignore[misc]


def test_outputs_are_the_detection_layers_wherever_they_stand(root: Path) -> None:
    assert load_graph(str(root / "cfg/yolov3.cfg")).outputs == (82, 94, 106)
    graph = graph_of((3, 8, 8), "convolutional filters=7", "region classes=2 num=1 anchors=1,1", "avgpool")
    assert graph.outputs == (1,)
    assert graph_of((3, 8, 8), "avgpool", "softmax", "cost").outputs == (1,)


def test_route_groups_take_a_slice_of_each_input() -> None:
    graph = graph_of((3, 8, 8), "convolutional filters=8", "convolutional filters=12",
                     "route layers=0,1 groups=4 group_id=3")
    options = graph.nodes[2].options
    assert isinstance(options, RouteOptions)
    assert (options.layers, options.groups, options.group_id) == ((0, 1), 4, 3)
    assert graph.nodes[2].out_shape.c == 2 + 3


def test_weights_of_each_kind_of_layer() -> None:
    graph = graph_of((6, 9, 9), "convolutional filters=8 size=3 groups=2 batch_normalize=1 pad=1",
                     "convolutional filters=5 size=1", "connected output=7 batch_normalize=1",
                     "connected output=2", "maxpool")
    conv, plain, norm, last, pool = (n.weights for n in graph.nodes)
    assert conv and conv.total == 8 * 4 + 8 * 3 * 9
    assert (conv.offset("means"), conv.offset("kernels")) == (16, 32)
    assert plain and plain.total == 5 + 5 * 8 and plain.offset("kernels") == 5
    # Connected layers keep their batch norm behind the matrix.
    assert norm and norm.total == 7 * 4 + 7 * 405 and norm.offset("kernels") == 7
    assert norm.offset("scales") == 7 + 7 * 405
    assert last and last.total == 2 + 2 * 7 and pool is None


def test_shapes_of_the_other_layers() -> None:
    graph = graph_of((4, 6, 10), "avgpool", "upsample stride=3", "softmax")
    assert [n.out_shape for n in graph.nodes] == [Shape(4, 1, 1), Shape(4, 3, 3), Shape(4, 3, 3)]
    assert graph_of((8, 6, 10), "reorg stride=2").nodes[0].out_shape == Shape(32, 3, 5)
    dropped = graph_of((8, 6, 10), "avgpool", "dropout probability=.5")
    assert dropped.nodes[1].out_shape == Shape(8, 1, 1)
    for stride_1_size, side in ((2, 13), (5, 13), (9, 13), (13, 13)):
        graph = graph_of((1, 13, 13), f"maxpool size={stride_1_size} stride=1")
        assert graph.nodes[0].out_shape.h == side
    assert graph_of((1, 13, 13), "maxpool size=2 stride=2").nodes[0].out_shape == Shape(1, 7, 7)
    assert graph_of((1, 13, 13), "maxpool size=2 stride=2 padding=0").nodes[0].out_shape == Shape(1, 6, 6)


@examples(300)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.integers(0, 6), st.integers(1, 3))
def test_window_tells_which_input_rows_an_output_row_reads(side: int, size: int, stride: int, padding: int,
                                                           dilation: int) -> None:
    """Sliding the dilated kernel over the padded map by hand gives the same rows."""
    keys = f"filters=2 size={size} stride={stride} "
    if dilation > 1 and size > 1:
        size |= 1
        padding = size // 2 * dilation
        keys = f"filters=2 size={size} stride={stride} pad=1 dilation={dilation}"
    else:
        dilation = 1
        keys += f"padding={padding}"
    tops = [top for top in range(-padding, side + padding, stride)
            if top + (size - 1) * dilation <= side + padding - 1]
    if not tops:
        with pytest.raises(Exception, match="does not fit"):
            graph_of((3, side, side), "convolutional " + keys)
        return
    node = graph_of((3, side, side), "convolutional " + keys).nodes[0]
    window = node.window
    assert window is not None and node.out_shape == Shape(2, len(tops), len(tops))
    assert [window.start(y) for y in range(node.out_shape.h)] == tops
    assert (window.kernel, window.dilation) == (size, dilation)
    assert node.macs == 2 * 3 * size * size * len(tops) ** 2


@examples(300)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 5), st.one_of(st.none(), st.integers(0, 12)))
def test_every_maxpool_window_holds_a_pixel(side: int, size: int, stride: int, padding: int | None) -> None:
    keys = f"maxpool size={size} stride={stride}" + ("" if padding is None else f" padding={padding}")
    total = size - 1 if padding is None else padding
    try:
        node = graph_of((2, side, side), keys).nodes[0]
    except Exception as error:
        assert padding is not None and "without a pixel" in str(error)
        return
    window = node.window
    assert window is not None
    assert node.out_shape.h == (side + total - size) // stride + 1
    for y in range(node.out_shape.h):
        start = window.start(y)
        assert start == y * stride - total // 2
        assert start < side and start + size > 0


def test_dilation_follows_darknet() -> None:
    node = graph_of((3, 20, 20), "convolutional filters=2 size=3 pad=1 dilation=4").nodes[0]
    assert isinstance(node.options, ConvOptions) and node.options.pad == 4
    assert node.out_shape == Shape(2, 20, 20)
    one = graph_of((3, 20, 20), "convolutional filters=2 size=1 dilation=4").nodes[0].options
    assert isinstance(one, ConvOptions) and one.dilation == 1


def test_defaults_are_darknets() -> None:
    options = graph_of((3, 9, 9), "convolutional filters=2").nodes[0].options
    assert options == ConvOptions(filters=2, size=1, stride=1, pad=0, dilation=1, groups=1,
                                  activation="logistic", batch_normalize=False)
    yolo = graph_of((12, 9, 9), "yolo classes=1 num=2 anchors=1,2,3,4").nodes[0].options
    assert yolo == YoloOptions(1, ((1.0, 2.0), (3.0, 4.0)), (0, 1), 1.0, False)
    picked = graph_of((6, 9, 9), "yolo classes=1 num=2 mask=1 anchors=1,2,3,4").nodes[0].options
    assert isinstance(picked, YoloOptions) and picked.anchors == ((3.0, 4.0),)
    region = graph_of((6, 9, 9), "region classes=1 num=1 anchors=1,2").nodes[0].options
    assert region == RegionOptions(1, ((1.0, 2.0),), False, False)


def test_activation_codes_match_the_kernels(root: Path) -> None:
    header = (root / "darkfuse/kernels/df_kernels.h").read_text()
    codes = re.search(r"enum df_act \{([^}]*)\}", header)
    assert codes is not None
    assert [name.strip() for name in codes[1].split(",")] == ["DF_" + name.upper() for name in ACTIVATIONS]
