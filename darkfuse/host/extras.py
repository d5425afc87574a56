"""Libraries that the leanest install does without: whoever lacks one is told what brings it, in one line."""

from __future__ import annotations

import importlib
from types import ModuleType

from darkfuse.errors import DarkfuseError

# Of each library: the extra of `pip install "darkfuse[EXTRA]"` that brings it.
EXTRAS = {
    "numpy": "array", "cv2": "camera", "multipart": "serve", "paho.mqtt.client": "serve", "zmq": "serve",
    "distributed": "cluster", "pyarrow": "parquet", "pyarrow.parquet": "parquet",
}


def need(module: str, what: str) -> ModuleType:
    """Import a library that an extra brings.

    Parameters
    ----------
    module : str
        Its name, one of `EXTRAS`.
    what : str
        What it is needed for, as the beginning of a sentence: `demo`, `Arrays`.

    Raises
    ------
    DarkfuseError
        It is not installed, or does not load; the message says what to do.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # another library is missing, which is not ours to explain
        raise DarkfuseError(f'{what}: {module} is not installed; get it with '
                            f'pip install "darkfuse[{EXTRAS[module]}]"') from None
    except ImportError as error:  # there, but a library of the system it needs is not
        said = " ".join(str(error).split())
        advice = ("; a board without a screen wants opencv-python-headless in its place, or Debian's libgl1"
                  if module == "cv2" else "")
        raise DarkfuseError(f"{what}: {module} does not load: {said}{advice}") from None
