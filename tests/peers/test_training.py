"""The trainer: its network is Darknet's, its exporter loses nothing, its targets and augmentation are right.

Runs only where PyTorch is (extra [train]); darkfuse itself never imports it.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: PyTorch")
np = pytest.importorskip("numpy")
cv2 = pytest.importorskip("cv2")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "train"))

import anchors as kmeans_anchors  # noqa: E402
import data  # noqa: E402
from export import save_darknet  # noqa: E402
from loss import RegionLoss, ciou  # noqa: E402
from net import Net, darknet_reorg  # noqa: E402

CFG = ROOT / "cfg" / "darkfuse-voc7.cfg"
WEIGHTS = ROOT / "weights" / "darkfuse-voc7.weights"


def trained_looking(seed: int) -> Net:
    """The network with random weights and batch norms that have seen something."""
    torch.manual_seed(seed)
    net = Net(CFG)
    for _, conv in net.convolutions():
        if conv.bn is not None:
            conv.bn.running_mean.normal_(0, 0.3)
            conv.bn.running_var.uniform_(1e-8, 2)
            torch.nn.init.uniform_(conv.bn.weight, 0.5, 1.5)
            torch.nn.init.normal_(conv.bn.bias, 0, 0.3)
    return net.eval()


def relative_rms(a, b) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)) / np.sqrt(np.mean(b**2)))


@pytest.mark.parametrize("stride", [1, 2])
def test_reorg_is_darknets(stride):
    """Against the loop Darknet runs, on a map whose height is not a multiple of 4."""
    c, h, w = 8, 6, 10
    x = torch.arange(c * h * w, dtype=torch.float32)
    flat, few = x.numpy(), c // stride**2
    out = np.empty(c * h * w, np.float32)
    for k in range(c):
        for j in range(h):
            for i in range(w):
                row, col = j * stride + (k // few) // stride, i * stride + (k // few) % stride
                out[(k * h + j) * w + i] = flat[((k % few) * h * stride + row) * w * stride + col]
    ours = darknet_reorg(x.view(1, c, h, w), stride)
    assert ours.shape == (1, c * stride**2, h // stride, w // stride)
    assert np.array_equal(ours.flatten().numpy(), out)


def test_export_reads_back_the_same(tmp_path):
    net = trained_looking(1)
    save_darknet(net, tmp_path / "x.weights", 12345)
    again = Net(CFG)
    assert again.load_darknet(tmp_path / "x.weights") == 12345
    x = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        assert relative_rms(again.eval()(x).numpy(), net(x).numpy()) < 1e-6
    assert (tmp_path / "x.weights").stat().st_size <= 8_000_000


def test_warm_start_and_back_is_exact(shared, tmp_path):
    """yolov3-tiny.weights, read and written by the trainer, differ only by the rounding of a variance."""
    source = shared / "models" / "yolov3-tiny.weights"
    net = Net(shared / "models" / "yolov3-tiny.cfg")
    seen = net.load_darknet(source)
    save_darknet(net, tmp_path / "y.weights", seen)
    a, b = (p.read_bytes() for p in (source, tmp_path / "y.weights"))
    assert struct.unpack_from("<iiiq", a) == struct.unpack_from("<iiiq", b)
    theirs, ours = (np.frombuffer(raw, "<f4", offset=20) for raw in (a, b))
    assert np.allclose(ours, theirs, rtol=1e-5, atol=2e-6)
    small = Net(CFG)
    small.load_darknet(source, layers=11)
    for i in (0, 2, 4, 6, 8, 10):
        assert torch.equal(small.convs[str(i)].conv.weight, net.convs[str(i)].conv.weight)


@pytest.mark.parametrize("which", ["random", "shipped"])
def test_darkfuse_and_pytorch_agree_on_an_exported_file(which, tmp_path):
    """The same file, the same input: every layer within 1e-5 of PyTorch's, relative RMS."""
    darkfuse = pytest.importorskip("darkfuse")
    net = trained_looking(2)
    path = tmp_path / "x.weights"
    if which == "shipped":
        net.load_darknet(WEIGHTS)
        path = WEIGHTS
    else:
        save_darknet(net, path, 0)
    x = np.random.default_rng(3).random((3, net.size, net.size), dtype=np.float32)
    keep = tuple(i for i, (kind, _) in enumerate(net.layers) if kind != "region")
    with torch.no_grad():
        theirs = net.run(torch.from_numpy(x)[None], keep=keep)
    with darkfuse.load(str(CFG), str(path), exact=True) as ours:
        maps = ours.forward(x, layers=list(keep))
    assert set(maps) == set(keep)
    for i in keep:
        assert relative_rms(maps[i], theirs[i][0].numpy()) <= 1e-5, f"layer {i}"


def test_loss_is_small_for_the_right_answer_and_falls_as_it_is_approached():
    loss = RegionLoss([(1.0, 1.0), (4.0, 3.0)], classes=3)
    boxes = [np.array([[2, 32 * 3.3, 32 * 2.1, 32 * 7.1, 32 * 5.3, 0], [0, 10, 10, 40, 45, 0]], np.float32)]
    raw = torch.zeros(1, 2 * 8, 10, 10)
    maps = raw.view(1, 2, 8, 10, 10)
    maps[:, :, 4] = -9.0
    for kind, (x, y), (w, h), anchor in (
        (2, (5.2, 3.7), (3.8, 3.2), 1),
        (0, (25 / 32, 27.5 / 32), (30 / 32, 35 / 32), 0),
    ):
        prior = loss.anchors[anchor]
        cell = maps[0, anchor, :, int(y), int(x)]
        cell[0], cell[1] = (float(torch.logit(torch.tensor(v % 1))) for v in (x, y))
        cell[2], cell[3] = float(np.log(w / prior[0])), float(np.log(h / prior[1]))
        cell[4], cell[5 + kind] = 9.0, 9.0
    total, parts = loss(raw, boxes, 320)
    assert parts["box"] < 1e-3 and parts["obj"] < 1e-3 and parts["noobj"] < 0.1 and parts["class"] < 0.2
    worse = raw.clone()
    worse.view(1, 2, 8, 10, 10)[0, 1, 2, 3, 5] += 0.5
    assert loss(worse, boxes, 320)[0] > total
    wrong = raw.clone()
    wrong.view(1, 2, 8, 10, 10)[0, 0, 4, 8, 8] = 3.0
    assert loss(wrong, boxes, 320)[1]["noobj"] > parts["noobj"] + 1


def test_difficult_objects_neither_pull_nor_push():
    loss = RegionLoss([(1.0, 1.0), (4.0, 3.0)], classes=3)
    raw = torch.randn(1, 16, 10, 10, generator=torch.Generator().manual_seed(0)).requires_grad_()
    raw.data.view(1, 2, 8, 10, 10)[0, 1, :4, 4, 5] = 0  # a prediction right on the object
    here = np.array([[1, 32 * 3.5, 32 * 3.0, 32 * 7.5, 32 * 6.0, 1]], np.float32)
    loss(raw, [here], 320)[0].backward()
    assert raw.grad.view(1, 2, 8, 10, 10)[0, 1, :, 4, 5].abs().max() == 0
    assert raw.grad.view(1, 2, 8, 10, 10)[0, 1, 4, 0, 0] != 0


def test_ciou():
    a = torch.tensor([[5.0, 5, 4, 4], [5, 5, 4, 4], [5, 5, 4, 4]])
    b = torch.tensor([[5.0, 5, 4, 4], [7, 5, 4, 4], [50, 50, 4, 4]])
    iou, complete = ciou(a, b)
    assert iou.tolist() == pytest.approx([1, 1 / 3, 0], abs=1e-6)
    assert complete[0] == pytest.approx(1, abs=1e-6)
    assert complete[1] == pytest.approx(1 / 3 - 4 / (36 + 16), abs=1e-6)
    assert -1 < complete[2] < -0.8


def test_boxes_follow_the_pixels():
    """A bright block on black: after any augmentation the box still frames the bright pixels."""
    rng = np.random.default_rng(0)
    image = np.zeros((120, 200, 3), np.uint8)
    image[40:90, 60:140] = 255
    sample = data.Sample(image, np.array([[1, 60, 40, 140, 90, 0]], np.float32))
    seen = 0
    for _ in range(60):
        canvas = np.zeros((160, 160, 3), np.uint8)
        boxes = data.place(sample, canvas, (0, 0, 160, 160), rng, 0.6, 1.8)
        bright = np.argwhere(canvas[..., 0] > 200)
        if not len(boxes) or len(bright) < 50:
            continue
        seen += 1
        (y1, x1), (y2, x2) = bright.min(0), bright.max(0) + 1
        assert boxes[0, 1:5] == pytest.approx([x1, y1, x2, y2], abs=1.6)
    assert seen > 40


def test_cut_boxes_become_difficult_or_vanish():
    boxes = np.array([[0, 0, 0, 100, 100, 0], [1, 80, 0, 180, 100, 0], [2, 98, 0, 198, 100, 0]], np.float32)
    cut = data.clip_boxes(boxes, 0, 0, 100, 100)
    assert cut.tolist() == [[0, 0, 0, 100, 100, 0], [1, 80, 0, 100, 100, 1]]


def test_letterbox_is_darkfuses():
    """The trainer's own scoring prepares a photo as Darknet does: the size rule is darkfuse's own."""
    from darkfuse.detect.types import letterbox_size

    for height, width in ((288, 384), (384, 255), (300, 451), (77, 500)):
        out, scale, left, top = data.letterbox(np.full((height, width, 3), 255, np.uint8), 352)
        inside = letterbox_size(width, height, 352, 352)
        bright = np.argwhere(out[..., 0] > 0.9)
        assert tuple(bright.min(0)) == (top, left)
        assert tuple((bright.max(0) - bright.min(0) + 1)[::-1]) == inside
        assert scale == inside[0] / width


def test_anchors_find_the_groups():
    rng = np.random.default_rng(5)
    true = np.array([[1.0, 2.0], [4.0, 3.0], [9.0, 8.0]])
    boxes = np.concatenate([t * np.exp(rng.normal(0, 0.05, (50, 2))) for t in true])
    found, iou = kmeans_anchors.kmeans(boxes, 3)
    assert np.allclose(found, true, rtol=0.1)
    assert iou > 0.9


@pytest.mark.slow
def test_a_run_learns_stops_on_time_and_resumes(tmp_path):
    """The real script on a tiny folder: exports weights darkfuse can read, and goes on where it was."""
    rng = np.random.default_rng(1)
    for part in ("images", "labels"):
        (tmp_path / "data" / part).mkdir(parents=True)
    (tmp_path / "data" / "toy.names").write_text("\n".join("abcdefg"))
    for i in range(8):
        image = rng.integers(0, 60, (96, 96, 3)).astype(np.uint8)
        image[20:70, 30:80] = 220
        cv2.imwrite(str(tmp_path / "data" / "images" / f"{i}.jpg"), image)
        (tmp_path / "data" / "labels" / f"{i}.txt").write_text(f"{i % 7} 0.573 0.469 0.521 0.521\n")
    (tmp_path / "held").write_text("6\n7\n")
    command = [
        sys.executable,
        str(ROOT / "tools/train/train.py"),
        str(CFG),
        str(tmp_path / "data"),
        str(tmp_path / "out"),
        "--held-out",
        str(tmp_path / "held"),
        "--batch",
        "2",
        "--sizes",
        "64,96",
    ]

    def train(minutes: str) -> str:
        done = subprocess.run(
            [*command, "--minutes", minutes],
            capture_output=True,
            text=True,
            timeout=300,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "6 photos to train on, 2 held out" in train("0.05")
    state = torch.load(tmp_path / "out" / "last.pt", weights_only=True)
    assert state["step"] > 0 and state["seen"] == 2 * state["step"]
    assert "resumed at step" in train("0.1")
    later = torch.load(tmp_path / "out" / "last.pt", weights_only=True)
    assert later["step"] > state["step"]
    assert (tmp_path / "out" / "best.weights").stat().st_size == (
        tmp_path / "out" / "last.weights"
    ).stat().st_size
    net = Net(CFG)
    assert net.load_darknet(tmp_path / "out" / "last.weights") == later["seen"]
