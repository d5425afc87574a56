#!/usr/bin/env python3
"""Whether two built checkouts give the same bits: boxes of photos, and output maps, of many models.

    compare_checkouts.py BEFORE [AFTER] [--models DIR] [--photo FILE] [--only NAME]...

Runs every cfg of DIR (default: ../shared/models) that both checkouts load, at three budgets and with one
and two threads, each time in a fresh process of the checkout's own Python (`.venv/bin/python`). Models
without weights get random ones. AFTER runs the plan that BEFORE made and wrote as JSON (other plans round
other sums), in the dialect of Darknet, which is the only one that old checkouts know. Both are given the
photo as a PNG that Pillow made of it: each checkout has its own way to decode a JPEG, and the engine is what
is compared. Prints a line for each run; exits with 1 when a box or a bit of a map differs, or a plan is
refused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BUDGETS = ("min", "96M", "resident")
THREADS = (1, 2)


def answers(cfg: str, weights: str, photo: str, mem: str, threads: int, plan_path: str) -> dict[str, Any]:
    """In a checkout's own process: what it finds, and a digest of each output map.

    `plan_path`: a file for the plan's JSON; the plan in it is run where it is there.
    """
    import inspect

    import darkfuse

    def digest(text: object) -> str:
        return hashlib.sha256(str(text).encode()).hexdigest()[:16]

    try:
        wishes: dict[str, Any] = {"plan": plan_path} if Path(plan_path).exists() else {}
        if "dialect" in inspect.signature(darkfuse.load).parameters:
            wishes["dialect"] = "darknet"
        with darkfuse.load(cfg, weights, mem=mem, threads=threads, **wishes) as net:
            found = net.detect(photo, thresh=0.2, nms=0.45, letterbox=True)
            from PIL import Image

            source = net.graph.input
            with Image.open(photo) as image:
                small = image.convert("RGB").resize((source.w, source.h))
            import numpy as np

            pixels = np.asarray(small, np.float32).transpose(2, 0, 1) / 255
            maps = net.forward(np.ascontiguousarray(pixels))
            if not wishes.get("plan"):
                Path(plan_path).write_text(net.plan.to_json())
            return {"boxes": digest([(tuple(d.box), d.class_id, d.confidence) for d in found.detections]),
                    "count": len(found),
                    "maps": {str(n): hashlib.sha256(m.tobytes()).hexdigest()[:16] for n, m in maps.items()}}
    except darkfuse.DarkfuseError as error:
        return {"error": str(error).partition("\n")[0]}


def ask(checkout: Path, *words: object) -> dict[str, Any]:
    python = checkout / ".venv" / "bin" / "python"
    command = [str(python), str(Path(__file__).resolve()), "--answer", *map(str, words)]
    done = subprocess.run(command, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)},
                          capture_output=True, text=True)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def verdict(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, bool]:
    """The line's end, and whether it is a difference."""
    if "error" in before:  # what did not run before has nothing to compare with
        return f"not before ({before['error'][:60]})", False
    if "error" in after:
        return f"REFUSED NOW: {after['error']}", True
    if before["maps"] != after["maps"]:
        return "MAPS DIFFER", True
    if before["boxes"] != after["boxes"]:
        return f"BOXES DIFFER ({before['count']} before, {after['count']} now)", True
    return f"same {len(after['maps'])} maps, {after['count']} boxes", False


def weights_of(cfg: Path, folder: Path) -> Path | None:
    """The model's own weights, or random ones; None where this checkout cannot make any."""
    own = cfg.with_suffix(".weights")
    if own.is_file():
        return own
    made = folder / own.name
    tool = [sys.executable, str(ROOT / "tools" / "make_weights.py"), str(cfg), str(made)]
    return made if subprocess.run(tool, capture_output=True).returncode == 0 else None


def pixels_of(photo: Path, folder: Path) -> Path:
    """The photo as a PNG, whose pixels are the same to every decoder."""
    from PIL import Image

    decoded = folder / "photo.png"
    with Image.open(photo) as image:
        image.convert("RGB").save(decoded)
    return decoded


def main() -> int:
    if sys.argv[1:2] == ["--answer"]:
        cfg_path, weights_path, photo, mem_text, count, plan_text = sys.argv[2:]
        print(json.dumps(answers(cfg_path, weights_path, photo, mem_text, int(count), plan_text)))
        return 0
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout, built in place, with its .venv")
    parser.add_argument("after", type=Path, nargs="?", default=ROOT, help="default: this one")
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models", metavar="DIR")
    parser.add_argument("--photo", type=Path, default=ROOT / "docs" / "images" / "cat.jpg", metavar="FILE")
    parser.add_argument("--only", action="append", metavar="NAME", help="this model only; may be repeated")
    args = parser.parse_args()
    cfgs = sorted(args.models.glob("*.cfg"))
    cfgs = [cfg for cfg in cfgs if not args.only or cfg.stem in args.only]
    if not cfgs:
        parser.error(f"no such models in {args.models}")
    runs = different = 0
    with tempfile.TemporaryDirectory() as temporary:
        decoded = pixels_of(args.photo, Path(temporary))
        for cfg in cfgs:
            weights = weights_of(cfg, Path(temporary))
            if weights is None:
                print(f"{cfg.stem:32} no weights, and none can be made for it")
                continue
            for mem in BUDGETS:
                for threads in THREADS:
                    plan = Path(temporary) / f"{cfg.stem}-{mem}-{threads}.json"
                    words = (cfg, weights, decoded, mem, threads, plan)
                    said, bad = verdict(ask(args.before.resolve(), *words), ask(args.after.resolve(), *words))
                    print(f"{cfg.stem:32} {mem:>9} {threads} threads: {said}", flush=True)
                    runs, different = runs + 1, different + bad
    print(f"{runs} runs, {different} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
