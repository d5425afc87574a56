"""Find things in one photo and save it with boxes.

    python examples/photo.py [PHOTO] [OUT]
"""

from __future__ import annotations

import sys

import darkfuse

photo = sys.argv[1] if len(sys.argv) > 1 else "docs/images/cat.jpg"
out = sys.argv[2] if len(sys.argv) > 2 else "found.jpg"

with darkfuse.load(mem="64M") as net:  # the model in the box, in 64 MB for the whole process
    result = net.detect(photo)
    for found in result.detections:
        print(f"{found.name} {100 * found.confidence:.0f}%")
    print("drawn:", net.draw(result, out))
    print(net.stats_line())
