"""Public name of `darkfuse.compat.dnn`: the calls of `cv2.dnn` for Darknet's networks."""

from darkfuse.compat.dnn import *  # noqa: F403
from darkfuse.compat.dnn import __all__ as __all__
from darkfuse.compat.dnn import __doc__ as __doc__  # what `help` shows
