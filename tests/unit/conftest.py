"""Fixtures the unit tests share."""

from livepage import film, server  # noqa: F401
from serving import serving  # noqa: F401
