"""How a photo becomes the network's input: to the last bit, Darknet's and OpenCV's ways."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from reference_boxes import letterbox
from small import made, program_of

from darkfuse.engine._engine import Engine
from darkfuse.errors import DarkfuseError
from darkfuse.graph.weights import weight_offsets
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.types import Group, Plan


def close_to(have: np.ndarray, want: np.ndarray, rms: float = 2e-5) -> None:
    assert have.shape == want.shape
    level = np.sqrt(np.mean(np.square(want, dtype=np.float64)))
    assert np.sqrt(np.mean((have - want) ** 2)) <= rms * level + 1e-9
    assert np.abs(have - want).max() <= 1e-3


@pytest.mark.parametrize("first", ["first", "direct"])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (40, 3), (17, 23), (20, 14), (64, 64), (301, 199)])
def test_photos_are_placed_as_darknet_does(size, keep, first, tmp_path):
    """Through an identity network: what comes out is the input itself."""
    width, height = size
    photo = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    graph, weights = made("[net]\nwidth=20\nheight=14\nchannels=3\n[convolutional]\nfilters=3\nsize=1\n"
                          "activation=linear\n", tmp_path)
    Path(weights).write_bytes(Path(weights).read_bytes()[:20]
                              + np.concatenate([np.zeros(3), np.eye(3).ravel()]).astype("<f4").tobytes())
    plan = layer_by_layer(graph)
    layer = dataclasses.replace(plan.groups[0].layers[0], kernel=first)
    plan = Plan(plan.network, plan.fingerprint, (Group((layer,)),))
    engine = Engine(lower(graph, plan, (), weight_offsets(graph, weights)), weights, 1, guard=True)
    engine.run_image(photo, width, height, keep)
    assert np.array_equal(np.array(engine.output(0)), letterbox(photo, 20, 14, keep))
    tiles = Plan(plan.network, plan.fingerprint, (Group((layer,), (5, 3), "full"),))
    tiled = Engine(lower(graph, tiles, (), weight_offsets(graph, weights)), weights, 1, guard=True)
    tiled.run_image(bytes(photo), width, height, keep)
    assert bytes(tiled.output(0)) == bytes(engine.output(0))


def identity(folder: Path, width: int, height: int, channels: int) -> Engine:
    """A network that gives the input it made of a photo."""
    graph, weights = made(f"[net]\nwidth={width}\nheight={height}\nchannels={channels}\n[convolutional]\n"
                          f"filters={channels}\nsize=1\nactivation=linear\n", folder)
    Path(weights).write_bytes(Path(weights).read_bytes()[:20] + np.concatenate(
        [np.zeros(channels), np.eye(channels).ravel()]).astype("<f4").tobytes())
    return Engine(program_of(graph, weights), weights, 1, guard=True)


def as_channels(photo: np.ndarray, count: int) -> np.ndarray:
    """(height, width, `count`): the luma in stb_image's whole numbers, no alpha, or an opaque one."""
    given, r = photo.shape[2], photo.astype(int)
    if count == 1:
        luma = r[..., 0] if given == 1 else (77 * r[..., 0] + 150 * r[..., 1] + 29 * r[..., 2]) >> 8
        return luma[..., None].astype(np.uint8)
    colours = photo.repeat(3, axis=2) if given == 1 else photo[..., :3]
    if count == 3:
        return colours
    alpha = photo[..., 3:] if given == 4 else np.full((*photo.shape[:2], 1), 255, np.uint8)
    return np.concatenate([colours, alpha], axis=2)


@pytest.mark.parametrize("given", [1, 3, 4])
@pytest.mark.parametrize("wanted", [1, 3, 4])
def test_grey_and_transparent_photos_and_networks(given, wanted, tmp_path):
    photo = np.random.default_rng(given).integers(0, 256, (17, 23, given), np.uint8)
    engine = identity(tmp_path, 20, 14, wanted)
    for keep in (True, False):
        engine.run_image(photo, 23, 17, keep, given)
        assert np.array_equal(np.array(engine.output(0)), letterbox(as_channels(photo, wanted), 20, 14, keep))


def test_a_network_of_other_channels_takes_no_photo(tmp_path):
    engine = identity(tmp_path, 4, 4, 2)
    with pytest.raises(DarkfuseError, match=r"takes 2 channels, the photo has 3; both must be 1 \(grey\)"):
        engine.run_image(bytes(48), 4, 4)


def cropped(photo: np.ndarray, width: int, height: int) -> np.ndarray:
    """Darknet's `resize_min` to the network's width, then `crop_image` of the middle."""
    rows, cols, _ = photo.shape
    w, h = (width, rows * width // cols) if cols < rows else (cols * width // rows, width)
    scaled = letterbox(photo, w, h, False)
    left, top = int((w - width) / 2), int((h - height) / 2)
    down, across = np.arange(height) + top, np.arange(width) + left
    return scaled[:, np.clip(down, 0, h - 1)][:, :, np.clip(across, 0, w - 1)]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (40, 3), (17, 23), (20, 14), (64, 64), (301, 199)])
@pytest.mark.parametrize("net", [(14, 14), (20, 13), (13, 20)])
def test_photos_are_cropped_as_darknet_does(size, net, tmp_path):
    width, height = size
    photo = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    engine = identity(tmp_path, *net, 3)
    engine.run_image(photo, width, height, crop=True)
    assert np.array_equal(np.array(engine.output(0)), cropped(photo, *net))


@pytest.mark.parametrize(("photo", "net"), [
    ((64, 48), (40, 30)), ((64, 48), (32, 24)), ((33, 17), (50, 40)), ((768, 576), (416, 416)),
    ((100, 7), (13, 13)), ((1, 9), (5, 5)), ((833, 700), (416, 350)),
])
def test_opencvs_resize_to_the_last_bit(photo, net, tmp_path):
    cv2 = pytest.importorskip("cv2")
    picture = np.random.default_rng(2).integers(0, 256, (photo[1], photo[0], 3), np.uint8)
    engine = identity(tmp_path, *net, 3)
    engine.run_image(picture, *photo, False, 3, True)
    wanted = cv2.resize(picture, net).transpose(2, 0, 1)
    assert np.array_equal(np.array(engine.output(0)), (wanted / 255).astype(np.float32))


@pytest.mark.parametrize("room", [1, 1500, None])
@pytest.mark.parametrize("shape", ["letterbox", "stretch", "crop"])
@pytest.mark.parametrize("size", [(64, 31), (9, 40), (301, 3)])
def test_rows_that_come_meanwhile_make_the_same_input(size, shape, room, tmp_path):
    """From tiles of any plan, with any number of rows at hand, upright and turned."""
    from PIL import Image

    from darkfuse.media._rows import FORMATS, Source

    if "png" not in FORMATS:
        pytest.skip("built without libpng")
    width, height = size
    photo = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    layer = "[convolutional]\nfilters=16\nsize=3\npad=1\nactivation=leaky\n"
    graph, weights = made(f"[net]\nwidth=20\nheight=28\nchannels=3\n{layer}{layer}", tmp_path)
    plain = layer_by_layer(graph)
    layers = tuple(layer for group in plain.groups for layer in group.layers)
    plans = [(plain, 1)]
    for grid, caches, threads in (((7, 1), "full", 1), ((5, 3), "full", 2), ((4, 3), "none", 2)):
        group = Group(layers, grid, caches)
        plans.append((Plan(plain.network, plain.fingerprint, (group,), threads), threads))
    with open(tmp_path / "photo.png", "rb") as file:
        source = Source("photo.png", file.fileno(), "png")
    for orientation in (1, 3, 6):
        upright = np.ascontiguousarray({1: photo, 3: photo[::-1, ::-1], 6: np.rot90(photo, -1)}[orientation])
        for plan, threads in plans:
            engine = Engine(lower(graph, plan, (), weight_offsets(graph, weights)), weights, threads)
            engine.run_image(upright, upright.shape[1], upright.shape[0], shape == "letterbox",
                             crop=shape == "crop")
            expected = bytes(engine.output(1))
            rows = source.rows(orientation, (20, 28, 3), shape, False, room)
            engine.run_rows(rows)
            assert bytes(engine.output(1)) == expected
            del rows
    with pytest.raises(DarkfuseError, match="rows for a network"):
        engine.run_rows(source.rows(1, (28, 20, 3), shape, False, room))
