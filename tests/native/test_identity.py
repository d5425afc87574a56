"""Weights that change while a network is in use: the frame ends with a message, and never in wrong boxes."""

from __future__ import annotations

import mmap
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_engine import CONV, made, noise, program_of

import darkfuse
from darkfuse.engine._engine import Engine
from darkfuse.errors import WeightsError
from darkfuse.graph.weights import weight_offsets
from darkfuse.host.files import identity

NET = "[net]\nwidth=24\nheight=16\nchannels=3\n" + CONV.format(64, 3, 1) + 3 * CONV.format(64, 3, 1)
CHANGED = "the file was changed while it was in use; load the network again"


def overwrite(path: str, other: bytes) -> None:
    with open(path, "r+b") as file:
        file.write(other)


def overwrite_and_set_back(path: str, other: bytes) -> None:
    """As `cp -p` and `rsync --inplace --times` do."""
    before = os.stat(path)
    overwrite(path, other)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def overwrite_mapped(path: str, other: bytes) -> None:
    before = os.stat(path)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[:] = other
        mapped.flush()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


WAYS = [overwrite, overwrite_and_set_back, overwrite_mapped]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_overwritten_in_place(way, cached, threads, tmp_path):
    (tmp_path / "other").mkdir()
    graph, weights = made(NET, tmp_path, 1)
    _, other = made(NET, tmp_path / "other", 2)
    engine = Engine(program_of(graph, weights, threads, "streamed"), weights, threads, cached=cached)
    frame = noise(graph)
    engine.run_chw(frame)
    engine.run_chw(frame)
    way(weights, Path(other).read_bytes())
    for _ in range(2):
        with pytest.raises(WeightsError, match=CHANGED):
            engine.run_chw(frame)


def test_written_again_with_the_same_bytes(tmp_path):
    graph, weights = made(NET, tmp_path)
    engine = Engine(program_of(graph, weights, 1, "streamed"), weights, 1)
    frame, last = noise(graph), graph.outputs[-1]
    engine.run_chw(frame)
    first = np.array(engine.output(last))
    overwrite(weights, Path(weights).read_bytes())
    engine.run_chw(frame)
    assert np.array_equal(first, np.array(engine.output(last)))


def test_a_single_weight_changed(tmp_path):
    """Away from every sample: that something was written is seen, and then all of it is compared."""
    graph, weights = made(NET, tmp_path)
    engine = Engine(program_of(graph, weights, 1, "streamed"), weights, 1)
    frame = noise(graph)
    engine.run_chw(frame)
    with open(weights, "r+b") as file:
        file.seek(os.path.getsize(weights) - 4 * 700)
        file.write(b"\x01")
    with pytest.raises(WeightsError, match=CHANGED):
        engine.run_chw(frame)


def test_what_is_not_read_again_may_change(tmp_path):
    graph, weights = made(NET, tmp_path)
    engine = Engine(program_of(graph, weights, 1, "pinned"), weights, 1)
    frame, last = noise(graph), graph.outputs[-1]
    engine.run_chw(frame)
    first = np.array(engine.output(last))
    overwrite(weights, bytes(os.path.getsize(weights)))
    engine.run_chw(frame)
    assert np.array_equal(first, np.array(engine.output(last)))


@pytest.mark.parametrize("residency", ["streamed", "pinned"])
@pytest.mark.parametrize("replaced", [False, True])
def test_unlinked_or_replaced_the_open_file_goes_on(residency, replaced, tmp_path):
    graph, weights = made(NET, tmp_path)
    engine = Engine(program_of(graph, weights, 1, residency), weights, 1)
    frame, last = noise(graph), graph.outputs[-1]
    engine.run_chw(frame)
    first = np.array(engine.output(last))
    os.rename(weights, weights + ".old")
    if replaced:
        Path(weights).write_bytes(bytes(os.path.getsize(weights + ".old")))
    os.remove(weights + ".old")
    for _ in range(2):
        engine.run_chw(frame)
        assert np.array_equal(first, np.array(engine.output(last)))


@pytest.mark.parametrize("way", [*WAYS, "replace"])
def test_opened_again_it_must_be_the_same(way, tmp_path):
    (tmp_path / "other").mkdir()
    graph, weights = made(NET, tmp_path, 1)
    _, other = made(NET, tmp_path / "other", 2)
    index, program = weight_offsets(graph, weights), program_of(graph, weights)
    Engine(program, weights, 1, known=index.identity)
    if way == "replace":
        os.replace(other, weights)
    else:
        way(weights, Path(other).read_bytes())
    with pytest.raises(WeightsError, match=CHANGED):
        Engine(program, weights, 1, known=index.identity)


def test_a_network_that_opens_its_weights_again(root, tmp_path):
    photo = root / "docs" / "images" / "cat.jpg"
    cfg, weights = tmp_path / "a.cfg", tmp_path / "a.weights"
    shutil.copy(root / "cfg" / "darkfuse-voc7.cfg", cfg)
    shutil.copy(root / "weights" / "darkfuse-voc7.weights", weights)
    net = darkfuse.load(cfg, weights)
    first = net.detect(photo)
    net.close()
    assert net.detect(photo) == first
    net.close()
    shutil.copy2(root / "weights" / "darkfuse-voc7.weights", tmp_path / "b.weights")
    os.replace(tmp_path / "b.weights", weights)
    with pytest.raises(WeightsError, match=CHANGED):
        net.detect(photo)


def test_identity_of_files_of_any_size(tmp_path):
    seen = set()
    for size in (0, 1, 63, 64, 65, 100, 1087, 1088, 1089, 5000):
        path = tmp_path / "file"
        path.write_bytes(b"x" * size)
        with path.open("rb") as file:
            once, again = identity(file.fileno()), identity(file.fileno())
        assert once == again and once[0].size == size and len(once[1]) <= 64 * 32
        seen.add(once)
    assert len(seen) == 10
