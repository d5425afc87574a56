#!/usr/bin/env python3
"""Take the documentation's picture of the live page: a film of the sample photos, in a real Chromium.

    tools/demo_picture.py docs/images/demo.png [--dark] [--width 1280 --height 760]

Needs chromium, chromium-driver and OpenCV. The film moves over the photos, so that boxes move too.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser import Browser  # noqa: E402
from video import Demo  # noqa: E402

PHOTOS = ("cat.jpg", "astronaut.jpg")
SIZE = 1000, 426
SECONDS = 12  # of a frame's past that the charts show
COLOURS = 256  # of the file


def film(path: Path) -> Path:
    """The photos beside each other, moving by half a pixel a frame."""
    import cv2
    import numpy as np

    photos = [np.asarray(cv2.imread(str(ROOT / "docs" / "images" / name))) for name in PHOTOS]
    side = SIZE[1]
    wide = [cv2.resize(photo, (round(photo.shape[1] * side / photo.shape[0]), side)) for photo in photos]
    strip = cv2.hconcat(wide)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE)
    for at in range(600):
        left = min(at // 2, strip.shape[1] - SIZE[0])
        writer.write(strip[:, left : left + SIZE[0]])
    writer.release()
    return path


def main() -> int:
    """Write it."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("--dark", action="store_true", help="as a page that wishes to be dark")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=760)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = film(folder / "photos.avi")
        words = ("--video", video, "--realtime", "--http", 0, "--mem", "128M", "--thresh", 0.3)
        with Demo(*words, cwd=folder) as demo, Browser(folder / "profile", args.width, args.height) as page:
            page.wear("dark" if args.dark else "light", args.width, args.height)
            page.open(demo.url())
            page.wait("return document.querySelector('#state').className === 'live'")
            time.sleep(SECONDS)
            shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.quantize(COLOURS, Image.Quantize.MEDIANCUT).save(args.out, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
