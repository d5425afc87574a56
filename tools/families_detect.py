"""Cfgs of published detectors that do not come with darkfuse: more of what `families.py` is for."""

from __future__ import annotations

from typing import Any, Callable

from tools.families import Writer

ANCHORS = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326"
COCO = 80


def yolo(net: Writer, mask: tuple[int, ...], num: int = 9, classes: int = COCO, **more: Any) -> None:
    """A 1x1 without activation, and the [yolo] layer that reads it."""
    activation = "logistic" if more.get("new_coords") else "linear"
    net.conv(len(mask) * (5 + classes), 1, activation=activation, norm=0)
    anchors = ", ".join(f"{8 + 5 * n},{9 + 6 * n}" for n in range(num)) if num != 9 else ANCHORS
    net.add("yolo", mask=",".join(map(str, mask)), anchors=anchors, classes=classes, num=num, **more)


def region(net: Writer, classes: int = COCO, num: int = 5) -> str:
    """A 1x1 without activation, and the [region] layer that reads it."""
    net.conv(num * (5 + classes), 1, activation="linear", norm=0)
    net.add("region", anchors=", ".join(f"{1 + n},{1.5 + n}" for n in range(num)), bias_match=1,
            classes=classes, coords=4, num=num, softmax=1, absolute=1, random=1)
    return net.text()


def pyramid(net: Writer, size: int = 5) -> int:
    """Spatial pyramid pooling (He et al., 2014): the map beside its maxima over three windows."""
    start = net.at - 1
    pools = []
    for window in (size, 2 * size - 1, 3 * size - 2):
        pools.append(net.pool(window, 1))
        if len(pools) < 3:
            net.route(start)
    return net.route(*reversed(pools), start)


# -- YOLOv1 and what was there before it -------------------------------------------------------------------

def yolov1(tiny: bool, side: int = 7, num: int = 2, classes: int = 20, crop: bool = False,
           local: bool = False, activation: str = "leaky") -> str:
    """Redmon et al., 2015: cells of a fully connected output."""
    net = Writer(448)
    if crop:
        net.add("crop", crop_width=448, crop_height=448, flip=0, angle=0, saturation=1.5, exposure=1.5)
    if tiny:
        for filters in (16, 32, 64, 128, 256, 512):
            net.conv(filters, activation=activation)
            net.pool()
        net.conv(1024, activation=activation)
        net.conv(256, activation=activation)
    else:
        net.conv(64, 7, 2, activation)
        net.pool()
        for filters in (192, 128, 256, 256, 512, 256, 512, 256, 512, 512, 1024):
            net.conv(filters, 3 if filters in (192, 256, 512, 1024) else 1, activation=activation)
            if filters == 192:
                net.pool()
        for _ in range(2):
            net.pool()
            net.conv(512, 1, activation=activation)
            net.conv(1024, 3, activation=activation)
        net.conv(1024, 3, 2, activation)
    if local:
        net.add("local", size=3, stride=1, pad=1, filters=256, activation=activation)
        net.add("dropout", probability=0.5)
    net.connected(side * side * (5 * num + classes), "linear")
    net.add("detection", classes=classes, coords=4, rescore=1, side=side, num=num, softmax=0, sqrt=1)
    return net.text()


def first_detection() -> str:
    """Darknet's first detector, of 2014: ramps, one box a cell, defaults for side and num."""
    net = Writer(448, seen=0)
    net.add("crop", crop_width=448, crop_height=448, flip=0, angle=0, saturation=2, exposure=2)
    net.conv(64, 7, 2, "ramp", 0)
    for filters, size, stride in ((192, 3, 2), (128, 1, 1), (256, 3, 2), (128, 1, 1), (256, 3, 1),
                                  (512, 3, 2), (256, 1, 1), (512, 3, 1), (1024, 3, 2), (512, 1, 1),
                                  (1024, 3, 2)):
        net.conv(filters, size, stride, "ramp", 0)
    net.connected(4096, "ramp")
    net.add("dropout", probability=0.5)
    net.connected(1225, "logistic")
    net.add("detection", classes=20, coords=4, rescore=0, nuisance=1, background=1)
    return net.text()


def xyolo() -> str:
    """YOLOv1-tiny with signs for weights, and a batch norm of its own ahead of each of them."""
    net = Writer(448)
    net.add("crop", crop_width=448, crop_height=448, flip=0, angle=0, noadjust=1)
    net.conv(16)
    for filters in (32, 64, 128, 256, 512):
        net.pool()
        net.add("batchnorm")
        net.conv(filters, xnor=1)
    net.pool()
    net.add("batchnorm")
    net.conv(1024)
    net.conv(128)
    net.connected(1470, "linear")
    net.add("detection", classes=20, coords=4, rescore=1, side=7, num=2, softmax=0, sqrt=1)
    return net.text()


# -- YOLOv2 --------------------------------------------------------------------------------------------------

def tiny_yolo(**more: Any) -> str:
    """YOLOv2-tiny, with options for its inner convolutions."""
    net = Writer(416)
    net.conv(16)
    for filters in (32, 64, 128, 256, 512):
        net.pool()
        net.conv(filters, **more)
    net.pool(2, 1)
    net.conv(1024, **more)
    net.conv(512, **more)
    return region(net)


def separable(shortcuts: bool, width: int = 960, height: int = 512) -> str:
    """YOLOv2 of depthwise convolutions between narrow 1x1s, not square."""
    net = Writer(width, height)
    net.conv(32, 3, 2, "relu")
    early, before = 0, 32
    for filters, stride in ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 1), (512, 2),
                            (1024, 1), (1024, 1), (1024, 1)):
        net.depthwise(before, 3, stride)
        net.conv(max(16, filters // 4), 1, activation="linear")
        net.conv(filters, 1, activation="relu")
        if stride == 2 and filters == 512:
            early = net.at - 4  # the last map of its size
        if shortcuts and stride == 1 and before == filters:
            net.shortcut(4, "relu")
        before = filters
    late = net.at - 1
    net.route(early)
    net.conv(64, 1, activation="relu")
    net.add("reorg", stride=2)
    net.route(-1, late)
    net.conv(1024, 1, activation="relu")
    return region(net, 3, 10)


def mobilenet() -> str:
    """Howard et al., 2017, ahead of a [region]."""
    net = Writer(416)
    net.conv(32, 3, 2, "relu")
    before = 32
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1),
                            (1024, 2), (1024, 1)):
        net.depthwise(before, 3, stride, "relu")
        net.conv(filters, 1, activation="relu")
        before = filters
    return region(net, 20)


# -- YOLOv3 --------------------------------------------------------------------------------------------------

def darknet53(net: Writer, activation: str = "leaky") -> list[int]:
    """The backbone; gives the last layer of each size."""
    net.conv(32, activation=activation)
    ends = []
    for stage, count in enumerate((1, 2, 8, 8, 4)):
        net.conv(64 << stage, 3, 2, activation)
        for _ in range(count):
            net.conv(32 << stage, 1, activation=activation)
            net.conv(64 << stage, 3, activation=activation)
            net.shortcut(3)
        ends.append(net.at - 1)
    return ends


def yolov3(levels: int = 3, spp: bool = False, head: str = "yolo", classes: int = COCO) -> str:
    """YOLOv3 with three to five scales of boxes, or with Gaussian ones (Choi et al., 2019)."""
    net = Writer(512 if head == "Gaussian_yolo" else 416)
    ends = darknet53(net)
    num = 3 * levels
    for level in range(levels):
        filters = max(32, 512 >> level)
        branch = 0
        for turn in range(3):
            net.conv(filters, 1)
            if spp and not level and turn == 1:
                pyramid(net)
                net.conv(filters, 1)
            if turn == 2:
                branch = net.at - 1
            net.conv(2 * filters)
        mask = tuple(range(num - 3 * level - 3, num - 3 * level))
        if head == "yolo":
            yolo(net, mask, num, classes)
        else:
            net.conv(3 * (9 + classes), 1, activation="linear", norm=0)
            net.add(head, mask=",".join(map(str, mask)), anchors=ANCHORS, classes=classes, num=num,
                    iou_loss="mse", scale_x_y=1.0)
        if level + 1 < levels:
            net.route(branch)
            net.conv(filters // 2, 1)
            net.add("upsample", stride=2)
            net.route(-1, ends[3 - level])
    return net.text()


def yolov3_tiny(levels: int = 2, **more: Any) -> str:
    """YOLOv3-tiny, with options for its inner convolutions."""
    net = Writer(416)
    net.conv(16)
    ends = []
    for filters in (32, 64, 128, 256, 512):
        net.pool()
        ends.append(net.conv(filters, **more))
    net.pool(2, 1)
    net.conv(1024, **more)
    net.conv(256, 1, **more)
    for level in range(levels):
        branch = net.at - 1
        net.conv(512 >> level, **more)
        yolo(net, tuple(range(3 * (levels - level) - 3, 3 * (levels - level))), 3 * levels)
        if level + 1 < levels:
            net.route(branch)
            net.conv(128 >> level, 1, **more)
            net.add("upsample", stride=2)
            net.route(-1, ends[3 - level])
    return net.text()


def tiny_prn() -> str:
    """YOLOv3-tiny with a partial residual network (Wang et al., 2019): sums of maps of two widths."""
    net = Writer(416)
    net.conv(16)
    ends = []
    for filters in (32, 64, 128, 256, 512):
        net.pool()
        ends.append(net.conv(filters))
    net.pool(2, 1)
    top = net.conv(512)
    net.conv(256, 1)
    branch = net.conv(256)
    net.add("shortcut", activation="leaky", from_=top - net.at)
    yolo(net, (3, 4, 5), 6)
    net.route(branch)
    net.conv(128, 1)
    net.add("upsample", stride=2)
    net.add("shortcut", activation="leaky", from_=ends[3] - net.at)
    net.conv(128)
    yolo(net, (0, 1, 2), 6)
    return net.text()


def trident() -> str:
    """Three branches of one set of weights at three dilations (Li et al., 2019)."""
    net = Writer(608)
    net.conv(64, 7, 2)
    net.pool()
    for stage, count in enumerate((3, 4)):
        for number in range(count):
            net.conv(64 << stage, 1)
            net.conv(64 << stage, 3, 2 if stage and not number else 1)
            net.conv(256 << stage, 1, activation="linear")
            net.shortcut(4, "leaky")
    start = net.at - 1
    first: list[int] = []
    for branch, dilation in enumerate((3, 2, 1)):
        if branch:
            net.route(start)
        for unit in range(2):
            own = []
            for turn, (filters, size) in enumerate(((128, 1), (128, 3), (512, 1))):
                which = first[3 * unit + turn] if branch else None
                more: dict[str, Any] = {"share_index": which} if which is not None else {}
                own.append(net.conv(filters, size, activation="linear" if turn == 2 else "leaky",
                                    dilation=dilation, **more))
            first += own if not branch else []
            net.shortcut(4, "leaky")
        yolo(net, tuple(range(8 - 4 * branch, 12 - 4 * branch)), 12, 1)
    return net.text()


FAMILIES: dict[str, Callable[[], str]] = {
    "yolov1-small": lambda: yolov1(False, crop=True, local=True),
    "yolov1-tiny-coco": lambda: yolov1(True, 7, 3, COCO),
    "yolo_2class_box11": lambda: yolov1(False, 11, 2, 2, crop=True),
    "detection": first_detection,
    "xyolo.test": xyolo,
    "tiny-yolo": tiny_yolo,
    "tiny-yolo_xnor": lambda: tiny_yolo(xnor=1, bin_output=1),
    "yolov2-mobilenet": mobilenet,
    "yolov2-separable": lambda: separable(False),
    "yolov2-separable-shortcuts": lambda: separable(True),
    "yolov3_5l": lambda: yolov3(5),
    "yolov3-spp": lambda: yolov3(3, True),
    "Gaussian_yolov3_BDD": lambda: yolov3(3, head="Gaussian_yolo", classes=10),
    "yolov3-tiny_3l": lambda: yolov3_tiny(3),
    "yolov3-tiny_xnor": lambda: yolov3_tiny(xnor=1, bin_output=1),
    "yolov3-tiny-prn": tiny_prn,
    "resnet152_trident": trident,
}
