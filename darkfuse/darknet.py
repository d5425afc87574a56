"""Public name of `darkfuse.compat.darknet`: AlexeyAB's `darknet.py`, function by function."""

from ctypes import POINTER, c_float, c_int, pointer  # noqa: F401 (scripts take them from darknet.py)

from darkfuse.compat.darknet import *  # noqa: F403
from darkfuse.compat.darknet import __all__ as __all__
from darkfuse.compat.darknet import __doc__ as __doc__  # what `help` shows
