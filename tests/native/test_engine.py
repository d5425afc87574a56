"""The engine against a numpy reference and Darknet's own outputs; and what it does when things go wrong."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import networks
from profiles import examples
from reference import forward

from darkfuse.detect.activated import activated
from darkfuse.engine._engine import Engine
from darkfuse.errors import DarkfuseError, PlanError, WeightsError
from darkfuse.graph import Graph, build_graph, load_graph
from darkfuse.graph.weights import weight_offsets
from darkfuse.model.cfg import parse_cfg
from darkfuse.plan.layout.lower import lower
from darkfuse.plan.program import Landing, Program
from darkfuse.plan.search.simple import layer_by_layer
from darkfuse.plan.types import Group, Plan
from tools.make_weights import make_weights

CONV = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\nstride={}\npad=1\nactivation=leaky\n"
SMALL = ("[net]\nwidth=28\nheight=20\nchannels=3\n" + CONV.format(36, 3, 1) + "[maxpool]\nsize=2\nstride=2\n"
         + CONV.format(40, 3, 1) + CONV.format(70, 1, 1))


def made(text: str, folder: Path, seed: int = 1) -> tuple[Graph, str]:
    """A graph and random weights for it, with the cfg beside them as net.cfg."""
    graph = build_graph(parse_cfg(text))
    (folder / "net.cfg").write_text(text)
    weights = str(folder / "net.weights")
    make_weights(graph, weights, seed)
    return graph, weights


def program_of(graph: Graph, weights: str, threads: int = 1, residency: str = "pinned", exact: bool = False,
               outputs: tuple[int, ...] = ()) -> Program:
    plan = layer_by_layer(graph, threads, residency, exact)
    return lower(graph, plan, outputs, weight_offsets(graph, weights))


def noise(graph: Graph, seed: int = 0) -> np.ndarray:
    shape = (graph.input.c, graph.input.h, graph.input.w)
    return np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)


def all_layers(graph: Graph, weights: str, frame: np.ndarray, **how) -> list[np.ndarray]:
    threads = how.get("threads", 1)
    program = program_of(graph, weights, outputs=tuple(range(len(graph.nodes))), **how)
    engine = Engine(program, weights, threads, guard=True)
    engine.run_chw(frame)
    found = [np.array(engine.output(n.index)) for n in graph.nodes]
    engine.close()
    return found


def close_to(have: np.ndarray, want: np.ndarray, rms: float = 2e-5) -> None:
    assert have.shape == want.shape
    level = np.sqrt(np.mean(np.square(want, dtype=np.float64)))
    assert np.sqrt(np.mean((have - want) ** 2)) <= rms * level + 1e-9
    assert np.abs(have - want).max() <= 1e-3


# -- the right numbers ------------------------------------------------------------------------------------


@examples(60, function_fixtures=True)
@given(data=st.data())
def test_random_networks_match_the_reference(data, tmp_path):
    text = "".join(data.draw(networks()).cfg.lines)
    graph, weights = made(text, tmp_path, data.draw(st.integers(0, 9)))
    frame = noise(graph)
    want = forward(tmp_path / "net.cfg", weights, frame, *graph.dialect.epsilons)
    exact, threads = data.draw(st.booleans()), data.draw(st.integers(1, 3))
    have = all_layers(graph, weights, frame, exact=exact, threads=threads)
    for number, values in enumerate(want):
        close_to(have[number], values)


RARE = {
    "connected": CONV.format(20, 3, 2) + "[connected]\noutput=37\nactivation=relu\nbatch_normalize=1\n"
                 "[connected]\noutput=50\nactivation=linear\n[softmax]\ngroups=5\ntemperature=1.5\n",
    "classifier": CONV.format(40, 3, 1) + "[avgpool]\n[softmax]\n",
    "reorg": CONV.format(36, 3, 1) + "[reorg]\nstride=2\n" + CONV.format(9, 1, 1),
    "shortcut of unequal maps": CONV.format(30, 3, 1) + CONV.format(20, 3, 2) + "[shortcut]\nfrom=-2\n"
                                "activation=leaky\n[upsample]\nstride=2\nscale=0.5\n[shortcut]\nfrom=-3\n",
    "route groups": CONV.format(48, 3, 1) + "[route]\nlayers=-1\ngroups=4\ngroup_id=1\n"
                    + CONV.format(5, 1, 1) + "[route]\nlayers=-1,-2,0\n" + CONV.format(17, 3, 1),
    "activations": "".join(CONV.replace("leaky", a).format(18, 3, 1) for a in (
        "linear", "relu", "logistic", "mish", "swish", "relu6", "tanh", "elu")),
    "grouped and dilated": CONV.format(32, 3, 1) + "[convolutional]\nfilters=64\nsize=3\ngroups=32\npad=1\n"
                           "activation=swish\n[convolutional]\nfilters=8\nsize=3\ndilation=2\npad=1\n"
                           "activation=linear\n",
}


@pytest.mark.parametrize("residency", ["pinned", "loaded", "streamed"])
@pytest.mark.parametrize("name", RARE)
def test_rare_layers_match_the_reference(name, residency, tmp_path):
    graph, weights = made("[net]\nwidth=18\nheight=12\nchannels=3\n" + RARE[name], tmp_path)
    frame = noise(graph)
    want = forward(tmp_path / "net.cfg", weights, frame, *graph.dialect.epsilons)
    for threads in (1, 3):
        have = all_layers(graph, weights, frame, residency=residency, threads=threads)
        for number, values in enumerate(want):
            close_to(have[number], values)


def test_transposed_connected_layers_of_old_files(tmp_path):
    graph, weights = made("[net]\nwidth=4\nheight=3\nchannels=3\n[connected]\noutput=7\nactivation=leaky\n",
                          tmp_path)
    data = bytearray(Path(weights).read_bytes())
    old = np.array([1001, 2, 5], "<i4").tobytes() + data[12:16] + data[20:]  # 4 bytes of images seen
    Path(weights).write_bytes(old)
    frame = noise(graph)
    want = forward(tmp_path / "net.cfg", weights, frame, *graph.dialect.epsilons)
    close_to(all_layers(graph, weights, frame)[0], want[0])


def test_layers_missing_from_the_file_count_as_zeros(tmp_path):
    text = SMALL.replace("filters=40", "dontload=1\nfilters=40")
    graph = build_graph(parse_cfg(text))
    weights = str(tmp_path / "net.weights")
    make_weights(build_graph(parse_cfg(SMALL)), weights)
    node = graph.node(2)
    data = Path(weights).read_bytes()
    at = 20 + graph.node(0).weight_bytes
    Path(weights).write_bytes(data[:at] + data[at + node.weight_bytes :])
    for residency in ("pinned", "loaded", "streamed"):
        found = all_layers(graph, weights, noise(graph), residency=residency)
        assert not found[2].any()
        assert found[3].any()


GOLDEN = {
    "yolov2-lite-coco-dog": ("yolov2-lite-coco", None),
    "yolov2-lite-coco-person": ("yolov2-lite-coco", None),
    "yolov3-tiny-dog": ("yolov3-tiny", None),
    "yolov3-tiny-giraffe": ("yolov3-tiny", None),
    "yolov2-tiny-random-dog": ("yolov2-tiny", None),
    "yolov2-416-random-dog": ("yolov2", 416),
    "yolov2-608-random-dog": ("yolov2", 608),
}


@pytest.fixture(scope="session")
def random_weights(shared, tmp_path_factory):
    """Weights of a model: the shared ones, or seeded random ones, made once a session."""
    folder = tmp_path_factory.mktemp("weights")

    def find(model: str, graph: Graph) -> str:
        trained = shared / "models" / f"{model}.weights"
        if trained.exists():
            return str(trained)
        path = folder / f"{model}.weights"
        if not path.exists():
            make_weights(graph, str(path), 1)
        return str(path)

    return find


@pytest.mark.parametrize("how", [
    {"threads": 2}, {"threads": 1, "residency": "streamed", "exact": True}
], ids=["winograd", "exact, streamed"])
@pytest.mark.parametrize("case", GOLDEN)
def test_darknets_own_outputs(case, how, shared, tmp_path, random_weights):
    model, side = GOLDEN[case]
    text = (shared / "models" / f"{model}.cfg").read_text()
    if side:
        text = text.replace("width=608", f"width={side}").replace("height=608", f"height={side}")
    (tmp_path / "net.cfg").write_text(text)
    graph = load_graph(str(tmp_path / "net.cfg"))
    golden = np.load(shared / "golden" / f"{case}.npz")
    asked = tuple(int(name[5:]) for name in golden.files if name != "input")
    weights = random_weights(model, graph)
    engine = Engine(program_of(graph, weights, outputs=asked, **how), weights, how["threads"])
    engine.run_chw(np.ascontiguousarray(golden["input"]))
    assert engine.stats()["macs"] == graph.macs
    for layer in asked:
        have = np.array(engine.output(layer))
        if graph.node(layer).kind in ("region", "yolo"):
            have = activated(graph.node(layer), have)
        close_to(have, golden[f"layer{layer}"])


# -- the input --------------------------------------------------------------------------------------------


def letterbox(photo: np.ndarray, width: int, height: int, keep: bool) -> np.ndarray:
    """Darknet's resizing in float32, every step rounded on its own."""
    f = np.float32
    rows, cols, channels = photo.shape
    unit = (photo / 255.0).astype(f)
    w, h = width, height
    if keep and f(width) / f(cols) < f(height) / f(rows):
        h = rows * width // cols
    elif keep:
        w = cols * height // rows
    part = np.empty((rows, w, channels), f)
    for c in range(w):
        if c == w - 1 or cols == 1:
            part[:, c] = unit[:, cols - 1]
            continue
        sx = f(c) * (f(cols - 1) / f(w - 1))
        ix = int(sx)
        dx = sx - f(ix)
        part[:, c] = (f(1) - dx) * unit[:, ix] + dx * unit[:, ix + 1]
    out = np.full((height, width, channels), f(0.5))
    for r in range(h):
        sy = f(r) * (f(rows - 1) / f(h - 1) if h > 1 else f(0))
        iy = int(sy)
        dy = sy - f(iy)
        line = (f(1) - dy) * part[iy]
        if r != h - 1 and rows > 1:
            line = line + dy * part[iy + 1]
        out[(height - h) // 2 + r, (width - w) // 2 : (width - w) // 2 + w] = line
    return out.transpose(2, 0, 1)


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


# -- what it says and what it gives -----------------------------------------------------------------------


def test_output_is_a_view_that_outlives_the_engine(tmp_path):
    graph, weights = made(SMALL, tmp_path)
    engine = Engine(program_of(graph, weights), weights, 1)
    view = engine.output(3)
    assert (view.format, view.shape, view.readonly) == ("f", (70, 10, 14), True)
    engine.run_chw(noise(graph, 1))
    first = view.tobytes()
    engine.run_chw(noise(graph, 2))
    assert view.tobytes() != first, "not the arena itself but a copy"
    last = view.tobytes()
    engine.close()
    del engine
    assert view.tobytes() == last


def test_statistics(tmp_path):
    graph, weights = made(SMALL, tmp_path)
    program = program_of(graph, weights, 2, "streamed")
    engine = Engine(program, weights, 2)
    for _ in range(2):
        engine.run_chw(noise(graph))
    stats = engine.stats()
    assert stats["arena_bytes"] == program.arena_bytes
    assert stats["bytes_read"] == sum(n.weights.kernels * 4 for n in graph.nodes if n.weights)
    assert stats["macs"] == graph.macs
    assert len(stats["stages_ms"]) == len(program.stages)
    assert 0 < sum(stats["stages_ms"]) <= stats["latency_ms"]


def test_one_thread_starts_no_team(tmp_path):
    """In a process of its own: the reader thread comes and goes, and no other is ever there."""
    graph, weights = made(SMALL, tmp_path)
    tests = Path(__file__).parent  # of this file; the modules it imports are one folder up
    code = (f"import sys; sys.path[:0] = {[str(tests), str(tests.parent)]!r}\n"
            "import os\nfrom test_engine import *\n"
            f"graph = build_graph(parse_cfg(SMALL))\n"
            f"engine = Engine(program_of(graph, {weights!r}, 1, 'streamed'), {weights!r}, 1)\n"
            "before = len(os.listdir('/proc/self/task'))\nengine.run_chw(noise(graph))\n"
            "print(len(os.listdir('/proc/self/task')) - before)\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "0", done.stderr


def test_wrong_frames_are_refused(tmp_path):
    graph, weights = made(SMALL, tmp_path)
    engine = Engine(program_of(graph, weights), weights, 1)
    with pytest.raises(DarkfuseError, match="bytes"):
        engine.run_chw(np.zeros((3, 20, 27), np.float32))
    with pytest.raises(DarkfuseError, match="'d'"):
        engine.run_chw(np.zeros((3, 20, 14), np.float64))
    with pytest.raises(DarkfuseError, match="bytes"):
        engine.run_image(b"abc", 2, 1)
    with pytest.raises(DarkfuseError, match="pixels"):
        engine.run_image(b"", 0, 0)
    with pytest.raises(DarkfuseError, match="outputs"):
        engine.output(1)
    engine.close()
    with pytest.raises(DarkfuseError, match="closed"):
        engine.run_chw(noise(graph))


# -- weights that fail ------------------------------------------------------------------------------------


@pytest.mark.parametrize("residency", ["pinned", "loaded", "streamed"])
def test_a_file_too_short_is_refused_at_once(residency, tmp_path):
    graph, weights = made(SMALL, tmp_path)
    program = program_of(graph, weights, 1, residency)
    os.truncate(weights, os.path.getsize(weights) - 100)
    with pytest.raises(WeightsError, match="100 bytes"):
        Engine(program, weights, 1)
    with pytest.raises(WeightsError, match="No such file"):
        Engine(program, weights + "x", 1)


@pytest.mark.parametrize("residency", ["loaded", "streamed"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_file_cut_short_between_frames_ends_the_frame(threads, residency, tmp_path):
    graph, weights = made(SMALL, tmp_path)
    engine = Engine(program_of(graph, weights, threads, residency), weights, threads)
    engine.run_chw(noise(graph))
    good = bytes(engine.output(3))
    data = Path(weights).read_bytes()
    os.truncate(weights, len(data) // 2)
    tasks = len(os.listdir("/proc/self/task"))
    for _ in range(3):
        with pytest.raises(WeightsError, match="cut short"):
            engine.run_chw(noise(graph))
    assert len(os.listdir("/proc/self/task")) == tasks
    Path(weights).write_bytes(data)
    engine.run_chw(noise(graph))
    assert bytes(engine.output(3)) == good


def test_a_folder_is_no_weights_file(tmp_path):
    graph, weights = made(SMALL, tmp_path)
    program = program_of(graph, weights, 1, "streamed")
    with pytest.raises(WeightsError):
        Engine(program, str(tmp_path), 1)


# -- programs that would leave their memory ---------------------------------------------------------------


def changed(program: Program, table: str, number: int, **fields) -> Program:
    rows = list(getattr(program, table))
    rows[number] = dataclasses.replace(rows[number], **fields)
    return dataclasses.replace(program, **{table: tuple(rows)})


def op_changed(program: Program, stage: int, number: int, **fields) -> Program:
    ops = list(program.stages[stage].ops)
    ops[number] = dataclasses.replace(ops[number], **fields)
    return changed(program, "stages", stage, ops=tuple(ops))


def test_malformed_programs_are_refused(tmp_path):
    graph, weights = made(SMALL, tmp_path)
    good = program_of(graph, weights, 1, "streamed")
    assert Engine(good, weights, 1) is not None
    conv, places = good.stages[0].ops[1], good.weights[0].landings
    bad = [
        dataclasses.replace(good, arena_bytes=good.arena_bytes - 64),
        dataclasses.replace(good, arena_bytes=-1),
        dataclasses.replace(good, outputs=((3, 99),)),
        changed(good, "buffers", 0, offset=8),
        changed(good, "buffers", 0, bytes=2**62),
        changed(good, "tensors", 0, buffer=99),
        changed(good, "tensors", 0, slots=10**6),
        changed(good, "tensors", 0, slots=0),
        changed(good, "tensors", 0, cols=3),
        changed(good, "tensors", 0, row_stride=1),
        changed(good, "tensors", 0, x0=(2**31,)),
        changed(good, "tensors", 1, channels=2**20),
        changed(good, "tensors", 1, layout="nchw"),
        changed(good, "weights", 0, filters=2**31 - 1),
        changed(good, "weights", 0, per_filter=2**40),
        changed(good, "weights", 0, raw_filters=2**30),
        changed(good, "weights", 0, slots=0),
        changed(good, "weights", 0, resident=1),
        changed(good, "weights", 0, landings=()),
        changed(good, "weights", 0, landings=tuple(Landing(at + 64, step) for at, step in places)),
        changed(good, "weights", 0, landings=(*places, Landing(2**40, 0))),
        changed(good, "weights", 0, landings=(*places, Landing(-4096, 0))),
        changed(good, "weights", 0, landings=(*places, Landing(places[0].offset, 0))),
        changed(good, "weights", 0, landings=tuple(Landing(at, 1) for at, _ in places)),
        # Over the input
        changed(good, "weights", 0, landings=(*places, Landing(good.buffers[0].offset // 4096 * 4096, 0))),
        changed(good, "weights", 0, resident=-1),
        changed(good, "weights", 2, block=31),
        changed(good, "weights", 2, block=32, raw_filters=24, slots=1),
        changed(good, "weights", 2, packed=good.weights[0].scale),
        op_changed(good, 0, 1, y=((0, 99),)),
        op_changed(good, 0, 1, y=((5, 2),)),
        op_changed(good, 0, 1, x=((-1, 3),)),
        op_changed(good, 0, 1, inputs=()),
        op_changed(good, 0, 1, output=-1),
        op_changed(good, 0, 1, kernel="winograd"),
        op_changed(good, 0, 1, kernel="direct"),
        op_changed(good, 0, 1, weights=5),
        op_changed(good, 0, 1, options=dataclasses.replace(conv.options, size=255)),
        op_changed(good, 0, 1, options=dataclasses.replace(conv.options, stride=0)),
        op_changed(good, 0, 1, options=dataclasses.replace(conv.options, pad=99)),
        op_changed(good, 0, 1, options=None),
        changed(good, "stages", 0, grid=(0, 1)),
        changed(good, "stages", 2, scratch=0),
        changed(good, "stages", 0, last=1),
        changed(good, "stages", 1, first=0),
    ]
    for number, program in enumerate(bad):
        with pytest.raises(PlanError, match="malformed"):
            Engine(program, weights, 1)
            pytest.fail(f"program {number} was accepted")
    for threads in (0, 2):
        with pytest.raises(PlanError, match="threads"):
            Engine(good, weights, threads)
    with pytest.raises(DarkfuseError, match="instruction set"):
        Engine(good, weights, 1, "mmx")


def test_memory_refused_is_one_clear_error(tmp_path):
    graph, weights = made(SMALL, tmp_path)
    program = program_of(graph, weights)
    buffer = dataclasses.replace(program.buffers[0], offset=program.arena_bytes, bytes=1 << 50)
    huge = dataclasses.replace(program, arena_bytes=program.arena_bytes + (1 << 50),
                               buffers=(*program.buffers, buffer))
    with pytest.raises(DarkfuseError, match="refuses"):
        Engine(huge, weights, 1)


# -- leaving early ----------------------------------------------------------------------------------------

LONG = "[net]\nwidth=304\nheight=304\nchannels=3\n" + CONV.format(64, 3, 1) + 6 * CONV.format(64, 3, 1)
# Weights that no room is for until late
HEAVY = LONG + 6 * "[maxpool]\nsize=2\nstride=2\n" + CONV.format(512, 3, 1) + CONV.format(1024, 3, 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_stops_a_frame(threads, tmp_path):
    """The exception of the signal's handler comes out of run, and the engine still works afterwards."""

    class Enough(Exception):
        pass

    def handler(number, stack):
        raise Enough

    graph, weights = made(HEAVY, tmp_path)
    program = program_of(graph, weights, threads, "streamed")
    engine = Engine(program, weights, threads, isa="generic")
    frame = noise(graph)
    engine.run_chw(frame)
    whole = engine.stats()["macs"]
    previous = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03)  # no processor does these 20 G multiply-adds in that
        with pytest.raises(Enough):
            engine.run_chw(frame)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert engine.stats()["bytes_read"] < sum(n.weights.kernels * 4 for n in graph.nodes if n.weights)
    engine.run_chw(frame)
    assert engine.stats()["macs"] == whole


def test_other_threads_run_meanwhile_but_not_in_the_same_engine(tmp_path):
    graph, weights = made(LONG, tmp_path)
    engine = Engine(program_of(graph, weights, 1), weights, 1, isa="generic")
    frame = noise(graph)
    worker = threading.Thread(target=engine.run_chw, args=(frame,))
    worker.start()
    refused = 0
    while worker.is_alive() and not refused:
        try:
            engine.run_chw(frame)
        except DarkfuseError as error:
            assert "running" in str(error)
            refused += 1
        time.sleep(0.001)
    worker.join()
    assert refused
