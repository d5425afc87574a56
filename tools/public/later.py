"""Networks of AlexeyAB's collection from YOLOv4 on, but for those whose cfg comes with darkfuse."""

from __future__ import annotations

from typing import Any, Callable

from tools.public.early import CSP_STEM, P7, partial
from tools.public.shorthand import cfg, count

ANCHORS = "12,16, 19,36, 40,28, 36,75, 76,55, 72,146, 142,110, 192,243, 459,401"
OLDER = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326"
TINY_ANCHORS = "10,14, 23,27, 37,58, 81,82, 135,169, 344,319"
P5 = "13,17, 31,25, 24,51, 61,45, 48,102, 119,96, 97,189, 217,184, 171,384, 324,451, 616,618, 800,800"
P6 = ("13,17, 31,25, 24,51, 61,45, 61,45, 48,102, 119,96, 97,189, 97,189, 217,184, 171,384, 324,451, "
      "324,451, 545,357, "
      "616,618, 1024,1024")
P7_ANCHORS = ("13,17, 22,25, 27,66, 55,41, 57,88, 112,69, 69,177, 136,138, 136,138, 287,114, 134,275, "
              "268,248, 268,248, "
              "232,504, 445,416, 640,640, 812,393, 477,808, 1070,908, 1408,1408")
# One comma is missing in the published file, so that Darknet reads an anchor of 4561.
P7_SHORT = ("13,17, 31,25, 24,51, 61,45    61,45, 48,102, 119,96, 97,189, 97,189, 217,184, 171,384, "
            "324,451, 324,451, "
            "545,357, 616,618, 800,800")
PLAIN = {"classes": 80, "num": 9, "anchors": ANCHORS, "iou_loss": "ciou", "iou_thresh": 0.213,
         "nms_kind": "greedynms", "beta_nms": 0.6}
NEW = {"classes": 80, "num": 9, "anchors": ANCHORS, "scale_x_y": 2.0, "objectness_smooth": 1,
       "iou_loss": "ciou",
       "resize": 1.5, "nms_kind": "diounms", "beta_nms": 0.6, "new_coords": 1, "max_delta": 2}
LETTER = {"letter_box": 1, "mosaic": 1, "ema_alpha": 0.9998}
POOLS = "max5/1 r-2 max9/1 r-4 max13/1 r-1,-3,-5,-6"
CSP53 = f"{CSP_STEM} {partial(128, 2)} {partial(256, 8)} {partial(512, 8)} {partial(1024, 4)}"
# CSPResNeXt-50: 3, 3, 5 and 2 units of 32 groups beside a 1x1.
NEXT50 = ("64/7s2 max2/2 128/1 r-2 64/1 3(128/1 128/3g32 128/1:linear +4:leaky) 128/1 r-1,-16 256/1 "
          "256/3s2g32 256/1:linear r-2 256/1:linear 3(256/1 256/3g32 256/1:linear +4:leaky) 256/1 r-1,-16 "
          "512/1 "
          "512/3s2g32 512/1:linear r-2 512/1:linear 5(512/1 512/3g32 512/1:linear +4:leaky) 512/1 r-1,-24 "
          "1024/1 "
          "1024/3s2g32 1024/1 r-2 1024/1 2(1024/1 1024/3g32 1024/1:linear +4:leaky) 1024/1 r-1,-12 2048/1")
TINY = ("32/3s2 64/3s2 64/3 half-1 32/3 32/3 r-1,-2 64/1 r-6,-1 max2/2 128/3 half-1 64/3 64/3 r-1,-2 128/1 "
        "r-6,-1 "
        "max2/2 256/3 half-1 128/3 128/3 r-1,-2 256/1 r-6,-1 max2/2 512/3 ")


def panet(body: str, ends: tuple[int, int], width: int, usual: str = "leaky", out: str = "linear",
          scales: tuple[str, str, str] = ("*1.2", "*1.1", "*1.05"), net: dict[str, Any] | None = None,
          **options: Any) -> str:
    """A backbone with PANet and SPP (YOLOv4): a neck of leaky convolutions, boxes of three sizes."""
    return cfg(
        f"{body} use:leaky 512/1 1024/3 512/1 {POOLS} 512/1 1024/3 512/1 256/1 up2 r{ends[0]} 256/1 r-1,-3 "
        f"2(256/1 512/3) 256/1 128/1 up2 r{ends[1]} 128/1 r-1,-3 3(128/1 256/3) 255/1n:{out} "
        f"head0,1,2{scales[0]} r-4 "
        f"256/3s2 r-1,-16 3(256/1 512/3) 255/1n:{out} head3,4,5{scales[1]} r-4 512/3s2 r-1,-37 3(512/1 "
        f"1024/3) "
        f"255/1n:{out} head6,7,8{scales[2]}", width, usual=usual, net=net, options={**PLAIN, **options})


def scaled(body: str, widths: tuple[int, ...], plain: int, width: int, usual: str = "mish",
           spp: tuple[int, int] = (1, 1), boxes: int = 3, **options: Any) -> str:
    """Scaled-YOLOv4 (Wang et al., 2020): partial blocks in the neck, boxes without exponentials.

    `widths`: of the neck, the coarsest first; `plain`: 1x1 and 3x3 pairs in its blocks; `spp`: pairs ahead of
    and after the pooling.
    """
    stages = body.split("|")
    at = [count(" ".join(stages[: n + 1])) - 1 for n in range(len(stages))]
    wide = widths[0]
    before, after = spp
    text = (f"{body} {wide}/1 r-2 {wide}/1 {before}({wide}/3 {wide}/1) {POOLS} {after}({wide}/1 {wide}/3) "
            f"r-1,-{9 + 2 * before + 2 * after} {wide}/1")
    tops = [count(text) - 1]
    block = "{0}/1 r-2 " + f"{plain}({{0}}/1 {{0}}/3) r-1,-{2 * plain + 2} {{0}}/1"
    for level, narrow in enumerate(widths[1:]):
        text += f" {narrow}/1 up2 r{at[-2 - level]} {narrow}/1 r-1,-3 {narrow}/1 {block.format(narrow)}"
        tops.append(count(text) - 1)
    outs = [tops[-1]]
    for level, wide in enumerate(reversed(widths[:-1])):
        text += f" {wide}/3s2 r-1,{tops[-2 - level]} {wide}/1 {block.format(wide)}"
        outs.append(count(text) - 1)
    for level, (out, wide) in enumerate(zip(outs, reversed(widths))):
        mask = ",".join(str(boxes * level + n) for n in range(boxes))
        text += f" r{out} {2 * wide}/3 {85 * boxes}/1n:logistic head{mask}"
    return cfg(text, width, usual=usual, net=LETTER, options={**NEW, "num": boxes * len(widths), **options})


def heads(ends: tuple[int, ...], masks: tuple[str, ...], widths: tuple[int, ...]) -> str:
    """Boxes of maps weighed by an attention of their own ([sam])."""
    return " ".join(f"r{end} {wide}/1 {wide}/1:logistic sam-2 {wide}/1 "
                    f"{85 * (mask.count(',') + 1)}/1n:linear head{mask}"
                    for end, mask, wide in zip(ends, masks, widths))


def p7(masks: tuple[str, ...], **options: Any) -> str:
    """CSP-P7: five sizes of boxes, their maps in widths of their own."""
    def block(wide: int) -> str:
        return f"{wide}/1 {wide}/1 r-2 3({wide}/1 {wide}/3) r-1,-8 {wide}/1"

    up = " ".join(f"{wide}/1 up2 r{end} {wide}/1 r-1,-3 {block(wide)}"
                  for wide, end in ((640, 180), (640, 152), (320, 124), (128, 72)))
    down = " ".join(f"{wide}/3s2 r-1,{end} {block(wide)}"
                    for wide, end in ((320, 271), (640, 255), (640, 239), (640, 223)))
    spp = f"640/1 r-2 640/1 640/3 640/1 {POOLS} 640/1 640/3 r-1,-13 640/1"
    return cfg(f"{P7} {partial(1280, 7)} {spp} {up} {down} "
               + heads((287, 300, 313, 326, 339), masks, (320, 640, 1280, 1280, 1280)), 1536, usual="mish",
               net=LETTER, options={**NEW, "num": 16, "scale_x_y": 1.05, "max_delta": 40, **options})


def x_mish() -> str:
    """YOLOv4x-mish: as the wide network below, its boxes where their maps come about, no logistic ahead "
      "of them."""
    def block(wide: int) -> str:
        return f"{wide}/1 {wide}/1 r-2 3({wide}/1 {wide}/3) r-1,-8 {wide}/1"

    return cfg(
        f"{X.replace('|', '')} 640/1 r-2 640/1 640/3 640/1 {POOLS} 2(640/1 640/3) r-1,-15 640/1 "
        f"320/1 up2 r94 320/1 r-1,-3 {block(320)} 160/1 up2 r57 160/1 r-1,-3 {block(160)} 320/3 "
        f"255/1n:linear head0,1,2 "
        f"r-4 320/3s2 r-1,149 {block(320)} 640/3 255/1n:linear head3,4,5 r-4 640/3s2 r-1,133 {block(640)} "
        f"1280/3 "
        "255/1n:linear head6,7,8", 640, usual="mish", net=LETTER,
        options={key: value for key, value in NEW.items() if key not in ("scale_x_y", "max_delta")})


def bottom_up() -> str:
    """Maps of several sizes brought together by [reorg3d], [upsample] and sums; attention at the end."""
    def block(wide: int) -> str:
        return (f"{wide}/1 {wide}/1 r-2 2({wide}/1 {wide}/3) r-1,-6 {2 * wide}/1:logistic sam-2 {wide}/1 "
                f"{2 * wide}/3")

    return cfg(
        f"{CSP53} 512/1 r-2 512/1 512/3 512/1 {POOLS} 512/1 512/3 r-1,-13 512/1 1024/3s2 512/1 up2 r79 "
        f"256/1 space2 "
        "r-1,-4,-7 up2 r-2 128/1 up2 r79 256/1 r48 128/1 space2 r-1,-4,-6 +10 up2 r-2 256/1 256/1 r-2 "
        "2(256/1 256/3) "
        "r-1,-6 256/1 128/1 up2 r48 128/1 r17 64/1 space2 r-1,-4,-6 +19 128/1 r17 space2 r-1,-3 "
        f"{block(128)} 255/1n:linear head0,1,2*1.2 r-4 256/3s2 r-1,137 r-17 space2 r-1,-3 {block(256)} "
        f"255/1n:linear "
        f"head3,4,5*1.1 r-4 512/3s2 r-1,126 r-17 space2 r-1,-3 {block(512)} 255/1n:linear head6,7,8*1.05",
        512,
        usual="mish", net=LETTER, options={**PLAIN, "uc_normalizer": 0.07, "beta1": 0.6, "max_delta": 5})


def elan(inner: int, out: int, units: int, narrow: int = 0) -> str:
    """An efficient layer aggregation block (YOLOv7, Wang et al., 2022); `narrow`: every 3x3 joined."""
    joined = ",".join(["r-1", "-2", "-3", "-4", "-5", "-7"] if narrow
                      else ["r-1"] + [str(-3 - 2 * n) for n in range(units + 1)])
    return f"{inner}/1 r-2 {inner}/1 {2 * units}({narrow or inner}/3) {joined} {out}/1"


def yolov7(wide: bool) -> str:
    """YOLOv7 and YOLOv7-X: halves by pooling beside strides, aggregation blocks, boxes of three sizes."""
    base, units = (40, 3) if wide else (32, 2)

    def half(filters: int, more: str = "") -> str:
        return f"max2/2 {filters}/1 r-3 {filters}/1 {filters}/3s2 r-1,-4{more}"

    def neck(filters: int) -> str:
        return elan(filters * 4 // 5, filters, 3) if wide else elan(filters, filters, 2, filters // 2)

    text = f"{base}/3 {2 * base}/3s2 {2 * base}/3 {4 * base}/3s2 {elan(64, 8 * base, units)}"
    ends = []
    for inner, filters in ((128, 4 * base), (256, 8 * base), (256, 16 * base)):
        text += f" {half(filters)} {elan(inner, 32 * base if inner == 256 else 16 * base, units)}"
        ends.append(count(text) - 1)
    top = 16 * base
    pools = POOLS.replace("r-1,-3,-5,-6", "r-6,-5,-3,-1")
    text += f" {top}/1 r-2 {top}/1 {top}/3 {top}/1 {pools} {top}/1 {top}/3 r-1,-13 {top}/1"
    tops = [count(text) - 1]
    for filters, end in ((top // 2, ends[1]), (top // 4, ends[0])):
        text += f" {filters}/1 up2 r{end} {filters}/1 r-1,-3 {neck(filters)}"
        tops.append(count(text) - 1)
    outs = [tops[-1]]
    for filters, end in ((top // 4, tops[1]), (top // 2, tops[0])):
        text += f" {half(filters, f',{end}')} {neck(2 * filters)}"
        outs.append(count(text) - 1)
    for level, out in enumerate(outs):
        mask = f"{3 * level},{3 * level + 1},{3 * level + 2}"
        text += f" r{out} {(top // 2) << level}/3 255/1n:logistic head{mask}"
    return cfg(text, 640, usual="swish", options={**NEW, "iou_thresh": 0.2})


def contrastive() -> str:
    """YOLOv4-tiny with embeddings beside the boxes."""
    text = (f"{TINY} 256/1 256/1 512/3 128/1 up2 r-1,23 128/1 128/1 256/3 128/1 up2 r-1,15 64/1 256/3 r0 "
            f"lavg4/4 r-1,-3 "
            "2(128/1 256/3) 1152/1:linear r-9 256/3 765/1n:linear head0,1,2,3,4,5,6,7,8*1.05 r-5")
    boxes = cfg(text, 416, net={"contrastive": 1, "contrastive_jit_flip": 0},
                options={**PLAIN, "anchors": OLDER, "embedding_layer": -4})
    return f"{boxes}\n[contrastive]\nclasses=1\ntemperature=1.0\nyolo_layer=-2\n"


CSP = (f"32/3 64/3s2 32/1 64/3 +3 | {partial(128, 2)} | {partial(256, 8)} | {partial(512, 8)} | "
       f"{partial(1024, 4)}")
X = (f"32/3 80/3s2 40/1 80/3 +3 | {partial(160, 3)} | {partial(320, 10)} | {partial(640, 10)} | "
     f"{partial(1280, 5)}")
SMALL = (f"32/3 32/3s2 32/1 32/3 +3 | {partial(64, 1)} | {partial(128, 1)} | {partial(256, 1)} | "
         f"{partial(512, 1)}")
BODY5 = (f"32/3 {partial(64, 1)} | {partial(128, 3)} | {partial(256, 15)} | {partial(512, 15)} | "
         f"{partial(1024, 7)}")
MASKS7 = ("0,1,2,3", "4,5,6,7", "8,9,10,11", "12,13,14,15", "16,17,18,19")

NETWORKS: dict[str, Callable[[], str]] = {
    "cd53paspp-gamma": lambda: panet(CSP53, (85, 54), 512),
    "cd53paspp-omega": lambda: panet(CSP53, (85, 54), 512, "mish"),
    "csresnext50-panet-spp": lambda: panet(NEXT50, (65, 38), 608, scales=("", "", ""), anchors=OLDER),
    "csresnext50-panet-spp-original-optimal": lambda: panet(NEXT50, (65, 38), 608),
    "yolov4-custom": lambda: panet(CSP53, (85, 54), 608, "mish"),
    "yolov4_new": lambda: panet(CSP53, (85, 54), 608, "mish", "logistic", ("", "", ""), net=LETTER, **NEW),
    "yolov4-sam-mish-csp-reorg-bfm": bottom_up,
    "yolov4-csp-swish": lambda: scaled(CSP, (512, 256, 128), 2, 640, "swish"),
    "yolov4-csp-s-mish": lambda: scaled(SMALL, (256, 128, 64), 1, 640, spp=(0, 1)),
    "yolov4-csp-x-mish": lambda: scaled(X, (640, 320, 160), 3, 640, spp=(1, 2)),
    "yolov4-csp-x-swish": lambda: scaled(X, (640, 320, 160), 3, 640, "swish", spp=(1, 2)),
    "yolov4-csp-x-swish-frozen": lambda: scaled(X, (640, 320, 160), 3, 640, "swish", spp=(1, 2)),
    "yolov4x-mish": x_mish,
    "yolov4-p5": lambda: scaled(BODY5, (512, 256, 128), 3, 896, boxes=4, anchors=P5),
    "yolov4-p5-frozen": lambda: scaled(BODY5, (512, 256, 128), 3, 896, boxes=4, anchors=P5),
    "yolov4-p6": lambda: scaled(f"{BODY5} | {partial(1024, 7)}", (512, 512, 256, 128), 3, 1280, boxes=4,
                                anchors=P6),
    "cspx-p7-mish": lambda: p7(MASKS7, anchors=P7_ANCHORS),
    "cspx-p7-mish_hp": lambda: p7(("0,1,2", "1,2,3", *MASKS7[1:4]), anchors=P7_SHORT, nms_kind="greedynms"),
    "yolov4-tiny-3l": lambda: cfg(
        f"{TINY} 256/1 512/3 255/1n:linear head6,7,8*1.05 r-4 128/1 up2 r-1,23 256/3 255/1n:linear "
        f"head3,4,5*1.05 r-3 "
        "64/1 up2 r-1,15 128/3 255/1n:linear head0,1,2*1.05", 608, options=PLAIN),
    "yolov4-tiny-custom": lambda: cfg(
        f"{TINY} 256/1 512/3 255/1n:linear head3,4,5*1.05 r-4 128/1 up2 r-1,23 256/3 255/1n:linear "
        f"head0,1,2*1.05", 416,
        options={**PLAIN, "num": 6, "anchors": TINY_ANCHORS}),
    "yolov4-tiny_contrastive": contrastive,
    "yolov7": lambda: yolov7(False),
    "yolov7x": lambda: yolov7(True),
}
