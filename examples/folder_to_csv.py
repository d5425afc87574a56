"""Every object in every photo of a folder, as a CSV table.

    python examples/folder_to_csv.py FOLDER OUT.csv
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import darkfuse

folder, out = Path(sys.argv[1]), sys.argv[2]

with darkfuse.load() as net, open(out, "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["photo", "what", "confidence", "left", "top", "right", "bottom"])
    for photo in sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png")):
        try:
            result = net.detect(photo)
        except darkfuse.DarkfuseError as error:  # a broken photo ends no table
            print(error, file=sys.stderr)
            continue
        for found, corners in zip(result.detections, result.xyxy):
            table.writerow([photo.name, found.name, f"{found.confidence:.3f}", *(round(c) for c in corners)])
