"""Train a region network on a folder of photos with YOLO-format labels, on a CPU, within a time budget.

    python tools/train/train.py cfg/darkfuse-voc7.cfg DATA OUT --warm yolov3-tiny.weights --minutes 100

The learning rate follows the share of the budget that has passed on the clock, so the run ends on time
with a rate of nought whatever else the machine does. Interrupted, the same command goes on from
``OUT/last.pt``. Every ``--every`` minutes the averaged weights are scored on the part held out and
exported to ``OUT/last.weights`` (and ``OUT/best.weights`` when they are the best so far).

With ``--teacher`` (a cfg, with the weights given as ``--warm``) a small extra loss pulls the features
below the head towards those of a larger network of the same trunk (FitNets, arXiv 1412.6550).
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import shutil
import time
from pathlib import Path

import cv2
import torch
from data import Loader, Sample, load
from evaluate import report, score
from export import save_darknet
from loss import RegionLoss
from net import Net
from torch import Tensor, nn

TRUNK = 11  # layers 0-10 are yolov3-tiny's
FROZEN = 6  # layers 0-5, three convolutions: edges and textures need no more training
TEACHER_LAYER = 13  # yolov3-tiny's 1x1 bottleneck of 256 channels at stride 32


class Teacher(nn.Module):
    """The larger network's features at ``TEACHER_LAYER`` and the projection that compares ours with them."""

    def __init__(self, cfg: str, weights: str, channels: int) -> None:
        super().__init__()
        self.net = Net(cfg).requires_grad_(False).eval()
        self.net.load_darknet(weights)
        self.project = nn.Conv2d(channels, self.net.channels[TEACHER_LAYER], 1)

    def loss(self, early: Tensor, ours: Tensor) -> Tensor:
        """Squared error over the power of the teacher's features. ``early``: output of the frozen layers."""
        with torch.no_grad():
            theirs = self.net.run(early, FROZEN, stop=TEACHER_LAYER + 1)[TEACHER_LAYER].float()
            theirs = theirs - theirs.mean((0, 2, 3), keepdim=True)
            power = theirs.square().mean((0, 2, 3), keepdim=True) + 1e-4
        ours = self.project(ours).float()
        ours = ours - ours.mean((0, 2, 3), keepdim=True)
        return ((ours - theirs).square() / power).mean()


def freeze(net: Net) -> None:
    for i, conv in net.convolutions():
        if i < FROZEN:
            conv.requires_grad_(False).eval()


def split(samples: dict[str, Sample], held_out: Path) -> tuple[list[Sample], list[Sample]]:
    """Training and held-out photos; the stems of the latter are in ``held_out``."""
    out = set(held_out.read_text().split())
    return [s for k, s in samples.items() if k not in out], [s for k, s in samples.items() if k in out]


class Run:
    """A training run that can be left and taken up again."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.out = args, Path(args.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.net = Net(args.cfg)
        if args.warm:
            self.net.load_darknet(args.warm, layers=TRUNK)
        if args.start:
            self.net.load_darknet(args.start)
        else:
            last = self.net.convolutions()[-1][1].conv
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(last.bias)
            last.bias.data.view(-1, 5 + self.net.classes)[:, 4] = -4.5  # few cells hold an object
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head_input = len(self.net.layers) - 3  # what the last convolution reads
        self.teacher: Teacher | None = None
        if args.teacher:
            self.teacher = Teacher(args.teacher, args.warm, self.net.channels[self.head_input])
            self.teacher.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for i, conv in self.net.convolutions():
            for p in conv.parameters():
                if i >= FROZEN:
                    groups.setdefault((i < TRUNK, p.ndim > 1), []).append(p)
        if self.teacher:
            groups.setdefault((False, True), []).extend(self.teacher.project.parameters())
        self.optimizer = torch.optim.AdamW(
            [
                {
                    "params": ps,
                    "weight_decay": args.decay if deep else 0.0,
                    "share": args.trunk_share if trunk else 1.0,
                }
                for (trunk, deep), ps in groups.items()
            ]
        )
        self.step, self.seen, self.elapsed, self.best = 0, 0, 0.0, -1.0
        self.mark = time.monotonic()
        if (self.out / "last.pt").exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.out / "last.pt", weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.teacher:
            self.teacher.project.load_state_dict(state["project"])
        self.step, self.seen, self.elapsed, self.best = (
            state[k] for k in ("step", "seen", "elapsed", "best")
        )
        self.log(f"resumed at step {self.step}, {self.elapsed / 60:.1f} minutes")

    def save(self) -> None:
        state = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seen": self.seen,
            "elapsed": self.elapsed,
            "best": self.best,
        }
        if self.teacher:
            state["project"] = self.teacher.project.state_dict()
        torch.save(state, self.out / "last.pt.part")
        os.replace(self.out / "last.pt.part", self.out / "last.pt")

    def log(self, text: str) -> None:
        line = time.strftime("%H:%M:%S ", time.gmtime()) + text
        print(line, flush=True)

    def progress(self) -> float:
        """Share of the budget used, 0 to 1. ``OUT/minutes`` may hold a changed budget."""
        now = time.monotonic()
        self.elapsed, self.mark = self.elapsed + now - self.mark, now
        changed = self.out / "minutes"
        minutes = float(changed.read_text()) if changed.exists() else self.args.minutes
        return min(1.0, self.elapsed / (60 * minutes))

    def rate(self, progress: float) -> float:
        """Learning rate: a short linear warm-up, then half a cosine down to nought."""
        return self.args.rate * min(1.0, (self.step + 1) / 400) * 0.5 * (1 + math.cos(math.pi * progress))

    def update(self, images: Tensor, boxes: list, loss: RegionLoss, progress: float) -> dict[str, float]:
        x = images.permute(0, 3, 1, 2).float().div_(255)  # (B, 3, H, W), already channels last
        extra = None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.no_grad():
                early = self.net.run(x, 0, stop=FROZEN)[FROZEN - 1]
            last = len(self.net.layers) - 1
            maps = self.net.run(early, FROZEN, keep=(self.head_input,))
            if self.teacher:
                extra = self.teacher.loss(early, maps[self.head_input])
        total, parts = loss(maps[last], boxes, x.shape[-1])
        if extra is not None:
            parts["teacher"] = extra.item()
            total = total + self.args.teach * (1 - progress) * extra
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], 10)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(progress) * group["share"]
        self.optimizer.step()
        self.step += 1
        self.seen += len(boxes)
        keep = min(0.9985, (1 + self.step) / (20 + self.step))
        with torch.no_grad():
            for mine, theirs in zip(self.average.state_dict().values(), self.net.state_dict().values()):
                if mine.dtype.is_floating_point:
                    mine.lerp_(theirs, 1 - keep)
        return parts

    def check(self, held: list[Sample], names: list[str]) -> None:
        """Score the averaged weights on the part held out; export them."""
        result = score(self.average, held, self.net.size)
        value = result.mean("voc11") or 0.0
        save_darknet(self.average, self.out / "last.weights", self.seen)
        if value > self.best:
            self.best = value
            shutil.copy(self.out / "last.weights", self.out / "best.weights")
        self.log(f"held out: {report(result, names)}")
        self.save()

    def train(self, samples: list[Sample], held: list[Sample], names: list[str]) -> None:
        loader = Loader(samples, self.net.classes, self.args.batch, seed=self.step)
        loss = RegionLoss(self.net.anchors, self.net.classes)
        sizes = [int(s) for s in self.args.sizes.split(",")]
        checked = last_log = time.monotonic()
        sums: dict[str, float] = {}
        steps = 0
        for images, boxes in loader:
            progress = self.progress()
            if progress >= 1:
                break
            # Mosaics stop for the last part, so that training ends on pictures as they are.
            loader.mosaic = self.args.mosaic if progress < 0.8 else 0.0
            if self.step % 10 == 0:
                loader.size = sizes[(self.step // 10 * 7 + self.step // 70) % len(sizes)]
            self.net.train()
            freeze(self.net)
            for key, value in self.update(torch.from_numpy(images), boxes, loss, progress).items():
                sums[key] = sums.get(key, 0.0) + value
            steps += 1
            if self.step % 100 == 0:
                now = time.monotonic()
                shown = " ".join(f"{k} {v / steps:.3f}" for k, v in sums.items())
                speed = steps * self.args.batch / (now - last_log)
                self.log(
                    f"step {self.step} {100 * progress:.1f}% epoch {self.seen / len(samples):.1f} {shown} "
                    f"rate {self.rate(progress):.2e} {speed:.1f} img/s"
                )
                sums, steps, last_log = {}, 0, now
                if now - checked > 60 * self.args.every:
                    self.check(held, names)
                    checked = last_log = time.monotonic()
        self.check(held, names)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cfg")
    parser.add_argument("data", help="folder with images/, labels/ and a .names file")
    parser.add_argument("out", help="folder for checkpoints and weights")
    parser.add_argument(
        "--held-out",
        default=str(Path(__file__).with_name("voc7-held-out.txt")),
        help="file with the stems of the photos to score on, never trained on",
    )
    parser.add_argument("--warm", help="yolov3-tiny.weights, for the trunk (and the teacher)")
    parser.add_argument("--start", help=".weights of this very network to start from")
    parser.add_argument("--teacher", help="yolov3-tiny.cfg")
    parser.add_argument(
        "--teach", type=float, default=1.0, help="weight of the teacher's loss, falling to 0"
    )
    parser.add_argument("--minutes", type=float, default=100, help="length of the whole run on the clock")
    parser.add_argument("--every", type=float, default=8, help="minutes between scores")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--trunk-share", type=float, default=0.5, help="the trunk's part of the rate")
    parser.add_argument("--decay", type=float, default=0.02)
    parser.add_argument("--mosaic", type=float, default=0.35)
    parser.add_argument("--sizes", default="288,320,352,384,416", help="input sizes to train at, pixels")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")
    cv2.setNumThreads(1)
    samples, held = split(load(args.data), Path(args.held_out))
    names = next(Path(args.data).glob("*.names")).read_text().split()
    run = Run(args)
    run.log(f"{len(samples)} photos to train on, {len(held)} held out")
    run.train(samples, held, names)


if __name__ == "__main__":
    main()
