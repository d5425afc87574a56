"""Networks of the collections up to YOLOv1, and classifiers that Debian's package has not."""

from __future__ import annotations

from typing import Any, Callable

from tools.public.shorthand import cfg

# The body of YOLOv1 before it pooled (2014), and as published (Redmon et al., 2015).
FIRST = ("64/7s2n 192/3s2n 128/1n 256/3s2n 128/1n 256/3n 128/1n 512/3s2n {0}(256/1n 512/3n) 256/1n 1024/3s2n "
         "512/1n 1024/3n 1024/3n 1024/3s2n 1024/3n")
BODY = ("64/7s2 max2/2 192/3 max2/2 128/1 256/3 256/1 512/3 max2/2 4(256/1 512/3) 512/1 1024/3 max2/2 "
        "2(512/1 1024/3) 1024/3 1024/3s2 2(1024/3)")
PLAIN = BODY.replace("/1", "/1n").replace("/3 ", "/3n ").replace("/3)", "/3n)").replace("s2 ", "s2n ")
TINY = "16/3 max2/2 32/3 max2/2 64/3 max2/2 128/3 max2/2 256/3 max2/2 512/3 max2/2"


def cells(words: str, classes: int = 20, num: int = 2, side: int = 7, usual: str = "leaky",
          **net: Any) -> str:
    """A network that ends with [detection]."""
    return cfg(f"{words} head", 448, usual=usual, head="detection", net=net, options={
        "classes": classes, "coords": 4, "rescore": 1, "side": side, "num": num, "softmax": 0, "sqrt": 1})


def first(last: str, middle: int = 4, **options: Any) -> str:
    """A detector of 2014: ramps, one box a cell, `side` and `num` left to their defaults."""
    return cfg(f"crop448 {FIRST.format(middle)} {last} drop fc1225:logistic head", 448, usual="ramp",
               head="detection", options={"classes": 20, "coords": 4, **options})


def residual(basic: bool, times: tuple[int, ...]) -> str:
    """Residual networks as Darknet first had them: maps of two sizes summed, no activation asked for."""
    words = ["crop224 64/7s2 max3/2"]
    for stage, count in enumerate(times):
        for number in range(count):
            stride = "s2" if stage and not number else ""
            width = 64 << stage
            words.append(f"{width}/3{stride} {width}/3 +3" if basic
                         else f"{width}/1 {width}/3{stride} {4 * width}/1 +4")
    return cfg(" ".join(words) + " avg fc1000:leaky soft cost", 256)


def inverted(gates: bool, stem: int, widths: tuple[int, ...], inner: tuple[int, ...], counts: tuple[int, ...],
             squeeze: tuple[int, ...], last: int, side: int) -> str:
    """EfficientNet (Tan and Le, 2019) with its channels weighed (`gates`) or not: inverted bottlenecks.

    `inner`: the widened channels of a stage's first unit and of its others, in turn; `squeeze`: the same,
    narrowed.
    """
    words, back = [f"{stem}/3s2"], 9 if gates else 5
    for stage, (width, count) in enumerate(zip(widths, counts)):
        for number in range(count):
            wide, narrow = inner[2 * stage + bool(number)], (squeeze or inner)[2 * stage + bool(number)]
            size, stride = (3, 3, 5, 3, 5, 5, 3)[stage], (1, 2, 2, 1, 2, 2, 1)[stage] if not number else 1
            weigh = f"avg {narrow}/1n {wide}/1n:logistic mul-4 " if gates else ""
            words.append(f"{wide}/1p0 {wide}/{size}s{stride}g{wide} {weigh}{width}/1p0:linear")
            if number:
                words.append(f"drop +{back}")
    return cfg(" ".join(words) + f" {last}/1p0 avg drop 1000/1np0:linear soft", side,
               usual="swish" if gates else "relu6")


def partial(filters: int, count: int, last: int = 0) -> str:
    """A cross stage partial stage (Wang et al., 2019) that halves its input, of `count` residual units."""
    half = filters // 2
    return (f"{filters}/3s2 {half}/1 r-2 {half}/1 {count}({half}/1 {half}/3 +3) {half}/1 "
            f"r-1,-{3 * count + 4} {last or filters}/1")


CSP_STEM = "32/3 64/3s2 64/1 r-2 64/1 32/1 64/3 +3 64/1 r-1,-7 64/1"  # the first stage keeps all channels
DARKNET53 = "32/3 " + " ".join(f"{64 << n}/3s2x {count}({32 << n}/1x {64 << n}/3x +3)"
                               for n, count in enumerate((1, 2, 8, 8, 4)))
P7 = (f"80/3 80/3s2 40/1 80/3 +3 {partial(160, 3)} {partial(320, 15)} {partial(640, 15)} {partial(1280, 7)} "
      f"{partial(1280, 7)}")

DENSE = "fc4096:relu drop fc4096:relu drop fc1000 soft"
UNITS = " ".join(f"{64 << n}/1 {64 << n}/3s{1 + bool(n)} {256 << n}/1:linear +4:leaky "
                 f"{more}({64 << n}/1 {64 << n}/3 {256 << n}/1:linear +4:leaky)"
                 for n, more in enumerate((2, 3, 5, 2)))

NETWORKS: dict[str, Callable[[], str]] = {
    "alexnet": lambda: cfg(f"96/11s4np0:relu max3/2p0 256/5n:relu max3/2p0 2(384/3n:relu) 256/3n:relu "
                           f"max3/2p0 {DENSE}",
                           227),
    "vgg-16": lambda: cfg("crop224 2(64/3n) max2/2 2(128/3n) max2/2 3(256/3n) max2/2 3(512/3n) max2/2 "
                          "3(512/3n) max2/2 "
                          f"{DENSE}", 256, usual="relu"),
    "resnet50": lambda: cfg(f"64/7s2 max2/2 {UNITS} avg 1000/1n:linear soft", 256),
    "crnn.train": lambda: cfg("[rnn] [crnn] [crnn] fc256:leaky soft cost", 1),
    "lstm.train": lambda: cfg("[lstm] [lstm] [lstm] fc256:leaky soft cost", 1),
    "rbms": lambda: cfg("6([rbm]) cost", 32),
    "detection": lambda: first("1024/3n fc4096:ramp", rescore=0, nuisance=1, background=1),
    "rescore": lambda: first("1024/3n fc4096:ramp", rescore=1, nuisance=0, background=0),
    "yolo-small": lambda: first("512/3n fc2048:ramp", 4, rescore=1, joint=0, objectness=1),
    "yolo-coco": lambda: cells(f"crop448 {PLAIN} local192 drop fc4410", 80),
    "yolo-tiny": lambda: cells(f"crop448 {TINY.replace('/3', '/3n')} 3(1024/3n) fc256 fc4096:leaky drop "
                               f"fc1470"),
    "yolo2": lambda: cells(f"{BODY} local256 fc1715", num=3),
    "yolo_2class_box11": lambda: cells(f"crop448 {PLAIN} fc4096:leaky drop fc1452", 2, side=11),
    "xyolo.test": lambda: cells("crop448 16/3 " + " ".join(f"max2/2 norm {32 << n}/3x" for n in range(5))
                                + " max2/2 norm 1024/3 128/3 fc1470"),
    "yolov1/tiny-coco": lambda: cells(f"{TINY} 1024/3 256/3 fc4655", 80, 3),
    "yolov1/yolo-coco": lambda: cells(f"{BODY} local256 fc4655", 80, 3),
    "yolov1/yolo-small": lambda: cells(f"crop448 {PLAIN} fc512:leaky fc4096:leaky drop fc1470"),
    "yolov1/yolo": lambda: cells(f"{BODY} local256 drop fc1715", num=3),
    "jnet19_448": lambda: cfg(
        "32/3 max2/2 64/3 max2/2 128/3 64/1 128/3 max2/2 256/3 128/1 256/3 max2/2 512/3 2(256/1 512/3) "
        "max2/2 "
        "1024/3 2(512/1 1024/3) 1000/1n:linear avg soft cost", 448),
    "msr_34": lambda: residual(True, (3, 4, 6, 3)),
    "msr_50": lambda: residual(False, (3, 4, 6, 3)),
    "msr_152": lambda: residual(False, (3, 8, 36, 3)),
    "efficientnet_b0": lambda: inverted(
        True, 32, (16, 24, 40, 80, 112, 192, 320), (32, 32, 96, 144, 144, 192, 192, 384, 384, 576, 576, 960,
                                                    960, 960),
        (1, 2, 2, 3, 3, 4, 1), (8, 8, 16, 8, 8, 16, 16, 24, 24, 32, 32, 64, 64, 64), 1280, 224),
    "efficientnet-lite3": lambda: inverted(
        False, 40, (16, 32, 48, 96, 136, 232, 384), (40, 40, 112, 176, 176, 232, 232, 464, 464, 688, 688,
                                                     1152,
                                                     1152, 1152), (2, 3, 3, 5, 5, 6, 1), (), 1536, 288),
    "darknet53_448_xnor": lambda: cfg(f"{DARKNET53} 512/1 avg 1000/1n:linear soft", 448),
    "csdarknet53-omega": lambda: cfg(
        " ".join((CSP_STEM, partial(128, 2), partial(256, 8), partial(512, 8), partial(1024, 4)))
        + " avg 1000/1n:linear soft", 256, usual="mish"),
    "cspx-p7-mish-omega": lambda: cfg(f"{P7} {partial(1280, 7, 1600)} avg 1000/1n:linear soft", 320,
                                      usual="mish"),
}
