"""`readNetFromDarknet` and `readNet`: from paths, or from the files' bytes."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from darkfuse.compat.fault import fault
from darkfuse.compat.net import Net

WEIGHTS = (".weights", ".backup")


def is_darknet(model: Any, config: Any = "", framework: str = "") -> bool:
    """Whether `readNet` would take these for Darknet's."""
    if framework:
        return framework.lower() == "darknet"
    paths = [os.fspath(p) for p in (model, config) if isinstance(p, (str, os.PathLike))]
    return any(path.endswith((".cfg", *WEIGHTS)) for path in paths)


def readNetFromDarknet(cfgFile: Any, darknetModel: Any = "") -> Net:
    """Read a network.

    Parameters
    ----------
    cfgFile : path, or array of uint8, or bytes
        The `.cfg`, or what is in it.
    darknetModel : path, or array of uint8, or bytes, optional
        The `.weights`, or what is in it. Without it the network has layers and costs, but does not run.

    Raises
    ------
    error
        A file is missing or wrong; the message says where.
    """
    if isinstance(cfgFile, (str, os.PathLike)) and isinstance(darknetModel, (str, os.PathLike)):
        return Net(os.fspath(cfgFile), os.fspath(darknetModel))
    # Weights are read from their file as they are needed, so bytes become one; gone with the Net.
    folder = tempfile.TemporaryDirectory(prefix="darkfuse-")
    cfg, weights = (_file(folder.name, name, given) for name, given in
                    (("buffer.cfg", cfgFile), ("buffer.weights", darknetModel)))
    return Net(cfg, weights, folder)


def _file(folder: str, name: str, given: Any) -> str:
    if isinstance(given, (str, os.PathLike)):
        return os.fspath(given)
    try:
        data = memoryview(given).cast("B")
    except (TypeError, ValueError):
        raise fault(f"expected a path or bytes, not {type(given).__name__}") from None
    if not data.nbytes:
        return ""
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def readNet(model: Any, config: Any = "", framework: str = "") -> Net:
    """Read a network from its two files, in either order.

    Parameters
    ----------
    model, config : path
        `.weights` and `.cfg`. `readNet("darknet", cfg_bytes, weights_bytes)` takes the files' bytes.
    framework : str
        "darknet", or nothing.

    Raises
    ------
    error
        Not Darknet's files, or wrong ones.
    """
    if isinstance(model, str) and model.lower() == "darknet" and not isinstance(config, str):
        return readNetFromDarknet(config, framework)
    if not is_darknet(model, config, framework):
        raise fault(f"{model}: darkfuse reads Darknet's .cfg and .weights only")
    paths = os.fspath(model), os.fspath(config)
    cfg, weights = paths if paths[0].endswith(".cfg") else paths[::-1]
    return readNetFromDarknet(cfg, weights)
