"""A camera that stands still: fewer multiplications, the same bits."""

from __future__ import annotations

from typing import Any

import pytest

from darkfuse import load

np: Any = pytest.importorskip("numpy")


def scene(rng: Any, height: int = 240, width: int = 320) -> Any:
    """Something with edges, corners and noise in it."""
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture[height // 3 : height // 2, width // 4 : width // 2] = (200, 30, 60)
    return picture


def films(rng: Any) -> list[Any]:
    """Frames of a still scene: one mover, two, a rest, one changed pixel in each corner, all new."""
    ground = scene(rng)
    frames = [ground, ground.copy()]
    for step in range(4):
        frame = ground.copy()
        y, x = 40 + 9 * step, 100 + 13 * step
        frame[y : y + 24, x : x + 24] = rng.integers(0, 256, (24, 24, 3))
        if step > 1:
            frame[200:216, 280 - 20 * step : 300 - 20 * step] = 0
        frames += [frame, frame.copy()]
    for y, x in ((0, 0), (0, 319), (239, 0), (239, 319), (120, 160)):
        frame = frames[-1].copy()
        frame[y, x] ^= 255
        frames.append(frame)
    return [*frames, scene(rng)]


def maps(net: Any) -> list[bytes]:
    return [bytes(net._engine.output(layer)) for layer in net.graph.outputs]


@pytest.mark.parametrize("letterbox", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_frames_in_parts_are_whole_frames_bit_for_bit(letterbox: bool, threads: int) -> None:
    frames = films(np.random.default_rng(5))
    with load(threads=threads, mem="resident") as net, load(threads=threads, mem="resident") as whole:
        assert net.stand_still() and whole.stand_still()
        macs = []
        for frame in frames:
            found = net.detect(frame, thresh=0.05, letterbox=letterbox)
            macs.append(net.stats["macs"])
            whole._still.forget(whole._running((), whole._still.plan))  # so that it runs whole
            want = whole.detect(frame, thresh=0.05, letterbox=letterbox)
            assert maps(net) == maps(whole)
            assert found.detections == want.detections
    full = macs[0]
    assert macs[1] == 0 and macs[-1] > 0.8 * full  # nothing is new, all is, but for a letterbox's grey
    assert 0 < macs[2] < full / 2  # one mover
    assert all(0 < part < full for part in macs[-6:-1])  # a single pixel


def test_noise_is_passed_over_and_what_stands_out_is_not() -> None:
    rng = np.random.default_rng(7)
    ground = rng.integers(8, 240, (240, 320, 3), dtype=np.uint8)
    with load(threads=1, mem="resident") as net:
        assert net.stand_still(noise=6)
        net.detect(ground)
        net.detect(ground + rng.integers(0, 7, ground.shape, dtype=np.uint8))
        assert net.stats["macs"] == 0
        frame = ground.copy()
        frame[100:110, 100:110] += 7
        net.detect(frame)
        assert net.stats["macs"] > 0


def test_without_room_for_all_maps_only_frames_that_are_the_same_are_passed_over() -> None:
    frames = films(np.random.default_rng(3))
    with load(threads=1, mem="min") as net, load(threads=1, mem="min") as whole:
        assert not net.stand_still()
        for frame in frames[:4]:
            assert net.detect(frame, thresh=0.05).detections == whole.detect(frame, thresh=0.05).detections
        assert net.stats["macs"] == 0  # the last one was there twice


def test_pictures_between_frames_leave_nothing_behind(root: Any) -> None:
    photo = root / "docs" / "images" / "cat.jpg"
    frames = films(np.random.default_rng(4))
    with load(threads=1, mem="resident") as net, load(threads=1, mem="resident") as whole:
        assert net.stand_still() and whole.stand_still()
        net.detect(frames[2])
        net.detect(photo)
        net.detect(frames[4], thresh=0.05)
        whole.detect(frames[4], thresh=0.05)
        assert maps(net) == maps(whole)
