"""Fixtures these tests share."""

from serving import serving  # noqa: F401
