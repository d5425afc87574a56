"""Cfgs of the detectors of 2020 and later that do not come with darkfuse: the rest of `families.py`."""

from __future__ import annotations

from typing import Any, Callable

from tools.families import Writer
from tools.families_detect import COCO, pyramid, yolo

NMS: dict[str, Any] = {"iou_thresh": 0.213, "iou_loss": "ciou", "nms_kind": "greedynms", "beta_nms": 0.6,
                       "max_delta": 5}


def cross_stage(net: Writer, widths: tuple[int, ...], counts: tuple[int, ...], activation: str,
                groups: int = 1) -> list[int]:
    """A backbone of cross stage partial blocks; gives the last layer of each size."""
    net.conv(32, activation=activation)
    ends = []
    for stage, (width, count) in enumerate(zip(widths, counts)):
        more: dict[str, Any] = {"groups": groups} if groups > 1 and stage else {}
        net.conv(width, 3, 2, activation, **more)
        ends.append(net.csp(width, count, activation, first=not stage))
    return ends


def stack(net: Writer, filters: int, times: int, activation: str) -> int:
    """1x1 and 3x3 in turn, ending with a 1x1."""
    for _ in range(times):
        net.conv(filters, 1, activation=activation)
        net.conv(2 * filters, 3, activation=activation)
    return net.conv(filters, 1, activation=activation)


def aggregate(net: Writer, ends: list[int], activation: str, attention: bool = False) -> str:
    """Pyramid pooling, then paths up and down (YOLOv4), then boxes of every size, the finest first.

    `attention`: [sam] ahead of the boxes.
    """
    stack(net, 512, 1, activation)
    pyramid(net)
    net.conv(512, 1, activation=activation)
    net.conv(1024, activation=activation)
    laterals = [net.conv(512, 1, activation=activation)]
    for level, end in enumerate(ends):
        filters = 256 >> level
        net.conv(filters, 1, activation=activation)
        up = net.add("upsample", stride=2)
        net.route(end)
        side = net.conv(filters, 1, activation=activation)
        net.route(side, up)
        laterals.append(stack(net, filters, 2, activation))
    below = 0
    for level, lateral in enumerate(reversed(laterals)):
        filters = 256 >> len(ends) - 1 << level
        if level:
            net.route(below)
            net.conv(filters, 3, 2, activation)
            net.route(-1, lateral)
            stack(net, filters, 2, activation)
        below = net.at - 1
        net.conv(2 * filters, activation=activation)
        if attention:
            net.conv(2 * filters, 1, activation="logistic")
            net.add("sam", from_=-2)
        yolo(net, tuple(range(3 * level, 3 * level + 3)), 9, COCO, scale_x_y=1.2 - 0.05 * level, **NMS)
    return net.text()


def panet(activation: str = "leaky", groups: int = 1, attention: bool = False) -> str:
    """CSPDarknet-53 or CSPResNeXt-50 with PANet and SPP."""
    net = Writer(512, letter_box=1) if attention else Writer(512)
    ends = cross_stage(net, (64, 128, 256, 512, 1024), (1, 2, 8, 8, 4), activation, groups)
    return aggregate(net, [ends[3], ends[2]], activation, attention)


def scaled(counts: tuple[int, ...], widths: tuple[int, ...], side: int, activation: str = "mish",
           levels: int = 3, frozen: int = 0) -> str:
    """Scaled-YOLOv4 (Wang et al., 2020): partial blocks in the neck too, boxes without exponentials."""
    net = Writer(side, letter_box=1)
    ends = cross_stage(net, widths, counts, activation)
    top = widths[-1] // 2
    aside = net.conv(top, 1, activation=activation)
    net.route(-2)
    stack(net, top, 1, activation)
    pyramid(net)
    net.conv(top, 1, activation=activation)
    more: dict[str, Any] = {"stopbackward": frozen} if frozen else {}
    net.conv(top, activation=activation, **more)
    net.route(-1, aside)
    maps = [net.conv(top, 1, activation=activation)]
    for level in range(1, levels):
        filters = widths[-1 - level] // 2
        net.conv(filters, 1, activation=activation)
        up = net.add("upsample", stride=2)
        net.route(ends[-1 - level])
        side_map = net.conv(filters, 1, activation=activation)
        net.route(side_map, up)
        net.conv(filters, 1, activation=activation)
        maps.append(net.csp(filters, 2, activation))
    below = 0
    for level, lateral in enumerate(reversed(maps)):
        filters = widths[len(widths) - levels + level] // 2
        if level:
            net.route(below)
            down = net.conv(filters, 3, 2, activation)
            net.route(down, lateral)
            net.conv(filters, 1, activation=activation)
            net.csp(filters, 2, activation)
        below = net.at - 1
        net.conv(2 * filters, activation=activation)
        yolo(net, tuple(range(3 * level, 3 * level + 3)), 3 * levels, COCO, scale_x_y=2.0, new_coords=1,
             objectness_smooth=1, resize=1.5, **NMS)
    return net.text()


def tiny(levels: int, contrastive: bool = False) -> str:
    """YOLOv4-tiny with more scales of boxes, or with embeddings beside them."""
    net = Writer(608 if levels == 3 else 416)
    net.conv(32, 3, 2)
    net.conv(64, 3, 2)
    ends = []
    for filters in (64, 128, 256):
        whole = net.conv(filters)
        net.route(-1, groups=2, group_id=1)
        net.conv(filters // 2)
        net.conv(filters // 2)
        net.route(-1, -2)
        ends.append(net.conv(filters, 1))
        net.route(whole, -1)
        net.pool()
    net.conv(512)
    net.conv(256, 1)
    for level in range(levels):
        branch = net.at - 1
        net.conv(512 >> level)
        if contrastive and level + 1 == levels:
            fine = net.at - 1
            embedding = net.conv(3 * 128, 1, activation="linear")
            net.route(0)
            net.add("local_avgpool", size=8, stride=8)
            net.route(-1, fine, onlyforward=1)
            net.conv(128, 1)
            yolo(net, (0, 1, 2), 3 * levels, embedding_layer=embedding, **NMS)
            net.route(embedding)
            net.add("contrastive", classes=1, temperature=1.0, yolo_layer=-2)
            break
        last = 3 * (levels - level)
        yolo(net, tuple(range(last - 3, last)), 3 * levels, COCO, scale_x_y=1.05, **NMS)
        if level + 1 < levels:
            net.route(branch)
            net.conv(128 >> level, 1)
            net.add("upsample", stride=2)
            net.route(-1, ends[2 - level])
    return net.text()


def bottom_up() -> str:
    """Maps of several sizes brought together by [reorg3d], [upsample] and sums; attention."""
    net = Writer(512, letter_box=1, mosaic=1)
    ends = cross_stage(net, (64, 128, 256, 512, 1024), (1, 2, 8, 8, 4), "mish")
    net.conv(512, 1, activation="mish")
    top = net.add("upsample", stride=2)
    net.route(ends[2])
    net.conv(256, 1, activation="mish")
    moved = net.add("reorg3d", stride=2)
    net.route(ends[3])
    same = net.conv(512, 1, activation="mish")
    net.route(moved, same, top)
    net.conv(512, 1, activation="mish")
    net.add("shortcut", from_=same - net.at, activation="linear")
    net.conv(512, 1, activation="logistic")
    net.add("sam", from_=-2)
    net.conv(512, activation="mish")
    yolo(net, (3, 4, 5), 9, COCO, scale_x_y=1.1, **NMS)
    return net.text()


def elan(net: Writer, inner: int, out: int, units: int, step: int, activation: str,
         every: bool = False) -> int:
    """An efficient layer aggregation block (YOLOv7, Wang et al., 2022): a chain of 3x3s, joined."""
    aside = net.conv(inner, 1, activation=activation)
    net.route(-2)
    chain = [net.conv(inner, 1, activation=activation)]
    for number in range(units * step):
        at = net.conv(inner // 2 if every else inner, activation=activation)
        if every or number % step == step - 1:
            chain.append(at)
    net.route(*reversed(chain), aside)
    return net.conv(out, 1, activation=activation)


def halved(net: Writer, filters: int, activation: str, more: tuple[int, ...] = ()) -> int:
    """Half the size by a pooling and by a stride, side by side."""
    start = net.at - 1
    net.pool()
    pooled = net.conv(filters, 1, activation=activation)
    net.route(start)
    net.conv(filters, 1, activation=activation)
    strided = net.conv(filters, 3, 2, activation)
    return net.route(strided, pooled, *more)


def yolov7(units: int = 2, wide: int = 32, side: int = 640) -> str:
    """YOLOv7 and YOLOv7-X."""
    act = "swish"
    net = Writer(side, letter_box=1)
    net.conv(wide, activation=act)
    net.conv(2 * wide, 3, 2, act)
    net.conv(2 * wide, activation=act)
    net.conv(4 * wide, 3, 2, act)
    ends = [elan(net, 2 * wide, 8 * wide, units, 2, act)]
    for stage in range(3):
        halved(net, 4 * wide << stage, act)
        inner, out = min(8 * wide, 4 * wide << stage), min(32 * wide, 16 * wide << stage)
        ends.append(elan(net, inner, out, units, 2, act))
    top = 16 * wide
    aside = net.conv(top, 1, activation=act)
    net.route(-2)
    stack(net, top, 1, act)
    pyramid(net)
    net.conv(top, 1, activation=act)
    net.conv(top, activation=act)
    net.route(-1, aside)
    maps = [net.conv(top, 1, activation=act)]
    for level in (1, 2):
        filters = top >> level
        net.conv(filters, 1, activation=act)
        up = net.add("upsample", stride=2)
        net.route(ends[3 - level])
        net.conv(filters, 1, activation=act)
        net.route(-1, up)
        maps.append(elan(net, filters, filters, 2 * units, 1, act, every=True))
    below = 0
    for level in range(3):
        filters = top >> 2 - level
        if level:
            net.route(below)
            halved(net, filters // 2, act, (maps[2 - level],))
            elan(net, filters, filters, 2 * units, 1, act, every=True)
        below = net.at - 1
        net.conv(2 * filters, activation=act)
        yolo(net, tuple(range(3 * level, 3 * level + 3)), 9, COCO, scale_x_y=2.0, new_coords=1, **NMS)
    return net.text()


CSP = (64, 128, 256, 512, 1024)
X = (80, 160, 320, 640, 1280)
FAMILIES: dict[str, Callable[[], str]] = {
    "cd53paspp-gamma": panet,
    "cd53paspp-omega": lambda: panet("mish"),
    "csresnext50-panet-spp": lambda: panet("leaky", 32),
    "yolov4-sam-mish": lambda: panet("mish", attention=True),
    "yolov4-sam-mish-csp-reorg-bfm": bottom_up,
    "yolov4-csp-swish": lambda: scaled((1, 2, 8, 8, 4), CSP, 640, "swish"),
    "yolov4-csp-x-swish": lambda: scaled((1, 3, 10, 10, 5), X, 640, "swish"),
    "yolov4-csp-x-swish-frozen": lambda: scaled((1, 3, 10, 10, 5), X, 640, "silu", frozen=800),
    "yolov4x-mish": lambda: scaled((1, 3, 10, 10, 5), X, 640),
    "yolov4-p5": lambda: scaled((1, 3, 15, 15, 7), CSP, 896),
    "yolov4-p6": lambda: scaled((1, 3, 15, 15, 7, 7), (*CSP, 1024), 1280, levels=4),
    "cspx-p7-mish": lambda: scaled((1, 3, 15, 15, 7, 7, 7), (*X, 1280, 1280), 1536, levels=5),
    "yolov4-tiny-3l": lambda: tiny(3),
    "yolov4-tiny_contrastive": lambda: tiny(2, True),
    "yolov7": yolov7,
    "yolov7x": lambda: yolov7(3, 40),
}
