"""Public name of `darkfuse.compat.darknet`: AlexeyAB's `darknet.py`, function by function."""

from darkfuse.compat.darknet import *  # noqa: F403
