"""The engine against a numpy reference and Darknet's own outputs; and what it does when things go wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import networks
from profiles import examples
from reference import forward
from small import CONV, SMALL, all_layers, made, noise, program_of

import darkfuse
from darkfuse.detect.activated import activated
from darkfuse.engine._engine import Engine
from darkfuse.errors import DarkfuseError
from darkfuse.graph import Graph, build_graph, load_graph
from darkfuse.model.cfg import parse_cfg
from tools.make_weights import make_weights


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
    want = forward(tmp_path / "net.cfg", weights, frame, *graph.dialect.epsilons,
                   graph.dialect.batchnorm_biases)
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
    want = forward(tmp_path / "net.cfg", weights, frame, *graph.dialect.epsilons,
                   graph.dialect.batchnorm_biases)
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
    want = forward(tmp_path / "net.cfg", weights, frame, *graph.dialect.epsilons,
                   graph.dialect.batchnorm_biases)
    close_to(all_layers(graph, weights, frame)[0], want[0])


@pytest.mark.parametrize("mem", ["min", "1G"])
def test_transposed_weights_are_pinned_whatever_the_budget(tmp_path, mem):
    text = "[net]\nwidth=12\nheight=9\nchannels=3\n" + CONV.format(16, 3, 1) \
        + "[connected]\noutput=40\nactivation=leaky\n[connected]\noutput=5\nactivation=linear\n"
    graph, weights = made(text, tmp_path)
    data = Path(weights).read_bytes()
    old = np.array([1001, 2, 5], "<i4").tobytes() + data[12:16] + data[20:]
    Path(weights).write_bytes(old)
    frame = noise(graph)
    want = forward(tmp_path / "net.cfg", weights, frame, *graph.dialect.epsilons,
                   graph.dialect.batchnorm_biases)
    with darkfuse.load(tmp_path / "net.cfg", weights, mem=mem, threads=1) as net:
        ways = {layer.node: layer.residency for group in net.plan.groups for layer in group.layers}
        assert (ways[1], ways[2]) == ("pinned", "pinned")
        close_to(net.forward(frame)[2], want[2])


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
    tests = Path(__file__).parents[1]
    code = (f"import sys; sys.path[:0] = {[str(tests), str(tests.parent)]!r}\n"
            "import os\nfrom small import *\n"
            f"graph = build_graph(parse_cfg(SMALL))\n"
            f"engine = Engine(program_of(graph, {weights!r}, 1, 'streamed'), {weights!r}, 1)\n"
            "before = tasks()\nengine.run_chw(noise(graph))\nprint(tasks_fall_to(before))\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "True", done.stderr


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
