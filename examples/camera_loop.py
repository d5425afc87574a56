"""Count people in front of a camera, or in a video, with OpenCV's capture and a loop of your own.

    python examples/camera_loop.py [CAMERA NUMBER OR VIDEO]

`darkfuse demo` does this with a window, a web page and reconnecting cameras. Needs the extra [camera].
"""

from __future__ import annotations

import sys

import cv2

import darkfuse

source = sys.argv[1] if len(sys.argv) > 1 else "0"
capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)

with darkfuse.load(mem="256M") as net:
    while True:
        there, frame = capture.read()
        if not there:
            break
        result = net.detect(frame[..., ::-1].copy(), thresh=0.3)  # OpenCV's frames are BGR
        print(f"{result.names.count('person')} people, {1000 * result.seconds:.0f} ms", flush=True)
