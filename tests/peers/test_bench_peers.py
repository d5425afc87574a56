"""`tools/bench_peers.py`: every runtime that is installed computes the same network."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from darkfuse.graph import load_graph
from tools.bench.ncnn_model import window_padding
from tools.bench_peers import hide_avx512, resized_cfg

ROOT = Path(__file__).resolve().parents[2]
TOOL = [sys.executable, str(ROOT / "tools" / "bench_peers.py")]

# Every layer type the peers' models are written for, and a map that two layers and a head read.
MIXED = """
[net]
width=999 # set by the tool
height=64
channels=3

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=16
groups=4
size=3
stride=1
pad=1
activation=relu

[shortcut]
from=-2
activation=linear

[maxpool]
size=2
stride=2

[convolutional]
batch_normalize=1
filters=24
size=1
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=1

[upsample]
stride=2

[route]
layers=2,-1

[convolutional]
filters=14
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=0,1
anchors=10,14, 23,27
classes=2
num=2

[route]
layers=8

[maxpool]
size=2
stride=2

[route]
layers=4

[reorg]
stride=2

[upsample]
stride=2

[route]
layers=-1,-4

[convolutional]
filters=7
size=3
stride=1
pad=1
activation=linear

[yolo]
mask=0
anchors=10,14
classes=2
num=1
"""

# What yolov4-tiny and classifiers have beside: routes of groups, mish, pooled maps.
GROUPS = """
[net]
width=64
height=64
channels=3

[convolutional]
batch_normalize=1
filters=32
size=3
stride=2
pad=1
activation=mish

[route]
layers=-1
groups=2
group_id=1

[convolutional]
batch_normalize=1
filters=16
size=3
stride=1
pad=1
activation=logistic

[route]
layers=-1,-3
groups=2
group_id=0

[convolutional]
filters=24
size=1
stride=1
pad=1
activation=linear

[avgpool]

[softmax]
groups=1
"""


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    path = tmp_path / "mixed.cfg"
    path.write_text(MIXED)
    return str(path)


def test_resized_cfg_changes_the_size_and_nothing_else(mixed: str, tmp_path: Path) -> None:
    text = resized_cfg(mixed, 96)
    assert text == MIXED.replace("width=999 # set by the tool", "width=96").replace("height=64", "height=96")
    other = tmp_path / "other.cfg"
    other.write_text(text)
    assert load_graph(str(other)).input.w == 96


def test_window_padding_fits_the_windows(mixed: str) -> None:
    node = load_graph(mixed, 96, 96).nodes[5]  # size 2, stride 1: keeps 24 columns by padding after the last
    assert node.window is not None
    assert window_padding(node.window, 24, 24) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["ncnn", "ncnn-nowinograd", "ncnn-lean", "onnxruntime", "onnxruntime-lean", "openvino"]
)
def test_peers_agree_with_opencv(name: str, mixed: str, tmp_path: Path, command) -> None:
    for module in ("cv2", name.partition("-")[0], *(["onnx"] if name[0] == "o" else [])):
        if not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not installed (extra 'bench')")
    out = tmp_path / "peers.json"
    words = ["--cfg", mixed, "--sizes", "96", "--threads", "2", "--rounds", "2", "--only", f"opencv,{name}"]
    done = command("bench_peers", *words, "--json", out)
    if "no longer reads Darknet models" in done.stderr:
        pytest.skip(done.stderr.partition("\n")[0])
    assert done.returncode == 0, done.stderr
    runs = {run["name"]: run for run in json.loads(out.read_text())["runs"]}
    assert list(runs) == ["opencv", name]
    assert "error" not in runs[name], runs[name]
    assert runs[name]["compared_with"] == "opencv"
    assert 0 < runs[name]["difference"] < 2e-5
    assert len(runs[name]["turns_ms"]) == 2
    assert runs[name]["peak_bytes"] > 10 << 20
    assert done.stdout.count("\n") == 3


def test_unknown_peer_is_refused(command) -> None:
    done = command("bench_peers", "--only", "caffe")
    assert done.returncode == 2
    assert "no peer is called caffe" in done.stderr


def test_missing_cfg_is_one_line(command) -> None:
    done = command("bench_peers", "--cfg", "/no/such.cfg", "--only", "darkfuse")
    assert done.returncode == 2
    assert done.stderr.startswith("/no/such.cfg: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "error"),
    [("ncnn", 2e-5), ("ncnn-bf16", 0.03), ("mnn", 2e-5), ("onnxruntime", 2e-5), ("openvino", 2e-5)],
)
def test_peers_agree_with_darkfuse(name: str, error: float, tmp_path: Path, command) -> None:
    module = name.partition("-")[0].replace("mnn", "MNN")
    for needed in (module, *(["onnx"] if module != "ncnn" else [])):
        if not importlib.util.find_spec(needed):
            pytest.skip(f"{needed} is not installed")
    cfg, out = tmp_path / "groups.cfg", tmp_path / "peers.json"
    cfg.write_text(GROUPS)
    only = f"darkfuse-exact,{name}"
    words = ["--cfg", cfg, "--sizes", "64", "--threads", "1", "--rounds", "1", "--only", only]
    done = command("bench_peers", *words, "--json", out)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    run = found["runs"][1]
    assert run["name"] == name and "error" not in run, run
    assert 0 < run["difference"] < error
    assert found["cpu"] and found["cpus"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_it_leaves_no_worker(number: signal.Signals, mixed: str, tmp_path: Path) -> None:
    if not importlib.util.find_spec("cv2"):
        pytest.skip("OpenCV is not installed")
    words = ["--cfg", mixed, "--sizes", "96", "--rounds", "1000000", "--only", "opencv"]
    place = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([*TOOL, *words], stderr=subprocess.PIPE, env=place) as tool:
        while not (workers := children(tool.pid, "/job.json")):
            if tool.poll() is not None:
                assert tool.stderr
                pytest.skip(tool.stderr.read().decode())
            time.sleep(0.05)
        time.sleep(0.5)
        tool.send_signal(number)
        assert tool.wait() == (-number if number == signal.SIGKILL else 128 + number)
    deadline = time.monotonic() + 10
    while any(running(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived the tool"
        time.sleep(0.05)
    if number != signal.SIGKILL:
        assert not list(tmp_path.glob("darkfuse-bench-*"))


def children(parent: int, word: str) -> list[int]:
    """Children of a process that have a word in their command line, past `--prepare`."""
    found = []
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        for pid in task.read_text().split():
            line = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if any(part.endswith(word) for part in line) and "--prepare" not in line:
                found.append(int(pid))
    return found


def running(pid: int) -> bool:
    """Whether a process is still there, other than as a zombie nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(
    "cpuid_fault" not in Path("/proc/cpuinfo").read_text(), reason="this CPU's CPUID cannot fault"
)
def test_avx512_can_be_hidden_from_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "")
    hide_avx512(str(tmp_path))
    code = "from darkfuse.kernels import _kernels; print(*_kernels.available())"
    seen = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "avx512" not in seen
    assert ("avx2" in seen) == ("avx2" in Path("/proc/cpuinfo").read_text())
