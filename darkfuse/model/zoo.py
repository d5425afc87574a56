"""The official Darknet weights that `darkfuse download` knows: where they are, how long, what checksum.

Nothing here was guessed. A size follows from the network (every float of its cfg, and the header), which a
test recounts. A checksum is given only where independent projects have published the same one for the file
(`yolov3-tiny` was also computed from the file itself); elsewhere the header and the size are all that is
checked, and the command says so.
"""

from __future__ import annotations

from dataclasses import dataclass

# The author's site now keeps the files at the first address and redirects the second, older one there.
SITES = ("https://data.pjreddie.com/files/", "https://pjreddie.com/media/files/")


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
    """

    name: str
    floats: int
    header: int | None
    digest: str | None
    about: str

    @property
    def filename(self) -> str:
        return self.name + ".weights"

    @property
    def size(self) -> int | None:
        """Bytes of the whole file, None where the header's length is not known beforehand."""
        return None if self.header is None else self.header + 4 * self.floats

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(site + self.filename for site in SITES)


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
    )
}
