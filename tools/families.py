"""Cfgs of published networks that do not come with darkfuse, written from their papers' tables.

`FAMILIES` maps a name to a function that gives the text of a cfg. They are for checks: of what loads and
plans (`check_cfgs.py`) and of the least memory a network runs in (`least_process.py`).
"""

from __future__ import annotations

from typing import Any, Callable


class Writer:
    """Text of a cfg, section by section; `at` is the index of the next layer."""

    def __init__(self, width: int, height: int = 0, channels: int = 3, **net: Any) -> None:
        self.at = -1
        self.parts: list[str] = []
        self.add("net", width=width, height=height or width, channels=channels, **net)

    def add(self, section: str, **options: Any) -> int:
        """Add a section; returns its layer's index. An option called `from_` is written `from`."""
        lines = [f"{key.rstrip('_')}={value}\n" for key, value in options.items()]
        self.parts.append(f"[{section}]\n" + "".join(lines))
        self.at += 1
        return self.at - 1

    def conv(self, filters: int, size: int = 3, stride: int = 1, activation: str = "leaky", norm: int = 1,
             **more: Any) -> int:
        """A convolution padded to keep the map's size at stride 1."""
        first: dict[str, Any] = {"batch_normalize": 1} if norm else {}
        return self.add("convolutional", **first, filters=filters, size=size, stride=stride, pad=1,
                        activation=activation, **more)

    def pool(self, size: int = 2, stride: int = 2, **more: Any) -> int:
        """A max pooling."""
        return self.add("maxpool", size=size, stride=stride, **more)

    def connected(self, output: int, activation: str = "relu") -> int:
        """A fully connected layer."""
        return self.add("connected", output=output, activation=activation)

    def route(self, *layers: int, **more: Any) -> int:
        """A concatenation."""
        return self.add("route", layers=",".join(map(str, layers)), **more)

    def shortcut(self, back: int, activation: str = "linear") -> int:
        """A sum with the map `back` layers before."""
        return self.add("shortcut", from_=-back, activation=activation)

    def csp(self, filters: int, count: int, activation: str = "mish", inner: int = 0,
            first: bool = False) -> int:
        """A cross stage partial block (Wang et al., 2019): `count` residual units beside a 1x1, joined."""
        half = filters if first else filters // 2
        aside = self.conv(half, 1, activation=activation)
        self.route(-2)
        self.conv(half, 1, activation=activation)
        for _ in range(count):
            self.conv(inner or half, 1, activation=activation)
            self.conv(half, 3, activation=activation)
            self.shortcut(3)
        self.conv(half, 1, activation=activation)
        self.route(-1, aside)
        return self.conv(filters, 1, activation=activation)

    def depthwise(self, filters: int, size: int = 3, stride: int = 1, activation: str = "linear") -> int:
        """A convolution of every channel by itself."""
        return self.conv(filters, size, stride, activation, groups=filters)

    def text(self) -> str:
        """The whole cfg."""
        return "\n".join(self.parts)


def alexnet() -> str:
    """Krizhevsky et al., 2012, without its two groups, at 227x227."""
    net = Writer(227)
    net.add("convolutional", filters=96, size=11, stride=4, pad=0, activation="relu")
    net.pool(3, 2, padding=0)
    net.conv(256, 5, activation="relu", norm=0)
    net.pool(3, 2, padding=0)
    for filters in (384, 384, 256):
        net.conv(filters, activation="relu", norm=0)
    net.pool(3, 2, padding=0)
    return _three_connected(net)


def vgg16() -> str:
    """Simonyan and Zisserman, 2014, configuration D; the middle 224x224 of 256x256."""
    net = Writer(256)
    net.add("crop", crop_width=224, crop_height=224)
    for filters, times in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(times):
            net.conv(filters, activation="relu", norm=0)
        net.pool()
    return _three_connected(net)


def _three_connected(net: Writer) -> str:
    for _ in range(2):
        net.connected(4096)
        net.add("dropout", probability=0.5)
    net.connected(1000, "linear")
    net.add("softmax", groups=1)
    return net.text()


def _bottlenecks(net: Writer, times: tuple[int, ...], groups: int = 1, width: int = 64,
                 activation: str = "leaky") -> None:
    """He et al., 2015: 1x1, 3x3, 1x1 around a sum, the first of each size wider than its input."""
    for stage, count in enumerate(times):
        inner = width << stage
        more: dict[str, Any] = {"groups": groups} if groups > 1 else {}
        for number in range(count):
            net.conv(inner, 1, activation=activation)
            net.conv(inner, 3, 2 if stage and not number else 1, activation, **more)
            net.conv(256 << stage, 1, activation="linear")
            net.shortcut(4, activation)


def _classes(net: Writer, count: int = 1000) -> str:
    net.add("avgpool")
    net.conv(count, 1, activation="linear", norm=0)
    net.add("softmax", groups=1)
    return net.text()


def resnet(times: tuple[int, ...], groups: int = 1, width: int = 64) -> str:
    """A residual network of bottlenecks (He et al., 2015; with groups, Xie et al., 2016)."""
    net = Writer(256)
    net.conv(64, 7, 2)
    net.pool()
    _bottlenecks(net, times, groups, width)
    return _classes(net)


def msr(basic: bool, times: tuple[int, ...]) -> str:
    """Residual networks as Darknet first had them: cropped, pooled by 3, sums of maps of two sizes."""
    net = Writer(256)
    net.add("crop", crop_height=224, crop_width=224, flip=1, saturation=1, exposure=1, angle=0)
    net.conv(64, 7, 2)
    net.pool(3, 2)
    for stage, count in enumerate(times):
        for number in range(count):
            stride = 2 if stage and not number else 1
            if basic:
                net.conv(64 << stage, 3, stride)
                net.conv(64 << stage, 3)
                net.add("shortcut", from_=-3)
            else:
                net.conv(64 << stage, 1, stride)
                net.conv(64 << stage, 3)
                net.conv(256 << stage, 1)
                net.add("shortcut", from_=-4)
    net.add("avgpool")
    net.connected(1000, "leaky")
    net.add("softmax", groups=1)
    net.add("cost", type="sse")
    return net.text()


def efficientnet(gates: bool, widths: tuple[int, ...], counts: tuple[int, ...], side: int = 224) -> str:
    """Tan and Le, 2019: inverted bottlenecks, depthwise in the middle, channels weighed (`gates`) or not."""
    activation = "swish" if gates else "relu6"
    net = Writer(side)
    net.conv(32, 3, 2, activation)
    before = 32
    for stage, (width, count) in enumerate(zip(widths, counts)):
        for number in range(count):
            stride = (1, 2, 2, 2, 1, 2, 1)[stage] if not number else 1
            inner = before * (6 if stage else 1)
            start = net.at - 1
            net.conv(inner, 1, activation=activation)
            middle = net.depthwise(inner, (3, 3, 5, 3, 5, 5, 3)[stage], stride, activation)
            if gates:
                net.add("avgpool")
                net.conv(max(8, before // 4), 1, activation=activation, norm=0)
                net.conv(inner, 1, activation="logistic", norm=0)
                net.add("scale_channels", from_=middle - net.at)
            net.conv(width, 1, activation="linear")
            if number:
                net.add("dropout", probability=0.2)
                net.add("shortcut", from_=start - net.at, activation="linear")
            before = width
    net.conv(4 * widths[-1], 1, activation=activation)
    net.add("avgpool")
    net.add("dropout", probability=0.2)
    net.conv(1000, 1, activation="linear", norm=0)
    net.add("softmax", groups=1)
    return net.text()


def darknet53_xnor() -> str:
    """Darknet-53 with weights and inputs meant to be signs."""
    net = Writer(448)
    net.conv(32)
    for stage, count in enumerate((1, 2, 8, 8, 4)):
        net.conv(64 << stage, 3, 2, xnor=1, bin_output=1)
        for _ in range(count):
            net.conv(32 << stage, 1, xnor=1)
            net.conv(64 << stage, 3, xnor=1, bin_output=1)
            net.shortcut(3)
    return _classes(net)


FAMILIES: dict[str, Callable[[], str]] = {
    "alexnet": alexnet,
    "vgg-16": vgg16,
    "resnet50": lambda: resnet((3, 4, 6, 3)),
    "resnet101": lambda: resnet((3, 4, 23, 3)),
    "resnext50": lambda: resnet((3, 4, 6, 3), 32, 128),
    "msr_34": lambda: msr(True, (3, 4, 6, 3)),
    "msr_50": lambda: msr(False, (3, 4, 6, 3)),
    "msr_152": lambda: msr(False, (3, 8, 36, 3)),
    "efficientnet_b0": lambda: efficientnet(True, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
    "efficientnet-lite3": lambda: efficientnet(False, (24, 32, 48, 96, 136, 232, 384), (1, 3, 3, 5, 5, 6, 1),
                                               288),
    "darknet53_448_xnor": darknet53_xnor,
}
