"""Cfgs with the shapes of published networks, for tools that plan them: each is written in a few lines.

Activations and detection layers only matter as far as planning sees them. `cfg(name)` is the text, `NETWORKS`
are those it knows beside the cfgs that come with the package, `network(name)` is either's graph.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from darkfuse.graph import Graph, build_graph, load_graph
from darkfuse.model.cfg import parse_cfg

ROOT = Path(__file__).resolve().parent.parent


class Net:
    """A cfg as it is written, layer by layer; methods return the index of the layer they add last."""

    def __init__(self, width: int, height: int) -> None:
        self.text, self.count = [f"[net]\nwidth={width}\nheight={height}\nchannels=3\n"], 0

    def add(self, kind: str, **options: object) -> int:
        """Add a section."""
        self.text.append("".join([f"[{kind}]\n", *(f"{name}={value}\n" for name, value in options.items())]))
        self.count += 1
        return self.count - 1

    def conv(self, filters: int, size: int, stride: int = 1, activation: str = "leaky", norm: int = 1,
             groups: int = 1) -> int:
        """A convolution."""
        more = {"groups": groups} if groups > 1 else {}
        return self.add("convolutional", batch_normalize=norm, filters=filters, size=size, stride=stride,
                        pad=1, activation=activation, **more)

    def pool(self, size: int, stride: int) -> int:
        """A maximum pooling."""
        return self.add("maxpool", size=size, stride=stride)

    def route(self, *layers: int, **options: int) -> int:
        """A concatenation."""
        return self.add("route", layers=",".join(map(str, layers)), **options)

    def shortcut(self, source: int) -> int:
        """A sum with an earlier layer."""
        return self.add("shortcut", **{"from": source}, activation="linear")

    def yolo(self, number: int, classes: int = 80) -> int:
        """A detection head: the linear convolution and the layer that reads it."""
        self.conv(3 * (5 + classes), 1, activation="linear", norm=0)
        anchors = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326"
        return self.add("yolo", mask=",".join(str(3 * number + i) for i in range(3)), anchors=anchors,
                        classes=classes, num=9)


def vgg16() -> Net:
    """VGG-16, a classifier with three connected layers."""
    net = Net(224, 224)
    for filters, layers in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(layers):
            net.conv(filters, 3, activation="relu", norm=0)
        net.pool(2, 2)
    for outputs in (4096, 4096, 1000):
        net.add("connected", output=outputs, activation="relu")
    net.add("softmax")
    return net


def alexnet() -> Net:
    """AlexNet, whose connected layers are nearly all of it."""
    net = Net(227, 227)
    net.add("convolutional", filters=96, size=11, stride=4, pad=0, activation="relu")
    net.pool(3, 2)
    net.conv(256, 5, activation="relu", norm=0)
    net.pool(3, 2)
    for filters in (384, 384, 256):
        net.conv(filters, 3, activation="relu", norm=0)
    net.pool(3, 2)
    for outputs in (4096, 4096, 1000):
        net.add("connected", output=outputs, activation="relu")
    net.add("softmax")
    return net


def resnet(blocks: tuple[int, ...]) -> Net:
    """ResNet with bottlenecks, as in Darknet's resnet50.cfg and resnet152.cfg."""
    net = Net(256, 256)
    net.conv(64, 7, 2)
    last = net.pool(2, 2)
    for stage, count in enumerate(blocks):
        for block in range(count):
            net.conv(64 << stage, 1)
            net.conv(64 << stage, 3, 2 if stage and not block else 1)
            net.conv(256 << stage, 1, activation="linear")
            last = net.shortcut(last)
    net.add("avgpool")
    net.conv(1000, 1, activation="linear", norm=0)
    net.add("softmax")
    return net


def densenet201() -> Net:
    """DenseNet-201: every layer of a block reads all before it."""
    net = Net(256, 256)
    net.conv(64, 7, 2)
    net.pool(2, 2)
    for block, count in enumerate((6, 12, 48, 32)):
        if block:
            channels = (256, 512, 1792)[block - 1]
            net.conv(channels // 2, 1)
            net.pool(2, 2)
        for _ in range(count):
            net.conv(128, 1)
            net.conv(32, 3)
            net.route(-1, -3)
    net.conv(1000, 1, activation="linear", norm=0)
    net.add("avgpool")
    net.add("softmax")
    return net


def _csp(net: Net, filters: int, inner: int, blocks: int, activation: str = "mish") -> int:
    """A stage of CSPDarknet-53: a stride, two branches, one of them residual blocks."""
    down = net.conv(filters, 3, 2, activation)
    left = net.conv(inner, 1, activation=activation)
    net.route(down)
    last = net.conv(inner, 1, activation=activation)
    for _ in range(blocks):
        net.conv(filters // 2, 1, activation=activation)
        net.conv(inner, 3, activation=activation)
        last = net.shortcut(last)
    net.conv(inner, 1, activation=activation)
    net.route(net.count - 1, left)
    return net.conv(filters, 1, activation=activation)


def _spp(net: Net) -> int:
    """Three poolings of one map, and all of them behind one another."""
    source = net.count - 1
    found: list[int] = []
    for size in (5, 9, 13):
        if found:
            net.route(source)
        found.append(net.pool(size, 1))
    return net.route(*reversed(found), source)


def _five(net: Net, filters: int) -> int:
    for number in range(5):
        last = net.conv(filters * (1 + number % 2), 3 if number % 2 else 1)
    return last


def yolov4() -> Net:
    """YOLOv4 at 608: CSPDarknet-53, SPP, a path up and one down, three heads."""
    net = Net(608, 608)
    net.conv(32, 3, activation="mish")
    maps = [_csp(net, 64, 64, 1)]
    maps += [_csp(net, 64 << n, 32 << n, blocks) for n, blocks in ((1, 2), (2, 8), (3, 8), (4, 4))]
    for filters, size in ((512, 1), (1024, 3), (512, 1)):
        net.conv(filters, size)
    _spp(net)
    up = []
    for filters, size in ((512, 1), (1024, 3), (512, 1)):
        up.append(net.conv(filters, size))
    tops = [up[-1]]
    for filters, side in ((256, maps[3]), (128, maps[2])):
        net.conv(filters, 1)
        last = net.add("upsample", stride=2)
        net.route(side)
        net.route(net.conv(filters, 1), last)
        tops.append(_five(net, filters))
    last = tops[2]
    for number, filters in enumerate((128, 256, 512)):
        if number:
            net.route(last)
            net.conv(filters, 3, 2)
            net.route(net.count - 1, tops[2 - number])
            last = _five(net, filters)
        net.conv(2 * filters, 3)
        net.yolo(number)
    return net


def yolov4_csp() -> Net:
    """YOLOv4-CSP at 512: the neck is of branches too."""
    net = Net(512, 512)
    net.conv(32, 3, activation="mish")
    net.conv(64, 3, 2, "mish")
    net.conv(32, 1, activation="mish")
    net.conv(64, 3, activation="mish")
    net.shortcut(-3)
    maps = [_csp(net, 128 << n, 64 << n, blocks) for n, blocks in ((0, 2), (1, 8), (2, 8), (3, 4))]
    left = net.conv(512, 1, activation="mish")
    net.route(maps[3])
    for filters, size in ((512, 1), (512, 3), (512, 1)):
        net.conv(filters, size, activation="mish")
    _spp(net)
    net.conv(512, 1, activation="mish")
    net.conv(512, 3, activation="mish")
    net.route(net.count - 1, left)
    tops = [net.conv(512, 1, activation="mish")]
    for filters, side in ((256, maps[2]), (128, maps[1])):
        net.conv(filters, 1, activation="mish")
        last = net.add("upsample", stride=2)
        net.route(side)
        net.route(net.conv(filters, 1, activation="mish"), last)
        tops.append(_neck(net, filters))
    for number, filters in enumerate((128, 256, 512)):
        if number:
            net.route(tops[2])
            net.conv(filters, 3, 2, "mish")
            net.route(net.count - 1, tops[2 - number])
            tops[2] = _neck(net, filters)
        net.conv(2 * filters, 3, activation="mish")
        net.yolo(number)
    return net


def _neck(net: Net, filters: int) -> int:
    start = net.conv(filters, 1, activation="mish")
    left = net.conv(filters, 1, activation="mish")
    net.route(start)
    for _ in range(2):
        net.conv(filters, 1, activation="mish")
        net.conv(filters, 3, activation="mish")
    net.route(net.count - 1, left)
    return net.conv(filters, 1, activation="mish")


def yolov7_tiny() -> Net:
    """YOLOv7-tiny at 416: many short branches, each read by a concatenation."""
    net = Net(416, 416)
    net.conv(32, 3, 2)
    net.conv(64, 3, 2)
    maps = []
    for number, filters in enumerate((32, 64, 128, 256)):
        if number:
            net.pool(2, 2)
        maps.append(_elan(net, filters, 2 * filters))
    left = net.conv(256, 1)
    net.route(maps[3])
    net.conv(256, 1)
    _spp(net)
    net.conv(256, 1)
    net.route(net.count - 1, left)
    tops = [net.conv(256, 1)]
    for filters, side in ((128, maps[2]), (64, maps[1])):
        net.conv(filters, 1)
        last = net.add("upsample", stride=2)
        net.route(side)
        net.route(net.conv(filters, 1), last)
        tops.append(_elan(net, filters // 2, filters))
    for number, filters in enumerate((64, 128, 256)):
        if number:
            net.route(tops[2])
            net.conv(filters, 3, 2)
            net.route(net.count - 1, tops[2 - number])
            tops[2] = _elan(net, filters // 2, filters)
        net.conv(2 * filters, 3)
        net.yolo(number)
    return net


def _elan(net: Net, inner: int, filters: int) -> int:
    source = net.count - 1
    left = net.conv(inner, 1)
    net.route(source)
    found = [left, net.conv(inner, 1)]
    found += [net.conv(inner, 3), net.conv(inner, 3)]
    net.route(*reversed(found))
    return net.conv(filters, 1)


def _yolov3_spp() -> Net:
    """YOLOv3-SPP at 608."""
    net = Net(608, 608)
    net.conv(32, 3)
    maps = []
    for number, blocks in enumerate((1, 2, 8, 8, 4)):
        last = net.conv(64 << number, 3, 2)
        for _ in range(blocks):
            net.conv(32 << number, 1)
            net.conv(64 << number, 3)
            last = net.shortcut(last)
        maps.append(last)
    for number, filters in enumerate((512, 256, 128)):
        if number:
            net.conv(filters, 1)
            net.add("upsample", stride=2)
            net.route(-1, maps[4 - number])
        for turn in range(2):
            net.conv(filters, 1)
            if not number and not turn:
                net.conv(2 * filters, 3)
                net.conv(filters, 1)
                _spp(net)
                net.conv(filters, 1)
            net.conv(2 * filters, 3)
        last = net.conv(filters, 1)
        net.conv(2 * filters, 3)
        net.yolo(2 - number)
        net.route(last)
    net.text.pop()  # nothing comes after the last head
    return net


NETWORKS: dict[str, Callable[[], Net]] = {
    "vgg-16": vgg16, "alexnet": alexnet, "resnet50": lambda: resnet((3, 4, 6, 3)),
    "resnet152": lambda: resnet((3, 8, 36, 3)), "densenet201": densenet201, "yolov4": yolov4,
    "yolov4-csp": yolov4_csp, "yolov7-tiny": yolov7_tiny, "yolov3-spp": _yolov3_spp,
}


def cfg(name: str) -> str:
    """The cfg of one of `NETWORKS`."""
    return "".join(NETWORKS[name]().text)


def network(name: str) -> Graph:
    """A network by name: one that comes with the package, or one of `NETWORKS`."""
    if name in NETWORKS:
        return build_graph(parse_cfg(cfg(name)))
    return load_graph(str(ROOT / "cfg" / f"{name}.cfg"))
