"""Byte offsets into .weights files, and the refusal of files that do not fit."""

from __future__ import annotations

import array
import math
import struct
import sys
import warnings
from pathlib import Path

import pytest

from darkfuse.errors import WeightsError
from darkfuse.graph import Graph, build_graph, load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.model.cfg import parse_cfg
from darkfuse.model.weights import WeightsWarning, load_weights_index, read_header

CFG = """[net]
width=8
height=8
channels=3
{net}
[convolutional]
filters=4
batch_normalize=1
activation=leaky
{first}
[maxpool]
[convolutional]
filters=2
activation=linear
"""
COUNTS = (4 * 4 + 4 * 3, 0, 2 + 2 * 4)


def small_graph(net: str = "", first: str = "") -> Graph:
    return build_graph(parse_cfg(CFG.format(net=net, first=first), "small.cfg"))


def write(path: Path, floats: int, version: tuple[int, int, int] = (0, 2, 5), seen: int = 7) -> str:
    wide = version[0] * 10 + version[1] >= 2 and max(version[:2]) < 1000
    data = struct.pack("<iii", *version) + struct.pack("<Q" if wide else "<I", seen)
    path.write_bytes(data + array.array("f", range(floats)).tobytes())
    return str(path)


@pytest.mark.parametrize(("version", "header"), [((0, 1, 0), 16), ((0, 2, 0), 20), ((0, 2, 5), 20),
                                                 ((1, 0, 0), 20), ((0, 1001, 0), 16), ((1001, 2, 0), 16)])
def test_both_headers(tmp_path: Path, version: tuple[int, int, int], header: int) -> None:
    path = write(tmp_path / "x.weights", sum(COUNTS), version, seen=123456789)
    index = weight_offsets(small_graph(), path)
    assert (index.header.major, index.header.minor, index.header.revision) == version
    assert index.header.bytes == header and index.header.seen == 123456789
    assert index.transposed == (max(version[:2]) > 1000)
    assert index.offsets == (header, None, header + 4 * COUNTS[0])
    assert index.size == index.used == header + 4 * sum(COUNTS)


def test_images_seen_past_32_bits(tmp_path: Path) -> None:
    assert read_header(write(tmp_path / "x.weights", 1, seen=2**40))[0].seen == 2**40


@pytest.mark.parametrize(("missing", "layer", "line"), [(1, 2, 12), (10, 2, 12), (11, 0, 6), (38, 0, 6)])
def test_too_short_names_layer_and_bytes(tmp_path: Path, missing: int, layer: int, line: int) -> None:
    path = write(tmp_path / "x.weights", sum(COUNTS) - missing)
    with pytest.raises(WeightsError) as caught:
        weight_offsets(small_graph(), path)
    message = str(caught.value)
    assert message.startswith(f"{path}: too short") and "\n" not in message
    assert f"layer {layer} (convolutional, small.cfg:{line})" in message
    assert f"{4 * missing} bytes are missing" in message


def test_a_file_cut_within_a_float_is_too_short(tmp_path: Path) -> None:
    path = tmp_path / "x.weights"
    write(path, sum(COUNTS))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="1 bytes are missing"):
        weight_offsets(small_graph(), str(path))


def test_too_long_warns_and_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "x.weights", sum(COUNTS) + 3)
    with pytest.warns(WeightsWarning, match="12 bytes are left over"):
        index = weight_offsets(small_graph(), path)
    assert index.offsets[2] == 20 + 4 * COUNTS[0]
    assert index.size - index.used == 12


def test_exact_fit_does_not_warn(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weight_offsets(small_graph(), write(tmp_path / "x.weights", sum(COUNTS)))


@pytest.mark.parametrize("data", [b"", b"\0" * 15, b"\x89PNG\r\n\x1a\n" + bytes(64), b"[net]\nwidth=8\n" * 9,
                                  struct.pack("<iiiQ", -1, 2, 0, 0), struct.pack("<iiii", 0, 2, 0, 0)])
def test_nonsense_headers(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.weights"
    path.write_bytes(data)
    with pytest.raises(WeightsError) as caught:
        read_header(str(path))
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.weights", tmp_path):
        with pytest.raises(WeightsError, match="cannot read the weights"):
            weight_offsets(small_graph(), str(path))


def test_dontload_and_cutoff_take_nothing_from_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.weights", COUNTS[2])
    assert weight_offsets(small_graph(first="dontload=1"), path).offsets == (None, None, 20)
    path = write(tmp_path / "b.weights", COUNTS[0])
    assert weight_offsets(small_graph(net="cutoff=2"), path).offsets == (20, None, None)


def test_offsets_without_a_graph(tmp_path: Path) -> None:
    path = write(tmp_path / "x.weights", 7)
    assert load_weights_index(path, [3, 0, 4]).offsets == (20, None, 32)
    with pytest.raises(WeightsError, match="layer 2; .* 4 bytes are missing"):
        load_weights_index(path, [3, 0, 5])


@pytest.mark.parametrize("name", ["yolov3-tiny", "yolov2-lite-coco"])
def test_trained_weights_lie_where_the_index_says(shared: Path, name: str) -> None:
    """Trained rolling variances and scales are positive, kernels small: an offset gone wrong would show."""
    graph = load_graph(str(shared / f"models/{name}.cfg"))
    index = weight_offsets(graph, str(shared / f"models/{name}.weights"))
    assert index.used == index.size
    data = (shared / f"models/{name}.weights").read_bytes()

    def read(node: int, part: str) -> array.array[float]:
        layout, base = graph.nodes[node].weights, index.offsets[node]
        assert layout is not None and base is not None
        values = array.array("f")
        start = base + 4 * layout.offset(part)
        values.frombytes(data[start : start + 4 * getattr(layout, part)])
        if sys.byteorder == "big":
            values.byteswap()
        return values

    for node in graph.nodes:
        if node.weights is None:
            continue
        kernels = read(node.index, "kernels")
        assert all(map(math.isfinite, kernels))
        if node.weights.variances:
            assert min(read(node.index, "variances")) > 0.0
            assert min(read(node.index, "scales")) > 0.0
            assert max(map(abs, kernels)) < 10.0


def test_weights_of_another_network_are_refused(root: Path, shared: Path) -> None:
    with pytest.raises(WeightsError, match="168499308 bytes are missing"):
        weight_offsets(load_graph(str(root / "cfg/yolov2.cfg")), str(shared / "models/yolov3-tiny.weights"))
