"""`--size native`: a network as large as each picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import darkfuse
from darkfuse.errors import DarkfuseError, ImageError
from darkfuse.graph import load_graph
from darkfuse.host import process
from darkfuse.session.native import steps

PHOTO, SMALL = "docs/images/cat.jpg", "tests/golden/astronaut.png"  # 451x300, 80x128
MINI = ("tests/golden/mini-alexeyab.cfg", "tests/golden/mini-alexeyab.weights")


@pytest.mark.parametrize("name", ["yolov2", "yolov3", "yolov4", "yolov2-tiny", "yolov7-tiny", "enet-coco",
                                  "yolo-fastest-1.1-xl"])
def test_sides_are_multiples_of_the_strides(name: str, root: Path) -> None:
    path = str(root / "cfg" / f"{name}.cfg")
    assert steps(load_graph(path)) == steps(load_graph(path, 96, 160)) == (32, 32)


def test_strides_that_differ_across_and_down(tmp_path: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text("[net]\nwidth=24\nheight=16\nchannels=3\n[convolutional]\nfilters=4\nsize=3\npad=1\n"
                   "stride_x=3\nstride_y=2\n[convolutional]\nfilters=6\nsize=1\n[region]\nclasses=1\nnum=1\nanchors=1,1\n")
    assert steps(load_graph(str(cfg))) == (3, 2)


@pytest.mark.parametrize("letterbox", [True, False])
@pytest.mark.parametrize("mem", ["resident", "min"])
def test_boxes_are_those_of_a_network_of_that_size(mem: str, letterbox: bool, root: Path) -> None:
    photos = [str(root / name) for name in (PHOTO, SMALL, SMALL, PHOTO)]
    sizes = [(480, 320), (96, 128), (96, 128), (480, 320)]
    with darkfuse.load(size="native", mem=mem, exact=True) as net:
        found = []
        for photo, (width, height) in zip(net.detect_each(photos, 0.1, letterbox=letterbox), sizes):
            assert not isinstance(photo, ImageError)
            assert (net.graph.input.w, net.graph.input.h) == net.stats["network_size"] == (width, height)
            assert f"network {width}x{height}" in net.stats_line()
            found.append(photo)
    for photo, result, (width, height) in zip(photos[:2], found, sizes):
        with darkfuse.load(width=width, height=height, mem="resident", exact=True) as net:
            assert net.detect(photo, 0.1, letterbox=letterbox).detections == result.detections
    assert len(found[0]) and found[0] == found[3] and found[1].detections == found[2].detections


def test_a_stretched_network_of_alexeyabs_dialect(root: Path) -> None:
    cfg, weights = (root / name for name in MINI)
    with darkfuse.load(cfg, weights, size="native") as net:
        assert not net.dialect.letterbox
        why, found = net.dialect, net.detect(root / SMALL, 0.3)
        assert net.dialect == why and net.stats["network_size"] == (80, 128)  # its strides: 16
    with darkfuse.load(cfg, weights, width=80, height=128) as net:
        assert net.detect(root / SMALL, 0.3) == found and len(found)


def test_arrays_turned_photos_and_other_formats(root: Path, tmp_path: Path) -> None:
    image = Image.open(root / PHOTO)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    image.save(tmp_path / "turned.webp", exif=exif)
    image.save(tmp_path / "turned.tiff", exif=exif)
    image.save(tmp_path / "plain.bmp")
    with darkfuse.load(size="native") as net:
        for given, size in ((np.asarray(image), (480, 320)), (tmp_path / "turned.jpg", (320, 480)),
                            (tmp_path / "turned.webp", (320, 480)), (tmp_path / "plain.bmp", (480, 320)),
                            (tmp_path / "turned.tiff", (320, 480)), (np.asarray(image)[:33, :32], (32, 64))):
            found = net.detect(given)
            assert net.stats["network_size"] == size
            assert (found.width > found.height) == (size[0] > size[1])
    with darkfuse.load(size="native", ignore_exif=True) as net:
        net.detect(tmp_path / "turned.jpg")
        assert net.stats["network_size"] == (480, 320)


def test_a_camera_that_stands_still_has_its_size(root: Path) -> None:
    frame = np.ascontiguousarray(np.asarray(Image.open(root / PHOTO))[:128, :160])
    with darkfuse.load(size="native", exact=True) as net:
        net.stand_still()
        first = net.detect(frame)
        macs = net.stats["macs"]
        assert net.detect(frame) == first and net.stats["macs"] == 0 < macs


def test_what_cannot_be_done_is_said_in_one_line(root: Path, tmp_path: Path, command: Callable) -> None:
    Image.new("L", (16385, 2)).save(tmp_path / "wide.png")
    Image.new("L", (9000, 9000)).save(tmp_path / "large.png")
    photos = [str(tmp_path / "wide.png"), str(tmp_path / "gone.png"), str(tmp_path / "large.png"),
              str(root / SMALL)]
    with darkfuse.load(size="native", mem=(process.rss_bytes() or 0) + (28 << 20)) as net:
        wide, gone, large, small = net.detect_each(photos)
        assert isinstance(wide, ImageError) and "16416x32) it is more than 16384 pixels wide" in str(wide)
        assert isinstance(gone, ImageError) and "gone.png: cannot read the picture" in str(gone)
        assert isinstance(large, ImageError) and "large.png: at size native (9024x9024)" in str(large)
        assert "the least that works is" in str(large) and "\n" not in str(large)
        assert not isinstance(small, ImageError)
    for options, words in (
        ({"width": 96}, "takes neither width nor height"), ({"batch": 2}, "batch 2: at size native pictures"),
        ({"mem": "24M..64M"}, "a budget is one amount, like 64M"), ({"size": "large"}, "is not 'native'"),
    ):
        with pytest.raises(DarkfuseError, match=words):
            darkfuse.load(**{"size": "native", **options})  # type: ignore[arg-type]
    for verb in (["serve"], ["info", str(root / "cfg" / "yolov2.cfg")]):
        refused = command("darkfuse", *verb, "--size", "native")
        assert refused.returncode == 2 and "native is for verbs that look at pictures" in refused.stderr


def test_networks_of_one_size_only_are_refused(tmp_path: Path) -> None:
    from darkfuse.session.native import check_native

    head = "[net]\nwidth=8\nheight=8\nchannels=3\n"
    for text, words in (
        ("[connected]\noutput=6\n[detection]\nclasses=1\ncoords=4\nside=1\nnum=1\n", ""),
        ("[convolutional]\nfilters=4\nsize=1\n", "does not detect"),
    ):
        (tmp_path / "net.cfg").write_text(head + text)
        graph = load_graph(str(tmp_path / "net.cfg"))
        with pytest.raises(DarkfuseError, match=words or "belong to a network of 8x8"):
            check_native(graph, "native", (None, None), None, None)
