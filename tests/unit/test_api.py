"""The Python face: real models against Darknet's own outputs, arrays and files, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import darkfuse
from darkfuse.errors import CfgError, DarkfuseError, ImageError, PlanError, WeightsError
from darkfuse.graph import load_graph
from tools.make_weights import make_weights

# golden name, model, photo
REAL = [
    ("yolov3-tiny-dog", "yolov3-tiny", "dog"),
    ("yolov3-tiny-giraffe", "yolov3-tiny", "giraffe"),
    ("yolov2-lite-coco-dog", "yolov2-lite-coco", "dog"),
    ("yolov2-lite-coco-person", "yolov2-lite-coco", "person"),
]


def golden_lines(path: Path) -> tuple[float, list[tuple[int, float, float, float, float, float]]]:
    head, *rows = path.read_text().splitlines()
    thresh = float(head.split("thresh ")[1].split()[0])
    numbers = [[float(v) for v in row.split()] for row in rows]
    return thresh, [(int(c), p, x, y, w, h) for c, p, x, y, w, h in numbers]


@pytest.mark.parametrize("mem", ["resident", None])
@pytest.mark.parametrize(("golden", "model", "photo"), REAL)
def test_detections_from_the_jpeg(shared: Path, golden: str, model: str, photo: str, mem: str | None) -> None:
    models = shared / "models"
    thresh, expected = golden_lines(shared / "golden" / f"{golden}.dets.txt")
    with darkfuse.load(
        models / f"{model}.cfg", models / f"{model}.weights", mem=mem, names=models / "coco.names"
    ) as net:
        result = net.detect(shared / "images" / f"{photo}.jpg", thresh)
    # what lies within the tolerance of the threshold may fall on either side of it
    sure = [d for d in expected if d[1] > thresh + 0.02]
    assert {d[0] for d in sure} <= set(result.class_id)
    kept = [d for d in result.detections if d.confidence > thresh + 0.02]
    assert len(sure) - 1 <= len(kept) <= len(expected)
    agree_within(result, expected, thresh, 0.02)


def agree_within(result, expected, thresh: float, tolerance: float) -> None:
    """As Darknet found them, but for those whose score lies within `tolerance` of the threshold."""
    found = [(d.class_id, d.confidence, *d.box) for d in result.detections]

    def has_partner(one, others) -> bool:
        return any(
            one[0] == d[0] and all(abs(a - b) <= tolerance for a, b in zip(one[1:], d[1:])) for d in others
        )

    for one, others in [(d, found) for d in expected] + [(d, expected) for d in found]:
        assert has_partner(one, others) or one[1] <= thresh + tolerance, f"{one} has no partner in {others}"


GOLDEN = [
    "yolov2-416-random-dog",
    "yolov2-lite-coco-dog",
    "yolov2-lite-coco-person",
    "yolov2-tiny-random-dog",
    "yolov3-tiny-dog",
    "yolov3-tiny-giraffe",
    pytest.param("yolov2-608-random-dog", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", GOLDEN)
def test_layers_and_detections_of_the_reference(
    shared: Path, tmp_path: Path, reference_weights, name: str, exact: bool
) -> None:
    case = np.load(shared / "golden" / f"{name}.npz")
    model = name.rsplit("-", 1)[0].replace("-random", "")
    size = case["input"].shape[1]
    model = model.replace(f"-{size}", "")
    weights = reference_weights(model)
    text = (shared / "models" / f"{model}.cfg").read_text()
    cfg = tmp_path / "net.cfg"
    cfg.write_text(
        "\n".join(
            f"{line.split('=')[0].strip()}={size}"
            if line.split("=")[0].strip() in ("width", "height")
            else line
            for line in text.splitlines()
        )
    )
    layers = [int(key[5:]) for key in case.files if key.startswith("layer")]
    with darkfuse.load(cfg, weights, mem="resident", exact=exact) as net:
        maps = net.forward(case["input"], layers)
    for layer in layers:
        wanted = case[f"layer{layer}"].astype(np.float64)
        difference = maps[layer] - wanted
        assert maps[layer].shape == wanted.shape
        assert np.abs(difference).max() <= 1e-3
        assert np.sqrt(np.mean(difference**2)) <= 2e-5 * np.sqrt(np.mean(wanted**2))


@pytest.fixture(scope="module")
def net(shared: Path):
    models = shared / "models"
    with darkfuse.load(
        models / "yolov2-lite-coco.cfg",
        models / "yolov2-lite-coco.weights",
        mem="resident",
        names=models / "coco.names",
    ) as loaded:
        yield loaded


def test_array_and_file_give_the_same(net: darkfuse.Network, shared: Path, tmp_path: Path) -> None:
    """A PNG: Darknet's pixels of a JPEG are not Pillow's."""
    from PIL import Image

    path = tmp_path / "dog.png"
    Image.open(shared / "images" / "dog.jpg").save(path, compress_level=1)
    pixels = np.asarray(Image.open(path))
    from_file, from_array = net.detect(str(path), 0.3), net.detect(pixels, 0.3)
    assert len(from_file) > 0 and from_file.detections == from_array.detections
    assert (from_array.width, from_array.height, from_array.path) == (768, 576, "")
    reverse = np.ascontiguousarray(pixels[..., ::-1])
    assert (
        net.detect(reverse[..., ::-1], 0.3).detections == from_file.detections
    )  # a view that is not contiguous
    assert net.detect(reverse, 0.3).detections != from_file.detections
    xyxy, confidence, class_id = from_file.numpy()
    assert xyxy.shape == (len(from_file), 4) and (xyxy[:, 2] <= 768).all() and (xyxy[:, 3] <= 576).all()
    assert from_file.names == [net.names[i] for i in class_id] and (confidence > 0.3).all()


def test_stretching_is_not_letterboxing(net: darkfuse.Network, shared: Path) -> None:
    path = shared / "images" / "dog.jpg"
    boxes = [net.detect(path, 0.2, letterbox=how).xyxy for how in (True, False)]
    assert boxes[0] != boxes[1]


def test_thresholds(net: darkfuse.Network, shared: Path) -> None:
    path = shared / "images" / "dog.jpg"
    many, few = net.detect(path, 0.1), net.detect(path, 0.5)
    assert len(many) > len(few) and min(few.confidence) > 0.5
    assert len(net.detect(path, 0.1, nms=0)) > len(many)


def test_stats_and_forward(net: darkfuse.Network) -> None:
    source = net.graph.input
    chw = np.random.default_rng(1).random((source.c, source.h, source.w), np.float32)
    maps = net.forward(chw)
    assert set(maps) == set(net.graph.outputs)
    assert set(net.stats) == {"latency_ms", "arena_bytes", "peak_rss_bytes", "bytes_read", "macs"}
    assert net.stats["macs"] == net.graph.macs and net.stats["bytes_read"] == 0
    assert "multiply-adds" in net.stats_line()
    every = net.forward(chw, range(len(net.graph.nodes)))
    for node in net.graph.nodes:
        assert every[node.index].shape == (node.out_shape.c, node.out_shape.h, node.out_shape.w)
    for layer, values in maps.items():
        np.testing.assert_allclose(every[layer], values, atol=1e-5)


def test_closed_it_can_be_used_again(net: darkfuse.Network, shared: Path) -> None:
    path = shared / "images" / "dog.jpg"
    net.close()  # what was kept for reading parts tiles elsewhere, and Winograd rounds by where they begin
    before = net.detect(path, 0.3).detections
    net.close()
    net.close()
    assert net.detect(path, 0.3).detections == before


def test_a_network_that_detects_nothing_still_runs(root: Path, shared: Path, tmp_path: Path) -> None:
    weights = tmp_path / "first.weights"
    cfg = root / "cfg" / "yolov2-16.cfg"
    make_weights(load_graph(str(cfg)), str(weights))
    with darkfuse.load(cfg, weights, mem="resident") as net:
        with pytest.warns(UserWarning, match="no .region. or .yolo. layer"):
            result = net.detect(shared / "images" / "dog.jpg")
        assert len(result) == 0 and net.stats["macs"] == net.graph.macs
        assert net.draw(result, tmp_path / "plain").endswith("plain.jpg")


def test_what_forward_refuses(net: darkfuse.Network) -> None:
    source = net.graph.input
    with pytest.raises(DarkfuseError, match="takes .channels, height, width."):
        net.forward(np.zeros((source.c, source.h, source.w + 1), np.float32))
    with pytest.raises(DarkfuseError, match="has layers 0"):
        net.forward(np.zeros((source.c, source.h, source.w), np.float32), [99])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10, 2), np.uint8),
        np.zeros((10, 10, 5), np.uint8),
        np.zeros(10, np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
        7,
        None,
    ],
)
def test_what_is_no_picture(net: darkfuse.Network, image: object) -> None:
    with pytest.raises(ImageError, match="expected a"):
        net.detect(image)


def small_net(folder: Path, channels: int, **options: object) -> darkfuse.Network:
    cfg, weights = folder / "net.cfg", folder / "net.weights"
    cfg.write_text(f"[net]\nwidth=64\nheight=32\nchannels={channels}\n[convolutional]\nfilters=16\nsize=3\n"
                   "stride=8\npad=1\nactivation=leaky\n[convolutional]\nfilters=18\nsize=1\n"
                   "activation=linear\n[yolo]\nclasses=1\nnum=3\nanchors=10,10, 20,20, 30,30\n")
    make_weights(load_graph(str(cfg)), str(weights), 3)
    return darkfuse.load(cfg, weights, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_of_one_and_four_channels_take_any_picture(
    channels: int, shared: Path, tmp_path: Path
) -> None:
    from PIL import Image

    dog = tmp_path / "dog.png"
    Image.open(shared / "images" / "dog.jpg").save(dog, compress_level=1)
    rgb = np.asarray(Image.open(dog))
    with small_net(tmp_path, channels) as net:
        whole = net.detect(dog, thresh=0.001)
        assert len(whole) > 0
        assert net.detect(rgb, thresh=0.001).detections == whole.detections
        opaque = np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=2)
        assert net.detect(opaque, thresh=0.001).detections == whole.detections
        clear = np.concatenate([rgb, np.zeros_like(rgb[..., :1])], axis=2)
        same = net.detect(clear, thresh=0.001).detections == whole.detections
        assert same == (channels == 1)  # alpha is only seen by a network that has a channel for it
        grey = rgb[..., 1]
        assert net.detect(grey, thresh=0.001).detections == net.detect(
            np.stack([grey] * 3, axis=2), thresh=0.001).detections


def test_a_network_of_two_channels_takes_no_picture(shared: Path, tmp_path: Path) -> None:
    wrong = "takes 2 channels; a picture has 1, 3 or 4"
    with small_net(tmp_path, 2) as net, pytest.raises(DarkfuseError, match=wrong):
        net.detect(shared / "images" / "dog.jpg")


def test_another_size_than_the_cfgs(shared: Path, tmp_path: Path) -> None:
    """A size given is that of a cfg that says so."""
    dog = shared / "images" / "dog.jpg"
    with small_net(tmp_path, 3, width=96, height=160) as net:
        assert (net.graph.input.w, net.graph.input.h) == (96, 160)
        there = net.detect(dog, thresh=0.001)
    cfg = tmp_path / "net.cfg"
    cfg.write_text(cfg.read_text().replace("width=64", "width=96").replace("height=32", "height=160"))
    with darkfuse.load(cfg, tmp_path / "net.weights") as net:
        assert net.detect(dog, thresh=0.001).detections == there.detections != ()


def test_drawing_a_result(net: darkfuse.Network, shared: Path, tmp_path: Path) -> None:
    result = net.detect(shared / "images" / "dog.jpg", 0.3)
    assert net.draw(result, tmp_path / "drawn") == str(tmp_path / "drawn.jpg")
    with pytest.raises(ImageError, match="came from an array"):
        net.draw(net.detect(np.zeros((20, 20, 3), np.uint8)), tmp_path / "x")


def test_cfg_and_weights_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    make_weights(load_graph(str(root / "cfg" / "yolov2-tiny.cfg")), "weights/yolov2-tiny.weights")
    net = darkfuse.load("yolov2-tiny.cfg")  # not here: the one that comes with darkfuse
    assert net.graph.path.endswith("cfg/yolov2-tiny.cfg") and net.names[:2] == ("person", "bicycle")
    assert darkfuse.load("cfg/yolov2-tiny.cfg").names == net.names
    with pytest.raises(CfgError, match="no such cfg"):
        darkfuse.load("elsewhere/yolov2-tiny.cfg")
    with pytest.raises(WeightsError, match="name the .weights file after the cfg"):
        darkfuse.load("yolov2-voc.cfg")


def test_plans(shared: Path) -> None:
    models = shared / "models"
    cfg, weights = models / "yolov2-lite-coco.cfg", models / "yolov2-lite-coco.weights"
    with darkfuse.load(cfg, weights, mem="resident") as first:
        plan = first.plan
        before = first.detect(shared / "images" / "dog.jpg", 0.3)
    with darkfuse.load(cfg, weights, plan=type(plan).from_json(plan.to_json())) as second:
        assert second.detect(shared / "images" / "dog.jpg", 0.3).detections == before.detections
    with pytest.raises(PlanError, match="another network"):
        darkfuse.load(models / "yolov3-tiny.cfg", models / "yolov3-tiny.weights", plan=plan).detect(
            shared / "images" / "dog.jpg"
        )


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 0},
        {"threads": 1000},
        {"mem": "much"},
        {"mem": 0},
        {"device": "no-such-board"},
        {"plan": "5x5/nonsense"},
        {"isa": "sse9"},
    ],
)
def test_impossible_options(shared: Path, options: dict) -> None:
    models = shared / "models"
    with pytest.raises(DarkfuseError) as raised:
        darkfuse.load(models / "yolov2-lite-coco.cfg", models / "yolov2-lite-coco.weights", **options)
    assert "\n" not in str(raised.value)


def test_version_is_the_packages(root: Path) -> None:
    """It is written in one place, and the package's metadata are made from there."""
    settings = (root / "pyproject.toml").read_text()
    assert 'version = { attr = "darkfuse.__version__" }' in settings and darkfuse.__version__ not in settings


def test_lazy_names() -> None:
    assert {"load", "Network", "Result", "DarkfuseError"} <= set(dir(darkfuse))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        darkfuse.nothing  # noqa: B018
