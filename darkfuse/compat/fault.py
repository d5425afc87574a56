"""The error of `darkfuse.dnn`, which programs written for `cv2.error` catch too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from darkfuse.errors import DarkfuseError


class error(DarkfuseError):
    """What a call of `darkfuse.dnn` raises; where OpenCV is loaded it is a `cv2.error` as well."""


def fault(message: str) -> error:
    """An error to raise with this message; also a `cv2.error` in a process that has imported cv2."""
    theirs = getattr(sys.modules.get("cv2"), "error", None)
    if not isinstance(theirs, type) or issubclass(error, theirs):
        return error(message)
    both = type("error", (error, theirs), {"__module__": "darkfuse.dnn", "__str__": DarkfuseError.__str__})
    found: error = both(message)
    return found


@contextmanager
def in_their_words() -> Iterator[None]:
    """Turn any `DarkfuseError` inside into an `error`."""
    try:
        yield
    except error:
        raise
    except DarkfuseError as ours:
        raise fault(str(ours)) from None
