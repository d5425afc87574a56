"""The Darknet importer put back into an installed OpenCV that has none, and programs run with it."""

from __future__ import annotations

import os
import sys
from typing import Any

from darkfuse.errors import DarkfuseError


def restore(always: bool = False) -> Any:
    """Give `cv2` back what OpenCV 5 took out: `readNetFromDarknet`, and `readNet` for Darknet's files.

    `cv2.dnn.DetectionModel` and `ClassificationModel` take the networks read so; everything else of cv2 is as
    it was. Where OpenCV still has the importer nothing is changed, unless DARKFUSE_MEM in the environment
    names a budget, which OpenCV's would not keep.

    Parameters
    ----------
    always : bool
        Replace an importer that is there too, for darkfuse's memory.

    Returns
    -------
    module
        `cv2`.

    Raises
    ------
    DarkfuseError
        OpenCV is not installed, or cannot be loaded.
    """
    from darkfuse.compat import models, read
    from darkfuse.media.opencv import opencv

    cv2 = opencv(quiet=False, purpose="restore")
    if hasattr(cv2.dnn, "readNetFromDarknet") and not (always or os.environ.get("DARKFUSE_MEM")):
        return cv2
    theirs = getattr(cv2.dnn, "readNet", None)

    def read_net(model: Any, config: Any = "", framework: str = "", *more: Any, **named: Any) -> Any:
        if theirs is None or read.is_darknet(model, config, framework) or model == "darknet":
            return read.readNet(model, config, framework)
        return theirs(model, config, framework, *more, **named)

    read_net.__doc__ = theirs.__doc__ if theirs is not None else read.readNet.__doc__
    for home, prefix in ((cv2.dnn, ""), (cv2, "dnn_")):
        for name, ours in (("DetectionModel", models.DetectionModel),
                           ("ClassificationModel", models.ClassificationModel)):
            setattr(home, prefix + name, _either(ours, getattr(home, prefix + name, None)))
    cv2.dnn.readNetFromDarknet, cv2.dnn.readNet = read.readNetFromDarknet, read_net
    return cv2


def _either(ours: Any, theirs: Any) -> Any:
    """A maker of models: ours for Darknet's networks, OpenCV's for others."""

    def make(model: Any, config: Any = "", *more: Any, **named: Any) -> Any:
        from darkfuse.compat.net import Net
        from darkfuse.compat.read import is_darknet

        if theirs is None or isinstance(model, Net) or is_darknet(model, config):
            return ours(model, config)
        return theirs(model, *((config,) if config else ()), *more, **named)

    make.__name__, make.__doc__ = ours.__name__, ours.__doc__
    return make


def run_program(arguments: list[str]) -> int:
    """`python -m darkfuse.cv2 [--as VERSION] PROGRAM ...`: run a program of other people's with `restore`.

    `--as 4.14` is what `cv2.__version__` says to it, for programs that refuse OpenCV 5 by its number. PROGRAM
    is a file, or `-m MODULE`; what follows is its own. Returns 2 after a line about what is wrong.
    """
    import os
    import runpy

    words, version = list(arguments), ""
    if words and words[0] == "--as" or words and words[0].startswith("--as="):
        first = words.pop(0)
        version = first[len("--as="):] if "=" in first else (words.pop(0) if words else "")
        if not all(part.isdigit() for part in version.split(".")):
            return _usage(f"--as {version}: is no version; write it like 4.14")
    if not words or words[0] in ("-h", "--help") or words[0] == "-m" and len(words) < 2:
        return _usage("which program?")
    if words[0] != "-m" and not os.path.exists(words[0]):
        return _usage(f"{words[0]}: there is no such program")
    try:
        cv2 = restore()
    except DarkfuseError as error:
        return _usage(str(error))
    if version:
        cv2.__version__ = ".".join((version.split(".") + ["0", "0"])[:3])
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path[0] = os.path.dirname(os.path.abspath(words[0]))
        runpy.run_path(words[0], run_name="__main__")
    return 0


def _usage(problem: str) -> int:
    sys.stderr.write(f"darkfuse.cv2: {problem} (python -m darkfuse.cv2 [--as 4.14] PROGRAM ...)\n")
    return 2
