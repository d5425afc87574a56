"""`--size native`: a network planned anew for each picture's own size.

Each side is rounded up to the next multiple of the network's strides (32 for most), so that maps which a
route or a shortcut joins fit each other. The picture gets into that input as it gets into any other,
letterboxed or stretched. Pictures go one at a time; a plan stays while sizes do.
"""

from __future__ import annotations

import dataclasses
import os
from math import lcm
from typing import Any

from darkfuse.errors import BudgetError, CfgError, DarkfuseError, ImageError
from darkfuse.graph import Graph
from darkfuse.graph.build import DETECTION, MAX_SIDE, build_graph
from darkfuse.session.batches import Batches
from darkfuse.session.choose import choose

NATIVE = "native"


def check_native(graph: Graph, size: str | None, sides: tuple[int | None, int | None], batch: int | None,
                 mem: str | int | None) -> bool:
    """Whether each picture's own size is asked for.

    Raises
    ------
    DarkfuseError
        `size` is another word; a width or height, several pictures at a time or an elastic budget are asked
        for besides; the network does not detect, or its weights belong to one size.
    """
    if size is None:
        return False
    if size != NATIVE:
        raise DarkfuseError(f"size={size!r} is not {NATIVE!r}; other sizes are width and height")
    if sides != (None, None):
        raise DarkfuseError(f"size={NATIVE!r} takes neither width nor height: they are the picture's")
    if batch not in (None, 1):
        raise DarkfuseError(f"batch {batch}: at size native pictures go one at a time")
    if isinstance(mem, str) and ".." in mem:
        raise DarkfuseError(f"--mem {mem}: at size native a budget is one amount, like {mem.split('..')[1]}")
    heads = [node for node in graph.nodes if node.kind in DETECTION]
    if not heads:
        raise DarkfuseError(f"{graph.path}: this network does not detect; size native is for those that do")
    step = steps(graph)
    other = build_graph(graph.cfg, graph.input.w + step[0], graph.input.h + step[1])
    for node, larger in zip(graph.nodes, other.nodes):
        if node.weights != larger.weights:
            raise DarkfuseError(f"{graph.path}:{node.line}: the weights of [{node.kind}] belong to a network "
                                f"of {graph.input.w}x{graph.input.h}; it runs at no other size")
    return True


def steps(graph: Graph) -> tuple[int, int]:
    """What the width and the height of a network's input have to be multiples of: pixels to a position of
    its smallest map, but for those that hold one value for all of the picture (squeeze and excite)."""
    across = down = 1
    for node in graph.nodes:
        shape = node.out_shape
        if (shape.w, shape.h) != (1, 1) or node.kind in DETECTION:
            across = lcm(across, max(1, round(graph.input.w / shape.w)))
            down = lcm(down, max(1, round(graph.input.h / shape.h)))
    return across, down


class Native(Batches):
    """`Batches` whose network has the size of each picture, if that is asked for."""

    _steps: tuple[int, int] | None = None

    def _suit(self, image: Any) -> None:
        """Plan for this picture, a path or an array, where its size is not that of the one before.

        Raises `ImageError` where it has none, or there is no network of that size within the budget.
        """
        from darkfuse.media.decode import picture_size
        from darkfuse.session.inputs import as_picture

        if isinstance(image, (str, os.PathLike)):
            what = os.fspath(image)
            wide, high = picture_size(what, self._decoding[0])
        else:
            what, picture = "the picture", as_picture(image)
            wide, high = picture.width, picture.height
        if self._steps is None:
            self._steps = steps(self.graph)
        width, height = (-(-side // step) * step for side, step in zip((wide, high), self._steps))
        source = self.graph.input
        if (width, height) == (source.w, source.h):
            return
        at = f"{what}: at size native ({width}x{height}) "
        if max(width, height) > MAX_SIDE:
            raise ImageError(f"{at}it is more than {MAX_SIDE} pixels wide or high; name a "
                             "--size, or scale it down")
        self.close()  # the search, and then the new arena, have its room
        try:
            graph = build_graph(self.graph.cfg, width, height, self.dialect.name)
            budget = dataclasses.replace(self._asked.budget, input_bytes=source.c * width * height)
            chosen = choose(graph, budget, self._wishes._replace(pictures=1), self._asked.plan)
        except (BudgetError, CfgError) as error:
            raise ImageError(at + str(error)) from None
        still = self._still
        self.graph = dataclasses.replace(graph, dialect=self.dialect)
        self._use(chosen)
        self.rungs = (chosen,)
        if still is not None:
            self.stand_still(still.noise)
