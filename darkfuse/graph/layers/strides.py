"""`stride=`, and `stride_x=`, `stride_y=` beside it."""

from __future__ import annotations

from darkfuse.model.cfg import Section


def strides(section: Section) -> tuple[int, int]:
    """(stride from row to row, stride along a row where that is another one, else 0)."""
    stride = section.integer("stride", 1, 1, 255)
    down, across = section.integer("stride_y", stride, 1, 255), section.integer("stride_x", stride, 1, 255)
    return down, across if across != down else 0
