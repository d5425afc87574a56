"""Networks of the collections of the time of YOLOv2 and YOLOv3, but for those of Debian's package."""

from __future__ import annotations

from typing import Any, Callable

from tools.public.early import DARKNET53, TINY, cells
from tools.public.shorthand import cfg

COCO = 80
VOC2 = "1.3221,1.73145, 3.19275,4.00944, 5.05587,8.09892, 9.47112,4.84053, 11.2364,10.0071"
COCO2 = "0.57273,0.677385, 1.87446,2.06253, 3.33843,5.47434, 7.88282,3.52778, 9.77052,9.16828"
TINY_COCO2 = "0.738768,0.874946, 2.42204,2.65704, 4.30971,7.04493, 10.246,4.59428, 12.6868,11.8741"
VOC = "1.08,1.19, 3.42,4.41, 6.63,11.38, 9.42,5.11, 16.62,10.52"
ANCHORS = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326"
TINY_ANCHORS = "10,14, 23,27, 37,58, 81,82, 135,169, 344,319"
# Darknet-19's maps, with all but the last of its pooling, and the two 3x3s of YOLOv2.
BODY2 = ("32/3 max2/2 64/3 max2/2 128/3 64/1 128/3 max2/2 256/3 128/1 256/3 max2/2 512/3 2(256/1 512/3) "
         "max2/2 1024/3 2(512/1 1024/3) 1024/3 1024/3")
PASSED = "r-9 64/1 reorg2 r-1,-4 1024/3"
TINY2 = ("16/3 max2/2 32/3{0} max2/2 64/3{0} max2/2 128/3{0} max2/2 256/3{0} max2/2 512/3{0} max2/1 "
         "1024/3{0} 1024/3{0}")
BODY3 = DARKNET53.replace("x", "")
BOTTLENECKS = {50: (3, 4, 6, 3), 152: (3, 8, 36, 3)}


def region(words: str, classes: int = 20, num: int = 5, anchors: str = VOC2, width: int = 416,
           height: int = 0,
           usual: str = "leaky") -> str:
    """A network that ends with [region]."""
    return cfg(f"{words} {num * (5 + classes)}/1n:linear head", width, height, usual=usual, head="region",
               options={"anchors": anchors, "bias_match": 1, "classes": classes, "coords": 4, "num": num,
                        "softmax": 1,
                        "absolute": 1, "thresh": 0.6, "random": 1})


def separable(stem: str, units: str, join: str, last: str, height: int = 544) -> str:
    """YOLOv2 of depthwise convolutions. `units`: words, of which CHANNELS[sSTRIDE]>FILTERS is one and a "
      "1x1."""
    words = [stem]
    for unit in f"{units} {join} {last}".split():
        if ">" in unit:
            first, filters = unit.split(">")
            channels, _, stride = first.partition("s")
            unit = f"{channels}/3s{stride or 1}g{channels}:linear {filters}/1"
        words.append(unit)
    anchors = ", ".join(f"{0.3 + 0.7 * n:.3f},{0.25 + 0.6 * n:.3f}" for n in range(10))
    return region(" ".join(words), 3, 10, anchors, 960, height, usual="relu")


def residual(depth: int, last: str, **options: Any) -> str:
    """A residual network ahead of a [region]."""
    words = ["64/7s2 max2/2"]
    for stage, count in enumerate(BOTTLENECKS[depth]):
        width = 64 << stage
        words += [f"{width}/1 {width}/3s{2 if stage and not number else 1} {4 * width}/1:linear +4:leaky"
                  for number in range(count)]
    return region(" ".join(words) + f" {last}", **options)


def dense() -> str:
    """DenseNet-201 (Huang et al., 2016) ahead of a [region]."""
    words = ["64/7s2 max2/2"]
    for count, width in ((6, 128), (12, 256), (48, 896), (32, 0)):
        words.append(f"{count}(128/1 32/3 r-1,-3)" + (f" {width}/1 max2/2" if width else ""))
    return region(" ".join(words) + " 1024/1 1024/3")


def yolov3(levels: int = 3, classes: int = COCO, head: str = "yolo", coords: int = 5, anchors: str = ANCHORS,
           width: int = 416, **options: Any) -> str:
    """YOLOv3 with boxes of three to five sizes."""
    words, ends = [BODY3], (61, 36, 11, 4)
    for level in range(levels):
        narrow = 512 >> level
        words.append(f"3({narrow}/1 {2 * narrow}/3) {3 * (coords + classes)}/1n:linear "
                     f"head{','.join(str(3 * (levels - level) - 3 + n) for n in range(3))}")
        if level + 1 < levels:
            words.append(f"r-4 {max(128, narrow // 2)}/1 up2 r-1,{ends[level]}")
    return cfg(" ".join(words), width, head=head, options={"anchors": anchors, "classes": classes,
                                                            "num": 3 * levels, **options})


def tiny(words: str, classes: int = COCO, anchors: str = TINY_ANCHORS, width: int = 416,
         **options: Any) -> str:
    """A relative of YOLOv3-tiny: `out` in the words is the convolution ahead of boxes."""
    return cfg(words.replace("out", f"{3 * (5 + classes)}/1n:linear"), width,
               options={"anchors": anchors, "classes": classes, "num": anchors.count(",") // 2 + 1,
                        **options})


def trident() -> str:
    """Three branches of one set of weights at three dilations (Li et al., 2019), on ResNet-152's first "
      "layers."""
    words = ["64/7s2 max2/2"]
    for stage, count in enumerate((3, 8, 30)):
        width = 64 << stage
        words += [f"{width}/1 {width}/3s{2 if stage and not number else 1} {4 * width}/1:linear "
                  f"+{2 if stage and not number else 4}:leaky" for number in range(count)]
    after = {3: "2048/1", 2: "1024/1 up2 r-1,49 1024/1", 1: "512/1 up4 r-1,17 512/1"}
    for dilation in (3, 2, 1):
        words.append("" if dilation == 3 else "r165")
        for unit in range(9):
            width, stride, back = (256 if unit < 6 else 512), (2 if unit == 6 else 1), (2 if unit == 6 else 4)
            shared = [f"@{166 + 4 * unit + n}" if dilation < 3 else "" for n in range(3)]
            end = f"d{dilation}" if unit == 5 else ""
            words.append(f"{width}/1{shared[0]} {width}/3s{stride}d{dilation}{shared[1]} "
                         f"{4 * width}/1{end}{shared[2]}:linear +{back}:leaky")
        words.append(f"{after[dilation]} 24/1n:linear "
                     f"head{','.join(str(4 * dilation - 4 + n) for n in range(4))}")
    return cfg(" ".join(words), 608, options={"classes": 1, "num": 12, "anchors":
               "8,8, 10,13, 16,30, 33,23, 32,32, 30,61, 62,45, 64,64, 59,119, 116,90, 156,198, 373,326"})


TINY3 = ("16/3 max2/2 32/3{0} max2/2 64/3{0} max2/2 128/3{0} max2/2 256/3{0} max2/2 512/3{0} max2/1 "
         "1024/3{0} 256/1{0} "
         "512/3{0} out ")
TWO = "head3,4,5 r-4 128/1{0} up2 r-1,8 256/3{0} out head0,1,2"
YOLO4 = {"classes": 20, "num": 9, "scale_x_y": 1.05, "nms_kind": "greedynms", "beta_nms": 0.6,
         "iou_loss": "ciou",
         "anchors": ANCHORS}

NETWORKS: dict[str, Callable[[], str]] = {
    "tiny-yolo": lambda: cells(f"{TINY} 1024/3 256/3 fc1470"),
    "tiny-yolo-voc": lambda: region(TINY2.format(""), anchors=VOC),
    "tiny-yolo_xnor": lambda: region(TINY2.format("x"), COCO, anchors=TINY_COCO2),
    "tiny_detector": lambda: region(
        "16/3 max2/2 32/3 max2/2 2(16/1 128/3) max2/2 2(32/1 256/3) max2/2 2(64/1 512/3) 128/1 1024/3",
        anchors=VOC,
        width=224),
    "yolo-voc": lambda: region(f"{BODY2} {PASSED}"),
    "yolo-voc.2.0": lambda: region(f"{BODY2} r-9 reorg2 r-1,-3 1024/3", anchors=VOC),
    "yolo-lisa": lambda: region(f"{BODY2} {PASSED}", 47),
    "yolov2-test": lambda: region(f"{BODY2} {PASSED}", 7),
    "yolo": lambda: region(f"{BODY2} {PASSED}", COCO, anchors=COCO2, width=608),
    "yolov2y4-voc": lambda: cfg(f"{BODY2} {PASSED} 75/1n:linear head0,1,2", 416, head="yolo4", options=YOLO4),
    "yolov2y4s-voc": lambda: cfg(
        "32/3 64/3s2 32/1 64/3 +3 64/3 max2/2 128/3 64/1 128/3 max2/2 256/3 128/1 256/3 max2/2 512/3 256/1 "
        "512/3 max2/2 "
        f"1024/3 2(512/1 1024/3) 1024/3 1024/3 {PASSED} 75/1n:linear head0,1,2", 608, head="yolo4",
        options=YOLO4),
    "densenet201_yolo": dense,
    "resnet50_yolo": lambda: residual(50, "1024/1"),
    "resnet152_yolo": lambda: residual(152, "1024/1 1024/3"),
    "yolov2-separable": lambda: separable(
        "32/3 max2/2", "64>64 max2/2 64>128 128>128 max2/2 128>256 256>256 max2/2 256>512 512>512 512>512 "
                       "max2/2 "
        "512>1024 1024>1024 1024>1024 1024>1024 1024>1024", "r-12 64/1 reorg2 r-1,-4", "1024>1024"),
    "yolov2-separable-optimized": lambda: separable(
        "32/7s4p3", "32>32 32s2>64 64>64 64s2>128 128>128 128s2>256 " + "256>256 " * 6, "r-13,-7,-1 "
                                                                                        "512/1:linear",
        "512>512", 512),
    "yolov2-separable-optimized-full": lambda: separable(
        "64/7s4p3", "64>128 128s2>128 128>256 256s2>256 256>512 512s2>512 " + "512>512 " * 6,
        "r-13,-7,-1 512/1:linear", "512>1024", 512),
    "yolov2-separable-slim": lambda: separable(
        "32/3s2", "32s2>64 64>128 128s2>128 128>256 256s2>256 256>512 512>512 512s2>512 " + "512>512 " * 5,
        "r-13 64/1 reorg2 r-1,-4", "512>512"),
    "yolov2-separable-trunc": lambda: separable(
        "32/3s2", "32s2>64 64>64 64s2>128 128>128 128s2>256 256>256 256>256 256s2>512 512>512 512>512 "
                  "512>512",
        "r-9 64/1 reorg2 r-1,-4", "512>512"),
    "yolov2-separable-shortcuts": lambda: separable(
        "32/7s4p3", "32>32 32s2>64 64>64 +3 64s2>128 128>128 +3 128s2>256 " + "256>256 +3 " * 5, "",
        "256>512 512>512",
        512),
    "yolov2-mobilenet": lambda: region(
        "32/3s2 " + " ".join(f"{before}/3s{stride}g{before} {after}/1" for before, stride, after in (
            (32, 1, 64), (64, 2, 128), (128, 1, 128), (128, 2, 256), (256, 1, 256), (256, 2, 512), (512, 1,
                                                                                                    512),
            (512, 1, 512), (512, 1, 512), (512, 2, 1024))), 3, 10,
        ", ".join(f"{0.3 + 0.7 * n:.3f},{0.25 + 0.6 * n:.3f}" for n in range(10)), 960, 540, usual="relu"),
    "yolo-frog": lambda: yolov3(classes=1),
    "obj": lambda: yolov3(classes=1),
    "yolov3-finetune": yolov3,
    "yolov3.coco-giou-12": lambda: yolov3(iou_loss="giou", iou_normalizer=0.5),
    "yolov3_5l": lambda: yolov3(5, anchors=f"4,4, 5,5, 6,6, 7,7, 8,8, 9,9, {ANCHORS}"),
    "Gaussian_yolov3_BDD": lambda: yolov3(
        classes=10, head="Gaussian_yolo", coords=9, width=512, iou_loss="giou", scale_x_y=1.0,
        uc_normalizer=1.0,
        anchors="7,10, 14,24, 27,43, 32,97, 57,64, 92,109, 73,175, 141,178, 144,291"),
    "yolov3-tiny-crowdhuman": lambda: tiny(TINY3.format("") + TWO.format(""), 2),
    "yolov3-tiny_obj": lambda: tiny(TINY3.format("") + TWO.format("")),
    "yolov3-tiny_xnor": lambda: tiny(TINY3.format("x") + TWO.format("x")),
    "yolov3-tiny_3l": lambda: tiny(
        TINY3.format("") + "head6,7,8 r-4 128/1 up2 r-1,8 256/3 out head3,4,5 r-3 128/1 up2 r-1,6 128/3 "
                           "out head0,1,2",
        2, "4,7, 7,15, 13,25, 25,42, 41,67, 75,94, 91,162, 158,205, 250,332", 608),
    "yolov3-tiny-prn": lambda: tiny(
        "16/3 max2/2 32/3 max2/2 64/3 max2/2 128/3 max2/2 256/3 max2/2 512/3 max2/1 512/3 +3:leaky 256/1 "
        "256/3 +2:leaky "
        "out head3,4,5 r-4 128/1 up2 +@8:leaky 128/3 +3:leaky +@8:leaky out head1,2,3"),
    "resnet152_trident": trident,
    "yolov3-tiny_occlusion_track": lambda: tiny(
        TINY3.format("").replace("256/1 512/3 out", "[crnn] 256/1 512/3 512/3 out") + TWO.format(""), 1),
    "yolov3-odla": lambda: tiny("[odla] [split] head6,7,8 [split] head3,4,5 [split] head0,1,2",
                                anchors=ANCHORS),
    "yolov3-tiny-odla": lambda: tiny("[odla] [split] head3,4,5 [split] head1,2,3"),
}
