#!/usr/bin/env python3
"""`darkfuse label` over a large collection, killed at random and gone on with: each picture exactly once.

    label_killed.py --pictures 50000 --kills 30

Pictures are generated, and cut out of real ones (docs/images); they lie in folders, tar files and a list that
names some of them again, and a few are broken. A run is killed when it has written as many lines as was drawn
by lot, and a moment more; the last run ends by itself. Then lines are counted, none of them may be missing.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a plain checkout is enough to run this

from darkfuse.errors import DarkfuseError

ROOT = Path(__file__).resolve().parent.parent
IN_TARS, BROKEN = 4, 100  # each fourth picture lies in a tar file; each hundredth is none


def pictures(count: int, dice: random.Random) -> Iterator[bytes]:
    """JPEG files: of noise, of rectangles, and pieces of real pictures."""
    from PIL import Image, ImageDraw

    real = [Image.open(path).convert("RGB") for path in sorted((ROOT / "docs" / "images").glob("*.jpg"))]
    for number in range(count):
        width, height = dice.randint(16, 160), dice.randint(16, 160)
        if number % 3 == 0:
            image = Image.effect_noise((width, height), dice.uniform(5, 90)).convert("RGB")
        elif number % 3 == 1 or not real:
            image = Image.new("RGB", (width, height), dice.randrange(1 << 24))
            at = sorted(dice.randrange(width) for _ in "lr"), sorted(dice.randrange(height) for _ in "tb")
            ImageDraw.Draw(image).rectangle((at[0][0], at[1][0], at[0][1], at[1][1]), dice.randrange(1 << 24))
        else:
            photo = dice.choice(real)
            left, top = dice.randrange(photo.width - width), dice.randrange(photo.height - height)
            image = photo.crop((left, top, left + width, top + height))
        file = io.BytesIO()
        image.save(file, "JPEG")
        yield b"no picture" if number % BROKEN == 0 else file.getvalue()


def collection(folder: Path, count: int, dice: random.Random) -> tuple[list[str], set[str]]:
    """Write it; its sources, and the names its lines must have."""
    names, loose = set(), []
    paths = [str(folder / f"shard{number}.tar") for number in range(4)]
    shards = [tarfile.open(path, "w") for path in paths]  # noqa: SIM115 (closed below)
    for number, data in enumerate(pictures(count, dice)):
        if number % IN_TARS == 0:
            which = number // IN_TARS % len(shards)
            member = tarfile.TarInfo(f"{number:06d}.jpg")
            member.size = len(data)
            shards[which].addfile(member, io.BytesIO(data))
            names.add(f"{paths[which]}:{member.name}")
        else:
            path = folder / "loose" / f"{number % 97:02d}" / f"{number:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            loose.append(str(path))
    for shard in shards:
        shard.close()
    (folder / "again.txt").write_text("".join(f"{path}\n" for path in loose[:: 50]))
    sources = [folder / "again.txt", folder / "loose", *paths]
    return [str(source) for source in sources], names | set(loose)


def count_lines(path: Path) -> int:
    """Lines of a file that grows."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def killed(command: Sequence[str], out: Path, lines: int, dice: random.Random) -> bool:
    """Run until so many lines are there, and a moment more; whether it was killed before it ended."""
    run = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while run.poll() is None and count_lines(out) < lines:
        time.sleep(0.1)
    time.sleep(dice.uniform(0, 0.3))
    run.kill()
    return run.wait() == -9


def main(argv: Sequence[str] | None = None) -> int:
    """Write the collection, label it, count; 1 where a picture is missing or has two lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=50000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--size", default="96x96", help="of the network, which is darkfuse's own small one")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="darkfuse-label-", dir="/var/tmp") as scratch:
        sources, names = collection(Path(scratch), options.pictures, dice)
        out = Path(scratch) / "boxes.jsonl"
        command = [sys.executable, "-m", "darkfuse", "label", *sources, "--out", str(out), "--resume",
                   "--size", options.size, "--threads", "1"]
        kills, began = 0, time.monotonic()
        for lines in sorted(dice.randrange(options.pictures * 95 // 100) for _ in range(options.kills)):
            kills += killed(command, out, lines, dice)
            print(f"killed {kills} times, {count_lines(out)} lines", flush=True)
        last = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        if last.returncode:
            raise DarkfuseError(last.stderr.strip()[-300:])
        told: list[dict[str, Any]] = [json.loads(line) for line in out.read_text().splitlines()]
    found = Counter(line["filename"] for line in told)
    doubled, missing = [name for name in found if found[name] > 1], names - set(found)
    strange, bad = set(found) - names, sum("error" in line for line in told)
    print(f"{len(told)} lines for {len(names)} pictures after {kills} kills in "
          f"{time.monotonic() - began:.0f} s: {len(doubled)} doubled, {len(missing)} missing, "
          f"{len(strange)} strange, {bad} cannot be read")
    wrong = doubled or missing or strange or bad != -(-options.pictures // BROKEN)
    return 1 if wrong or kills < options.kills else 0


if __name__ == "__main__":
    raise SystemExit(main())
