"""OpenCV, imported so that it takes little: no thread pools, no decoder threads, nothing said on stderr."""

from __future__ import annotations

import os
from typing import Any

from darkfuse.host.extras import need

# All of these are read once, by the libraries, when they load or open a video. What a person has set stays.
_QUIET = {
    "OPENBLAS_NUM_THREADS": "1",  # numpy's and OpenCV's own copies start a thread a core each
    "OPENCV_FFMPEG_THREADS": "1",  # every decoder thread holds frames of its own
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "OPENCV_VIDEOIO_PRIORITY_OBSENSOR": "0",
    "QT_LOGGING_RULES": "*=false",
    "QT_LOGGING_TO_CONSOLE": "1",
}


def opencv(quiet: bool = True, purpose: str = "video") -> Any:
    """The `cv2` module. Costs some 45 MB with numpy, so it is called only where video is.

    Parameters
    ----------
    quiet : bool
        Load it lean and silent; False leaves it as the program it belongs to expects it.
    purpose : str
        What it is for, at the head of the message where it is missing.

    Raises
    ------
    DarkfuseError
        It is not installed, or a library it needs is missing; the message says how to get it.
    """
    if quiet:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
    cv2 = need("cv2", purpose)
    if quiet:
        cv2.setNumThreads(1)  # the cores belong to the network
    return cv2
