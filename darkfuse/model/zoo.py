"""The Darknet weights that `darkfuse download` knows: where they are, how long, what checksum.

Nothing here was guessed. A size follows from the network (every float of its cfg, and the header), which a
test recounts. A checksum is given only where independent projects have published the same one for the file
(those of `yolov3-tiny`, `yolov4-tiny` and `yolo-fastest-1.1-xl` were computed from the files); elsewhere the
header and the size are all that is checked, and the command says so.
"""

from __future__ import annotations

from darkfuse.host.record import dataclass

# The author's site now keeps the files at the first address and redirects the second, older one there.
SITES = ("https://data.pjreddie.com/files/", "https://pjreddie.com/media/files/")
RELEASES = "https://github.com/AlexeyAB/darknet/releases/download/"


@dataclass(frozen=True)
class Official:
    """An official `.weights` file.

    Attributes
    ----------
    name : str
        Also the stem of its `.cfg`.
    floats : int
        float32 values after the header.
    header : int or None
        Bytes of its header, 16 or 20; None where only the file itself tells.
    digest : str or None
        ``"sha256:…"`` or ``"sha1:…"``.
    about : str
        What it was trained on.
    url : str
        Where it is, when not on the original author's site.
    """

    name: str
    floats: int
    header: int | None
    digest: str | None
    about: str
    url: str = ""

    @property
    def filename(self) -> str:
        return self.name + ".weights"

    @property
    def size(self) -> int | None:
        """Bytes of the whole file, None where the header's length is not known beforehand."""
        return None if self.header is None else self.header + 4 * self.floats

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.url,) if self.url else tuple(site + self.filename for site in SITES)


OFFICIAL = {
    entry.name: entry
    for entry in (
        Official(
            "yolov2",
            50_983_561,
            16,
            "sha256:d9945162ed6f54ce1a901e3ec537bdba4d572ecae7873087bd730e5a7942df3f",
            "COCO, 80 classes",
        ),
        Official("yolov2-voc", 50_676_061, None, None, "PASCAL VOC, 20 classes"),
        Official("yolov2-tiny", 11_237_145, 20, None, "COCO, 80 classes"),
        Official(
            "yolov2-tiny-voc",
            15_867_885,
            16,
            "sha1:24b4bd049fc4fa5f5e95f684a8967e65c625dff9",
            "PASCAL VOC, 20 classes",
        ),
        Official(
            "yolov3",
            62_001_757,
            20,
            "sha256:523e4e69e1d015393a1b0a441cef1d9c7659e3eb2d7e15f793f060a21b32f297",
            "COCO, 80 classes",
        ),
        Official(
            "yolov3-tiny",
            8_858_734,
            20,
            "sha256:dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c",
            "COCO, 80 classes",
        ),
        Official(
            "yolov4",
            64_429_405,
            20,
            "sha256:e8a4f6c62188738d86dc6898d82724ec0964d0eb9d2ae0f0a9d53d65d108d562",
            "COCO, 80 classes",
            RELEASES + "darknet_yolo_v3_optimal/yolov4.weights",
        ),
        Official(
            "yolov4-tiny",
            6_062_814,
            20,
            "sha256:cf9fbfd0f6d4869b35762f56100f50ed05268084078805f0e7989efe5bb8ca87",
            "COCO, 80 classes",
            RELEASES + "darknet_yolo_v4_pre/yolov4-tiny.weights",
        ),
        Official(
            "yolov4-csp",
            52_986_205,
            None,
            None,
            "COCO, 80 classes",
            RELEASES + "darknet_yolo_v4_pre/yolov4-csp.weights",
        ),
        Official(
            "yolov7-tiny",
            6_241_885,
            None,
            None,
            "COCO, 80 classes",
            RELEASES + "yolov4/yolov7-tiny.weights",
        ),
        Official(
            "yolo-fastest-1.1-xl",
            923_486,
            20,
            "sha256:fac5fb41786c1f38f04972a658443b189f48720d7d117f9a044100e98a35b0c5",
            "COCO, 80 classes",
            "https://raw.githubusercontent.com/dog-qiuqiu/Yolo-Fastest/master/ModelZoo/"
            "yolo-fastest-1.1_coco/yolo-fastest-1.1-xl.weights",
        ),
        Official(
            "enet-coco",
            4_808_270,
            None,
            None,
            "COCO, 80 classes",
            "https://drive.google.com/uc?export=download&id=1FlHeQjWEQVJt0ay1PVsiuuMzmtNyv36m",
        ),
    )
}
