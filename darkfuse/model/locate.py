"""Where cfg and weights files are when nobody said exactly: beside each other, or shipped with darkfuse."""

from __future__ import annotations

import os

import darkfuse
from darkfuse.errors import CfgError, WeightsError
from darkfuse.model.names import find_names

DEFAULT_CFG = "cfg/darkfuse-voc7.cfg"


def shipped_folders() -> list[str]:
    """Folders that hold a `cfg/` and a `weights/`: inside the installed package, else the source tree."""
    package = os.path.dirname(os.path.abspath(darkfuse.__file__))
    return [root for root in (package, os.path.dirname(package)) if os.path.isdir(os.path.join(root, "cfg"))]


def find_cfg(name: str) -> str:
    """A cfg as named; or, for `cfg/yolov2.cfg` and plain `yolov2.cfg`, the one shipped with darkfuse.

    Raises `CfgError` when there is neither.
    """
    if os.path.exists(name) and not name.endswith(".weights"):
        return name
    folder, file = os.path.split(name)
    if folder in ("", "cfg"):
        for root in shipped_folders():
            path = os.path.join(root, "cfg", file)
            if os.path.isfile(path):
                return path
    if name.endswith(".weights"):
        raise CfgError(name, 0, "these are weights; the .cfg goes first, its .weights after it")
    from darkfuse.host.suggest import near_file

    shipped = [file for root in shipped_folders() for file in os.listdir(os.path.join(root, "cfg"))]
    raise CfgError(name, 0, "no such cfg file" + near_file(name, [f for f in shipped if f.endswith(".cfg")]))


def find_weights(cfg: str) -> str:
    """The weights that go with a cfg: `weights/<cfg name>.weights` beside the cfg's folder.

    Then the same name beside the cfg itself, and in `weights/` of the working folder and of darkfuse. A cfg
    with a plan in it, `yolov2.48M.cfg`, uses the weights of `yolov2.cfg`.

    Raises `WeightsError` naming the first place that was looked at.
    """
    folder, file = os.path.split(cfg)
    stem = os.path.splitext(file)[0]
    stems = [stem]
    while "." in stems[-1]:
        stems.append(os.path.splitext(stems[-1])[0])
    folders = [os.path.normpath(os.path.join(folder, "..", "weights")), folder, "weights",
               *(os.path.join(root, "weights") for root in shipped_folders())]
    for name in stems:
        for place in folders:
            path = os.path.join(place, name + ".weights")
            if os.path.isfile(path):
                return path
    raise WeightsError(f"{cfg}: its weights are not at {os.path.join(folders[0], stem + '.weights')}; "
                       "name the .weights file after the cfg")


def class_names(cfg: str, weights: str, classes: int) -> tuple[str, ...] | None:
    """Names of a network's classes when nobody said where they are, or None.

    Beside the cfg, beside the weights, then among darkfuse's own: `<cfg name>.names`, or `coco.names` and
    `voc.names` when they have just as many.
    """
    file = os.path.basename(cfg)
    shipped = [os.path.join(root, "cfg", file) for root in shipped_folders()]
    for place in (cfg, os.path.join(os.path.dirname(weights), file), *shipped):
        names = find_names(place, classes)
        if names is not None:
            return names
    return None
