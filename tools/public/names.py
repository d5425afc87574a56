"""The names of two collections' cfgs, the original Darknet's and AlexeyAB's, all their history included.

Three places have them: cfgs that come with darkfuse (`OURS`), Debian's package `darknet` (`DEBIAN`: its files
are needed to check those), and shorthand (`written`).
"""

from __future__ import annotations

from typing import Callable

from tools.public import early, later, middle

OURS = ("enet-coco", "yolov4", "yolov4-csp", "yolov4-tiny", "yolov7-tiny")
# Of the package's 45 files all but those that are in shorthand as well.
DEBIAN = (
    "cifar", "cifar.test", "darknet", "darknet19", "darknet19_448", "darknet53", "darknet53_448",
    "darknet9000",
    "densenet201", "extraction", "extraction.conv", "extraction22k", "go", "go.test", "gru", "jnet-conv",
    "resnet101",
    "resnet152", "resnet18", "resnet34", "resnext101-32x4d", "resnext152-32x4d", "resnext50", "rnn",
    "rnn.train",
    "strided", "t1.test", "tiny", "vgg-conv", "writing", "yolo9000", "yolov1", "yolov1-tiny", "yolov2",
    "yolov2-tiny",
    "yolov2-tiny-voc", "yolov2-voc", "yolov3", "yolov3-openimages", "yolov3-spp", "yolov3-tiny", "yolov3-voc",
)


def written() -> dict[str, Callable[[], str]]:
    """The networks in shorthand, by name."""
    return {**early.NETWORKS, **middle.NETWORKS, **later.NETWORKS}
